package kernel

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/kerneltest"
	"vnetlab/emu/text"
)

// checks sets how many networks a property test draws.
func checks(t *testing.T, n int) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	before := f.Value.String()
	if err := f.Value.Set(fmt.Sprint(n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Value.Set(before) }) //nolint:errcheck // it was valid before
}

// drawNetwork draws a network of two routers and some hosts. Any two of them share some things and differ in others.
func drawNetwork(t *rapid.T) *emu.Network {
	some := func(what string) bool { return rapid.Bool().Draw(t, what) }
	pick := func(what string, n int) int { return rapid.IntRange(0, n-1).Draw(t, what) }
	edge := &emu.Namespace{Name: "edge", Kind: emu.Router}
	if pick("timeout", 4) == 0 {
		edge.EstablishedTimeout = 60
	}
	bridges := 1 + pick("bridges", 3)
	for i := range bridges {
		b := emu.Bridge{Name: fmt.Sprintf("b%d", i), MAC: emu.MAC{2, 2, 0, 0, byte(pick("bridge MAC", 2)), byte(i)}}
		for j := range 2 {
			if some("gateway") {
				b.Addresses = append(b.Addresses,
					netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), byte(1 + j)}), 24))
			}
		}
		edge.Bridges = append(edge.Bridges, b)
		if some("device route") {
			edge.Routes = append(edge.Routes,
				emu.Route{Destination: netip.PrefixFrom(netip.AddrFrom4([4]byte{
					198, 18, byte(pick("route", 2)),
					byte(i),
				}), 32), Device: b.Name})
		}
	}
	if some("loopback") {
		edge.Loopback = append(edge.Loopback, addr("168.63.129.16"))
	}
	n := &emu.Network{}
	leaves := drawLeaves(t, n, edge)
	stations := map[string]bool{}
	for i := range 5 {
		if !some("host") {
			continue
		}
		name, place := fmt.Sprintf("host%d", i), pick("bridge", bridges)
		bridge := edge.Bridges[place].Name
		address := netip.AddrFrom4([4]byte{10, 0, byte(place), byte(4 + pick("address", 4))})
		mac := emu.MACOf(address)
		if stations[bridge+mac.String()] {
			continue
		}
		stations[bridge+mac.String()] = true
		at := bridge
		if place == 0 && len(leaves) > 0 && some("behind a leaf") {
			leaf := leaves[pick("leaf", len(leaves))]
			leaf.A.Port.Stations = append(leaf.A.Port.Stations, mac)
			at = leaf.B.Port.Bridge
		}
		host := &emu.Namespace{Name: name, Kind: emu.Host}
		if pick("kind", 8) == 0 {
			host.Kind = emu.Router
		}
		if some("default route") {
			host.Routes = append(host.Routes,
				emu.Route{
					Destination: prefix("0.0.0.0/0"),
					Gateway:     netip.AddrFrom4([4]byte{10, 0, byte(place), byte(1 + pick("which gateway", 2))}),
					Device:      "eth0",
				})
		}
		if some("firewall") {
			all := everyRule().Rules
			host.Firewall = &emu.Firewall{}
			for range pick("rules", 4) {
				r := all[pick("rule", len(all))]
				if !slices.ContainsFunc(host.Firewall.Rules, func(s emu.FirewallRule) bool { return s.ID == r.ID }) {
					host.Firewall.Rules = append(host.Firewall.Rules, r)
				}
			}
		}
		if some("neighbor") {
			edge.Neighbors = append(edge.Neighbors,
				emu.Neighbor{Device: bridge, Address: address, MAC: mac.Variant(byte(pick("neighbor MAC", 2)))})
		}
		n.Namespaces = append(n.Namespaces, host)
		n.Links = append(n.Links, &emu.Link{
			A: emu.LinkEnd{
				Namespace: "edge", Name: fmt.Sprintf("p%d", pick("port", 2)*10+i),
				MAC: emu.MAC{2, 1, 0, 0, 0, byte(i)}, Port: &emu.BridgePort{
					Bridge: at, Stations: []emu.MAC{mac}, ProxyARP: some("proxy ARP"), Uplink: pick("uplink", 4) == 0,
				},
			},
			B: emu.LinkEnd{
				Namespace: name, Name: "eth0", MAC: mac,
				Addresses: []netip.Prefix{netip.PrefixFrom(address, 24)},
			},
		})
	}
	drawFDBEntries(t, n)
	if some("ruleset") {
		edge.Ruleset = drawRuleset(t)
	}
	if some("second router") {
		n.Namespaces = append(n.Namespaces, &emu.Namespace{
			Name: "datacenter", Kind: emu.Router,
			Routes: []emu.Route{{Destination: prefix("10.0.0.0/8"), Gateway: addr("192.0.2.2"), Device: "down"}},
		})
		n.Links = append(n.Links, &emu.Link{
			A: emu.LinkEnd{
				Namespace: "datacenter", Name: "down", MAC: emu.MAC{2, 3, 0, 0, 0, 1},
				Addresses: []netip.Prefix{prefix("192.0.2.1/30")},
			},
			B: emu.LinkEnd{
				Namespace: "edge", Name: "up", MAC: emu.MAC{2, 3, 0, 0, 0, 2},
				Addresses: []netip.Prefix{prefix("192.0.2.2/30")},
			},
		})
		edge.Routes = append(edge.Routes, emu.Route{
			Destination: prefix("0.0.0.0/0"), Gateway: addr("192.0.2.1"),
			Device: "up",
		})
	}
	n.Namespaces = append(n.Namespaces, edge)
	n.Sort()
	return n
}

