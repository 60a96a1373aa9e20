package main

import (
	"github.com/spf13/cobra"

	"vnetlab/emu"
	"vnetlab/emu/text"
	"vnetlab/lab/compile"
	"vnetlab/lab/labfile"
)

// planAnswer is a network with the notes on its file.
type planAnswer struct {
	*emu.Network
	Notes []note `json:"notes"`
}

func (a *app) plan() *cobra.Command {
	withPrograms := false
	cmd := &cobra.Command{
		Use:   "plan FILE|SCENARIO",
		Short: "Print the network of a lab; needs no root",
		Long: `Print the namespaces, links, addresses, routes and names of a lab, and its rules in the
syntax of nft and iptables-restore, each with the line of the lab file that it comes
from. Nothing is started.`,
		Example: `  lab plan sql-vnet
  lab plan first.yaml -o json`,
		Args:              want(1, 1, "a lab file or the name of a scenario"),
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := a.labFile(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			loaded, err := file.Load(labfile.Options{Real: withPrograms})
			if err != nil {
				return err
			}
			network := compile.Named(loaded.Lab)
			network.Sort()
			if a.format == jsonFormat {
				return a.stdout.json(planAnswer{network, notesOf(loaded.Notes)})
			}
			a.printNotes(loaded.Notes)
			return text.WriteNetwork(a.stdout, network)
		},
	}
	realFlag(cmd, &withPrograms)
	return a.answers(cmd)
}

// realFlag adds the flag --real.
func realFlag(cmd *cobra.Command, withPrograms *bool) {
	cmd.Flags().BoolVar(withPrograms, "real", false,
		"run the programs under \"real\" in the lab file instead of built-in listeners")
}
