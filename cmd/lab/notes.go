package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"vnetlab/lab"
	"vnetlab/lab/client"
	"vnetlab/lab/labfile"
)

// note is a remark on a file that was read, as JSON.
type note struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Text   string `json:"text"`
	// Differs marks what the lab does differently from the file; other notes are on what has no effect on a network.
	Differs bool `json:"differs"`
}

func notesOf(all []labfile.Note) []note {
	notes := []note{}
	for _, n := range all {
		notes = append(notes, note{n.Origin.File, n.Origin.Line, n.Origin.Column, n.Text, n.Differs})
	}
	return notes
}

// printNotes prints what the lab does differently from the file. In JSON, notes are part of the answer.
func (a *app) printNotes(all []labfile.Note) {
	if a.format != textFormat {
		return
	}
	for _, n := range all {
		if n.Differs {
			a.stderr.printf("note: %s\n", n)
		}
	}
}

// mappings are notes on the addresses that stand for those of the VPN devices which operations asked for.
func (a *app) mappings(cmd *cobra.Command, client *client.Client, operations []lab.Operation) (notes []labfile.Note) {
	asked := map[string]lab.Origin{}
	for _, o := range operations {
		switch o := o.(type) {
		case lab.CreateLocalNetworkOp:
			asked[o.Name] = o.Origin
		case lab.UpdateLocalNetworkOp:
			asked[o.Name] = o.Origin
		}
	}
	if len(asked) == 0 {
		return nil
	}
	info, err := client.Lab(cmd.Context())
	if err != nil {
		return nil // the lab has ended since; what was done was done
	}
	for _, n := range info.LocalNetworks {
		origin, ok := asked[n.Name]
		site := lab.LocalNetwork{Name: n.Name, VPNGatewayAddress: n.VPNGatewayAddress, Address: n.Address}
		if ok && site.Mapped() {
			notes = append(notes, labfile.Note{Origin: shownPlace(origin), Text: site.MappingText(), Differs: true})
		}
	}
	return notes
}

// shownPlace returns an origin with its path relative to the current folder, if the file is below it.
func shownPlace(at lab.Origin) lab.Origin {
	here, err := os.Getwd()
	if err != nil || at.IsZero() {
		return at
	}
	if path, err := filepath.Rel(here, at.File); err == nil && filepath.IsLocal(path) {
		at.File = path
	}
	return at
}
