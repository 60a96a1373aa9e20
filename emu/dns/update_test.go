package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	wire "github.com/miekg/dns"
	"pgregory.net/rapid"

	"vnetlab/emu"
	"vnetlab/emu/diff"
)

// What networks are drawn from: names that are above one another, and that are one name in another case.
var (
	someNames     = []string{"a", "b.a", "B.a", "c.b.a", "c.b.a.", "d.c.b.a", "x.a", "x.y", "y"}
	someAddresses = []netip.Addr{inside, outside, vip}
	someServers   = []string{"edge-1", "edge-2", "edge-3"}
)

func drawRecords(t *rapid.T) []emu.NameRecord {
	return rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) emu.NameRecord {
		return emu.NameRecord{
			Name:    rapid.SampledFrom(someNames).Draw(t, "name"),
			Address: rapid.SampledFrom(someAddresses).Draw(t, "address"),
		}
	}), 0, 6, rapid.ID).Draw(t, "records")
}

func drawView(t *rapid.T) *emu.NameView {
	return &emu.NameView{
		Clients: rapid.SliceOfNDistinct(rapid.SampledFrom(someAddresses), 0, 3, rapid.ID).Draw(t, "clients"),
		Domain:  rapid.SampledFrom([]string{"a", "b.a", "y", ""}).Draw(t, "domain"),
		Records: drawRecords(t),
	}
}

// drawNext draws a network that shares much with another.
func drawNext(t *rapid.T, last *emu.Network) *emu.Network {
	n := &emu.Network{PublicNames: last.PublicNames}
	if rapid.Bool().Draw(t, "other names") {
		n.PublicNames = drawRecords(t)
	}
	for _, name := range someServers {
		s, there := last.Namespace(name)
		switch rapid.SampledFrom([]string{"same", "equal", "views", "new", "gone", "no server", "other kind"}).
			Draw(t, name) {
		case "same":
		case "gone":
			there = false
		case "equal":
			if there && s.DNS != nil {
				s = &emu.Namespace{Name: name, Kind: s.Kind, DNS: &emu.NameServer{}}
				old, _ := last.Namespace(name)
				for _, v := range slices.Backward(old.DNS.Views) {
					s.DNS.Views = append(
						s.DNS.Views,
						&emu.NameView{
							Clients: slices.Clone(v.Clients),
							Domain:  v.Domain,
							Records: slices.Clone(v.Records),
						},
					)
				}
			}
		case "views":
			if there && s.DNS != nil {
				views := slices.Clone(s.DNS.Views)
				if len(views) > 0 && rapid.Bool().Draw(t, "fewer") {
					views = views[1:]
				}
				s = &emu.Namespace{Name: name, Kind: s.Kind, DNS: &emu.NameServer{Views: append(views, drawView(t))}}
			}
		case "new":
			s, there = &emu.Namespace{
				Name: name,
				Kind: emu.Router,
				DNS:  &emu.NameServer{Views: []*emu.NameView{drawView(t), drawView(t)}},
			}, true
		case "no server":
			s, there = &emu.Namespace{Name: name, Kind: emu.Router}, true
		case "other kind":
			s, there = &emu.Namespace{
				Name: name,
				Kind: emu.Host,
				DNS:  &emu.NameServer{Views: []*emu.NameView{drawView(t)}},
			}, true
		}
		if there {
			n.Namespaces = append(n.Namespaces, s)
		}
	}
	return n
}

// answers are those to all questions.
func answers(s *Server) (all []string) {
	for _, server := range someServers {
		for _, from := range someAddresses {
			for _, name := range append([]string{".", "b", "z.a"}, someNames...) {
				query := new(wire.Msg).SetQuestion(wire.Fqdn(name), wire.TypeA)
				query.Id = 1
				all = append(all, fmt.Sprint(server, from, s.answer(server, from, query, false)))
			}
		}
	}
	return all
}

// TestUpdateIsAsNew has a server answer after changes, and after changes that are taken back, as a new one does.
func TestUpdateIsAsNew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		last := drawNext(t, &emu.Network{})
		s := New(last)
		for range rapid.IntRange(1, 5).Draw(t, "changes") {
			before := answers(s)
			next := drawNext(t, last)
			s.Update(diff.Networks(last, next))
			if got, want := answers(s), answers(New(next)); !slices.Equal(got, want) {
				t.Fatalf("got\n%s\nwant\n%s", got, want)
			}
			if rapid.Bool().Draw(t, "back") {
				s.Update(diff.Networks(next, last))
				if !slices.Equal(answers(s), before) {
					t.Fatal("a change that is taken back leaves another server")
				}
				continue
			}
			last = next
		}
	})
}

// BenchmarkUpdate adds and removes a name and a view of an edge that serves few or many hosts.
func BenchmarkUpdate(b *testing.B) {
	for _, hosts := range []int{10, 1000} {
		b.Run(fmt.Sprint("hosts=", hosts), func(b *testing.B) {
			n, more := &emu.Network{}, &emu.Network{}
			edge := &emu.NameServer{}
			var last *emu.NameView
			for i := range hosts + 1 {
				a := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
				n.PublicNames = append(
					n.PublicNames,
					emu.NameRecord{Name: fmt.Sprintf("service%d.cloudapp.net", i), Address: a},
				)
				domain := fmt.Sprintf("service%d.internal", i)
				last = &emu.NameView{
					Clients: []netip.Addr{a},
					Domain:  domain,
					Records: []emu.NameRecord{{Name: "vm." + domain, Address: a}},
				}
				edge.Views = append(edge.Views, last)
			}
			more.PublicNames = n.PublicNames
			more.Namespaces = []*emu.Namespace{{Name: "edge", Kind: emu.Router, DNS: edge}}
			n.PublicNames = n.PublicNames[:hosts]
			n.Namespaces = []*emu.Namespace{
				{Name: "edge", Kind: emu.Router, DNS: &emu.NameServer{Views: edge.Views[:hosts]}},
			}
			s := New(n)
			there, back := diff.Networks(n, more), diff.Networks(more, n)
			for b.Loop() {
				s.Update(there)
				s.Update(back)
			}
		})
	}
}
