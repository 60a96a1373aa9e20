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
	remotes     []lab.AddressRange // of all deployments and networks

	namespaces []*emu.Namespace
	links      []*emu.Link
}

func (b *builder) internet(locations []string) *internetPart {
	remotes := b.lab.NetworkRanges()
	for _, s := range b.next.services {
		for _, d := range s.deployments {
			remotes = append(remotes, d.remotes...)
		}
	}
	if p := b.previous.internet; p != nil && slices.Equal(p.hosts, b.lab.InternetHosts) &&
		slices.Equal(p.sites, b.lab.LocalNetworks) &&
		slices.Equal(p.locations, locations) &&
		slices.Equal(p.connections, b.connections) &&
		slices.Equal(p.remotes, remotes) {
		return p
	}
	p := &internetPart{
		hosts:       b.lab.InternetHosts,
		sites:       b.lab.LocalNetworks,
		locations:   locations,
		connections: b.connections,
		remotes:     remotes,
	}
	router := &emu.Namespace{
		Name: rules.Internet, Kind: emu.Router, Loopback: []netip.Addr{lab.PublicResolver},
		DNS: &emu.NameServer{Addresses: []netip.Addr{lab.PublicResolver}},
	}
	// Nobody has the unnamed addresses. The router itself asks from them, and takes the answers.
	unnamed := b.lab.RepresentativeAddresses(remotes)
	router.Loopback = append(router.Loopback, unnamed...)
	routed := []netip.Prefix{single(lab.PublicResolver)}
	for _, h := range b.lab.Internet() {
		host := &emu.Namespace{
			Name: h.Name, Kind: emu.Host, Origin: h.Origin, Services: services(h.Services, nil), Boundary: h.Boundary,
			Resolver: emu.Resolver{Servers: []netip.Addr{lab.PublicResolver}},
		}
		p.links = append(p.links, attach(router, interfaceName(hostPort+h.Name), host, "eth0", h.Address))
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
	router.Ruleset = internetRules(routed, singles(unnamed))
	p.namespaces = append(p.namespaces, router)
	return p
}

// internetRules drop what has no place on the internet before it is routed. No connection is tracked here but those
// from unnamed addresses, which take answers and nothing else.
func internetRules(routed, unnamed []netip.Prefix) *emu.Ruleset {
	const nobody = "nobody on the internet has this address"
	toUnnamed := emu.MatchPrefixSet{Of: emu.Destination, Set: "unnamed"}
	spoofed, guard := forgedSources(hostPort)
	noRoute := &emu.Chain{Name: rules.NobodyThere, Rules: emu.DropRules(rules.NobodyThere, nobody, emu.Origin{})}
	toNobody := func(matches ...emu.Statement) emu.Rule {
		return emu.Rule{Statements: append(matches, emu.Goto{Chain: noRoute.Name})}
	}
	prerouting := slices.Concat(
		[]emu.Rule{guard},
		// Nearly every packet is for an address that is there: it passes by one look-up.
		[]emu.Rule{accept(emu.MatchPrefixSet{Of: emu.Destination, Set: "routed"}, emu.NoTrack{}), accept(toUnnamed)},
		emu.DropRules(rules.PrivateAddress, "private addresses are not routed on the internet", emu.Origin{},
			emu.MatchPrefixSet{Of: emu.Destination, Set: "private"}),
		[]emu.Rule{toNobody()},
	)
	return &emu.Ruleset{
		Table: "internet",
		Prefixes: []emu.PrefixSet{
			{Name: "private", Elements: lab.PrivateSpace()},
			{Name: "routed", Elements: routed},
			{Name: "unnamed", Elements: unnamed},
		},
		Chains: []*emu.Chain{
			spoofed,
			noRoute,
			{Name: "prerouting", Hook: emu.RawHook, Rules: prerouting},
			{
				Name:  "input",
				Hook:  emu.InputHook,
				Rules: []emu.Rule{accept(emu.MatchEstablished{}), toNobody(toUnnamed), accept()},
			},
		},
	}
}

// hostPort begins the names of the internet's ports to hosts.
const hostPort = "host-"

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
	if p := find(
		b.previous.datacenters,
		func(p *datacenterPart) bool { return p.location == location },
	); p != nil &&
		slices.Equal(p.edges, edges) {
		return p
	}
	p := &datacenterPart{
		location:  location,
		edges:     edges,
		namespace: &emu.Namespace{Name: rules.DatacenterName(location), Kind: emu.Router},
	}
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
			emu.DropRules(
				rules.NoDeployment,
				"no deployment has this public address",
				emu.Origin{},
				emu.MatchPrefix{Of: emu.Destination, Prefix: block},
			)...,
		)}},
	}
}

// RoutedAddresses lists, in order, the addresses that the internet of a network routes to routers: all that can be
// reached from outside but for the internet hosts themselves. It reads the routes, so that no kind of thing is left
// out.
func RoutedAddresses(n *emu.Network) (all []netip.Addr) {
	type port struct{ namespace, device string }
	behind := map[port]*emu.Namespace{}
	namespaces := make(map[string]*emu.Namespace, len(n.Namespaces))
	for _, s := range n.Namespaces {
		namespaces[s.Name] = s
	}
	for _, l := range n.Links {
		behind[port{l.A.Namespace, l.A.Name}] = namespaces[l.B.Namespace]
		behind[port{l.B.Namespace, l.B.Name}] = namespaces[l.A.Namespace]
	}
	var follow func(router *emu.Namespace, in netip.Prefix)
	follow = func(router *emu.Namespace, in netip.Prefix) {
		for _, r := range router.Routes {
			to := behind[port{router.Name, r.Device}]
			inside := r.Destination != in && r.Destination.Bits() >= in.Bits() && in.Contains(r.Destination.Addr())
			switch {
			case !inside || to == nil || to.Kind != emu.Router:
			case r.Destination.IsSingleIP():
				all = append(all, r.Destination.Addr())
			default:
				follow(to, r.Destination)
			}
		}
	}
	if internet := namespaces[rules.Internet]; internet != nil {
		follow(internet, netip.PrefixFrom(netip.IPv4Unspecified(), 0))
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}
