package compile

import (
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/rules"
)

// domain is an isolation domain: a virtual network, or a cloud service with deployments outside any.
type domain struct {
	of          lab.Domain
	port        string // of the datacenter
	location    string
	origin      emu.Origin
	network     *lab.VirtualNetwork // nil: none
	deployments []*deploymentPart
	shares      []*edgeShare // of the deployments
	peers       []neighbor   // what the virtual network's gateway joins it to
}

func (d *domain) add(p *deploymentPart) {
	d.deployments = append(d.deployments, p)
	d.shares = append(d.shares, p.edge)
}

// sameEdge says whether two domains have the same edge.
func (d domain) sameEdge(o domain) bool {
	return d.of == o.of && d.port == o.port && d.location == o.location && d.origin == o.origin &&
		d.network == o.network &&
		slices.Equal(d.shares, o.shares) &&
		slices.Equal(d.peers, o.peers)
}

// space is what is inside.
func (d domain) space() []netip.Prefix {
	if d.network != nil {
		return d.network.AddressSpace
	}
	var all []netip.Prefix
	for _, s := range d.subnets() {
		all = append(all, s.prefix)
	}
	return all
}

// subnets lists the subnets of all deployments.
func (d domain) subnets() []subnet {
	if d.network != nil {
		return subnetsOf(d.network, nil)
	}
	return gather(d, func(s *edgeShare) []subnet { return s.subnets })
}

// gateway is the public address of the virtual network's gateway; zero: none.
func (d domain) gateway() netip.Addr {
	if d.network == nil || d.network.Gateway == nil {
		return netip.Addr{}
	}
	return d.network.Gateway.Address
}

// domainPart is a domain with its edge: the bridges, the load balancer and the boundary.
type domainPart struct {
	domain

	outside *outside
	edge    *emu.Namespace
	lists   edgeLists
	links   []*emu.Link // but for those of the instances
}

// networks makes the domains of the virtual networks.
func (b *builder) networks(services []*servicePart) []*domainPart {
	l := b.lab
	all := make([]domain, len(l.VirtualNetworks))
	at := make(map[string]int, len(all))
	for i, n := range l.VirtualNetworks {
		of := lab.Domain{VirtualNetwork: n.Name}
		all[i] = domain{
			of: of, port: interfaceOf("", n.Name, ""), location: l.LocationOf(n.AffinityGroup, n.Location),
			origin: n.Origin, network: n, peers: b.neighbors(of),
		}
		at[n.Name] = i
	}
	for _, s := range services {
		for _, p := range s.deployments {
			if p.network != nil {
				all[at[p.network.Name]].add(p)
			}
		}
	}
	parts := make([]*domainPart, len(all))
	for i, d := range all {
		parts[i] = newDomainPart(d, find(b.previous.networks, func(p *domainPart) bool { return p.of == d.of }))
	}
	return parts
}

func newDomainPart(d domain, old *domainPart) *domainPart {
	if old != nil && old.sameEdge(d) {
		if slices.Equal(old.deployments, d.deployments) {
			return old
		}
		p := *old
		p.domain = d
		return &p
	}
	edge := &emu.Namespace{
		Name:               rules.EdgeName(d.of),
		Kind:               emu.Router,
		Origin:             d.origin,
		EstablishedTimeout: idleTimeout,
		Loopback:           []netip.Addr{lab.PlatformResolver},
		Routes: gather(
			d,
			func(s *edgeShare) []emu.Route { return s.routes },
		),
		HealthProbes: gather(d, func(s *edgeShare) []emu.HealthProbe { return s.probes }),
		DNS:          &emu.NameServer{Addresses: []netip.Addr{lab.PlatformResolver}},
	}
	p := &domainPart{
		domain:  d,
		edge:    edge,
		lists:   newEdgeLists(d, old),
		outside: &outside{port: d.port, edge: edge.Name},
	}
	edge.Neighbors, edge.Translations = slices.Clip(p.lists.neighbors), p.lists.translations
	if gateway := d.gateway(); gateway.IsValid() {
		edge.Loopback = append(edge.Loopback, gateway)
		p.outside.public = append(p.outside.public, gateway)
	}
	leaves := map[string]map[int][]emu.MAC{} // the stations behind each leaf bridge, by the subnet's bridge
	for _, share := range d.shares {
		p.outside.public = append(p.outside.public, share.public...)
		if len(share.names.Clients) > 0 {
			edge.DNS.Views = append(edge.DNS.Views, &share.names)
		}
		for _, s := range share.stations {
			if leaves[s.bridge] == nil {
				leaves[s.bridge] = map[int][]emu.MAC{}
			}
			leaves[s.bridge][s.leaf] = append(leaves[s.bridge][s.leaf], s.mac)
		}
	}
	for _, s := range d.subnets() {
		var balancers []netip.Prefix // their addresses are on the bridge, so that the edge answers for them
		for _, share := range d.shares {
			for _, a := range share.internal {
				if s.prefix.Contains(a.Addr()) {
					balancers = append(balancers, a)
				}
			}
		}
		p.links = append(p.links, s.join(edge, balancers, leaves[s.bridge])...)
	}
	edge.Ruleset = edgeRules(d, p.lists)
	edge.Switch = switchRules(d.origin, p.lists.behind, len(leaves) > 0)
	if old != nil && old.outside.equal(p.outside) {
		p.outside = old.outside
	}
	p.links = append(p.links, p.outside.connect(d.location, edge))
	return p
}
