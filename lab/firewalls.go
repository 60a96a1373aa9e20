package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab/guestfirewall"
)

// FirewallRules are all rules of an instance's guest firewall: what the platform opens, then what was added, then what its internal
// endpoints need. It is empty when the firewall is off.
func (l *Lab) FirewallRules(i *Instance) []GuestFirewallRule { return l.Deployment(i).FirewallRules(i) }

// FirewallRules are those of an instance of the deployment. Where the instance has internal endpoints, they depend on the other instances.
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

// osFirewall are the rules a virtual machine's guest firewall starts with: the platform opens remote administration and nothing
// else ("How to Set Up Endpoints to a Virtual Machine").
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

// internalFirewall is what the platform opens in a role instance for an internal endpoint: the port, for the instances of the same
// deployment alone, or for those of the roles that NetworkTrafficRules name.
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

// AddFirewallRule adds a rule to the guest firewall of an instance. Like the guest's own tool it takes two rules of the same name.
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

// DeleteFirewallRule removes every added rule of that name, or written like that, from the guest firewall of an instance.
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
		return didYouMean(notFound("The guest firewall of %s has no added rule %s.", instance, shorten(name)), name, all)
	}
	now := i.copy()
	now.Firewall = kept
	l.replaceInstance(d, i, now)
	return nil
}

// instance finds an instance by its name in the lab, or refuses.
func (l *Lab) instance(name string) (*Deployment, *Instance, *Error) {
	if d, i := l.findInstance(name); i != nil {
		return d, i, nil
	}
	var all []string
	for _, i := range l.instances() {
		all = append(all, i.ID)
	}
	return nil, nil, didYouMean(notFound("The lab %s has no instance named %s.", l.Name, shorten(name)), name, all)
}
