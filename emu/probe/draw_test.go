package probe

import (
	"fmt"
	"net/netip"
	"slices"

	"pgregory.net/rapid"

	"vnetlab/emu"
)

// What networks are drawn from.
var (
	someRouters   = []string{"edge-1", "edge-2"}
	someHosts     = []string{"host-1", "host-2", "host-3"}
	someAddresses = []netip.Addr{vip, web1, web2}
	somePorts     = []uint16{80, 81}
	someChains    = []string{"a", "b", "c"}
)

func some[T comparable](t *rapid.T, what string, of []T) []T {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(of), 0, len(of), rapid.ID).Draw(t, what)
}

func drawSockets(t *rapid.T) []emu.SocketMap {
	var all []emu.SocketMap
	for _, name := range some(t, "maps", []string{"endpoints", "internal"}) {
		m := emu.SocketMap{Name: name}
		for _, a := range some(t, "sockets", someAddresses) {
			for _, port := range some(t, "ports", somePorts) {
				m.Elements = append(
					m.Elements,
					emu.SocketMapElement{
						Address:  a,
						Protocol: emu.TCP,
						Port:     port,
						Chain:    rapid.SampledFrom(someChains).Draw(t, "chain"),
					},
				)
			}
		}
		all = append(all, m)
	}
	return all
}

func drawChain(t *rapid.T, name string) *emu.Chain {
	c := &emu.Chain{Name: name}
	for i, what := range some(t, "rules", []string{"dnat", "goto", "distribute"}) {
		r := emu.Rule{
			ID:      fmt.Sprint(name, i),
			Comment: what,
			Origin:  emu.Origin{Line: rapid.IntRange(1, 3).Draw(t, "line")},
		}
		switch what {
		case "dnat":
			to := netip.AddrPortFrom(
				rapid.SampledFrom(someAddresses).Draw(t, "to"), rapid.SampledFrom(somePorts).Draw(t, "port"),
			)
			r.Statements = []emu.Statement{emu.DNAT{To: to}}
		case "goto":
			r.Statements = []emu.Statement{emu.Goto{Chain: rapid.SampledFrom(someChains).Draw(t, "next")}}
		case "distribute":
			r.Statements = []emu.Statement{emu.DNATByHash{By: emu.FiveTuple, To: []netip.AddrPort{
				netip.AddrPortFrom(
					rapid.SampledFrom(someAddresses).Draw(t, "first"), rapid.SampledFrom(somePorts).Draw(t, "port"),
				),
				netip.AddrPortFrom(
					rapid.SampledFrom(someAddresses).Draw(t, "second"), rapid.SampledFrom(somePorts).Draw(t, "port"),
				),
			}}}
		}
		c.Rules = append(c.Rules, r)
	}
	return c
}

// drawBaseChain draws a chain that translates addresses by itself, unless it is of another hook.
func drawBaseChain(t *rapid.T) *emu.Chain {
	c := &emu.Chain{
		Name: "prerouting",
		Hook: rapid.SampledFrom([]emu.Hook{emu.DNATHook, emu.DNATHook, emu.SNATHook, emu.InputHook}).Draw(t, "hook"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "rules") {
		bits := rapid.SampledFrom([]int{32, 32, 24}).Draw(t, "bits")
		r := emu.Rule{Statements: []emu.Statement{emu.MatchPrefix{
			Of:     rapid.SampledFrom([]emu.Direction{emu.Destination, emu.Destination, emu.Source}).Draw(t, "of"),
			Prefix: netip.PrefixFrom(rapid.SampledFrom(someAddresses).Draw(t, "address"), bits),
		}}}
		if rapid.Bool().Draw(t, "by port") {
			r.Statements = append(
				r.Statements,
				emu.MatchProtocol{Protocol: "tcp"},
				emu.MatchPort{Port: rapid.SampledFrom(somePorts).Draw(t, "port")},
			)
		}
		if c.Hook == emu.SNATHook {
			sources := some(t, "sources", someAddresses)
			if len(sources) > 0 {
				r.Statements = append(r.Statements, emu.SNATByHash{By: emu.FiveTuple, To: sources})
			}
			c.Rules = append(c.Rules, r)
			continue
		}
		to := netip.AddrPortFrom(
			rapid.SampledFrom(someAddresses).Draw(t, "to"), rapid.SampledFrom([]uint16{0, 80, 81}).Draw(t, "to port"),
		)
		c.Rules = append(c.Rules, emu.Rule{Statements: append(r.Statements, emu.DNAT{To: to})})
	}
	return c
}

// drawSources draws what translates source addresses.
func drawSources(t *rapid.T, r *emu.Ruleset) {
	a := rapid.SampledFrom(someAddresses)
	m := emu.AddressMap{Name: "vip-of"}
	for _, key := range some(t, "keys", someAddresses) {
		m.Elements = append(m.Elements, emu.AddressMapElement{Key: key, Value: a.Draw(t, "value")})
	}
	r.Addresses = []emu.AddressMap{m}
	r.Chains = append(r.Chains, &emu.Chain{Name: "postrouting", Hook: emu.SNATHook, Rules: []emu.Rule{
		{
			Statements: []emu.Statement{
				emu.MatchPrefix{Of: emu.Source, Prefix: netip.PrefixFrom(a.Draw(t, "of"), 32)},
				emu.SNAT{To: a.Draw(t, "to")},
			},
		},
		{
			Statements: []emu.Statement{
				emu.MatchOutput{Device: "x"},
				emu.SNATByHash{By: emu.FiveTuple, To: some(t, "any of", someAddresses)},
			},
		},
		{Statements: []emu.Statement{emu.SNATByMap{Map: "vip-of"}}},
	}})
}

func drawNamespace(t *rapid.T, name string, kind emu.Kind) *emu.Namespace {
	s := &emu.Namespace{Name: name, Kind: kind, Loopback: some(t, "loopback", someAddresses)}
	for _, b := range some(t, "bridges", []string{"FrontEnd", "BackEnd"}) {
		bridge := emu.Bridge{Name: b}
		for _, a := range some(t, "addresses of the bridge", someAddresses) {
			bridge.Addresses = append(bridge.Addresses, netip.PrefixFrom(a, 24))
		}
		s.Bridges = append(s.Bridges, bridge)
	}
	for _, port := range some(t, "services", somePorts) {
		s.Services = append(s.Services, tcp(port))
	}
	for _, a := range some(t, "neighbors", someAddresses) {
		s.Neighbors = append(s.Neighbors, emu.Neighbor{Device: "eth0", Address: a})
	}
	if rapid.Bool().Draw(t, "firewall") {
		s.Firewall = &emu.Firewall{
			Rules: []emu.FirewallRule{
				{ID: "open", Comment: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "comment")},
			},
		}
	}
	if rapid.Bool().Draw(t, "ruleset") {
		s.Ruleset = &emu.Ruleset{Sockets: drawSockets(t)}
		for _, name := range some(t, "chains", someChains) {
			s.Ruleset.Chains = append(s.Ruleset.Chains, drawChain(t, name))
		}
		if rapid.Bool().Draw(t, "base chain") {
			s.Ruleset.Chains = append(s.Ruleset.Chains, drawBaseChain(t))
		}
		if rapid.Bool().Draw(t, "sources") {
			drawSources(t, s.Ruleset)
		}
	}
	return s
}

