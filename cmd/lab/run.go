package main

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"vnetlab/lab/expect"
	"vnetlab/lab/spelling"
	"vnetlab/lab/supervisor"
)

func (a *app) run() *cobra.Command {
	var withPrograms, keep bool
	cmd := &cobra.Command{
		Use:   "run FILE|SCENARIO...",
		Short: "Start labs, check what they expect, and end them",
		Long: `Start a lab, try every connection that its file expects and every public address, and
end it: lab up, lab test and lab down in one. Several labs run one after the other.

If the lab file lists exposed ports, the last lines are what the internet reaches, and
whether anything answers there.

The exit status is 3 if an expectation failed.`,
		Example:           "  sudo lab run sql-public\n  sudo lab run --real sql-vnet",
		Args:              want(1, -1, "a lab file or the name of a scenario"),
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			var all []labResult
			for i, arg := range args {
				if i > 0 && a.format == textFormat {
					a.stdout.printf("\n")
				}
				r := a.runLab(cmd, arg, supervisor.UpRequest{Real: withPrograms, Foreground: !keep})
				if err := cmd.Context().Err(); err != nil {
					return cmp.Or(r.err, err)
				}
				if r.err != nil && len(args) == 1 {
					return r.err
				}
				if r.err != nil && a.format == textFormat {
					a.stderr.printf("%s\n", a.text(r.err))
				}
				all = append(all, r)
			}
			return a.summary(all)
		},
	}
	realFlag(cmd, &withPrograms)
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the lab running")
	return a.formats(cmd)
}

// runLab runs one lab from up to down.
func (a *app) runLab(cmd *cobra.Command, arg string, request supervisor.UpRequest) (r labResult) {
	r.arg = arg
	lab, built, err := a.start(cmd, arg, request)
	if lab != nil && request.Foreground {
		defer func() { r.err = errors.Join(r.err, supervisor.Down(context.WithoutCancel(cmd.Context()), lab.Name)) }()
	}
	if err != nil {
		r.err = err
		return r
	}
	if a.format == textFormat {
		a.stdout.printf("%s\n", a.built(built))
	}
	r.places, r.Lab = placesOf(built.Summary), built.Name
	client, err := lab.Client()
	if err != nil {
		r.err = err
		return r
	}
	result, err := a.testFile(cmd, client, nil)
	if err != nil {
		r.err = err
		return r
	}
	r.Result = result
	if a.format == textFormat {
		a.printResult(result, r.places)
	}
	return r
}

// summary prints the results of all labs, unless each has been printed before, and returns the exit status.
func (a *app) summary(all []labResult) error {
	var total expect.Result
	var failed error
	for _, r := range all {
		total.Passed += r.Passed
		total.Failed += r.Failed
		if r.err != nil && failed == nil {
			failed = exitStatus(statusOf(r.err))
		}
	}
	switch {
	case a.format != textFormat:
		if err := a.printResults(all); err != nil {
			return err
		}
	case len(all) > 1:
		a.stdout.printf("\n%s\n", a.stdout.bold(spelling.Count(len(all), "lab")))
		t := table{indent: "  "}
		for _, r := range all {
			if r.err != nil {
				t.add(r.name(), a.stdout.red("error"))
				continue
			}
			t.add(r.name(), a.counts(r.Passed, r.Failed))
		}
		a.printTable(&t)
	}
	if failed != nil {
		return failed
	}
	return failedExpectation(total.Failed)
}
