package probe

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
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
				m.Elements = append(m.Elements, emu.SocketMapElement{Address: a, Protocol: emu.TCP, Port: port, Chain: rapid.SampledFrom(someChains).Draw(t, "chain")})
			}
		}
		all = append(all, m)
	}
	return all
}

func drawChain(t *rapid.T, name string) *emu.Chain {
	c := &emu.Chain{Name: name}
	for i, what := range some(t, "rules", []string{"dnat", "goto", "distribute"}) {
		r := emu.Rule{ID: fmt.Sprint(name, i), Comment: what, Origin: emu.Origin{Line: rapid.IntRange(1, 3).Draw(t, "line")}}
		switch what {
		case "dnat":
			to := netip.AddrPortFrom(rapid.SampledFrom(someAddresses).Draw(t, "to"), rapid.SampledFrom(somePorts).Draw(t, "port"))
			r.Statements = []emu.Statement{emu.DNAT{To: to}}
		case "goto":
			r.Statements = []emu.Statement{emu.Goto{Chain: rapid.SampledFrom(someChains).Draw(t, "next")}}
		case "distribute":
			r.Statements = []emu.Statement{emu.Distribute{Chains: some(t, "next", someChains)}}
		}
		c.Rules = append(c.Rules, r)
	}
	return c
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
	for _, a := range some(t, "neighbours", someAddresses) {
		s.Neighbors = append(s.Neighbors, emu.Neighbor{Device: "eth0", Address: a})
	}
	if rapid.Bool().Draw(t, "firewall") {
		s.Firewall = &emu.Firewall{Rules: []emu.FirewallRule{{ID: "open", Comment: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "comment")}}}
	}
	if rapid.Bool().Draw(t, "ruleset") {
		s.Ruleset = &emu.Ruleset{Sockets: drawSockets(t)}
		for _, name := range some(t, "chains", someChains) {
			s.Ruleset.Chains = append(s.Ruleset.Chains, drawChain(t, name))
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
		switch rapid.SampledFrom([]string{"same", "same", "new", "moved", "rules", "gone", "other kind"}).Draw(t, name) {
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
					d := &emu.Chain{Name: c.Name, Rules: slices.Clone(c.Rules)}
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
				rules.Chains = slices.DeleteFunc(slices.Clone(rules.Chains), func(c *emu.Chain) bool { return c.Name == "b" })
				rules.Chains = append(rules.Chains, drawChain(t, "b"))
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
				drawLink(t, n, last, emu.LinkEnd{Namespace: router, Name: host + name}, emu.LinkEnd{Namespace: host, Name: router + name})
			}
		}
	}
	return n
}

func drawLink(t *rapid.T, n, last *emu.Network, a, b emu.LinkEnd) {
	i := slices.IndexFunc(last.Links, func(l *emu.Link) bool { return l.A.Namespace == a.Namespace && l.A.Name == a.Name })
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

// answers are those to all questions.
func answers(t *topology) (all []string) {
	note := func(a ...any) { all = append(all, fmt.Sprint(a...)) }
	note(slices.Sorted(slices.Values(t.reporters())))
	for _, from := range slices.Concat(someRouters, someHosts, []string{"nobody"}) {
		near := slices.Sorted(slices.Values(t.near(from)))
		note(from, " is near ", near)
		for _, a := range someAddresses {
			note(from, " ", a, t.ownersNear(a, near), t.pairNeighbours(from, a))
			for _, port := range somePorts {
				to := netip.AddrPortFrom(a, port)
				ends := t.ends(from, emu.TCP, to)
				note(from, " ", to, ends, t.builtIn(ends, emu.TCP, ""), t.translations(socket{a, emu.TCP, port}))
			}
		}
		for _, id := range []string{"a0", "b0", "b1", "c0", "open"} {
			note(*t.rule(from, id))
		}
	}
	return all
}

func checkAsNew(t *rapid.T, got, want *topology) {
	if a, b := answers(got), answers(want); !slices.Equal(a, b) {
		t.Fatalf("got\n%q\nwant\n%q", a, b)
	}
	for what, pair := range map[string][2]any{
		"owners": {got.owners, want.owners}, "neighbours": {got.neighbours, want.neighbours}, "interfaces": {got.interfaces, want.interfaces},
		"dispatched": {got.dispatched, want.dispatched},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Fatalf("%s: got %v, want %v", what, pair[0], pair[1])
		}
	}
	if len(got.chains) != len(want.chains) || len(got.namespaces) != len(want.namespaces) {
		t.Fatalf("chains of nobody are kept: %d, want %d", len(got.chains), len(want.chains))
	}
}

