package kernel

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
)

// BenchmarkBareKernel times the kernel's own part of one more host, step by step, in a small and in a large network: what an update can't
// be faster than.
func BenchmarkBareKernel(b *testing.B) {
	kerneltest.RequireRoot(b)
	for _, subnets := range []int{1, 100} {
		const hostsPer = 10
		b.Run(fmt.Sprint(subnets*hostsPer), func(b *testing.B) {
			s, err := Apply(context.Background(), kerneltest.Subnets(subnets, hostsPer), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close() //nolint:errcheck // the end of the benchmark
			edge := s.byName[kerneltest.Edge]
			var route *routeSocket
			if err := edge.Do(func() (err error) {
				route, err = newRouteSocket()
				return err
			}); err != nil {
				b.Fatal(err)
			}
			defer route.close() //nolint:errcheck // the end of the benchmark
			r, err := newRestorer()
			if err != nil {
				b.Fatal(err)
			}
			took, start := map[string]time.Duration{}, time.Time{}
			lap := func(step string, err error) {
				b.Helper()
				if err != nil {
					b.Fatal(step, err)
				}
				now := time.Now()
				took[step] += now.Sub(start)
				start = time.Now()
			}
			firewall := kerneltest.NewHost("x", addr("10.0.0.1")).Firewall.String()
			for b.Loop() {
				start = time.Now()
				var host *routeSocket
				n, err := newNamespace("more", func() (err error) {
					lap("namespace", nil)
					for _, s := range hostSysctls {
						if err := (&procInstance{fd: unix.AT_FDCWD}).write(s); err != nil {
							return err
						}
					}
					lap("sysctls-of-machine", nil)
					host, err = newRouteSocket()
					return err
				})
				lap("home", err)
				lap("lo", host.do(linkUp("lo", 1)))
				mac := emu.MAC{2, 9, 9, 9, 9, 9}
				near := linkEnd{LinkEnd: emu.LinkEnd{Name: "more", MAC: mac, Port: &emu.BridgePort{Bridge: "subnet0", Stations: []emu.MAC{mac.Variant(1)}}}, index: 1 << 17, master: s.devices[kerneltest.Edge]["subnet0"], home: edge}
				far := linkEnd{LinkEnd: emu.LinkEnd{Name: "eth0", MAC: mac.Variant(1)}, index: 2, home: n, far: true}
				lap("veth", route.do(newVeth(near, far)))
				lap("veth-far", host.do(far.requests()...))
				lap("veth-near", route.do(near.requests()...))
				lap("active", waitActive(context.Background(), route, map[int]string{near.index: near.Name}))
				lap("restore", r.load(context.Background(), n, firewall))
				lap("enter", n.Do(func() error { return nil }))
				lap("delete", route.do(deleteLink(near.Name, near.index)))
				lap("close", host.close())
				lap("close-ns", n.Close())
			}
			for step, d := range took {
				b.ReportMetric(float64(d.Microseconds())/float64(b.N), "µs/"+step)
			}
			_ = unix.AF_INET
		})
	}
}
