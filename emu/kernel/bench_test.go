package kernel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/kerneltest"
	"vnetlab/emu/text"
)

// sizes are the subnets, with hosts in each, of a small and a large network behind one router.
var sizes = [][2]int{{1, 10}, {40, 25}}

// rest lets the kernel finish what it does behind an update, as between two operations of a person.
func rest(b *testing.B) {
	b.StopTimer()
	time.Sleep(50 * time.Millisecond)
	b.StartTimer()
}

// next is a network that shares all with another but one namespace, which is a copy.
func next(n *emu.Network, name string) (*emu.Network, *emu.Namespace) {
	to := *n
	to.Namespaces = slices.Clone(n.Namespaces)
	for i, o := range to.Namespaces {
		if o.Name == name {
			copied := *o
			to.Namespaces[i] = &copied
			return &to, &copied
		}
	}
	return &to, nil
}

// BenchmarkUpdate: one more of something costs the same in a small and in a large network.
func BenchmarkUpdate(b *testing.B) {
	kerneltest.RequireRoot(b)
	for _, size := range sizes {
		subnets, hostsPer := size[0], size[1]
		hosts := subnets * hostsPer
		from := published(subnets, hostsPer, hosts)
		ruleset(from).Marks = []emu.MarkMap{{Name: "marks"}}
		for i := range hosts {
			ruleset(from).Marks[0].Elements = append(ruleset(from).Marks[0].Elements,
				emu.MarkMapElement{Key: kerneltest.Address(i%subnets, i/subnets), Mark: 1})
		}
		s, err := Apply(context.Background(), from, nil)
		if err != nil {
			b.Fatal(err)
		}
		for _, tt := range []struct {
			name string
			more func() *emu.Network
		}{
			{"instance", func() *emu.Network {
				to, edge := next(from, kerneltest.Edge)
				name, address := "more", kerneltest.Address(0, hostsPer)
				mac := emu.MACOf(address)
				to.Namespaces = append(to.Namespaces, kerneltest.NewHost(name, kerneltest.Gateway(0)))
				to.Links = append(slices.Clone(from.Links), &emu.Link{
					A: emu.LinkEnd{
						Namespace: edge.Name, Name: name, MAC: emu.MAC{2, 9},
						Port: &emu.BridgePort{Bridge: "subnet0", Stations: []emu.MAC{mac}, ProxyARP: true},
					},
					B: emu.LinkEnd{
						Namespace: name, Name: kerneltest.Device, MAC: mac,
						Addresses: []netip.Prefix{netip.PrefixFrom(address, 22)},
					},
				})
				edge.Neighbors = append(slices.Clone(edge.Neighbors),
					emu.Neighbor{Device: "subnet0", Address: address, MAC: mac})
				return to
			}},
			{"endpoint", func() *emu.Network {
				to, edge := next(from, kerneltest.Edge)
				r := *edge.Ruleset
				edge.Ruleset = &r
				r.Chains = append(slices.Clone(r.Chains),
					&emu.Chain{Name: "more", Rules: []emu.Rule{with(emu.MatchProtocol{Protocol: "tcp"},
						emu.DNAT{To: netip.AddrPortFrom(kerneltest.Address(0, 0), 1)})}})
				r.Sockets = []emu.SocketMap{{
					Name: "endpoints",
					Elements: append(slices.Clone(r.Sockets[0].Elements),
						emu.SocketMapElement{Address: vip, Protocol: emu.TCP, Port: 9, Chain: "more"}),
				}}
				return to
			}},
			{"map element", func() *emu.Network {
				to, edge := next(from, kerneltest.Edge)
				r := *edge.Ruleset
				edge.Ruleset = &r
				r.Marks = []emu.MarkMap{{
					Name: "marks",
					Elements: append(slices.Clone(r.Marks[0].Elements),
						emu.MarkMapElement{Key: addr("192.0.2.1"), Mark: 2}),
				}}
				return to
			}},
			{"rule of the edge", func() *emu.Network {
				to, edge := next(from, kerneltest.Edge)
				r := *edge.Ruleset
				edge.Ruleset = &r
				r.Chains = slices.Clone(r.Chains)
				r.Chains[1] = &emu.Chain{
					Name: "forward", Hook: emu.ForwardHook,
					Rules: append(slices.Clone(r.Chains[1].Rules),
						with(emu.MatchProtocol{Protocol: "icmp"}, emu.Drop{})),
				}
				return to
			}},
			{"firewall rule", func() *emu.Network {
				to, host := next(from, kerneltest.Host(0, 0))
				f := *host.Firewall
				host.Firewall = &f
				f.Rules = append(slices.Clone(f.Rules),
					emu.FirewallRule{ID: "more", Protocol: "tcp", Ports: []emu.PortRange{{First: 9, Last: 9}}})
				return to
			}},
		} {
			to := tt.more()
			b.Run(fmt.Sprintf("%s/%d", tt.name, hosts), func(b *testing.B) {
				var back, compare time.Duration
				for b.Loop() {
					rest(b)
					start := time.Now()
					change := diff.Networks(from, to)
					compare += time.Since(start)
					if err := s.Update(context.Background(), change); err != nil {
						b.Fatal(err)
					}
					rest(b)
					b.StopTimer()
					start = time.Now()
					if err := s.Update(context.Background(), diff.Networks(to, from)); err != nil {
						b.Fatal(err)
					}
					back += time.Since(start)
					b.StartTimer()
				}
				b.ReportMetric(float64(compare.Microseconds())/float64(b.N), "µs/comparison")
				b.ReportMetric(float64(back.Microseconds())/float64(b.N), "µs/removal")
			})
		}
		end(b, s)
	}
}

