package compile

import (
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/rules"
)

// webSitesPart is the scale unit of a location's web sites: they share a reverse proxy on one inbound address, and a
// few outbound addresses ("Inbound and outbound IP addresses in Azure App Service").
type webSitesPart struct {
	location string
	sites    []*lab.WebSite

	outside    *outside
	namespaces []*emu.Namespace
	links      []*emu.Link
}

// webSites gives the web sites of a location; nil: there are none.
func (b *builder) webSites(location string) *webSitesPart {
	var sites []*lab.WebSite
	for _, s := range b.lab.WebSites {
		if s.Location == location {
			sites = append(sites, s)
		}
	}
	if len(sites) == 0 {
		return nil
	}
	if p := find(
		b.previous.webSites,
		func(p *webSitesPart) bool { return p.location == location },
	); p != nil &&
		slices.Equal(p.sites, sites) {
		return p
	}
	addresses := webSiteAddresses(location)
	edge := &emu.Namespace{
		Name: rules.WebSitesEdgeName(
			location,
		),
		Kind:               emu.Router,
		EstablishedTimeout: idleTimeout,
		Loopback:           append(slices.Clone(addresses), lab.PlatformResolver),
		DNS:                &emu.NameServer{Addresses: []netip.Addr{lab.PlatformResolver}},
		Ruleset:            webSitesRules(location),
	}
	p := &webSitesPart{
		location: location,
		sites:    sites,
		outside:  &outside{port: "w." + rules.Slug(location), edge: edge.Name, public: addresses},
	}
	proxy := emu.HTTPProxy{Listen: netip.AddrPortFrom(lab.WebSitesInbound(location), lab.HTTPPort)}
	for _, s := range sites {
		site := &emu.Namespace{
			Name: s.Name, Kind: emu.Host, Origin: s.Origin, Services: services(s.Services, nil), Boundary: s.Boundary,
			Resolver: emu.Resolver{Servers: []netip.Addr{lab.PlatformResolver}},
		}
		p.links = append(p.links, attach(edge, interfaceName(sitePort+s.Name), site, "eth0", s.Address))
		proxy.Routes = append(
			proxy.Routes,
			emu.HTTPProxyRoute{Host: s.DNSName(), Backend: netip.AddrPortFrom(s.Address, lab.HTTPPort)},
		)
		p.namespaces = append(p.namespaces, site)
	}
	edge.Proxies = []emu.HTTPProxy{proxy}
	p.links = append(p.links, p.outside.connect(location, edge))
	p.namespaces = append(p.namespaces, edge)
	return p
}

// sitePort begins the names of the ports to web sites.
const sitePort = "site-"

func webSiteAddresses(location string) []netip.Addr {
	return append([]netip.Addr{lab.WebSitesInbound(location)}, lab.WebSitesOutbound(location)...)
}

func webSitesRules(location string) *emu.Ruleset {
	inbound := lab.WebSitesInbound(location)
	t := &emu.Ruleset{
		Table: "edge",
		Prefixes: []emu.PrefixSet{
			{Name: "private", Elements: lab.PrivateSpace()},
			{Name: "public", Elements: singles(webSiteAddresses(location))},
		},
	}
	input := []emu.Rule{
		accept(emu.MatchEstablished{}),
		accept(
			emu.MatchPrefix{Of: emu.Destination, Prefix: single(inbound)},
			emu.MatchProtocol{Protocol: "tcp"},
			emu.MatchPort{Port: lab.HTTPPort},
		),
	}
	input = append(input, dnsRules()...)
	input = append(
		input,
		emu.DropRules(
			rules.NoEndpoint,
			"web sites are reached on port 80 alone",
			emu.Origin{},
			emu.MatchPrefixSet{Of: emu.Destination, Set: "public"},
		)...)
	input = append(input, platformPort()...)
	forward := []emu.Rule{accept(emu.MatchEstablished{})}
	forward = append(
		forward,
		emu.DropRules(
			rules.PrivateAddress,
			"a web site is in no virtual network: private addresses have no route",
			emu.Origin{},
			emu.MatchPrefixSet{Of: emu.Destination, Set: "private"},
		)...)
	forward = append(append(forward, untranslated()), leave()...)
	spoofed, guard := forgedSources(sitePort)
	t.Chains = []*emu.Chain{
		spoofed,
		{Name: "prerouting", Hook: emu.RawHook, Rules: []emu.Rule{guard}},
		{Name: "input", Hook: emu.InputHook, Rules: input},
		{Name: "forward", Hook: emu.ForwardHook, Rules: forward},
		{Name: "postrouting", Hook: emu.SNATHook, Rules: []emu.Rule{
			{
				Comment: "outbound connections share the web sites' addresses",
				Statements: []emu.Statement{
					emu.MatchOutput{Device: uplink},
					emu.SNATByHash{By: emu.FiveTuple, To: lab.WebSitesOutbound(location)},
				},
			},
		}},
	}
	return t
}
