package oracle

import (
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
)

// PredictFrom returns what should happen to a connection from an address of the internet to a public address. The name
// of the target is the one that web sites are asked for.
func PredictFrom(l *lab.Lab, source netip.Addr, target emu.Target) Prediction {
	w := walk{lab: l, source: lab.Member{InternetHost: &lab.InternetHost{Address: source}}, target: target}
	return predict(target.Address, w.start())
}

// LetThrough lists the ports of a public address to which all rules let connections through from an address of the
// internet. Only rules count: behind a VIP any member may be given the connection, whether or not it runs and is
// healthy just now, and nobody needs to listen. The ports of endpoints are listed one by one, those that a guest
// firewall lets through as the ranges that they make.
func LetThrough(l *lab.Lab, source netip.Addr, to lab.PublicAddress, protocol emu.Protocol) (all []emu.PortRange) {
	switch {
	case to.Instance != nil:
		return guestLetsThrough(l, to.Instance, source, protocol)
	case to.Deployment != nil:
		for _, f := range to.Deployment.Frontends() {
			if f.Internal() || f.Protocol != protocol {
				continue
			}
			if permitted, _ := f.Permits(source); permitted && slices.ContainsFunc(f.Members, func(m lab.Backend) bool {
				return letsIn(l, m.Instance, source, protocol, m.LocalPort)
			}) {
				all = append(all, emu.PortRange{First: f.PublicPort, Last: f.PublicPort})
			}
		}
	case to.WebSite != nil && protocol == emu.TCP:
		return []emu.PortRange{{First: lab.HTTPPort, Last: lab.HTTPPort}}
	}
	return all
}

// guestLetsThrough asks the guest firewall about one port of each interval, which stands for all of it.
func guestLetsThrough(l *lab.Lab, i *lab.Instance, source netip.Addr, protocol emu.Protocol) (all []emu.PortRange) {
	for _, interval := range PortIntervals(l, i) {
		switch n := len(all); {
		case !letsIn(l, i, source, protocol, interval.First):
		case n > 0 && all[n-1].Last+1 == interval.First:
			all[n-1].Last = interval.Last
		default:
			all = append(all, interval)
		}
	}
	return all
}

// PortIntervals divides all ports where the guest firewall of an instance may change its mind: before and after each
// range of ports that a rule names, and nowhere else.
func PortIntervals(l *lab.Lab, i *lab.Instance) (all []emu.PortRange) {
	const last = 65535
	starts := []int{1, last + 1}
	for _, r := range l.FirewallRules(i) {
		for _, p := range r.LocalPorts {
			starts = append(starts, max(int(p.First), 1), int(p.Last)+1)
		}
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	for n, start := range starts[:len(starts)-1] {
		all = append(all, emu.PortRange{First: uint16(start), Last: uint16(starts[n+1] - 1)})
	}
	return all
}

// letsIn reports whether the guest firewall of an instance, be it running or not, lets a connection in.
func letsIn(l *lab.Lab, i *lab.Instance, source netip.Addr, protocol emu.Protocol, port uint16) bool {
	if i.FirewallOff {
		return true
	}
	w := walk{lab: l, target: emu.Target{Protocol: protocol}}
	_, dropped := w.guestFirewall(i, port, source)
	return !dropped
}