// TestUpdateIsAsNew has a topology be after changes, and after changes that are taken back, what a new one is.
func TestUpdateIsAsNew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		last := drawNext(t, &emu.Network{})
		got := newTopology(last)
		for range rapid.IntRange(1, 5).Draw(t, "changes") {
			next := drawNext(t, last)
			for _, name := range some(t, "heard", slices.Concat(someRouters, someHosts)) {
				got.heard(name, got.unheard[name])
			}
			unheard := maps.Clone(got.unheard)
			got.update(emu.Changes(last, next))
			checkAsNew(t, got, newTopology(next))
			for _, s := range next.Namespaces {
				was, there := last.Namespace(s.Name)
				_, still := unheard[s.Name]
				_, is := got.unheard[s.Name]
				if want := s.Ruleset != nil && (still || !there || was.Kind != s.Kind || was.Ruleset == nil); is != want {
					t.Fatalf("%s is unheard: %t", s.Name, is)
				}
			}
			if rapid.Bool().Draw(t, "back") {
				got.update(emu.Changes(next, last))
				checkAsNew(t, got, newTopology(last))
				continue
			}
			last = next
		}
	})
}

// A change after which somebody listened to a namespace that is not there any more leaves the new one unheard.
func TestHeardTooLate(t *testing.T) {
	n := fabric()
	topology := newTopology(n)
	since := topology.allUnheard()
	again := &emu.Change{From: n, To: n, Removed: n.Namespaces, RemovedLinks: n.Links, Added: n.Namespaces, AddedLinks: n.Links}
	topology.update(again)
	for name, at := range since {
		topology.heard(name, at)
	}
	if len(topology.allUnheard()) != len(since) || len(since) == 0 {
		t.Errorf("unheard are %v, were %v", topology.allUnheard(), since)
	}
}

// TestUpdateWhileProbing has probes ask while what they ask about comes and goes.
func TestUpdateWhileProbing(t *testing.T) {
	n, none := fabric(), &emu.Network{}
	p := New(n, func(string) (*kernel.Namespace, bool) { return nil, false })
	there, back := emu.Changes(none, n), emu.Changes(n, none)
	done := make(chan struct{})
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			to := netip.AddrPortFrom(vip, 80)
			for {
				select {
				case <-done:
					return
				default:
				}
				ends := read(p, func(t *topology) []end { return t.ends("laptop", emu.TCP, to) })
				read(p, func(t *topology) bool { return t.builtIn(ends, emu.TCP, "") })
				read(p, func(t *topology) bool { return t.builtIn([]end{{"sql1", to}}, emu.TCP, "") })
				read(p, func(t *topology) *emu.RuleReference { return t.rule("edge", "acl") })
				read(p, func(t *topology) []neighbour { return t.pairNeighbours("web1", web2) })
				if err := p.listen(ends); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 200 {
		p.Update(back)
		p.Update(there)
	}
	close(done)
	asking.Wait()
	if got := read(p, func(t *topology) []end { return t.ends("laptop", emu.TCP, netip.AddrPortFrom(vip, 80)) }); len(got) != 2 {
		t.Errorf("a balanced endpoint leads to %v", got)
	}
}

// BenchmarkUpdate gives an edge with few or many hosts behind it an endpoint more, and takes it away.
func BenchmarkUpdate(b *testing.B) {
	for _, hosts := range []int{10, 1000} {
		b.Run(fmt.Sprint("hosts=", hosts), func(b *testing.B) {
			n, _ := crowd(1, hosts, 80)
			edge, _ := n.Namespace("edge")
			endpoints := emu.SocketMap{Name: "endpoints"}
			edge.Ruleset = &emu.Ruleset{}
			for i := range hosts + 1 {
				c := &emu.Chain{Name: fmt.Sprint("to-", i), Rules: []emu.Rule{{Statements: []emu.Statement{emu.DNAT{To: netip.AddrPortFrom(web1, 80)}}}}}
				edge.Ruleset.Chains = append(edge.Ruleset.Chains, c)
				endpoints.Elements = append(endpoints.Elements, emu.SocketMapElement{Address: vip, Protocol: emu.TCP, Port: uint16(i), Chain: c.Name})
			}
			edge.Ruleset.Sockets = []emu.SocketMap{endpoints}
			less, rules := *edge, *edge.Ruleset
			endpoints.Elements, rules.Chains = endpoints.Elements[:hosts], rules.Chains[:hosts]
			rules.Sockets, less.Ruleset = []emu.SocketMap{endpoints}, &rules
			before := &emu.Network{Namespaces: slices.Clone(n.Namespaces), Links: n.Links}
			before.Namespaces[slices.Index(n.Namespaces, edge)] = &less
			p := New(before, func(string) (*kernel.Namespace, bool) { return nil, false })
			there, back := emu.Changes(before, n), emu.Changes(n, before)
			for b.Loop() {
				p.Update(there)
				p.Update(back)
			}
		})
	}
}
