package compile

import (
	"fmt"
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/rules"
)

// firstTunnelPort is the UDP port of a namespace's first tunnel.
const firstTunnelPort = 51820

// lanBridge is the bridge of an on-premises site.
const lanBridge = "br-lan"

// tunnels joins the edges of connected networks and the VPN devices of sites.
func (b *builder) tunnels() (all []emu.Tunnel) {
	ports := map[string]uint16{}
	end := func(namespace, device string, address netip.Addr, behindPeer []netip.Prefix) emu.TunnelEnd {
		ports[namespace]++
		return emu.TunnelEnd{
			Namespace: namespace, Device: device, Address: address, Port: firstTunnelPort + ports[namespace] - 1,
			AllowedPrefixes: masked(behindPeer),
		}
	}
	for _, c := range b.connections {
		n, one, other := c.Network, rules.NetworkEdgeName(c.Network.Name), peerOf(c)
		there, space := other.address, other.space
		all = append(all, emu.Tunnel{
			ID: one + "-" + other.namespace,
			A:  end(one, other.device, n.Gateway.Address, space),
			B:  end(other.namespace, tunnelDevice(lab.Domain{VirtualNetwork: n.Name}), there, n.AddressSpace),
		})
	}
	return all
}

// peer is the far end of a connection, as the virtual network sees it.
type peer struct {
	namespace, device string
	address           netip.Addr
	space             []netip.Prefix
}

func peerOf(c lab.Connection) peer {
	if site := c.LocalNetwork; site != nil {
		return peer{rules.SiteName(site), tunnelDevice(c.Peer()), site.Address, site.AddressSpace}
	}
	n := c.VirtualNetwork
	return peer{rules.NetworkEdgeName(n.Name), tunnelDevice(c.Peer()), n.Gateway.Address, n.AddressSpace}
}

func masked(all []netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, len(all))
	for i, p := range all {
		out[i] = p.Masked()
	}
	return out
}

// tunnelDevice is the interface of the tunnel to a network. A site and a virtual network may have one name.
func tunnelDevice(to lab.Domain) string {
	if to.LocalNetwork != "" {
		return interfaceOf("vpn-", to.LocalNetwork, "")
	}
	return interfaceOf("vnet-", to.VirtualNetwork, "")
}

// neighbor is a network, virtual or local, that a gateway joins another one to.
type neighbor struct {
	domain lab.Domain
	at     netip.AddrPort // where its end of the tunnel is on the internet
}

// neighbors lists the networks that a network, virtual or local, is connected to.
func (b *builder) neighbors(of lab.Domain) []neighbor {
	var all []neighbor
	tunnels := map[lab.Domain]uint16{} // so far, of each network
	end := func(d lab.Domain, gateway netip.Addr) neighbor {
		tunnels[d]++
		return neighbor{d, netip.AddrPortFrom(gateway, firstTunnelPort+tunnels[d]-1)}
	}
	for _, c := range b.connections {
		self, other := end(
			lab.Domain{VirtualNetwork: c.Network.Name},
			c.Network.Gateway.Address,
		), end(
			c.Peer(),
			peerOf(c).address,
		)
		switch of {
		case self.domain:
			all = append(all, other)
		case other.domain:
			all = append(all, self)
		}
	}
	return all
}

// tunnelInput lets the tunnels' own packets in. They come only from the other end: a gateway is closed to everybody
// else.
func tunnelInput(at netip.Addr, peers []neighbor) []emu.Rule {
	var all []emu.Rule
	for i, p := range peers {
		all = append(all, accept(
			emu.MatchInput{Device: uplink},
			emu.MatchPrefix{
				Of:     emu.Source,
				Prefix: single(p.at.Addr()),
			},
			emu.MatchPrefix{Of: emu.Destination, Prefix: single(at)},
			emu.MatchProtocol{Protocol: "udp"},
			emu.MatchSourcePort{Port: p.at.Port()},
			emu.MatchPort{Port: uint16(firstTunnelPort + i)},
		))
	}
	return all
}

// intoTunnels lets packets out to the networks behind the tunnels.
func intoTunnels(peers []neighbor) []emu.Rule {
	var all []emu.Rule
	for _, p := range peers {
		all = append(all, accept(emu.MatchOutput{Device: tunnelDevice(p.domain)}))
	}
	return all
}

