package main

import (
	"os"

	"github.com/spf13/cobra"

	"vnetlab/lab/spelling"
	"vnetlab/lab/supervisor"
)

type doctorAnswer struct {
	OK       bool                 `json:"ok"` // nothing that is required is missing
	Features []supervisor.Feature `json:"features"`
}

func (a *app) doctor() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check what this machine lacks",
		Long: `Try every program, kernel feature and privilege that labs use. For each one that is
missing, print what doesn't work without it and how to get it.

The exit status is 4 if a required one is missing.`,
		Args:              want(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer := doctorAnswer{OK: true, Features: supervisor.Check(cmd.Context())}
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			for _, f := range answer.Features {
				answer.OK = answer.OK && (f.OK || !f.Required)
			}
			if a.format == jsonFormat {
				if err := a.stdout.json(answer); err != nil {
					return err
				}
			} else {
				a.printFeatures(answer)
			}
			if !answer.OK {
				return exitStatus(exitPrivileges)
			}
			return nil
		},
	}
	return a.answers(cmd)
}

func (a *app) printFeatures(answer doctorAnswer) {
	o := a.stdout
	t := table{}
	missing := table{}
	untried := 0
	for _, f := range answer.Features {
		result := o.green("ok")
		switch {
		case f.Untried:
			result = "untried"
			untried++
		case !f.OK:
			result = o.bold("missing")
			if f.Required {
				result = o.red("MISSING")
			}
			missing.add(f.Name, "without it "+f.Cost)
			missing.add("", f.Remedy)
		}
		t.add(result, f.Name, o.faint(f.Detail))
	}
	a.printTable(&t)
	if len(missing.rows) > 0 {
		o.printf("\n")
		a.printTable(&missing)
	}
	switch {
	case untried > 0 && os.Geteuid() != 0:
		o.printf("\n%s\n%s\n", o.wrap(spelling.Count(untried, "feature")+" can be tried only as root:", 0),
			"  "+a.called.asRoot([]string{"doctor"}))
	case !answer.OK:
		o.printf("\n%s\n", o.red("labs don't work on this machine"))
	case len(missing.rows) > 0:
		o.printf("\nlabs work on this machine, with less\n")
	default:
		o.printf("\n%s\n", o.green("labs work on this machine"))
	}
}