// drawNext draws a network that shares much with another.
func drawNext(t *rapid.T, last *emu.Network) *emu.Network {
	n := &emu.Network{}
	for _, name := range slices.Concat(someRouters, someHosts) {
		s, there := last.Namespace(name)
		kind := emu.Host
		if slices.Contains(someRouters, name) {
			kind = emu.Router
		}
		switch rapid.SampledFrom([]string{"same", "same", "new", "moved", "rules", "gone", "other kind"}).
			Draw(t, name) {
		case "gone":
			there = false
		case "new":
			s, there = drawNamespace(t, name, kind), true
		case "other kind":
			s, there = drawNamespace(t, name, emu.Router), true
		case "moved": // in the lab file
			if there && s.Ruleset != nil {
				moved, rules := *s, *s.Ruleset
				rules.Chains = nil
				for _, c := range s.Ruleset.Chains {
					d := &emu.Chain{Name: c.Name, Hook: c.Hook, Rules: slices.Clone(c.Rules)}
					for i := range d.Rules {
						d.Rules[i].Origin.Line += 100
					}
					rules.Chains = append(rules.Chains, d)
				}
				moved.Ruleset, s = &rules, &moved
			}
		case "rules":
			if there && s.Ruleset != nil {
				other, rules := *s, *s.Ruleset
				rules.Sockets = drawSockets(t)
				rules.Chains = slices.DeleteFunc(
					slices.Clone(rules.Chains),
					func(c *emu.Chain) bool { return c.Name == "b" || c.Name == "prerouting" },
				)
				rules.Chains = append(rules.Chains, drawChain(t, "b"), drawBaseChain(t))
				other.Ruleset, s = &rules, &other
			}
		}
		if there {
			n.Namespaces = append(n.Namespaces, s)
		}
	}
	for _, router := range someRouters {
		for _, host := range append([]string{"edge-2"}, someHosts...) {
			_, hasRouter := n.Namespace(router)
			if _, has := n.Namespace(host); !has || !hasRouter || router == host {
				continue
			}
			for _, name := range []string{"x", "y"} {
				drawLink(
					t,
					n,
					last,
					emu.LinkEnd{Namespace: router, Name: host + name},
					emu.LinkEnd{Namespace: host, Name: router + name},
				)
			}
		}
	}
	return n
}

func drawLink(t *rapid.T, n, last *emu.Network, a, b emu.LinkEnd) {
	i := slices.IndexFunc(
		last.Links, func(l *emu.Link) bool { return l.A.Namespace == a.Namespace && l.A.Name == a.Name },
	)
	switch rapid.SampledFrom([]string{"same", "same", "none", "new"}).Draw(t, a.Name) {
	case "same":
		if i >= 0 {
			n.Links = append(n.Links, last.Links[i])
		}
	case "new":
		for _, e := range []*emu.LinkEnd{&a, &b} {
			for _, address := range some(t, "addresses of the link", someAddresses) {
				e.Addresses = append(e.Addresses, netip.PrefixFrom(address, 24))
			}
		}
		n.Links = append(n.Links, &emu.Link{A: a, B: b})
	}
}
