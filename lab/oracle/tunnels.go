package oracle

import (
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/rules"
)

// throughTunnel walks from a network, virtual or local, into one that a gateway joins it to. The source address stays.
func (w walk) throughTunnel(from lab.Domain, source netip.Addr) ([]Outcome, bool) {
	for _, c := range w.lab.Connections() {
		switch self := (lab.Domain{VirtualNetwork: c.Network.Name}); {
		case self == from && c.LocalNetwork != nil && contains(c.LocalNetwork.AddressSpace, w.target.Address):
			return w.intoSite(c.LocalNetwork, source), true
		case self == from && c.VirtualNetwork != nil && contains(c.VirtualNetwork.AddressSpace, w.target.Address):
			return w.intoNetwork(c.VirtualNetwork, source), true
		case c.Peer() == from && contains(c.Network.AddressSpace, w.target.Address):
			return w.intoNetwork(c.Network, source), true
		}
	}
	return nil, false
}

// intoSite arrives in an on-premises site.
func (w walk) intoSite(n *lab.LocalNetwork, source netip.Addr) []Outcome {
	for _, h := range n.Hosts {
		if h.Address == w.target.Address {
			return []Outcome{w.arrive(lab.Member{LocalHost: h}, w.target.Port, source)}
		}
	}
	if lan := n.LAN(); lan.IsValid() && lab.Gateway(lan) == w.target.Address {
		return blocked(rules.SiteName(n), rules.NoEndpoint)
	}
	return blocked(rules.SiteName(n), rules.NoInstance)
}

// intoNetwork arrives in a virtual network.
func (w walk) intoNetwork(n *lab.VirtualNetwork, source netip.Addr) []Outcome {
	edge := rules.NetworkEdgeName(n.Name)
	isGateway := func(s lab.Subnet) bool { return lab.Gateway(s.AddressPrefix) == w.target.Address }
	if slices.ContainsFunc(n.Subnets, isGateway) {
		return blocked(edge, rules.PlatformPort)
	}
	for _, d := range w.lab.Deployments() {
		if d.VirtualNetwork != n.Name {
			continue
		}
		if ilb := d.InternalLoadBalancer; ilb != nil && ilb.Address == w.target.Address {
			return w.vip(d, source, source)
		}
		for _, i := range d.Running() {
			if i.DIP == w.target.Address {
				return []Outcome{w.arrive(lab.Member{Instance: i}, w.target.Port, source)}
			}
		}
	}
	return blocked(edge, rules.NoInstance)
}

// fromSite walks out of an on-premises site: to a neighbor, through a tunnel, or to the internet.
func (w walk) fromSite(h *lab.LocalHost) []Outcome {
	n := w.lab.SiteOf(h)
	router, lan := rules.SiteName(n), n.LAN()
	for _, other := range n.Hosts {
		if other.Address == w.target.Address {
			return []Outcome{w.arrive(lab.Member{LocalHost: other}, w.target.Port, h.Address)}
		}
	}
	if outcome, ok := w.throughTunnel(lab.Domain{LocalNetwork: n.Name}, h.Address); ok {
		return outcome
	}
	switch a := w.target.Address; {
	case a == lab.Gateway(lan) || a == n.Address:
		return blocked(router, rules.NoEndpoint)
	case lan.Contains(a):
		return []Outcome{{Verdict: emu.Timeout}}
	case contains(n.AddressSpace, a):
		return blocked(router, rules.NoInstance)
	case contains(lab.PrivateSpace(), a):
		return blocked(router, rules.PrivateAddress)
	}
	return w.public(n.Address)
}
