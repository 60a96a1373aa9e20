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
	"vnetlab/emu/diff"
	"vnetlab/emu/kernel"
)

// answers are those to all questions.
func answers(t *topology) (all []string) {
	note := func(a ...any) { all = append(all, fmt.Sprint(a...)) }
	note(slices.Sorted(slices.Values(t.reporters())))
	for _, from := range slices.Concat(someRouters, someHosts, []string{"nobody"}) {
		near := slices.Sorted(slices.Values(t.near(from)))
		note(from, " is near ", near)
		for _, a := range someAddresses {
			note(from, " ", a, t.ownersNear(a, func() []string { return near }), t.neighborsOf(from, a))
			for _, port := range somePorts {
				to := netip.AddrPortFrom(a, port)
				ends := t.ends(from, emu.TCP, to)
				note(from, " ", to, ends, t.builtIn(ends, emu.TCP, ""), t.translations(socket{a, emu.TCP, port}))
				paths, ok := t.paths(from, netip.Addr{}, emu.TCP, to)
				note(from, " ", to, " goes ", paths, ok, t.mayDiffer(from, emu.TCP, to))
			}
		}
	}
	return all
}

// chainNames are the chains that translate sources. What they say is among the answers; where it is said may differ.
func chainNames(t *topology) map[string][]string {
	names := map[string][]string{}
	for router, chains := range t.sourceChains {
		for _, c := range chains {
			names[router] = append(names[router], c.Name)
		}
	}
	return names
}

func checkAsNew(t *rapid.T, got, want *topology) {
	if a, b := answers(got), answers(want); !slices.Equal(a, b) {
		t.Fatalf("got\n%q\nwant\n%q", a, b)
	}
	for what, pair := range map[string][2]any{
		"owners": {got.owners, want.owners}, "neighbors": {got.neighbors, want.neighbors}, "interfaces": {
			got.interfaces, want.interfaces,
		},
		"dispatched": {got.dispatched, want.dispatched}, "sources": {got.sources, want.sources}, "translated": {
			got.translated, want.translated,
		},
		"cables": {got.cables, want.cables}, "source chains": {chainNames(got), chainNames(want)}, "source choosers": {
			got.sourceChoosers, want.sourceChoosers,
		},
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
			got.update(diff.Networks(last, next))
			checkAsNew(t, got, newTopology(next))
			for _, s := range next.Namespaces {
				was, there := last.Namespace(s.Name)
				_, still := unheard[s.Name]
				_, is := got.unheard[s.Name]
				if want := s.Ruleset != nil &&
					(still || !there || was.Kind != s.Kind || was.Ruleset == nil); is != want {
					t.Fatalf("%s is unheard: %t", s.Name, is)
				}
			}
			if rapid.Bool().Draw(t, "back") {
				got.update(diff.Networks(next, last))
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
	again := &diff.Change{
		From:         n,
		To:           n,
		Removed:      n.Namespaces,
		RemovedLinks: n.Links,
		Added:        n.Namespaces,
		AddedLinks:   n.Links,
	}
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
	there, back := diff.Networks(none, n), diff.Networks(n, none)
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
				read(p, func(t *topology) []neighbor { return t.neighborsOf("web1", web2) })
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
	if got := read(p, func(t *topology) []end { return t.ends("laptop", emu.TCP, netip.AddrPortFrom(vip, 80)) }); len(
		got,
	) != 2 {
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
				c := &emu.Chain{
					Name:  fmt.Sprint("to-", i),
					Rules: []emu.Rule{{Statements: []emu.Statement{emu.DNAT{To: netip.AddrPortFrom(web1, 80)}}}},
				}
				edge.Ruleset.Chains = append(edge.Ruleset.Chains, c)
				endpoints.Elements = append(
					endpoints.Elements,
					emu.SocketMapElement{Address: vip, Protocol: emu.TCP, Port: uint16(i), Chain: c.Name},
				)
			}
			edge.Ruleset.Sockets = []emu.SocketMap{endpoints}
			less, rules := *edge, *edge.Ruleset
			endpoints.Elements, rules.Chains = endpoints.Elements[:hosts], rules.Chains[:hosts]
			rules.Sockets, less.Ruleset = []emu.SocketMap{endpoints}, &rules
			before := &emu.Network{Namespaces: slices.Clone(n.Namespaces), Links: n.Links}
			before.Namespaces[slices.Index(n.Namespaces, edge)] = &less
			p := New(before, func(string) (*kernel.Namespace, bool) { return nil, false })
			there, back := diff.Networks(before, n), diff.Networks(n, before)
			for b.Loop() {
				p.Update(there)
				p.Update(back)
			}
		})
	}
}
