package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"vnetlab/emu"
	"vnetlab/lab/client"
	"vnetlab/lab/spelling"
)

func (a *app) diff() *cobra.Command {
	repair := false
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Show where the kernel differs from the lab",
		Long: `Read back everything that a running lab made in the kernel, and show what differs from
the lab: links, addresses, routes, routing rules, neighbors, kernel settings, nftables
and iptables rules.

With --repair restore what should be there and remove what was added. Everything else
stays as it is, with its programs and connections.

The exit status is 3 if there is a difference. With --repair it is 0 if everything was
repaired, and 1 if something was not.`,
		Example:           "  sudo lab diff\n  sudo lab diff --repair",
		Args:              want(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client(cmd)
			if err != nil {
				return err
			}
			if repair {
				return a.repair(cmd.Context(), client)
			}
			d, err := client.Diff(cmd.Context())
			if err != nil {
				return err
			}
			if a.format == jsonFormat {
				err = a.stdout.json(d)
			} else {
				a.printDifferences(d.Differences, emu.Difference.Is)
				a.stdout.printf("%s\n", a.driftLine(d.Differences))
			}
			if err == nil && len(d.Differences) > 0 {
				return exitStatus(exitExpectation)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "restore what the lab wants")
	return a.asks(a.answers(cmd))
}

// repair restores the kernel to what the lab wants, and prints what was repaired.
func (a *app) repair(ctx context.Context, client *client.Client) error {
	r, err := client.Repair(ctx)
	if err != nil {
		return err
	}
	if a.format == jsonFormat {
		if err := a.stdout.json(r); err != nil {
			return err
		}
	} else {
		a.printDifferences(r.Repaired, was)
		a.printDifferences(r.Left, func(d emu.Difference) string { return "is left: it " + d.Is() })
		for _, e := range r.Errors {
			a.stderr.printf("%s\n", a.stderr.red(e))
		}
		switch {
		case len(r.Left) > 0:
			left := a.stdout.red(spelling.Count(len(r.Left), "difference") + " left")
			a.stdout.printf("%s, %s repaired\n", left, spelling.Count(len(r.Repaired), "difference"))
		case len(r.Repaired) > 0:
			a.stdout.printf("%s  %s\n", a.stdout.green("repaired"), spelling.Count(len(r.Repaired), "difference"))
		default:
			a.stdout.printf("%s\n", asWanted)
		}
	}
	if len(r.Left) > 0 {
		return exitStatus(exitError)
	}
	return nil
}

// asWanted is the answer if nothing differs.
const asWanted = "the kernel is as the lab wants it"

// was describes what was repaired of an object.
func was(d emu.Difference) string {
	switch {
	case d.Found == "":
		return "is there again"
	case d.Wanted == "":
		return "is taken away"
	}
	return "is again what it should be, it was " + d.Found
}

// printDifferences shows differences by their namespaces, each in words.
func (a *app) printDifferences(all []emu.Difference, words func(emu.Difference) string) {
	for start := 0; start < len(all); {
		end := start
		t := table{indent: "  "}
		for ; end < len(all) && all[end].Namespace == all[start].Namespace; end++ {
			t.add(all[end].Object, words(all[end]))
		}
		a.stdout.printf("%s\n", a.stdout.bold(all[start].Namespace))
		a.printTable(&t)
		start = end
	}
}

// driftLine returns how much differs, in a line.
func (a *app) driftLine(all []emu.Difference) string {
	if len(all) == 0 {
		return asWanted
	}
	places := 0
	for i, d := range all {
		if i == 0 || all[i-1].Namespace != d.Namespace {
			places++
		}
	}
	text := fmt.Sprintf("the kernel differs from what the lab wants: %s in %s",
		spelling.Count(len(all), "difference"), spelling.Count(places, "namespace"))
	return a.stdout.red(text) + "; " + a.advice("lab diff --repair restores it")
}

// driftWithin bounds the comparison with the kernel when a user asks for something else. It takes that long in
// labs of about a thousand instances.
const driftWithin = 500 * time.Millisecond

// drift compares the kernel with the lab. It returns false if that takes too long.
func (a *app) drift(ctx context.Context, client *client.Client) ([]emu.Difference, bool) {
	ctx, cancel := context.WithTimeout(ctx, driftWithin)
	defer cancel()
	d, err := client.Diff(ctx)
	return d.Differences, err == nil
}
