package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"vnetlab/lab"
	"vnetlab/lab/guestfirewall"
	"vnetlab/lab/live"
)

func (a *app) firewall() *cobra.Command {
	return noun("firewall", "Add and delete rules of guest firewalls",
		`Guest firewalls of instances. Block wins over allow, and allow over the default, which blocks what comes in.`,
		a.firewallAdd(), a.firewallDelete(), a.firewallList())
}

func (a *app) firewallAdd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add INSTANCE RULE...",
		Short: "Add a rule to a guest firewall, or turn it off or on",
		Long: `Add a rule to the guest firewall of an instance: in the short form, as a netsh command or as New-NetFirewallRule of PowerShell. The rule is
the rest of the line, in quotes or not; flags of this command stand before the instance.

netsh advfirewall set allprofiles state off and Set-NetFirewallProfile -All -Enabled False turn the firewall off, and with on and True on again.`,
		Example: `  sudo lab firewall add sql1 allow tcp 1433 from localsubnet
  sudo lab firewall add sql1 netsh advfirewall firewall add rule name="SQL Server" dir=in action=allow protocol=TCP localport=1433
  sudo lab firewall add sql1 New-NetFirewallRule -DisplayName "SQL Server" -Direction Inbound -Protocol TCP -LocalPort 1433 -Action Allow`,
		Args:              want(2, -1, "an instance and a rule"),
		ValidArgsFunction: a.names(instanceNames),
	}
	cmd.Flags().SetInterspersed(false) // the flags of the rule are its own
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := a.client(cmd)
		if err != nil {
			return err
		}
		command, err := parseFirewallCommand(args[1:])
		if err != nil {
			return err
		}
		a.remark(strings.Join(args[1:], " "), command)
		var operations []lab.Operation
		for _, rule := range command.Rules {
			operations = append(operations, lab.AddFirewallRuleOp{Instance: args[0], Rule: lab.GuestFirewallRule{Rule: rule}})
		}
		if command.Switch != guestfirewall.Unchanged {
			operations = append(operations, lab.SwitchFirewallOp{Instance: args[0], Off: command.Switch == guestfirewall.TurnOff})
		}
		return a.do(cmd, client, operations...)
	}
	return a.asks(a.answers(cmd))
}

func (a *app) firewallDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete INSTANCE NAME",
		Short: "Delete a rule of a guest firewall",
		Long: `Delete the rules with a name that were added to the guest firewall of an instance. A rule without a name is named as it is written. Flags of
this command stand before the instance.`,
		Example:           "  sudo lab firewall delete sql1 \"SQL Server\"\n  sudo lab firewall delete sql1 allow tcp 1433",
		Args:              want(2, -1, "an instance and the name of a rule"),
		ValidArgsFunction: a.names(instanceNames, firewallRuleNames),
	}
	cmd.Flags().SetInterspersed(false)
	return a.operation(cmd, func(_ *cobra.Command, args []string, _ *live.Client) (lab.Operation, error) {
		return lab.DeleteFirewallRuleOp{Instance: args[0], Name: strings.Join(args[1:], " ")}, nil
	})
}

// firewallAnswer are the rules of a guest firewall, as JSON.
type firewallAnswer struct {
	Instance string                  `json:"instance"`
	Off      bool                    `json:"off"`
	Rules    []live.FirewallRuleInfo `json:"rules"`
}

func (a *app) firewallList() *cobra.Command {
	return a.question(&cobra.Command{
		Use:               "list INSTANCE",
		Short:             "List the rules of a guest firewall",
		Long:              `List the rules of an instance's guest firewall: those that the platform opened, and those that were added.`,
		Example:           "  sudo lab firewall list sql1",
		Args:              want(1, 1, "an instance"),
		ValidArgsFunction: a.names(instanceNames),
	}, func(info live.Info, args []string) error {
		h, err := findInstance(info, args[0])
		if err != nil {
			return err
		}
		answer := firewallAnswer{h.Name, h.FirewallOff, append([]live.FirewallRuleInfo{}, h.Firewall...)}
		t := table{}
		t.head(a.stdout, "NAME", "RULE", "FROM", "REMARK")
		for _, r := range h.Firewall {
			from := "platform"
			if r.Added {
				from = "added"
			}
			t.add(cmp.Or(r.Name, "-"), r.Rule, from, cmp.Or(r.Inactive, r.Note))
		}
		nothing := fmt.Sprintf("the guest firewall of %s has no rule: nothing may come in", h.Name)
		if h.FirewallOff {
			nothing = fmt.Sprintf("the guest firewall of %s is off: everything may come in", h.Name)
		}
		return a.list(answer, t, nothing)
	})
}
