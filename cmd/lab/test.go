package main

import (
	"slices"

	"github.com/spf13/cobra"

	"vnetlab/lab/api"
	"vnetlab/lab/client"
	"vnetlab/lab/expect"
	"vnetlab/lab/labfile"
)

func (a *app) test() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test [FILE...]",
		Short: "Check the expectations of a running lab",
		Long: `Try every connection that the lab expects. If the lab file lists what is exposed, try
every public address of the lab as well: from the internet hosts of the lab, from an
address that belongs to no host, and from one in each network that a rule names. A port
is exposed if every rule lets one of these through, whether or not anything answers.

With files, check their expectations instead. Each must describe the lab as it runs: if
lab apply would change the lab, the test fails with what would change, and checks
nothing else. The steps of the lab file come last and change the lab.

The exit status is 3 if an expectation failed, or if a file describes another lab.`,
		Example: `  sudo lab test
  sudo lab test --format junit > results.xml`,
		Args: want(0, -1, ""),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, files []string) error {
			if err := needRoot(cmd, socketNeedsRoot); err != nil {
				return err
			}
			result, err := a.testRunning(cmd, files)
			if err != nil {
				return err
			}
			if err := a.printResults([]labResult{result}); err != nil {
				return err
			}
			return failedExpectation(result.Failed)
		},
	}
	return a.asks(a.formats(cmd))
}

// formats adds the flags that choose how test results are written.
func (a *app) formats(cmd *cobra.Command) *cobra.Command {
	all := []string{textFormat, wideFormat, jsonFormat, tapFormat, junitFormat}
	format := &formatFlag{choice{value: &a.format, of: all}, a.stdout}
	cmd.Flags().
		Var(format, "format", "`FORMAT` of the results: text, wide (however long the lines), json, tap or junit")
	cmd.Flags().VarP(format, "output", "o", "same `FORMAT` as --format")
	register(cmd, "format", all...)
	register(cmd, "output", all...)
	return cmd
}

func failedExpectation(failed int) error {
	if failed > 0 {
		return exitStatus(exitExpectation)
	}
	return nil
}

// testRunning checks the expectations of a running lab: its own, or those of the files. If no lab is named, it is
// the one of the first file.
func (a *app) testRunning(cmd *cobra.Command, files []string) (labResult, error) {
	var inputs []*labfile.Input // nil: what the lab itself expects
	for _, file := range files {
		input, err := a.readInput(cmd.Context(), file)
		if err != nil {
			return labResult{}, err
		}
		loaded, err := input.Load(labfile.Options{})
		if err != nil {
			return labResult{}, err
		}
		if a.lab == "" {
			a.lab = loaded.Lab.Name
		}
		if input, err = input.Absolute(); err != nil {
			return labResult{}, err
		}
		inputs = append(inputs, &input)
	}
	client, err := a.client(cmd)
	if err != nil {
		return labResult{}, err
	}
	if len(inputs) == 0 {
		inputs = append(inputs, nil)
	}
	all := labResult{arg: client.Name, places: a.places(cmd.Context(), client)}
	all.Result = expect.Result{Lab: client.Name, Cases: []expect.Case{}}
	for _, file := range inputs {
		r, err := a.testFile(cmd, client, file)
		if err != nil {
			return labResult{}, err
		}
		for _, c := range r.Cases {
			all.Add(c)
		}
		all.Notes = append(all.Notes, r.Notes...)
	}
	return all, nil
}

// testFile checks the expectations of a file, or the lab's own, and shows the progress.
func (a *app) testFile(cmd *cobra.Command, client *client.Client, file *labfile.Input) (expect.Result, error) {
	p := a.progress(client.Name)
	defer p.clear()
	finished := func(c expect.Case) { p.line(client.Name + "  " + c.Name) }
	request := api.TestRequest{}
	if file != nil {
		sent := file.File()
		request.File = &sent
	}
	result, err := client.Test(cmd.Context(), request, finished)
	if err != nil {
		return result, err
	}
	if a.format != jsonFormat {
		p.clear()
		for _, note := range result.Notes {
			a.stderr.printf("note: %s\n", note)
		}
	}
	if file != nil && slices.ContainsFunc(result.Cases,
		func(c expect.Case) bool { return c.Expected == expect.AsDescribed }) {
		return result, nil // the steps of a file are for the lab that it describes
	}
	return result, runSteps(cmd.Context(), client, file, &result, finished)
}

// printResults writes what came of labs that were tested, in the chosen format. In text each has been printed
// already but for the only one.
func (a *app) printResults(all []labResult) error {
	switch a.format {
	case jsonFormat:
		return a.printJSON(all)
	case tapFormat:
		a.printTAP(all)
	case junitFormat:
		return a.printJUnit(all)
	default:
		for _, r := range all {
			a.printResult(r.Result, r.places)
		}
	}
	return nil
}
