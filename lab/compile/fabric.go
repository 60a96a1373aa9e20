package compile

import (
	"fmt"
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
)

// internetRules drop what has no place on the internet before it is routed. No connection is tracked here.
func internetRules(routed []netip.Prefix) *emu.Ruleset {
	rules := slices.Concat(
		// Nearly every packet is for an address that is there: it passes by one look-up.
		[]emu.Rule{accept(emu.MatchPrefixSet{Of: emu.Destination, Set: "routed"})},
		emu.DropRules(PrivateAddress, "private addresses are not routed on the internet", emu.Origin{},
			emu.MatchPrefixSet{Of: emu.Destination, Set: "private"}),
		emu.DropRules(NobodyThere, "nobody on the internet has this address", emu.Origin{}),
	)
	return &emu.Ruleset{
		Table: "internet",
		Prefixes: []emu.PrefixSet{
			{Name: "private", Elements: lab.PrivateSpace()},
			{Name: "routed", Elements: routed},
		},
		Chains: []*emu.Chain{{Name: "prerouting", Hook: emu.RawHook, Rules: rules}},
	}
}

// datacenterRules drop what is sent to public addresses of the location that no deployment has.
func datacenterRules(block netip.Prefix, public []netip.Prefix) *emu.Ruleset {
	return &emu.Ruleset{
		Table:    "datacenter",
		Prefixes: []emu.PrefixSet{{Name: "public", Elements: public}},
		Chains: []*emu.Chain{{Name: "prerouting", Hook: emu.RawHook, Rules: append(
			[]emu.Rule{accept(emu.MatchPrefixSet{Of: emu.Destination, Set: "public"})},
			emu.DropRules(NoDeployment, "no deployment has this public address", emu.Origin{}, emu.MatchPrefix{Of: emu.Destination, Prefix: block})...,
		)}},
	}
}

func (b *builder) hasWebSites(location string) bool {
	return slices.ContainsFunc(b.lab.WebSites, func(s *lab.WebSite) bool { return s.Location == location })
}

func webSiteAddresses(location string) []netip.Addr {
	return append([]netip.Addr{lab.WebSitesInbound(location)}, lab.WebSitesOutbound(location)...)
}

// webSites makes the scale unit of a location's web sites: they share a reverse proxy on one inbound address, and a few outbound
// addresses ("Inbound and outbound IP addresses in Azure App Service").
func (b *builder) webSites(location string) {
	if !b.hasWebSites(location) {
		return
	}
	addresses := webSiteAddresses(location)
	edge := &emu.Namespace{
		Name: WebSitesEdgeName(location), Kind: emu.Router, Loopback: append(slices.Clone(addresses), lab.PlatformResolver),
		DNS:     &emu.NameServer{Addresses: []netip.Addr{lab.PlatformResolver}},
		Ruleset: webSitesRules(location),
	}
	proxy := emu.HTTPProxy{Listen: netip.AddrPortFrom(lab.WebSitesInbound(location), lab.HTTPPort)}
	for _, s := range b.lab.WebSites {
		if s.Location != location {
			continue
		}
		site := &emu.Namespace{
			Name: s.Name, Kind: emu.Host, Origin: s.Origin, Services: services(s.Services, nil),
			Resolver: emu.Resolver{Servers: []netip.Addr{lab.PlatformResolver}},
		}
		b.attach(edge, interfaceName("site-"+s.Name), site, "eth0", s.Address)
		proxy.Routes = append(proxy.Routes, emu.HTTPProxyRoute{Host: s.DNSName(), Backend: netip.AddrPortFrom(s.Address, lab.HTTPPort)})
		b.add(site)
	}
	edge.Proxies = []emu.HTTPProxy{proxy}
	b.connect(edge, location, "w."+slug(location), addresses)
	b.add(edge)
}

// connect joins an edge to the datacenter of its location, which gets a route to each of the edge's public addresses.
func (b *builder) connect(edge *emu.Namespace, location, port string, public []netip.Addr) {
	dc, _ := b.network.Namespace(DatacenterName(location))
	route := b.cable(datacenterCable, dc, interfaceName(port), edge)
	for _, a := range public {
		dc.Routes = append(dc.Routes, route(single(a)))
	}
}

func webSitesRules(location string) *emu.Ruleset {
	outbound := lab.WebSitesOutbound(location)
	inbound := lab.WebSitesInbound(location)
	var public []netip.Prefix
	for _, a := range webSiteAddresses(location) {
		public = append(public, single(a))
	}
	t := &emu.Ruleset{
		Table: "edge",
		Prefixes: []emu.PrefixSet{
			{Name: "private", Elements: lab.PrivateSpace()},
			{Name: "public", Elements: public},
		},
	}
	input := []emu.Rule{
		accept(emu.MatchEstablished{}),
		accept(emu.MatchPrefix{Of: emu.Destination, Prefix: single(inbound)}, emu.MatchProtocol{Protocol: "tcp"}, emu.MatchPort{Port: lab.HTTPPort}),
	}
	input = append(input, dnsRules()...)
	input = append(input, emu.DropRules(NoEndpoint, "web sites are reached on port 80 alone", emu.Origin{}, emu.MatchPrefixSet{Of: emu.Destination, Set: "public"})...)
	input = append(input, platformPort()...)
	forward := []emu.Rule{accept(emu.MatchEstablished{})}
	forward = append(forward, emu.DropRules(PrivateAddress, "a web site is in no virtual network: private addresses have no route", emu.Origin{},
		emu.MatchPrefixSet{Of: emu.Destination, Set: "private"})...)
	forward = append(forward, leave()...)
	pick := emu.Distribute{By: emu.FiveTuple}
	for i, a := range outbound {
		name := fmt.Sprintf("outbound-%d", i+1)
		pick.Chains = append(pick.Chains, name)
		t.Chains = append(t.Chains, &emu.Chain{Name: name, Rules: []emu.Rule{{Statements: []emu.Statement{emu.SNAT{To: a}}}}})
	}
	t.Chains = append(t.Chains,
		&emu.Chain{Name: "input", Hook: emu.InputHook, Rules: input},
		&emu.Chain{Name: "forward", Hook: emu.ForwardHook, Rules: forward},
		&emu.Chain{Name: "postrouting", Hook: emu.SNATHook, Rules: []emu.Rule{{
			Comment:    "outbound connections share the web sites' addresses",
			Statements: []emu.Statement{emu.MatchOutput{Device: uplink}, pick},
		}}},
	)
	return t
}

func accept(matches ...emu.Statement) emu.Rule {
	return emu.Rule{Statements: append(matches, emu.Accept{})}
}

// dnsRules let the platform's name server be asked.
func dnsRules() []emu.Rule {
	at := emu.MatchPrefix{Of: emu.Destination, Prefix: single(lab.PlatformResolver)}
	return []emu.Rule{
		accept(at, emu.MatchProtocol{Protocol: "udp"}, emu.MatchPort{Port: 53}),
		accept(at, emu.MatchProtocol{Protocol: "tcp"}, emu.MatchPort{Port: 53}),
	}
}

func platformPort() []emu.Rule {
	return emu.DropRules(PlatformPort, "the platform's own addresses answer DNS alone", emu.Origin{})
}

// leave lets connections out to the internet, but for ICMP: a VIP translates TCP and UDP alone.
func leave() []emu.Rule {
	return append(
		emu.DropRules(OutboundICMP, "ICMP doesn't leave through a VIP", emu.Origin{}, emu.MatchOutput{Device: uplink}, emu.MatchProtocol{Protocol: "icmp"}),
		accept(emu.MatchOutput{Device: uplink}),
	)
}