// site makes an on-premises site: its VPN device is a router between the internet and the hosts.
func (b *builder) site(p *internetPart, internet *emu.Namespace, n *lab.LocalNetwork) {
	router := &emu.Namespace{Name: rules.SiteName(n), Kind: emu.Router, Origin: n.Origin}
	lan := n.LAN()
	var gateway netip.Addr
	if lan.IsValid() {
		gateway = lab.Gateway(lan)
		router.Bridges = []emu.Bridge{{
			Name: lanBridge, MAC: emu.MACOf(gateway),
			Addresses: []netip.Prefix{netip.PrefixFrom(gateway, lan.Bits())},
		}}
	}
	var hosts []netip.Prefix
	var behind []emu.PortAddress
	for _, h := range n.Hosts {
		mac := emu.MACOf(h.Address)
		router.Neighbors = append(router.Neighbors, emu.Neighbor{Device: lanBridge, Address: h.Address, MAC: mac})
		p.namespaces = append(p.namespaces, &emu.Namespace{
			Name: h.Name, Kind: emu.Host, Origin: h.Origin, Routes: []emu.Route{defaultRoute(gateway, "eth0", false)},
			Neighbors: []emu.Neighbor{{Device: "eth0", Address: gateway, MAC: emu.MACOf(gateway)}},
			Resolver:  emu.Resolver{Servers: []netip.Addr{lab.PublicResolver}}, Services: services(h.Services, nil),
			Boundary: h.Boundary,
		})
		p.links = append(p.links, &emu.Link{
			A: emu.LinkEnd{
				Namespace: router.Name,
				Name:      h.Address.String(),
				MAC:       mac.Variant(bridgePort),
				Port:      &emu.BridgePort{Bridge: lanBridge, Stations: []emu.MAC{mac}, ProxyARP: true},
			},
			B: emu.LinkEnd{
				Namespace: h.Name,
				Name:      "eth0",
				MAC:       mac,
				Addresses: []netip.Prefix{netip.PrefixFrom(h.Address, lan.Bits())},
			},
		})
		hosts, behind = append(hosts, single(h.Address)), append(behind, behindPort(h.Address))
	}
	router.Ruleset = b.siteRules(n, hosts)
	if lan.IsValid() {
		router.Switch = switchRules(n.Origin, behind, false)
	}
	p.links = append(p.links, attach(internet, interfaceOf("site-", n.Name, ""), router, uplink, n.Address))
	p.namespaces = append(p.namespaces, router)
}

func (b *builder) siteRules(n *lab.LocalNetwork, hosts []netip.Prefix) *emu.Ruleset {
	sortPrefixes(hosts)
	peers := b.neighbors(lab.Domain{LocalNetwork: n.Name})
	nothing := fmt.Sprintf("nothing of the site %s is on the internet", truncate(n.Name, maxShownName))
	return &emu.Ruleset{
		Table: "site",
		Prefixes: []emu.PrefixSet{
			{Name: "hosts", Elements: hosts},
			{Name: "space", Elements: masked(n.AddressSpace)},
			{Name: "private", Elements: lab.PrivateSpace()},
		},
		Chains: []*emu.Chain{
			{Name: "input", Hook: emu.InputHook, Rules: slices.Concat(
				[]emu.Rule{accept(emu.MatchEstablished{})}, tunnelInput(n.Address, peers),
				emu.DropRules(rules.NoEndpoint, nothing, n.Origin),
			)},
			{Name: "forward", Hook: emu.ForwardHook, Rules: slices.Concat(
				[]emu.Rule{accept(emu.MatchEstablished{})},
				emu.DropRules(rules.FromOutside, nothing, n.Origin, emu.MatchInput{Device: uplink}),
				[]emu.Rule{accept(emu.MatchPrefixSet{Of: emu.Destination, Set: "hosts"})},
				intoTunnels(peers),
				emu.DropRules(
					rules.NoInstance,
					"no host has this address",
					n.Origin,
					emu.MatchPrefixSet{Of: emu.Destination, Set: "space"},
				),
				emu.DropRules(
					rules.PrivateAddress,
					"no tunnel leads to this private address",
					n.Origin,
					emu.MatchPrefixSet{Of: emu.Destination, Set: "private"},
				),
				[]emu.Rule{untranslated(), accept(emu.MatchOutput{Device: uplink})},
			)},
			{Name: "postrouting", Hook: emu.SNATHook, Rules: []emu.Rule{{
				Comment:    "the site has one public address",
				Statements: []emu.Statement{emu.MatchOutput{Device: uplink}, emu.SNAT{To: n.Address}},
			}}},
		},
	}
}
