package probe

import (
	"net/netip"
	"slices"
	"testing"

	"vnetlab/emu"
)

// many is a network with a set of so many members, asked by a caller that leaves by so many addresses.
func many(members, sources int) *emu.Network {
	var outbound []netip.Addr
	for i := range sources {
		outbound = append(outbound, netip.AddrFrom4([4]byte{198, 18, 0, byte(10 + i)}))
	}
	n := world(outbound...)
	var to []netip.AddrPort
	for i := range members {
		to = append(to, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(3 + i/250), byte(i % 250)}), 80))
	}
	edge, _ := n.Namespace("edge-b")
	for _, c := range edge.Ruleset.Chains {
		if c.Name == "tcp-80" {
			c.Rules = []emu.Rule{{Statements: []emu.Statement{emu.DNATByHash{By: emu.FiveTuple, To: to}}}}
		}
	}
	return n
}

// TestWaysOfLargeSets has a port for each path, and where there are too many paths, one for each member and each
// source.
func TestWaysOfLargeSets(t *testing.T) {
	to := netip.AddrPortFrom(balanced, 80)
	for _, c := range []struct{ members, sources, paths int }{
		{2, 1, 2}, {50, 1, 50}, {50, 4, 200}, {250, 4, 1000}, {251, 4, 251}, {1100, 1, 1100}, {1100, 4, 1100}, {3, 2, 6},
	} {
		topology := newTopology(many(c.members, c.sources))
		paths, ok := topology.paths("a1", netip.Addr{}, emu.TCP, to)
		if !ok || len(paths) != c.paths {
			t.Errorf("%+v: %d paths, %t", c, len(paths), ok)
			continue
		}
		if !topology.mayDiffer("a1", emu.TCP, to) {
			t.Errorf("%+v: a look-up says that there is one path", c)
		}
		members, sources := map[int]bool{}, map[netip.Addr]bool{}
		for _, w := range paths {
			if w.router != "edge-b" || !w.chosen || w.to != to || len(w.translations) != 1 ||
				w.translations[0].source != w.source {
				t.Fatalf("%+v: %+v", c, w)
			}
			members[w.steps[len(w.steps)-1].index], sources[w.source] = true, true
		}
		if len(members) != c.members || len(sources) != c.sources {
			t.Errorf("%+v: %d members, %d sources", c, len(members), len(sources))
		}
		var all attempts
		fork := forkOf(paths)
		seen := map[uint16]bool{}
		for i, port := range all.reserve("a1", emu.TCP, to, len(paths), fork.of) {
			if port == 0 || seen[port] || fork.of(port) != i {
				t.Fatalf("%+v: path %d has port %d", c, i, port)
			}
			seen[port] = true
			syn := packet{protocol: emu.TCP, source: netip.AddrPortFrom(web1, port)}
			if all.find(syn) != nil {
				t.Errorf("port %d is only reserved, but has an attempt", port)
			}
			a := new(attempt)
			if all.useReserved(a, port); all.find(syn) != a {
				t.Errorf("port %d has no attempt", port)
			}
			if all.release(port); all.ports[port].Load() != nil {
				t.Errorf("port %d is still taken", port)
			}
		}
	}
}

// TestWaysOfOthers follows connections that have one path.
func TestWaysOfOthers(t *testing.T) {
	at := netip.MustParseAddrPort
	n := fabric()
	for _, c := range []struct {
		name string
		from string
		to   netip.AddrPort
		end  string
	}{
		{"host", "web1", at("10.0.2.4:1433"), "sql1"},
		{"neighbor", "web1", at("10.0.1.5:80"), "web2"},
		{"oneself", "web1", at("10.0.1.4:80"), "web1"},
		{"loopback", "web1", at("127.0.0.1:80"), "web1"},
		{"translated", "laptop", at("198.18.0.10:57500"), "sql1"},
		{"out", "web1", at("203.0.113.10:8080"), "laptop"},
		{"router", "laptop", at("203.0.113.1:80"), "edge"},
		{"nobody", "web1", at("10.0.2.99:80"), ""},
		{"no route", "lonely", at("10.0.2.4:80"), ""},
	} {
		topology := newTopology(n)
		paths, ok := topology.paths(c.from, netip.Addr{}, emu.TCP, c.to)
		if !ok || len(paths) != 1 || paths[0].end.namespace != c.end || topology.mayDiffer(c.from, emu.TCP, c.to) {
			t.Errorf("%s: %+v, %t", c.name, paths, ok)
		}
	}
	// What it can't follow it says so of: a rule that translates by what it doesn't know.
	edge, _ := n.Namespace("edge")
	i := slices.IndexFunc(edge.Ruleset.Chains, func(c *emu.Chain) bool { return c.Name == "postrouting" })
	edge.Ruleset.Chains[i].Rules[0].Statements = append(
		[]emu.Statement{emu.MatchEstablished{}},
		edge.Ruleset.Chains[i].Rules[0].Statements...)
	if paths, ok := newTopology(n).paths("web1", netip.Addr{}, emu.TCP, at("203.0.113.10:8080")); ok {
		t.Errorf("%+v", paths)
	}
}

// TestGuessedMembers has a set behind a translation that the network doesn't explain: the members are found by who
// answers, and one that can't be told from the others is an error.
func TestGuessedMembers(t *testing.T) {
	n := world(out1)
	edge, _ := n.Namespace("edge-a")
	rule := &edge.Ruleset.Chains[0].Rules[0]
	rule.Statements = append([]emu.Statement{emu.MatchMaskedMark{}}, rule.Statements...)
	_, p := start(t, n)
	for port, want := range map[uint16]string{
		80: "open; b1 open; b2 open; b3 open",
		82: "mixed; b1 open; b2 blocked by b2 block; b3 blocked by b3 block",
		81: "error; b1 open; b2 error; b3 open",
	} {
		if d := described(
			p.Probe(t.Context(), "a1", emu.Target{Address: balanced, Port: port, Protocol: emu.TCP}),
		); d != want {
			t.Errorf("port %d: %s, want %s", port, d, want)
		}
	}
}
