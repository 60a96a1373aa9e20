package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"vnetlab/emu"
	"vnetlab/lab/api"
)

func (a *app) probe() *cobra.Command {
	wants := probeWants{}
	cmd := &cobra.Command{
		Use:   "probe FROM TO",
		Short: "Try one connection and print the verdict",
		Long: `Try a connection from an instance, an internet host or a web site to NAME:PORT and print
the verdict:

  ` + strings.ReplaceAll(verdictList(), " unresolved", "\n  unresolved") + `

NAME is an instance, an internet host, a web site, an address, or a DNS name, which is
looked up from where the connection starts; SERVICE.staging is the VIP of a staging
deployment. For blocked, the rule that dropped the packets is printed.
` + instanceNamesHelp + `
If a load balancer may choose among several members of a set, each of them is tried and
has its own line. The verdict is theirs if they agree, and mixed if they don't. If
another machine than the named one has the address where the connection starts, and
answers, the verdict is wrong-host.

The exit status is 0 whatever the verdict is, and 1 if the probe could not be made, or
if the packets did something else than the rules of the platform predict. With --expect
it is 3 if the verdict is none of the expected ones, or with --by if another rule
decided. With --timeout the connection is tried until it is as expected or the time is
up.

With --watch the connection is tried over and over, until Ctrl-C, and each change of the
verdict or its rule is a line; with --output json each line is a JSON document.`,
		Example: `  sudo lab probe laptop contactmanager.cloudapp.net:80
  sudo lab probe laptop sql1:1433 --expect blocked
  sudo lab probe report1 sql1:1433 --expect open --timeout 30s
  sudo lab probe laptop contactmanager.cloudapp.net:80 --watch`,
		Args:              want(2, 2, "FROM and TO"),
		ValidArgsFunction: a.completeProbe,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wants.check(cmd); err != nil {
				return err
			}
			if err := checkTarget(args[1]); err != nil {
				return err
			}
			client, err := a.client(cmd)
			if err != nil {
				return err
			}
			request := api.ProbeRequest{From: args[0], To: args[1]}
			if wants.watch {
				return a.watchProbe(cmd.Context(), client, request, wants.interval)
			}
			if len(wants.verdicts) > 0 {
				return a.expectProbe(cmd.Context(), client, request, wants)
			}
			r, err := client.Probe(cmd.Context(), request)
			if err != nil {
				return err
			}
			if a.format == jsonFormat {
				err = a.stdout.json(r)
			} else {
				a.printProbe(r, a.places(cmd.Context(), client))
			}
			if err == nil && (r.Verdict == emu.Error || !r.Agrees) {
				return exitStatus(exitError)
			}
			return err
		},
	}
	wants.flags(cmd)
	return a.asks(a.answers(cmd))
}

func (a *app) printProbe(r api.ProbeResult, p places) {
	o := a.stdout
	var remarks []string
	if r.Address.IsValid() && !strings.HasPrefix(r.To, r.Address.String()+":") {
		remarks = append(remarks, fmt.Sprintf("at %s", r.Address))
	}
	if r.AnsweredBy != "" && len(r.Members) == 0 {
		remarks = append(remarks, "answered by "+r.AnsweredBy)
	}
	if r.SeenAs != "" && len(r.Members) == 0 {
		remarks = append(remarks, seenAs(r.SeenAs, r.SeenAsAddress))
	}
	if r.RTTMicros > 0 {
		remarks = append(remarks, fmt.Sprintf("%.1f ms", float64(r.RTTMicros)/1000))
	}
	if r.Detail != "" {
		remarks = append(remarks, r.Detail)
	}
	o.printf("%s -> %s  %s\n", r.From, r.To, a.verdict(r.Verdict))
	if len(remarks) > 0 {
		o.printf("  %s\n", o.wrap(strings.Join(remarks, ", "), 2))
	}
	if r.By != nil && len(r.Members) == 0 {
		o.printf("  %s\n", o.wrap(p.rule(*r.By), 2))
	}
	a.printMembers(r.Members, p)
	if !r.Agrees {
		o.printf("  %s\n", o.wrap(o.red(r.Difference), 2))
	}
}

// printMembers shows a line for each member of a load-balanced set.
func (a *app) printMembers(all []api.ProbeMember, p places) {
	rows := table{}
	for _, m := range all {
		rows.add(m.Member, a.verdict(m.Verdict), "|") // so that all rows end in the same column
	}
	lines, _ := rows.lines(0)
	for i, m := range all {
		var why []string
		if m.By != nil {
			why = append(why, p.rule(*m.By))
		}
		if m.SeenAs != "" {
			why = append(why, seenAs(m.SeenAs, m.SeenAsAddress))
		}
		if m.Detail != "" {
			why = append(why, m.Detail)
		}
		line := strings.TrimSuffix(lines[i][0], "|") + strings.Join(why, ", ")
		a.stdout.printf("  %s\n", a.stdout.wrap(strings.TrimRight(line, " "), 4))
	}
}

func seenAs(name string, address netip.Addr) string {
	if address.IsValid() && name != address.String() {
		return fmt.Sprintf("seen as %s (%s)", name, address)
	}
	return "seen as " + name
}

// verdict paints a verdict: open and its opposites at a glance.
func (a *app) verdict(v emu.Verdict) string {
	switch v {
	case emu.Open:
		return a.stdout.green(string(v))
	case emu.WrongHost, emu.Timeout, emu.Error:
		return a.stdout.red(string(v))
	case emu.Refused, emu.Blocked, emu.NoBackend, emu.Mixed, emu.Unresolved:
		return a.stdout.bold(string(v))
	}
	return string(v)
}
