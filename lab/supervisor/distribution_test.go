package supervisor

import (
	"context"
	"fmt"
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/emulator"
	"vnetlab/emu/kerneltest"
	"vnetlab/lab"
	"vnetlab/lab/compile"
	"vnetlab/lab/labtest"
)

// TestDistributionModes counts who answers one client: with the 5-tuple connections from different ports land
// everywhere, by source IP they all land in one place, and those of another client may land elsewhere.
func TestDistributionModes(t *testing.T) {
	kerneltest.RequireRoot(t)
	l, err := lab.New("modes", lab.Origin{})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(err)
	modes := []lab.Distribution{lab.DistributeNone, lab.DistributeSourceIP, lab.DistributeSourceIPProtocol}
	must(l.CreateHostedService(lab.HostedService{Name: "web", Location: "West US"}))
	for n := range 4 {
		vm := lab.VirtualMachine{
			Name:        fmt.Sprint("web", n),
			OS:          lab.Linux,
			Services:    labtest.Listen(80, 81, 82),
			FirewallOff: true,
		}
		for i, mode := range modes {
			port := uint16(80 + i)
			vm.Endpoints = append(vm.Endpoints, lab.Endpoint{
				Name: fmt.Sprint(
					"e",
					port,
				),
				PublicPort:      port,
				LocalPort:       port,
				LoadBalancedSet: fmt.Sprint("set", port),
				Balancing:       lab.Balancing{Distribution: mode},
			})
		}
		must(l.AddVirtualMachine("web", vm))
	}
	const clients = 12
	for n := range clients {
		must(l.CreateInternetHost(lab.InternetHost{Name: fmt.Sprint("client", n)}))
	}
	ctx := context.Background()
	e, err := emulator.Start(
		ctx,
		compile.Network(l),
		emulator.Options{Patience: kerneltest.Patience},
		func(emulator.Progress) {},
	)
	must(err)
	defer func() { must(e.Close()) }()

	for i, mode := range modes {
		everybody := map[string]bool{}
		for n := range clients {
			target, err := l.EmuTarget(lab.Target{Name: "web.cloudapp.net", Port: uint16(80 + i), Protocol: emu.TCP})
			must(err)
			last := ""
			for range 4 {
				o := e.Probe(ctx, fmt.Sprint("client", n), target)
				if o.Verdict != emu.Open || o.AnsweredBy == "" || last != "" && o.AnsweredBy != last {
					t.Fatalf("%s, after %q: %+v", mode, last, o)
				}
				if want := map[bool]int{true: 4}[mode == lab.DistributeNone]; len(o.Members) != want {
					t.Errorf("%s: client%d was answered by %+v, want %d members", mode, n, o.Members, want)
				}
				last = o.AnsweredBy
				everybody[last] = true
				for _, m := range o.Members {
					everybody[m.Namespace] = true
				}
			}
		}
		if len(everybody) < 2 {
			t.Errorf("%s: all clients were answered by one member", mode)
		}
	}
}
