package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab/guestfirewall"
)

// GuestFirewallRule is a rule with its place.
type GuestFirewallRule struct {
	guestfirewall.Rule
	Origin Origin
}

// FirewallRules are all rules of an instance's guest firewall: what the platform opens, then what was added, then
// what its internal endpoints need. It is empty when the firewall is off.
func (l *Lab) FirewallRules(i *Instance) []GuestFirewallRule { return l.Deployment(i).FirewallRules(i) }

// FirewallRules are those of an instance of the deployment. Where the instance has internal endpoints, they depend on
// the other instances.
func (d *Deployment) FirewallRules(i *Instance) []GuestFirewallRule {
	if i.FirewallOff {
		return nil
	}
	var all []GuestFirewallRule
	if i.Role == "" {
		all = osFirewall(i.OS)
	} else {
		for _, e := range i.Endpoints {
			all = append(all, endpointFirewall(e))
		}
	}
	for _, r := range i.Firewall {
		if r.Inactive == "" && !r.ForAddress(i.DIP) {
			r.Inactive = "it is for other addresses than that of the machine"
		}
		all = append(all, r)
	}
	for _, e := range i.InternalEndpoints {
		all = append(all, internalFirewall(d, e))
	}
	return all
}

// osFirewall are the rules a virtual machine's guest firewall starts with: the platform opens remote administration
// and nothing else ("How to Set Up Endpoints to a Virtual Machine").
func osFirewall(os OS) []GuestFirewallRule {
	if os == Linux {
		return []GuestFirewallRule{
			defaultRule("SSH", "tcp", 22),
			{Rule: guestfirewall.Rule{Name: "ICMP", Allow: true, Protocol: "icmp", Text: "default: allow icmp"}},
		}
	}
	return []GuestFirewallRule{defaultRule("RemoteDesktop", "tcp", 3389), defaultRule("PowerShell", "tcp", 5986)}
}

// endpointFirewall is what the platform opens in a role instance for a public endpoint.
func endpointFirewall(e Endpoint) GuestFirewallRule {
	r := defaultRule("endpoint "+e.Name, string(e.Protocol), e.LocalPort)
	r.Origin = e.Origin
	return r
}

// internalFirewall is what the platform opens in a role instance for an internal endpoint: the port, for the
// instances of the same deployment alone, or for those of the roles that NetworkTrafficRules name.
func internalFirewall(d *Deployment, e InternalEndpoint) GuestFirewallRule {
	r := GuestFirewallRule{Origin: e.Origin, Rule: guestfirewall.Rule{
		Name: "internal endpoint " + e.Name, Allow: true, Protocol: e.Protocol,
		Text: fmt.Sprintf("internal endpoint %s: for %s of %s", e.Name, callers(e), d.Service),
	}}
	if e.Protocol != "" && e.Ports.First != 0 {
		r.LocalPorts = []emu.PortRange{e.Ports}
	}
	for _, i := range d.Instances {
		if i.DIP.IsValid() && (!e.Restricted || slices.Contains(e.FromRoles, i.Role)) {
			r.Remote = append(r.Remote, netip.PrefixFrom(i.DIP, 32))
		}
	}
	if len(r.Remote) == 0 {
		r.Inactive = "no role may connect"
	}
	return r
}

// callers says for people whose instances may connect to an internal endpoint.
func callers(e InternalEndpoint) string {
	switch {
	case !e.Restricted:
		return "the instances"
	case len(e.FromRoles) == 0:
		return "no role"
	case len(e.FromRoles) == 1:
		return "the role " + e.FromRoles[0]
	}
	return "the roles " + strings.Join(e.FromRoles, ", ")
}

func defaultRule(name, protocol string, port uint16) GuestFirewallRule {
	return GuestFirewallRule{Rule: guestfirewall.Rule{
		Name: name, Allow: true, Protocol: protocol, LocalPorts: []emu.PortRange{{First: port, Last: port}},
		Text: fmt.Sprintf("default %s: allow %s %d", name, protocol, port),
	}}
}

// AddFirewallRuleOp is [Lab.AddFirewallRule] as an operation.
type AddFirewallRuleOp struct {
	Instance string
	Rule     GuestFirewallRule
}

