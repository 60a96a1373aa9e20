package oracle

import (
	"fmt"
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/rules"
)

// guestFirewall lets the rules decide: block over allow over the default, which blocks ("Windows Firewall with
// Advanced Security").
func (w walk) guestFirewall(i *lab.Instance, port uint16, source netip.Addr) (id string, dropped bool) {
	subnet := w.lab.Deployment(i).Block
	if n, ok := w.lab.VirtualNetwork(w.lab.Deployment(i).VirtualNetwork); ok {
		s, _ := n.Subnet(i.Subnet)
		subnet = s.AddressPrefix
	}
	allowed := false
	for _, r := range w.lab.FirewallRules(i) {
		if !matches(r, w.target.Protocol, port, source, subnet) {
			continue
		}
		if !r.Allow {
			return rules.FirewallRuleID(r.Rule), true
		}
		allowed = true
	}
	return emu.FirewallDefault, !allowed
}

func matches(r lab.GuestFirewallRule, protocol emu.Protocol, port uint16, source netip.Addr, subnet netip.Prefix) bool {
	if r.Inactive != "" || r.Protocol != "" && r.Protocol != string(protocol) {
		return false
	}
	if len(r.LocalPorts) > 0 &&
		!slices.ContainsFunc(r.LocalPorts, func(p emu.PortRange) bool { return p.First <= port && port <= p.Last }) {
		return false
	}
	inRange := func(p [2]netip.Addr) bool { return p[0].Compare(source) <= 0 && source.Compare(p[1]) <= 0 }
	return r.AnyRemote() || contains(r.Remote, source) || slices.ContainsFunc(r.RemoteRanges, inRange) ||
		r.LocalSubnet && subnet.Contains(source)
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// because says why in terms of the resources.
func because(outcomes []Outcome, o lab.Origin, format string, args ...any) []Outcome {
	for _, outcome := range outcomes {
		outcome.By.Text, outcome.By.Origin = fmt.Sprintf(format, args...), o
	}
	return outcomes
}

func blocked(namespace, id string) []Outcome {
	return []Outcome{{Verdict: emu.Blocked, By: &emu.RuleReference{Namespace: namespace, ID: id}, Given: namespace}}
}
