package compile

import (
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/rules"
)

// internetPart is the internet with its name server, its hosts, and the on-premises sites on it.
type internetPart struct {
	hosts       []*lab.InternetHost
	sites       []*lab.LocalNetwork
	locations   []string
	connections []lab.Connection

	namespaces []*emu.Namespace
	links      []*emu.Link
}

func (b *builder) internet(locations []string) *internetPart {
	if p := b.previous.internet; p != nil && slices.Equal(p.hosts, b.lab.InternetHosts) && slices.Equal(p.sites, b.lab.LocalNetworks) &&
		slices.Equal(p.locations, locations) && slices.Equal(p.connections, b.connections) {
		return p
	}
	p := &internetPart{hosts: b.lab.InternetHosts, sites: b.lab.LocalNetworks, locations: locations, connections: b.connections}
	router := &emu.Namespace{
		Name: rules.Internet, Kind: emu.Router, Loopback: []netip.Addr{lab.PublicResolver},
		DNS: &emu.NameServer{Addresses: []netip.Addr{lab.PublicResolver}},
	}
	routed := []netip.Prefix{single(lab.PublicResolver)}
	for _, h := range b.lab.Internet() {
		host := &emu.Namespace{
			Name: h.Name, Kind: emu.Host, Origin: h.Origin, Services: services(h.Services, nil),
			Resolver: emu.Resolver{Servers: []netip.Addr{lab.PublicResolver}},
		}
		p.links = append(p.links, attach(router, interfaceName("host-"+h.Name), host, "eth0", h.Address))
		p.namespaces = append(p.namespaces, host)
		routed = append(routed, single(h.Address))
	}
	for _, n := range b.lab.LocalNetworks {
		b.site(p, router, n)
		routed = append(routed, single(n.Address))
	}
	for _, location := range locations {
		block := lab.LocationBlock(location)
		internetCable.lead(router, interfaceName("dc-"+rules.Slug(location)), block)
		routed = append(routed, block)
	}
	sortPrefixes(routed)
	router.Ruleset = internetRules(routed)
	p.namespaces = append(p.namespaces, router)
	return p
}

// internetRules drop what has no place on the internet before it is routed. No connection is tracked here.
func internetRules(routed []netip.Prefix) *emu.Ruleset {
	prerouting := slices.Concat(
		// Nearly every packet is for an address that is there: it passes by one look-up.
		[]emu.Rule{accept(emu.MatchPrefixSet{Of: emu.Destination, Set: "routed"})},
		emu.DropRules(rules.PrivateAddress, "private addresses are not routed on the internet", emu.Origin{},
			emu.MatchPrefixSet{Of: emu.Destination, Set: "private"}),
		emu.DropRules(rules.NobodyThere, "nobody on the internet has this address", emu.Origin{}),
	)
	return &emu.Ruleset{
		Table: "internet",
		Prefixes: []emu.PrefixSet{
			{Name: "private", Elements: lab.PrivateSpace()},
			{Name: "routed", Elements: routed},
		},
		Chains: []*emu.Chain{{Name: "prerouting", Hook: emu.RawHook, Rules: prerouting}},
	}
}

// outside is how the datacenter sees an edge.
type outside struct {
	port   string // of the datacenter
	edge   string
	public []netip.Addr // behind it
}

func (o *outside) equal(p *outside) bool {
	return o.port == p.port && o.edge == p.edge && slices.Equal(o.public, p.public)
}

// connect joins an edge to the datacenter of its location.
func (o *outside) connect(location string, edge *emu.Namespace) *emu.Link {
	return datacenterCable.cable(rules.DatacenterName(location), interfaceName(o.port), edge)
}

// datacenterPart is the namespace of a location.
type datacenterPart struct {
	location string
	edges    []*outside

	namespace *emu.Namespace
	links     []*emu.Link
}

func (b *builder) datacenter(location string, sites *webSitesPart, domains []*domainPart) *datacenterPart {
	var edges []*outside
	if sites != nil {
		edges = append(edges, sites.outside)
	}
	for _, d := range domains {
		if d.location == location {
			edges = append(edges, d.outside)
		}
	}
	if p := find(b.previous.datacenters, func(p *datacenterPart) bool { return p.location == location }); p != nil && slices.Equal(p.edges, edges) {
		return p
	}
	p := &datacenterPart{location: location, edges: edges, namespace: &emu.Namespace{Name: rules.DatacenterName(location), Kind: emu.Router}}
	p.links = []*emu.Link{internetCable.cable(rules.Internet, interfaceName("dc-"+rules.Slug(location)), p.namespace)}
	var public []netip.Prefix
	for _, e := range edges {
		behind := singles(e.public)
		datacenterCable.lead(p.namespace, interfaceName(e.port), behind...)
		public = append(public, behind...)
	}
	sortPrefixes(public)
	p.namespace.Ruleset = datacenterRules(lab.LocationBlock(location), public)
	return p
}

// datacenterRules drop what is sent to public addresses of the location that no deployment has.
func datacenterRules(block netip.Prefix, public []netip.Prefix) *emu.Ruleset {
	return &emu.Ruleset{
		Table:    "datacenter",
		Prefixes: []emu.PrefixSet{{Name: "public", Elements: public}},
		Chains: []*emu.Chain{{Name: "prerouting", Hook: emu.RawHook, Rules: append(
			[]emu.Rule{accept(emu.MatchPrefixSet{Of: emu.Destination, Set: "public"})},
			emu.DropRules(rules.NoDeployment, "no deployment has this public address", emu.Origin{}, emu.MatchPrefix{Of: emu.Destination, Prefix: block})...,
		)}},
	}
}
