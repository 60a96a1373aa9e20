package compile_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/text"
	"vnetlab/lab"
	"vnetlab/lab/compile"
	"vnetlab/lab/labtest"
)

// Whatever is taken over from the compilation before, the network is that of a fresh compilation.
func TestNextIsLikeAFreshCompilation(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := labtest.Sequence(t)
		c := new(compile.Compilation).Next(l)
		for range rapid.IntRange(1, 15).Draw(rt, "operations") {
			o := labtest.Operation(rt)
			next, err := l.Apply(o)
			if err != nil {
				continue
			}
			if rapid.Bool().Draw(rt, "health") {
				next = next.Clone()
				for _, d := range next.Deployments() {
					for _, f := range d.Frontends() {
						for _, m := range f.Members {
							if m.ProbeID != "" {
								next.SetHealth(m.ProbeID, rapid.Bool().Draw(rt, "healthy"))
							}
						}
					}
				}
			}
			was := c.Network
			before := text.Change(diff.Networks(&emu.Network{}, was))
			l, c = next, c.Next(next)
			fresh := compile.Network(l)
			if err := emu.CheckRules(fresh); err != nil {
				rt.Fatalf("after %s: %v", o, err)
			}
			if diff := cmp.Diff(
				fresh,
				c.Network,
				cmpopts.EquateEmpty(),
				cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}, netip.AddrPort{}),
			); diff != "" {
				rt.Fatalf("after %s: -fresh +next\n%s", o, diff)
			}
			if change := diff.Networks(c.Network, fresh); !change.IsEmpty() {
				rt.Fatalf("after %s a fresh compilation is another network:\n%s", o, text.Change(change))
			}
			if text.Change(diff.Networks(&emu.Network{}, was)) != before {
				rt.Fatalf("%s changed the network before", o)
			}
		}
	})
}

// An operation on one deployment leaves all others as they are, and of its own what it didn't touch.
func TestNextSharesWhatStays(t *testing.T) {
	l := labtest.Large(t, 100)
	c := new(compile.Compilation).Next(l)
	for _, tt := range []struct {
		operation lab.Operation
		changed   []string // namespaces
	}{
		{lab.AddEndpointOp{Service: "machines", VirtualMachine: "vm", Endpoint: lab.Endpoint{Name: "e", PublicPort: 4000, LocalPort: 4000}}, []string{"vm", "edge.Net"}},
		{lab.AddFirewallRuleOp{Instance: "vm", Rule: labtest.Rule(t, "allow tcp 4000", 1)}, []string{"vm", "edge.Net"}},
		{lab.SwapDeploymentOp{Service: "shop"}, []string{"edge.Net", "datacenter.west-us"}},
		{
			lab.AddRoleOp{Service: "machines", VirtualMachine: lab.VirtualMachine{Name: "added", Subnet: "a", Services: labtest.Listen(80)}},
			[]string{"added", "edge.Net"},
		},
		{lab.CreateInternetHostOp{InternetHost: lab.InternetHost{Name: "guest"}}, []string{"internet", "guest"}},
		{lab.ScaleRoleOp{Service: "service1", Role: "Web", Count: 30}, nil},
	} {
		next, err := l.Apply(tt.operation)
		if err != nil {
			t.Fatal(err)
		}
		now := c.Next(next)
		shared, anew := 0, []string{}
		for _, n := range now.Network.Namespaces {
			if slices.Contains(c.Network.Namespaces, n) {
				shared++
			} else {
				anew = append(anew, n.Name)
			}
		}
		if tt.changed != nil {
			for _, name := range anew {
				if !slices.Contains(tt.changed, name) {
					t.Errorf("%s: %s is made anew", tt.operation, name)
				}
			}
		}
		if shared < 100 {
			t.Errorf("%s: only %d namespaces are shared", tt.operation, shared)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	operation := lab.AddEndpointOp{
		Service:        "machines",
		VirtualMachine: "vm",
		Endpoint:       lab.Endpoint{Name: "e", PublicPort: 4000, LocalPort: 4000},
	}
	for _, instances := range []int{10, 1000} {
		l := labtest.Large(b, instances)
		c := new(compile.Compilation).Next(l)
		next, err := l.Apply(operation)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("compile/%d", instances), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Next(next)
			}
		})
		now := c.Next(next)
		b.Run(fmt.Sprintf("compare/%d", instances), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				diff.Networks(c.Network, now.Network)
			}
		})
	}
}

// What the internet routes to a lab is what the lab knows to be public, whatever was done to it.
func TestRoutedAddressesArePublic(t *testing.T) {
	check := func(t interface{ Errorf(string, ...any) }, l *lab.Lab, n *emu.Network) {
		var public []netip.Addr
		for _, a := range l.PublicAddresses() {
			public = append(append(public, a.Address), a.Outbound...)
		}
		slices.SortFunc(public, netip.Addr.Compare)
		if got, want := compile.RoutedAddresses(n), slices.Compact(public); !slices.Equal(got, want) {
			t.Errorf("routed are %v, public %v", got, want)
		}
	}
	for _, l := range []*lab.Lab{labtest.Everything(t), labtest.Connected(t)} {
		check(t, l, compile.Network(l))
	}
	rapid.Check(t, func(rt *rapid.T) {
		l := labtest.Sequence(t)
		c := new(compile.Compilation).Next(l)
		for range 10 {
			if next, err := l.Apply(labtest.Operation(rt)); err == nil {
				l, c = next, c.Next(next)
				check(rt, l, c.Network)
			}
		}
	})
}