// end waits until nothing of the network is left: the kernel makes no namespace while it destroys others.
func end(b *testing.B, s *State) {
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	if err := WaitUntilGone(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkBareKernel times the kernel's own part of one more host, step by step, in a small and in a large network:
// what an update can't be faster than.
func BenchmarkBareKernel(b *testing.B) {
	kerneltest.RequireRoot(b)
	for _, size := range sizes {
		b.Run(fmt.Sprint(size[0]*size[1]), func(b *testing.B) {
			s, err := Apply(context.Background(), published(size[0], size[1], size[0]*size[1]), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer end(b, s)
			// A program without instances of procfs has written everything in the machine's.
			for _, n := range s.Namespaces() {
				if err := n.Do(func() error { return machine.writeAll(hostSysctls[:1]) }); err != nil {
					b.Fatal(err)
				}
			}
			w := &stopwatch{b: b, took: map[string]time.Duration{}}
			for b.Loop() {
				rest(b)
				w.start = time.Now()
				if err := bareHost(s, w); err != nil {
					b.Fatal(err)
				}
			}
			for step, d := range w.took {
				b.ReportMetric(float64(d.Microseconds())/float64(b.N), "µs/"+step)
			}
		})
	}
}

var machine = &procInstance{fd: unix.AT_FDCWD}

// stopwatch adds up how long steps take.
type stopwatch struct {
	b     *testing.B
	took  map[string]time.Duration
	start time.Time
}

func (w *stopwatch) lap(step string, err error) {
	w.b.Helper()
	if err != nil {
		w.b.Fatal(step, err)
	}
	w.took[step] += time.Since(w.start)
	w.start = time.Now()
}

// bareHost makes a host at the router and removes it.
func bareHost(s *State, w *stopwatch) error {
	edge := s.byName[kerneltest.Edge]
	p := &node{ns: edge}
	if err := p.open(); err != nil {
		return err
	}
	defer p.route.close() //nolint:errcheck // nothing is lost with it
	r, err := newRestorer()
	if err != nil {
		return err
	}
	var host *routeSocket
	instances := &sysctlFiles{}
	w.lap("open", nil)
	n, err := newNamespace("more", func() (err error) {
		w.lap("namespace", nil)
		w.lap("sysctls-in-proc", machine.writeAll(hostSysctls))
		w.lap("sysctls-in-instance", instances.write(hostSysctls))
		host, err = newRouteSocket()
		return err
	})
	w.lap("leave", err)
	w.lap("close-instance", instances.close())
	w.lap("enter", n.Do(func() error { return nil }))
	mac := emu.MAC{2, 9, 9, 9, 9, 9}
	near := linkEnd{
		LinkEnd: emu.LinkEnd{
			Name: "more", MAC: mac,
			Port: &emu.BridgePort{Bridge: "subnet0", Stations: []emu.MAC{mac.Variant(1)}},
		},
		index: firstLater, master: s.devices[kerneltest.Edge]["subnet0"], home: edge,
	}
	far := linkEnd{LinkEnd: emu.LinkEnd{Name: kerneltest.Device, MAC: mac.Variant(1)}, index: 2, home: n, far: true}
	w.lap("lo", host.do(linkUp("lo", 1)))
	w.lap("veth", p.route.do(newVeth(near, far)))
	w.lap("veth-far", host.do(far.requests()...))
	w.lap("veth-near", p.route.do(near.requests()...))
	w.lap("active", waitActive(context.Background(), p.route, map[int]string{near.index: near.Name}))
	w.lap("iptables-restore", r.load(context.Background(), n,
		text.IPTables(kerneltest.NewHost("more", addr("10.0.0.1")).Firewall)))
	w.lap("delete", p.route.do(deleteLink(near.Name, near.index)))
	w.lap("close-socket", host.close())
	w.lap("close-namespace", n.Close())

	rules := func(queue func(*nftables.Conn, *nftables.Table) error) error {
		t, err := newTransaction()
		if err == nil {
			err = queue(t.Conn, &nftables.Table{Family: nftables.TableFamilyIPv4, Name: "lab"})
		}
		if err == nil {
			err = t.commit(edge)
		}
		return err
	}
	more := &emu.Chain{Name: "more", Rules: []emu.Rule{with(emu.MatchProtocol{Protocol: "tcp"},
		emu.DNAT{To: netip.AddrPortFrom(addr("10.0.0.4"), 1)})}}
	w.lap("nft-commit", rules(func(c *nftables.Conn, t *nftables.Table) error {
		return errors.Join(addChains(c, t, []*emu.Chain{more}), addRules(c, t, more))
	}))
	return rules(func(c *nftables.Conn, t *nftables.Table) error {
		c.FlushChain(&nftables.Chain{Table: t, Name: more.Name})
		c.DelChain(&nftables.Chain{Table: t, Name: more.Name})
		return nil
	})
}
