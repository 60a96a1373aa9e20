package main

import (
	"context"

	"github.com/spf13/cobra"

	"vnetlab/lab/api"
	"vnetlab/lab/client"
	"vnetlab/lab/labfile"
	"vnetlab/lab/spelling"
)

func (a *app) apply() *cobra.Command {
	dryRun := false
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Change a running lab to match a lab file",
		Long: `Change a running lab to match a lab file: print the operations that this takes, then do
all of them or none.

Instances that the file leaves as they are keep their programs and connections. What the
platform forbids, such as moving a deployed cloud service into a virtual network, is
refused before anything changes.`,
		Example: "  sudo lab apply --dry-run lab.yaml\n  sudo lab apply lab.yaml",
		Args:    want(1, 1, "a lab file"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			file, client, notes, err := a.appliedTo(cmd, args[0])
			if err != nil {
				return err
			}
			request := api.ApplyRequest{File: file.File(), DryRun: true}
			plan, err := client.Apply(cmd.Context(), request)
			if err != nil {
				return err
			}
			if a.format == jsonFormat && dryRun {
				return a.stdout.json(changeAnswer{ChangeResult: plan, Notes: notesOf(notes)})
			}
			a.printNotes(notes)
			switch {
			case dryRun:
				return a.printPlan(plan, true)
			case a.format == textFormat:
				if err := a.printPlan(plan, false); err != nil {
					return err
				}
			}
			request.DryRun = false
			done, err := a.patiently(cmd.Context(),
				func(ctx context.Context) (api.ChangeResult, error) { return client.Apply(ctx, request) })
			if err != nil {
				return err
			}
			if a.format == jsonFormat {
				return a.stdout.json(changeAnswer{ChangeResult: done, Notes: notesOf(notes)})
			}
			// The operations are those of the plan, unless another client changed the lab in between.
			if len(done.Operations) > 0 {
				a.stdout.printf("%s  %s\n", a.stdout.green("done"), spelling.Count(len(done.Operations), "operation"))
			}
			done.Operations = nil
			return a.printChange(done, "done")
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the operations without doing them")
	return a.asks(a.answers(cmd))
}

// appliedTo reads a lab file and finds the running lab that it describes. It returns the notes on the file as well.
func (a *app) appliedTo(cmd *cobra.Command, arg string) (file labfile.Input, client *client.Client,
	notes []labfile.Note,
	err error,
) {
	if err = needRoot(cmd, socketNeedsRoot); err != nil {
		return file, nil, nil, err
	}
	if file, err = a.labFile(cmd.Context(), arg); err != nil {
		return file, nil, nil, err
	}
	loaded, err := file.Load(labfile.Options{})
	if err != nil {
		return file, nil, nil, err
	}
	if a.lab == "" {
		a.lab = loaded.Lab.Name
	}
	if client, err = a.client(cmd); err != nil {
		return file, nil, nil, err
	}
	file, err = file.Absolute()
	return file, client, loaded.Notes, err
}

// printPlan prints the operations that will be done.
func (a *app) printPlan(plan api.ChangeResult, alone bool) error {
	if len(plan.Operations) == 0 && a.format == textFormat {
		a.stderr.printf("the lab already matches the file\n")
	}
	what := "will"
	if alone {
		what = "would"
	}
	return a.printChange(plan, what)
}