func (o AddFirewallRuleOp) Do(l *Lab) error { return l.AddFirewallRule(o.Instance, o.Rule) }

func (o AddFirewallRuleOp) String() string {
	return fmt.Sprintf("add firewall rule to %s: %s", o.Instance, o.Rule.Text)
}

// AddFirewallRule adds a rule to the guest firewall of an instance. Like the guest's own tool it takes two rules of
// the same name.
func (l *Lab) AddFirewallRule(instance string, r GuestFirewallRule) error {
	d, i, err := l.instance(instance)
	if err != nil {
		return err
	}
	if i.FirewallOff {
		e := conflict("The guest firewall of %s is off.", instance)
		e.Hint = fmt.Sprintf("lab firewall add %s netsh advfirewall set allprofiles state on turns it on", instance)
		return e
	}
	now := i.copy()
	now.Firewall = append(slices.Clip(i.Firewall), r)
	l.replaceInstance(d, i, now)
	return nil
}

// DeleteFirewallRuleOp is [Lab.DeleteFirewallRule] as an operation.
type DeleteFirewallRuleOp struct{ Instance, Name string }

func (o DeleteFirewallRuleOp) Do(l *Lab) error { return l.DeleteFirewallRule(o.Instance, o.Name) }

func (o DeleteFirewallRuleOp) String() string {
	return fmt.Sprintf("delete firewall rule of %s: %s", o.Instance, o.Name)
}

// DeleteFirewallRule removes every added rule of that name, or written like that, from the guest firewall of an
// instance.
func (l *Lab) DeleteFirewallRule(instance, name string) error {
	d, i, err := l.instance(instance)
	if err != nil {
		return err
	}
	wanted := ""
	if r, err := guestfirewall.Parse(name); err == nil {
		wanted = r.String()
	}
	kept := slices.DeleteFunc(slices.Clone(i.Firewall), func(r GuestFirewallRule) bool {
		return r.Name != "" && r.Name == name || r.Text == name || wanted != "" && r.String() == wanted
	})
	if len(kept) == len(i.Firewall) {
		var all []string
		for _, r := range i.Firewall {
			all = append(all, orDefault(r.Name, r.Text))
		}
		return didYouMean(
			notFound("The guest firewall of %s has no added rule %s.", instance, shorten(name)),
			name,
			all,
		)
	}
	now := i.copy()
	now.Firewall = kept
	l.replaceInstance(d, i, now)
	return nil
}

// SetFirewallOp is [Lab.SetFirewall] as an operation.
type SetFirewallOp struct {
	Instance string
	Off      bool
	Rules    []GuestFirewallRule
}

func (o SetFirewallOp) Do(l *Lab) error { return l.SetFirewall(o.Instance, o.Off, o.Rules) }

func (o SetFirewallOp) String() string { return "replace the guest firewall's rules of " + o.Instance }

// SetFirewall replaces the added rules of an instance's guest firewall, or turns it off.
func (l *Lab) SetFirewall(instance string, off bool, rules []GuestFirewallRule) error {
	d, i, err := l.instance(instance)
	if err != nil {
		return err
	}
	now := i.copy()
	now.FirewallOff, now.Firewall = off, rules
	l.replaceInstance(d, i, now)
	return nil
}

// SwitchFirewallOp turns a guest firewall off or on; its rules stay.
type SwitchFirewallOp struct {
	Instance string
	Off      bool
}

func (o SwitchFirewallOp) Do(l *Lab) error { return l.SwitchFirewall(o.Instance, o.Off) }

func (o SwitchFirewallOp) String() string {
	if o.Off {
		return "turn the guest firewall of " + o.Instance + " off"
	}
	return "turn the guest firewall of " + o.Instance + " on"
}

// SwitchFirewall turns an instance's guest firewall off or on. Its rules stay, and count again when it is on.
func (l *Lab) SwitchFirewall(instance string, off bool) error {
	d, i, err := l.instance(instance)
	if err != nil {
		return err
	}
	now := i.copy()
	now.FirewallOff = off
	l.replaceInstance(d, i, now)
	return nil
}

func init() {
	register(
		AddFirewallRuleOp{},
		DeleteFirewallRuleOp{},
		SetFirewallOp{},
		SwitchFirewallOp{},
	)
}
