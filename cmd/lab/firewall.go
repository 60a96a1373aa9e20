package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/guestfirewall"
	"vnetlab/lab/spelling"
)

func (a *app) firewall() *cobra.Command {
	return noun("firewall", "Add and delete rules of guest firewalls",
		`Guest firewalls of instances. Block rules win over allow rules, and allow rules over the
default, which blocks incoming connections.`,
		a.firewallAdd(), a.firewallDelete(), a.firewallList())
}

func (a *app) firewallAdd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add INSTANCE RULE...",
		Short: "Add a rule to a guest firewall, or turn it off or on",
		Long: `Add a rule to the guest firewall of an instance, in the short form, as a netsh command,
or as New-NetFirewallRule of PowerShell. The rule is the rest of the line, with or
without quotes; flags of this command go before the instance.

These turn the firewall off, and on again with on and True:

  netsh advfirewall set allprofiles state off
  Set-NetFirewallProfile -All -Enabled False`,
		Example: `  sudo lab firewall add sql1 allow tcp 1433 from localsubnet
  sudo lab firewall add sql1 netsh advfirewall firewall add rule name="SQL Server" dir=in action=allow protocol=TCP localport=1433
  sudo lab firewall add sql1 New-NetFirewallRule -DisplayName "SQL Server" -Direction Inbound -Protocol TCP -LocalPort 1433 -Action Allow`,
		Args:              want(2, -1, "an instance and a rule"),
		ValidArgsFunction: a.names(instanceNames),
	}
	cmd.Flags().SetInterspersed(false) // flags after the instance belong to the rule
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		command, err := parseFirewallCommand(args[1:])
		if err != nil {
			return err
		}
		client, err := a.client(cmd)
		if err != nil {
			return err
		}
		a.remark(strings.Join(args[1:], " "), command)
		var operations []lab.Operation
		for _, rule := range command.Rules {
			operations = append(
				operations,
				lab.AddFirewallRuleOp{Instance: args[0], Rule: lab.GuestFirewallRule{Rule: rule}},
			)
		}
		if command.Switch != guestfirewall.Unchanged {
			operations = append(operations,
				lab.SwitchFirewallOp{Instance: args[0], Off: command.Switch == guestfirewall.TurnOff})
		}
		return a.do(cmd, client, operations...)
	}
	return a.asks(a.answers(cmd))
}

func (a *app) firewallDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete INSTANCE NAME",
		Short: "Delete a rule of a guest firewall",
		Long: `Delete the rules with a name that were added to the guest firewall of an instance. A rule
without a name goes by its text. Flags of this command go before the instance.`,
		Example:           "  sudo lab firewall delete sql1 \"SQL Server\"\n  sudo lab firewall delete sql1 allow tcp 1433",
		Args:              want(2, -1, "an instance and the name of a rule"),
		ValidArgsFunction: a.names(instanceNames, firewallRuleNames),
	}
	cmd.Flags().SetInterspersed(false)
	return a.operation(cmd, func(_ *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
		return lab.DeleteFirewallRuleOp{Instance: args[0], Name: strings.Join(args[1:], " ")}, nil
	})
}

// firewallAnswer are the rules of a guest firewall, as JSON.
type firewallAnswer struct {
	Instance string         `json:"instance"`
	Off      bool           `json:"off"`
	Rules    []firewallRule `json:"rules"`
	// Extra are rules of the kernel that the lab doesn't want, as iptables lists them.
	Extra []string `json:"extra"`
	// Differences are all differences between kernel and lab in the instance.
	Differences []emu.Difference `json:"differences"`
}

// firewallRule is a rule that should be there.
type firewallRule struct {
	api.FirewallRule
	Missing bool `json:"missing,omitempty"` // in the kernel
}

func (a *app) firewallList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list INSTANCE",
		Short: "List the rules of a guest firewall",
		Long: `List the rules of an instance's guest firewall, both those of the platform and those
that were added. Rules that the kernel lacks, and rules of the kernel that the lab
doesn't want, are marked; lab diff --repair restores them.`,
		Example:           "  sudo lab firewall list sql1",
		Args:              want(1, 1, "an instance"),
		ValidArgsFunction: a.names(instanceNames),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		running := a.running(cmd)
		h, err := find(running, args[0], func(info api.Lab) (api.Host, error) { return findInstance(info, args[0]) })
		if err != nil {
			return err
		}
		answer := firewallAnswer{h.Name, h.FirewallOff, []firewallRule{}, []string{}, []emu.Difference{}}
		var missing []string
		if !stopped(h) {
			client, err := running.client()
			if err != nil {
				return err
			}
			d, err := client.DiffInstance(cmd.Context(), h.Name)
			if err != nil {
				return err
			}
			answer.Differences = d.Differences
			if d.Firewall != nil {
				missing, answer.Extra = d.Firewall.Missing, d.Firewall.Extra
			}
		}
		t := table{}
		t.head(a.stdout, "NAME", "RULE", "FROM", "REMARK")
		for _, r := range h.Firewall {
			from := "platform"
			if r.Added {
				from = "added"
			}
			one := firewallRule{r, slices.Contains(missing, r.Rule)}
			remark := cmp.Or(r.Inactive, r.Note)
			if one.Missing {
				remark = a.stdout.red("missing in the kernel")
			}
			answer.Rules = append(answer.Rules, one)
			t.add(cmp.Or(r.Name, "-"), r.Rule, from, remark)
		}
		for _, line := range answer.Extra {
			t.add("-", line, "the kernel", a.stdout.red("not wanted"))
		}
		nothing := fmt.Sprintf("the guest firewall of %s has no rule: it blocks all incoming connections", h.Name)
		if h.FirewallOff {
			nothing = fmt.Sprintf("the guest firewall of %s is off: it allows all incoming connections", h.Name)
		}
		if err := a.list(answer, t, nothing); err != nil {
			return err
		}
		if n := len(answer.Differences); n > 0 && a.format == textFormat {
			a.stderr.printf(
				"%s\n",
				a.stderr.wrap(fmt.Sprintf("the kernel differs from what the lab wants of %s: %s; %s",
					h.Name, spelling.Count(n, "difference"), a.advice("lab diff shows them")), 2),
			)
		}
		return nil
	}
	return a.asks(a.answers(cmd))
}