// drawRuleset draws a part of everyStatement in some order, with things in it that have the same names and are
// different.
func drawRuleset(t *rapid.T) *emu.Ruleset {
	some := func(what string) bool { return rapid.Bool().Draw(t, what) }
	r := everyStatement()
	if rapid.IntRange(0, 5).Draw(t, "table") == 0 {
		r.Table = "other"
	}
	for i := range r.Prefixes {
		all := append(r.Prefixes[i].Elements, prefix("10.0.2.0/23"), prefix("10.3.0.0/16"))
		r.Prefixes[i].Elements = slices.DeleteFunc(all, func(netip.Prefix) bool { return some("no prefix") })
	}
	for i := range 6 {
		if some("pair") {
			r.Pairs[0].Elements = append(r.Pairs[0].Elements,
				[2]netip.Addr{addr("10.0.0.1").Next(), netip.AddrFrom4([4]byte{10, 0, 1, byte(i)})})
		}
		if some("vip") {
			r.Addresses[0].Elements = append(r.Addresses[0].Elements, emu.AddressMapElement{
				Key:   netip.AddrFrom4([4]byte{10, 0, 0, byte(10 + i)}),
				Value: netip.AddrFrom4([4]byte{198, 18, 0, byte(rapid.IntRange(1, 2).Draw(t, "vip"))}),
			})
		}
		if some("mark") {
			r.Marks[0].Elements = append(r.Marks[0].Elements, emu.MarkMapElement{
				Key:  netip.AddrFrom4([4]byte{10, 0, 0, byte(10 + i)}),
				Mark: uint32(rapid.IntRange(1, 2).Draw(t, "mark of it")),
			})
		}
		if some("endpoint") {
			members := []netip.AddrPort{
				netip.MustParseAddrPort("10.0.0.4:80"),
				netip.MustParseAddrPort("10.0.0.5:8080"),
			}
			chain := fmt.Sprintf("endpoint%d", i)
			r.Sockets[0].Elements = append(r.Sockets[0].Elements, emu.SocketMapElement{
				Address: addr("198.18.0.9"), Protocol: emu.TCP,
				Port:  uint16(rapid.IntRange(1, 2).Draw(t, "port")*100 + i),
				Chain: rapid.SampledFrom([]string{chain, "one"}).Draw(t, "chain"),
			})
			c := &emu.Chain{Name: chain, Rules: []emu.Rule{
				with(emu.MatchProtocol{Protocol: "tcp"}, emu.SetTimeout{Policy: "idle-4"}),
				with(emu.MatchProtocol{Protocol: "tcp"},
					emu.DNATByHash{
						By: emu.FiveTuple,
						To: rapid.SliceOfN(rapid.SampledFrom(members), 1, 3).Draw(t, "members"),
					}),
			}}
			if some("hooked") {
				c.Hook = emu.DNATHook
				r.Sockets[0].Elements[len(r.Sockets[0].Elements)-1].Chain = "one"
			}
			r.Chains = append(r.Chains, c)
		}
	}
	for i := range r.Timeouts {
		r.Timeouts[i].Seconds *= rapid.IntRange(1, 2).Draw(t, "timeout")
	}
	for i := range r.Chains {
		c := r.Chains[i]
		c.Rules = slices.DeleteFunc(c.Rules, func(emu.Rule) bool { return some("no rule") })
		if c.Name != "one" && c.Name != "two" && c.Name != "web.tcp-57500" { // others may go to these
			if len(c.Rules) > 1 && some("order") {
				slices.Reverse(c.Rules)
			}
			if len(c.Rules) > 0 && some("twice") {
				c.Rules = append(c.Rules, c.Rules[0])
			}
		}
	}
	return r
}

