package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vnetlab/lab/supervisor"
)

func (a *app) ls() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "ls",
		Short:             "List the running labs",
		Args:              want(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needRoot(cmd, "only root may see and end labs"); err != nil {
				return err
			}
			swept, err := supervisor.Sweep()
			if err != nil {
				return err
			}
			for _, s := range swept {
				a.stderr.printf(
					"%s\n",
					a.stderr.wrap(fmt.Sprintf("lab %s ended: %s; what it left is removed", s.Name, s.How), 2),
				)
			}
			labs, err := supervisor.List(cmd.Context())
			if err != nil {
				return err
			}
			if a.format == jsonFormat {
				return a.stdout.json(labs)
			}
			if len(labs) == 0 {
				a.stderr.printf("no lab is running\n")
				return nil
			}
			t := table{}
			t.head(a.stdout, "LAB", "INSTANCES", "SERVICES", "PROGRAMS", "UP", "PID", "FILE")
			for _, s := range labs {
				if s.NotAnswering != "" {
					_, since, _ := strings.Cut(s.NotAnswering, " is ")
					t.add(s.Name, "", "", "", a.stdout.red(since), strconv.Itoa(s.PID))
					continue
				}
				if s.Started.IsZero() {
					t.add(s.Name, "", "", "", "starting or stopping", strconv.Itoa(s.PID))
					continue
				}
				t.add(s.Name, strconv.Itoa(s.Instances), strconv.Itoa(s.Services), programs(s.Real), age(s.Started),
					strconv.Itoa(s.PID), s.File)
			}
			a.printTable(&t)
			return nil
		},
	}
	return a.answers(cmd)
}

// programs returns which programs listen where a lab file names a real one.
func programs(withPrograms bool) string {
	if withPrograms {
		return "real"
	}
	return "built in"
}

// age is how long ago something began, in its largest unit.
func age(began time.Time) string {
	d := time.Since(began)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
