package lab

import (
	"cmp"
	"net/netip"
	"slices"

	"vnetlab/lab/limits"
)

// resolve finds what the connections of a new gateway lead to.
func (l *Lab) resolve(n *VirtualNetwork, g VPNGateway) ([]GatewayConnection, *Error) {
	var all []GatewayConnection
	up := 0
	for _, c := range g.Connections {
		_, isLocal := l.localNetwork(c.Name)
		_, isVirtual := l.virtualNetwork(c.Name)
		if c.To == "" {
			c.To = ToVirtualNetwork
			if isLocal {
				c.To = ToLocalNetwork
			}
		}
		switch {
		case c.To == ToVirtualNetwork && c.Name == n.Name:
			return nil, badRequest("The gateway of %s can't connect %s with itself.", n.Name, n.Name)
		case c.To == ToLocalNetwork && !isLocal, c.To == ToVirtualNetwork && !isVirtual:
			candidates := slices.DeleteFunc(append(l.virtualNetworkNames(), l.localNetworkNames()...),
				func(name string) bool { return name == n.Name })
			return nil, didYouMean(
				badRequest(
					"The gateway of %s has a connection to %s, which is neither a local network site nor another virtual network.",
					n.Name,
					shorten(c.Name),
				),
				c.Name,
				candidates,
			)
		case slices.Contains(all, c):
			return nil, badRequest("The gateway of %s has two connections to %s.", n.Name, c.Name)
		}
		if !c.Dedicated {
			up++
		}
		all = append(all, c)
	}
	if up > limits.Connections {
		return nil, badRequest(
			"The gateway of %s has %d connections; the maximum is %d.",
			n.Name,
			up,
			limits.Connections,
		)
	}
	return all, nil
}

// checkJoined refuses address spaces that can't be told apart: of all that a gateway joins, its point-to-site clients
// among them, and of the virtual networks that are connected to one site.
func (l *Lab) checkJoined(n *VirtualNetwork, g VPNGateway) *Error {
	type joined struct {
		name  string
		space []netip.Prefix
	}
	all := []joined{{n.Name, n.AddressSpace}}
	if len(g.ClientAddressPool) > 0 {
		all = append(all, joined{"the point-to-site clients", g.ClientAddressPool})
	}
	for _, c := range g.Connections {
		if !c.Dedicated {
			all = append(all, joined{c.Name, l.spaceOf(c)})
		}
	}
	for i, a := range all {
		for _, b := range all[:i] {
			if p, q, overlap := overlapping(b.space, a.space); overlap {
				return badRequest("The address spaces of %s (%s) and %s (%s) overlap: they can't be joined.", b.name,
					p, a.name, q)
			}
		}
	}
	for _, c := range g.Connections {
		for _, other := range l.VirtualNetworks {
			if c.To != ToLocalNetwork || c.Dedicated || other.Name == n.Name ||
				!slices.Contains(l.sites(other), c.Name) {
				continue
			}
			if p, q, overlap := overlapping(other.AddressSpace, n.AddressSpace); overlap {
				return badRequest(
					"The address spaces of %s (%s) and %s (%s) overlap: the VPN device of %s, which both are connected to, can't tell them apart.",
					other.Name,
					p,
					n.Name,
					q,
					c.Name,
				)
			}
		}
	}
	return nil
}

// sites names the local network sites that a virtual network is connected to.
func (l *Lab) sites(n *VirtualNetwork) (names []string) {
	if n.Gateway == nil {
		return nil
	}
	for _, c := range n.Gateway.Connections {
		if c.To == ToLocalNetwork && !c.Dedicated {
			names = append(names, c.Name)
		}
	}
	return names
}

// spaceOf is the address space of what a connection leads to.
func (l *Lab) spaceOf(c GatewayConnection) []netip.Prefix {
	if c.To == ToVirtualNetwork {
		n, _ := l.virtualNetwork(c.Name)
		return n.AddressSpace
	}
	n, _ := l.localNetwork(c.Name)
	return n.AddressSpace
}

// Connection is a tunnel between a virtual network and a local network site, or between two virtual networks.
type Connection struct {
	Network        *VirtualNetwork
	LocalNetwork   *LocalNetwork // or
	VirtualNetwork *VirtualNetwork
}

// Connections lists the connections that are up: those to sites, and those between virtual networks that name each
// other.
func (l *Lab) Connections() []Connection {
	var all []Connection
	for i, n := range l.VirtualNetworks {
		if n.Gateway == nil {
			continue
		}
		for _, name := range l.sites(n) {
			site, _ := l.localNetwork(name)
			all = append(all, Connection{Network: n, LocalNetwork: site})
		}
		for _, other := range l.VirtualNetworks[i+1:] {
			if n.Gateway.leadsTo(ToVirtualNetwork, other.Name) && other.Gateway.leadsTo(ToVirtualNetwork, n.Name) {
				all = append(all, Connection{Network: n, VirtualNetwork: other})
			}
		}
	}
	return all
}

// SiteOf is the site of an on-premises host.
func (l *Lab) SiteOf(h *LocalHost) *LocalNetwork {
	n, _ := find(l.LocalNetworks, func(n *LocalNetwork) bool { return slices.Contains(n.Hosts, h) })
	return n
}

// Domain is an isolation domain: what reaches each other without a gateway. One of its fields isn't empty; the zero
// Domain is none.
type Domain struct {
	VirtualNetwork string
	// CloudService is one with deployments outside any virtual network. Both slots of a service share the domain's
	// edge, but their instances don't reach each other.
	CloudService string
	LocalNetwork string
}

// String returns the name of the domain for people.
func (d Domain) String() string {
	if d.CloudService != "" {
		return d.CloudService + ".cloudapp.net"
	}
	return cmp.Or(d.VirtualNetwork, d.LocalNetwork)
}

// joined reports whether two domains are one, or connected by a gateway.
func (l *Lab) joined(a, b Domain) bool {
	return a == b || slices.ContainsFunc(l.Connections(), func(c Connection) bool {
		x, y := Domain{VirtualNetwork: c.Network.Name}, c.Peer()
		return x == a && y == b || x == b && y == a
	})
}

// Peer is the domain at the other end of the connection.
func (c Connection) Peer() Domain {
	if c.LocalNetwork != nil {
		return Domain{LocalNetwork: c.LocalNetwork.Name}
	}
	return Domain{VirtualNetwork: c.VirtualNetwork.Name}
}