// Whatever a network is changed into, the kernel then has that.
func TestUpdateGivesWhatIsWanted(t *testing.T) {
	kerneltest.RequireRoot(t)
	checks(t, 25)
	rapid.Check(t, func(rt *rapid.T) {
		from := drawNetwork(rt)
		s, err := Apply(t.Context(), from, nil)
		if err != nil {
			rt.Fatal(err)
		}
		defer s.Close()
		for range 4 {
			to := drawNetwork(rt)
			change := diff.Networks(from, to)
			if err := s.Update(t.Context(), change); err != nil {
				rt.Fatalf("%v\n%s", err, text.Change(change))
			}
			found, err := Diff(t.Context(), to, s)
			if err != nil {
				rt.Fatal(err)
			}
			if len(found) > 0 {
				rt.Fatalf("%v\nafter\n%s", found, text.Change(change))
			}
			from = to
		}
	})
}

// ending is a context that ends when it has been looked at some times.
type ending struct {
	context.Context
	mu    sync.Mutex
	after int
}

func (e *ending) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.after--; e.after < 0 {
		return context.Canceled
	}
	return nil
}

// An update that fails, wherever it does, leaves the network as it was, and the next one works.
func TestUpdateFailsWithoutTrace(t *testing.T) {
	kerneltest.RequireRoot(t)
	checks(t, 25)
	unreachable := emu.Route{Destination: prefix("203.0.113.0/24"), Gateway: addr("233.252.0.1"), Device: "lo"}
	spoil := map[string]func(*emu.Network, *emu.Namespace){
		"route": func(_ *emu.Network, n *emu.Namespace) { n.Routes = append(slices.Clone(n.Routes), unreachable) },
		"device": func(_ *emu.Network, n *emu.Namespace) {
			n.Routes = append(slices.Clone(n.Routes), emu.Route{Destination: prefix("203.0.113.0/24"), Device: "none"})
		},
		"ruleset": func(_ *emu.Network, n *emu.Namespace) {
			n.Ruleset = &emu.Ruleset{
				Table: "lab",
				Chains: []*emu.Chain{{
					Name: "forward", Hook: emu.ForwardHook,
					Rules: []emu.Rule{with(emu.MatchPairSet{Set: "unknown"})},
				}},
			}
		},
		"firewall": func(_ *emu.Network, n *emu.Namespace) {
			f := emu.Firewall{Rules: []emu.FirewallRule{{ID: "bad", Protocol: "nonsense", Comment: "bad"}}}
			if n.Firewall != nil {
				f.Rules = append(f.Rules, n.Firewall.Rules...)
			}
			n.Firewall = &f
		},
		"link": func(w *emu.Network, n *emu.Namespace) {
			e := emu.LinkEnd{
				Namespace: n.Name, Name: "x",
				Addresses: []netip.Prefix{prefix("203.0.113.1/24"), prefix("203.0.113.1/24")},
			}
			f := e
			f.Name, e.MAC, f.MAC = "y", emu.MAC{2, 9}, emu.MAC{2, 8}
			w.Links = append(w.Links, &emu.Link{A: e, B: f})
		},
	}
	rapid.Check(t, func(rt *rapid.T) {
		from, to := drawNetwork(rt), drawNetwork(rt)
		s, err := Apply(t.Context(), from, nil)
		if err != nil {
			rt.Fatal(err)
		}
		defer s.Close()
		kind := rapid.SampledFrom(slices.Sorted(maps.Keys(spoil))).Draw(rt, "fault")
		spoilt := *to
		spoilt.Namespaces, spoilt.Links = slices.Clone(to.Namespaces), slices.Clone(to.Links)
		where := rapid.IntRange(0, len(to.Namespaces)-1).Draw(rt, "where")
		bad := *to.Namespaces[where]
		spoilt.Namespaces[where] = &bad
		spoil[kind](&spoilt, &bad)
		ctx, cancel := t.Context(), context.CancelFunc(func() {})
		switch rapid.IntRange(0, 3).Draw(rt, "end of the context") {
		case 0:
			spoilt = *to
			ctx, cancel = context.WithTimeout(ctx,
				time.Duration(rapid.IntRange(0, 20).Draw(rt, "milliseconds"))*time.Millisecond)
		case 1:
			spoilt = *to
			ctx = &ending{Context: context.Background(), after: rapid.IntRange(0, 30).Draw(rt, "steps")}
		}
		err = s.Update(ctx, diff.Networks(from, &spoilt))
		cancel()
		if err == nil {
			if ctx.Err() == nil && !diff.Networks(to, &spoilt).IsEmpty() {
				rt.Fatalf("%s: no error", kind)
			}
			from = &spoilt
		} else if !strings.HasSuffix(err.Error(), "; the network is as before") {
			rt.Fatalf("%v\n%s", err, text.Change(diff.Networks(from, &spoilt)))
		}
		if found, err := Diff(t.Context(), from, s); err != nil || len(found) > 0 {
			rt.Fatal(found, err)
		}
		if err := s.Update(t.Context(), diff.Networks(from, to)); err != nil {
			rt.Fatal("afterwards: ", err)
		}
		if found, err := Diff(t.Context(), to, s); err != nil || len(found) > 0 {
			rt.Fatal("afterwards: ", found, err)
		}
	})
}
