package main

import (
	"errors"

	"github.com/spf13/cobra"

	"vnetlab/lab/labfile"
	"vnetlab/lab/spelling"
)

type validAnswer struct {
	Files []validFile `json:"files"`
}

type validFile struct {
	File      string `json:"file"`
	Lab       string `json:"lab"`
	Instances int    `json:"instances"`
	Notes     []note `json:"notes"`
}

func (a *app) validate() *cobra.Command {
	verbose := false
	cmd := &cobra.Command{
		Use:   "validate FILE|SCENARIO...",
		Short: "Check lab files; needs no root",
		Long: `Read lab files and the files that they name, and report every error with its position.
Nothing is started. The file - is standard input; its paths are relative to the current
folder.`,
		Example: `  lab validate first.yaml
  lab validate -v sql-vnet`,
		Args:              want(1, -1, "a lab file"),
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			var answer validAnswer
			var wrong []error // of each file that is not valid
			for _, arg := range args {
				file, err := a.labFile(cmd.Context(), arg)
				var loaded *labfile.Loaded
				if err == nil {
					loaded, err = loadBoth(file)
				}
				if cmd.Context().Err() != nil {
					return err
				}
				if err != nil {
					wrong = append(wrong, err)
					continue
				}
				v := validFile{
					File: file.Path, Lab: loaded.Lab.Name, Instances: len(loaded.Lab.Instances()),
					Notes: notesOf(loaded.Notes),
				}
				answer.Files = append(answer.Files, v)
				if a.format == textFormat {
					a.stdout.printf("%s: %s, lab %s with %s\n", file.Path, a.stdout.green("valid"), v.Lab,
						spelling.Count(v.Instances, "instance"))
					a.printNotes(loaded.Notes)
					for _, n := range loaded.Notes {
						if verbose && !n.Differs {
							a.stdout.printf("  %s\n", n)
						}
					}
				}
			}
			switch len(wrong) {
			case 0:
			case 1:
				return wrong[0]
			default:
				return errors.Join(wrong...)
			}
			if a.format == jsonFormat {
				return a.stdout.json(answer)
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "also list what has no effect on the network")
	return a.answers(cmd)
}

// loadBoth reads a lab file as it is without and with its real programs.
func loadBoth(file labfile.Input) (*labfile.Loaded, error) {
	loaded, err := file.Load(labfile.Options{})
	if err != nil {
		return nil, err
	}
	if _, err := file.Load(labfile.Options{Real: true}); err != nil {
		return nil, err
	}
	if wrong := checkSteps(loaded.Steps); len(wrong) > 0 {
		return nil, wrong
	}
	return loaded, nil
}
