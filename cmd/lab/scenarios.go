package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"vnetlab/lab/spelling"
	"vnetlab/scenarios"
)

func (a *app) scenarios() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scenarios [NAME]",
		Short: "List the ready-made labs, or print the lesson on one",
		Long: `List the ready-made labs that are part of this command. With a name, print the lesson on
that lab.`,
		Example: `  lab scenarios
  lab scenarios sql-vnet`,
		Args:              want(0, 1, "the name of a scenario"),
		ValidArgsFunction: completeScenarios,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.lesson(args[0])
			}
			if a.format == jsonFormat {
				return a.stdout.json(scenarios.List())
			}
			t := table{}
			t.head(a.stdout, "SCENARIO", "LESSON")
			for _, s := range scenarios.List() {
				t.add(s.Name, s.Title)
			}
			a.printTable(&t)
			a.stderr.printf("\n")
			for _, hint := range []string{"lab scenarios NAME prints a lesson", "sudo lab run NAME runs it"} {
				a.stderr.printf("%s\n", a.stderr.wrap(a.advice(hint), 0))
			}
			return nil
		},
	}
	return a.answers(cmd)
}

// lesson prints the README of a scenario.
func (a *app) lesson(name string) error {
	if !isScenario(name) {
		names := scenarioNames()
		return usage("there is no scenario %q", name).orHint(spelling.DidYouMean(name, names),
			"the scenarios are "+spelling.And(names))
	}
	dir, err := scenarios.Materialise(name)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		return fmt.Errorf("the lesson of %s: %w", name, err)
	}
	if a.format == jsonFormat {
		for _, s := range scenarios.List() {
			if s.Name == name {
				return a.stdout.json(struct {
					scenarios.Scenario
					Dir    string `json:"dir"`
					Lesson string `json:"lesson"`
				}{s, dir, string(text)})
			}
		}
	}
	a.stdout.printf("%s", text)
	return nil
}
