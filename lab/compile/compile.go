// Package compile turns the resources of a lab into the network that emulates them.
//
// The same resources give the same network, byte for byte. What the network looks like:
//
//	internet ── datacenter (one a location) ── edge (one an isolation domain) ── bridge (one a subnet) ── instance
//
// The internet hosts hang on the internet, web sites on an edge of their location. VIPs are routes to an edge, which
// translates them; everything that the platform doesn't let through ends in a rule with an id of its own (lab/rules).
//
// A network is put together from parts: the internet, a datacenter, the web sites of a location, a domain, a service,
// a deployment. A part whose resources are the same ones as in the previous compilation is taken over from it, so
// that one operation on a large lab costs what its own part costs. Resources never change: one that is another has
// another pointer.
package compile

import (
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
)

// Compilation is the network of a lab, with the parts it was made from.
type Compilation struct {
	Network *emu.Network

	internet    *internetPart
	datacenters []*datacenterPart
	webSites    []*webSitesPart
	networks    []*domainPart  // of the virtual networks, in their order
	services    []*servicePart // likewise
}

// Network gives the network of a lab.
func Network(l *lab.Lab) *emu.Network { return new(Compilation).Next(l).Network }

// Next gives the network of another lab, which shares with this one whatever resources they share.
func (c *Compilation) Next(l *lab.Lab) *Compilation {
	next := &Compilation{Network: &emu.Network{}}
	if was := c.Network; was != nil { // nearly as large
		next.Network.Namespaces = make([]*emu.Namespace, 0, len(was.Namespaces)+1)
		next.Network.Links = make([]*emu.Link, 0, len(was.Links)+1)
	}
	b := &builder{lab: l, previous: c, next: next, connections: l.Connections()}
	next.services = b.services()
	next.networks = b.networks(next.services)
	domains := slices.Clone(next.networks)
	for _, s := range next.services {
		if s.domain != nil {
			domains = append(domains, s.domain)
		}
	}
	locations := l.UsedLocations()
	next.internet = b.internet(locations)
	b.add(next.internet.namespaces, next.internet.links)
	for _, location := range locations {
		sites := b.webSites(location)
		if sites != nil {
			next.webSites = append(next.webSites, sites)
			b.add(sites.namespaces, sites.links)
		}
		dc := b.datacenter(location, sites, domains)
		next.datacenters = append(next.datacenters, dc)
		b.addRouter(dc.namespace, dc.links)
	}
	for _, d := range domains {
		for _, p := range d.deployments {
			b.add(p.namespaces, p.links)
		}
		b.addRouter(d.edge, d.links)
	}
	next.Network.Tunnels = b.tunnels()
	next.Network.PublicNames = l.PublicNames()
	return next
}

// builder is one run of Next.
type builder struct {
	lab            *lab.Lab
	previous, next *Compilation
	connections    []lab.Connection
}

func (b *builder) add(namespaces []*emu.Namespace, links []*emu.Link) {
	n := b.next.Network
	n.Namespaces, n.Links = append(n.Namespaces, namespaces...), append(n.Links, links...)
}

func (b *builder) addRouter(n *emu.Namespace, links []*emu.Link) {
	b.next.Network.Namespaces = append(b.next.Network.Namespaces, n)
	b.add(nil, links)
}

func services(all []lab.Service, env []string) []emu.Service {
	var out []emu.Service
	for _, s := range all {
		out = append(out, emu.Service{
			Name: serviceName(s), Port: s.Port, Protocol: s.Protocol, Command: s.Command, Dir: s.Dir, Env: env,
			RemoteDesktop: s.RemoteDesktop, Origin: s.Origin,
		})
	}
	return out
}

// find gives the first part that fits; nil: none does.
func find[P any](all []*P, fits func(*P) bool) *P {
	if i := slices.IndexFunc(all, fits); i >= 0 {
		return all[i]
	}
	return nil
}
