package main

import "vnetlab/lab/labfile"

// note is a remark on what was read, as JSON.
type note struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Text   string `json:"text"`
	// Differs marks what the lab has otherwise than the file says; other notes are on what means nothing to a network.
	Differs bool `json:"differs"`
}

func notesOf(all []labfile.Note) []note {
	notes := []note{}
	for _, n := range all {
		notes = append(notes, note{n.Origin.File, n.Origin.Line, n.Origin.Column, n.Text, n.Differs})
	}
	return notes
}

// printNotes tells a person what the lab has otherwise than the file says. In JSON, notes are a part of the answer.
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
