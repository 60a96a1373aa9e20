package health

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/kernel"
)

func nowhere(string) (*kernel.Namespace, bool) { return nil, false }

// drawNext draws a network that shares much with another. The ids of its probes are unique, wherever they are.
func drawNext(t *rapid.T, last *emu.Network) *emu.Network {
	probes := map[string][]emu.HealthProbe{}
	names := []string{"edge-1", "edge-2", "edge-3"}
	for id := range 4 {
		p := probe(fmt.Sprint(id), rapid.SampledFrom([]string{"tcp", "http"}).Draw(t, "protocol"), "/")
		p.Interval = rapid.IntRange(0, 2).Draw(t, "interval")
		p.Target = netip.AddrPortFrom(source, uint16(rapid.IntRange(1, 2).Draw(t, "port")))
		at := rapid.SampledFrom(append(names, "")).Draw(t, "namespace")
		probes[at] = append(probes[at], p)
	}
	kind := emu.Router
	n := &emu.Network{}
	switch rapid.SampledFrom([]string{"same", "as drawn", "fewer", "other kind"}).Draw(t, "change") {
	case "same":
		return last
	case "fewer":
		names = names[1:]
	case "other kind":
		kind = emu.Host
	}
	for _, name := range names {
		n.Namespaces = append(n.Namespaces, &emu.Namespace{Name: name, Kind: kind, HealthProbes: probes[name]})
	}
	return n
}

// TestUpdateIsAsSet has one checker told of changes and another of whole networks. What runs after each is the same,
// and a probe is begun anew by the one where it is by the other.
func TestUpdateIsAsSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		changed, set := New(nowhere, nil), New(nowhere, nil)
		defer changed.Close()
		defer set.Close()
		last := &emu.Network{}
		for range rapid.IntRange(1, 5).Draw(t, "changes") {
			before := [2]map[string]*runner{runners(changed), runners(set)}
			next := drawNext(t, last)
			changed.Update(diff.Networks(last, next))
			set.Set(next)
			got, want := runners(changed), runners(set)
			if len(got) != len(want) {
				t.Fatalf("%d probes run, want %d", len(got), len(want))
			}
			for id, w := range want {
				g := got[id]
				if g == nil || g.probe != w.probe || g.namespace != w.namespace ||
					(g == before[0][id]) != (w == before[1][id]) {
					t.Fatalf("%s: got %+v, want %+v", id, g, w)
				}
			}
			last = next
		}
	})
}

func runners(c *Checker) map[string]*runner {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[string]*runner, len(c.running))
	maps.Copy(all, c.running)
	return all
}

// TestUpdateKeepsWhatIsKnown is what Set promises, of changes.
func TestUpdateKeepsWhatIsKnown(t *testing.T) {
	b := newBench(t)
	_, count := b.listen(nil)
	p := once(probe("web", "tcp", ""))
	last := &emu.Network{}
	update := func(kind emu.Kind, probes ...emu.HealthProbe) {
		next := &emu.Network{Namespaces: []*emu.Namespace{{Name: "edge", Kind: kind, HealthProbes: probes}}}
		b.Update(diff.Networks(last, next))
		last = next
	}
	update(emu.Router, p)
	b.waitHealthy("web", true)
	before := b.States()[0]
	other := p
	other.ID, other.Interval = "other", 100
	update(emu.Router, p, other)
	b.waitHealthy("other", true)
	update(emu.Host, p) // the namespace is made anew
	if s := b.States(); len(s) != 1 || s[0] != before {
		t.Errorf("%+v, before %+v", s, before)
	}
	// Another rhythm asks at once, but knows what it knew; another target is another question.
	asked := count.Load()
	p.Interval += 1000
	update(emu.Host, p)
	if healthy, known := b.Healthy("web"); !healthy || !known {
		t.Error("another interval made it unhealthy")
	}
	b.wait("a question", func() bool { return count.Load() > asked })
	p.Target = netip.AddrPortFrom(p.Target.Addr(), 3389)
	update(emu.Host, p)
	if healthy, _ := b.Healthy("web"); healthy { // nobody listens there; that may be known already
		t.Error("another target is healthy because the one before was")
	}
	update(emu.Host)
	if s := b.States(); len(s) != 0 {
		t.Errorf("%+v", s)
	}
}

// BenchmarkUpdate adds and removes a probe of an edge that has few or many others.
func BenchmarkUpdate(b *testing.B) {
	for _, hosts := range []int{10, 1000} {
		b.Run(fmt.Sprint("hosts=", hosts), func(b *testing.B) {
			var probes []emu.HealthProbe
			for i := range hosts + 1 {
				p := probe(fmt.Sprint(i), "tcp", "")
				p.Interval, p.Timeout = 3600, 7200
				probes = append(probes, p)
			}
			network := func(probes []emu.HealthProbe) *emu.Network {
				return &emu.Network{
					Namespaces: []*emu.Namespace{{Name: "edge", Kind: emu.Router, HealthProbes: probes}},
				}
			}
			n, more := network(probes[:hosts]), network(probes)
			c := New(nowhere, nil)
			defer c.Close()
			c.Set(n)
			there, back := diff.Networks(n, more), diff.Networks(more, n)
			for b.Loop() {
				c.Update(there)
				c.Update(back)
			}
		})
	}
}
