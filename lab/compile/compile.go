// Package compile turns the resources of a lab into the network that emulates them.
//
// The same resources give the same network, byte for byte. What the network looks like:
//
//	internet ── datacenter (one a location) ── edge (one an isolation domain) ── bridge (one a subnet) ── instance
//
// The internet hosts hang on the internet, web sites on an edge of their location. VIPs are routes to an edge, which
// translates them; everything that the platform doesn't let through ends in a rule with an id of its own (rules.go).
package compile

import (
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
)

// cableEnds are the addresses at the two ends of a cable between routers, the end towards the internet first. They are local to the
// cable, no virtual network can have them, and they differ by level because a router can't have the address of its own gateway.
type cableEnds struct{ up, down netip.Addr }

var (
	internetCable   = cableEnds{netip.MustParseAddr("169.254.0.1"), netip.MustParseAddr("169.254.0.2")}
	datacenterCable = cableEnds{netip.MustParseAddr("169.254.0.3"), netip.MustParseAddr("169.254.0.4")}
	hostGateway     = netip.MustParseAddr("169.254.0.5") // of hosts that hang on a router without a subnet
)

const uplink = "wan" // an edge's or a datacenter's interface towards the internet

// Network gives the network of a lab.
func Network(l *lab.Lab) *emu.Network {
	n := len(l.Members()) // most namespaces and most links are theirs
	b := &builder{lab: l, network: &emu.Network{
		PublicNames: l.PublicNames(), Namespaces: make([]*emu.Namespace, 0, n), Links: make([]*emu.Link, 0, n),
	}}
	b.internet()
	for _, location := range b.lab.UsedLocations() {
		b.datacenter(location)
		b.webSites(location)
	}
	for _, d := range b.domains() {
		b.edge(d)
	}
	b.tunnels()
	b.network.Sort()
	return b.network
}

type builder struct {
	lab     *lab.Lab
	network *emu.Network
}

func (b *builder) add(n *emu.Namespace) { b.network.Namespaces = append(b.network.Namespaces, n) }

func (b *builder) link(x, y emu.LinkEnd) {
	b.network.Links = append(b.network.Links, &emu.Link{A: x, B: y})
}

// cable joins two routers, the upstream one first. It returns how the upstream router reaches a public address behind the cable.
func (b *builder) cable(ends cableEnds, up *emu.Namespace, port string, down *emu.Namespace) func(netip.Prefix) emu.Route {
	b.link(
		emu.LinkEnd{Namespace: up.Name, Name: port, MAC: emu.MACOf(ends.up), Addresses: []netip.Prefix{single(ends.up)}},
		emu.LinkEnd{Namespace: down.Name, Name: uplink, MAC: emu.MACOf(ends.down), Addresses: []netip.Prefix{single(ends.down)}},
	)
	up.Neighbors = append(up.Neighbors, emu.Neighbor{Device: port, Address: ends.down, MAC: emu.MACOf(ends.down)})
	down.Neighbors = append(down.Neighbors, emu.Neighbor{Device: uplink, Address: ends.up, MAC: emu.MACOf(ends.up)})
	down.Routes = append(down.Routes, defaultRoute(ends.up, uplink, true))
	return func(p netip.Prefix) emu.Route {
		return emu.Route{Destination: p, Gateway: ends.down, Device: port, OnLink: true}
	}
}

// attach joins a host with one address to a router, without a subnet between them.
func (b *builder) attach(router *emu.Namespace, port string, host *emu.Namespace, device string, address netip.Addr) {
	b.link(
		emu.LinkEnd{Namespace: router.Name, Name: port, MAC: emu.MACOf(hostGateway), Addresses: []netip.Prefix{single(hostGateway)}},
		emu.LinkEnd{Namespace: host.Name, Name: device, MAC: emu.MACOf(address), Addresses: []netip.Prefix{single(address)}},
	)
	router.Neighbors = append(router.Neighbors, emu.Neighbor{Device: port, Address: address, MAC: emu.MACOf(address)})
	router.Routes = append(router.Routes, emu.Route{Destination: single(address), Device: port})
	host.Neighbors = append(host.Neighbors, emu.Neighbor{Device: device, Address: hostGateway, MAC: emu.MACOf(hostGateway)})
	host.Routes = append(host.Routes, defaultRoute(hostGateway, device, true))
}

// internet makes the internet, its name server and its hosts.
func (b *builder) internet() {
	router := &emu.Namespace{
		Name: Internet, Kind: emu.Router, Loopback: []netip.Addr{lab.PublicResolver},
		DNS: &emu.NameServer{Addresses: []netip.Addr{lab.PublicResolver}},
	}
	routed := []netip.Prefix{single(lab.PublicResolver)}
	for _, h := range b.lab.Internet() {
		host := &emu.Namespace{
			Name: h.Name, Kind: emu.Host, Origin: h.Origin, Services: services(h.Services, nil),
			Resolver: emu.Resolver{Servers: []netip.Addr{lab.PublicResolver}},
		}
		b.attach(router, interfaceName("host-"+h.Name), host, "eth0", h.Address)
		routed = append(routed, single(h.Address))
		b.add(host)
	}
	for _, n := range b.lab.LocalNetworks {
		b.site(router, n)
		routed = append(routed, single(n.VPNGatewayAddress))
	}
	for _, location := range b.lab.UsedLocations() {
		block := lab.LocationBlock(location)
		dc := &emu.Namespace{Name: DatacenterName(location), Kind: emu.Router}
		route := b.cable(internetCable, router, interfaceName("dc-"+slug(location)), dc)
		router.Routes = append(router.Routes, route(block))
		routed = append(routed, block)
		b.add(dc)
	}
	sortPrefixes(routed)
	router.Ruleset = internetRules(routed)
	b.add(router)
}

// datacenter fills the namespace of a location; edges add their routes to it.
func (b *builder) datacenter(location string) {
	dc, _ := b.network.Namespace(DatacenterName(location))
	var public []netip.Prefix
	for _, s := range b.lab.CloudServices {
		if b.lab.LocationOf(s.AffinityGroup, s.Location) != location {
			continue
		}
		for _, d := range s.Deployments() {
			if d.VIP.IsValid() {
				public = append(public, single(d.VIP))
			}
			for _, i := range d.Running() {
				if i.PublicIP.IsValid() {
					public = append(public, single(i.PublicIP))
				}
			}
		}
	}
	for _, n := range b.lab.VirtualNetworks {
		if n.Gateway != nil && b.lab.LocationOf(n.AffinityGroup, n.Location) == location {
			public = append(public, single(n.Gateway.Address))
		}
	}
	if b.hasWebSites(location) {
		for _, a := range webSiteAddresses(location) {
			public = append(public, single(a))
		}
	}
	sortPrefixes(public)
	dc.Ruleset = datacenterRules(lab.LocationBlock(location), public)
}

func services(all []lab.Service, env []string) []emu.Service {
	var out []emu.Service
	for _, s := range all {
		out = append(out, emu.Service{
			Name: serviceName(s), Port: s.Port, Protocol: s.Protocol, Command: s.Command, Dir: s.Dir, Env: env, Origin: s.Origin,
		})
	}
	return out
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func defaultRoute(gateway netip.Addr, device string, onLink bool) emu.Route {
	return emu.Route{Destination: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Gateway: gateway, Device: device, OnLink: onLink}
}

func sortPrefixes(all []netip.Prefix) {
	slices.SortFunc(all, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
}
