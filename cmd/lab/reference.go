package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// The forms of the reference.
const (
	markdownForm = "markdown"
	manForm      = "man"
)

// docs writes the reference of all verbs, for the tree and for packages.
func (a *app) docs() *cobra.Command {
	forms := []string{markdownForm, manForm}
	return &cobra.Command{
		Use:               "docs markdown|man FOLDER",
		Short:             "Write the reference of all verbs",
		Hidden:            true,
		Args:              want(2, 2, "markdown or man, and a folder"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			form := markdownForm
			if err := (&choice{value: &form, of: forms}).Set(args[0]); err != nil {
				return usage("the form of the reference %v", err)
			}
			return a.writeReference(form, args[1])
		},
	}
}

// writeReference writes a file for each verb and each help topic into a folder.
func (a *app) writeReference(form, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	// A new tree of verbs: the examples of the one that runs are those of this machine.
	root := a.root()
	prepareReference(root)
	write := func(cmd *cobra.Command) error {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "_") + ".md"
		generate := doc.GenMarkdown
		if form == manForm {
			name = strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
			generate = func(cmd *cobra.Command, w io.Writer) error {
				return doc.GenMan(cmd, &doc.GenManHeader{Section: "1", Manual: "vnetlab"}, w)
			}
		}
		file, err := os.Create(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		return errors.Join(generate(cmd, file), file.Close())
	}
	var visit func(cmd *cobra.Command) error
	visit = func(cmd *cobra.Command) error {
		if cmd.Hidden || cmd.Name() == "help" {
			return nil
		}
		for _, sub := range cmd.Commands() {
			if err := visit(sub); err != nil {
				return err
			}
		}
		return write(cmd)
	}
	return visit(root)
}

// prepareReference makes the help texts Markdown: what is indented becomes a block of its own.
func prepareReference(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true // it has a date
	cmd.InitDefaultHelpFlag()
	var lines []string
	for line := range strings.SplitSeq(cmd.Long, "\n") {
		if indented := strings.HasPrefix(line, "  "); indented {
			if n := len(lines); n > 0 && lines[n-1] != "" && !strings.HasPrefix(lines[n-1], "    ") {
				lines = append(lines, "")
			}
			line = "  " + line
		}
		lines = append(lines, line)
	}
	cmd.Long = strings.Join(lines, "\n")
	for _, sub := range cmd.Commands() {
		prepareReference(sub)
	}
}
