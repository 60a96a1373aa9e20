package live

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

// TestDistributionModes counts who answers one client: with the 5-tuple a connection from another port may land elsewhere, by source IP it
// never does, and another client may land elsewhere.
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
		vm := lab.VirtualMachine{Name: fmt.Sprint("web", n), OS: lab.Linux, Services: labtest.Listen(80, 81, 82), FirewallOff: true}
		for i, mode := range modes {
			port := uint16(80 + i)
			vm.Endpoints = append(vm.Endpoints, lab.VMEndpoint{Name: fmt.Sprint("e", port), PublicPort: port, LocalPort: port, LoadBalancedSet: fmt.Sprint("set", port), Distribution: mode})
		}
		must(l.AddVirtualMachine("web", vm))
	}
	const clients = 12
	for n := range clients {
		must(l.CreateInternetHost(lab.InternetHost{Name: fmt.Sprint("client", n)}))
	}
	ctx := context.Background()
	e, err := emulator.Start(ctx, compile.Network(l), emulator.Options{Patience: kerneltest.Patience}, func(emulator.Progress) {})
	must(err)
	defer func() { must(e.Close()) }()

	for i, mode := range modes {
		everybody := map[string]bool{}
		for n := range clients {
			answered := map[string]bool{}
			for range 16 {
				target, err := l.EmuTarget(lab.Target{Name: "web.cloudapp.net", Port: uint16(80 + i), Protocol: emu.TCP})
				must(err)
				o := e.Probe(ctx, fmt.Sprint("client", n), target)
				if o.Verdict != emu.Open || o.AnsweredBy == "" {
					t.Fatalf("%s: %+v", mode, o)
				}
				answered[o.AnsweredBy], everybody[o.AnsweredBy] = true, true
			}
			if sticky := len(answered) == 1; sticky != (mode != lab.DistributeNone) {
				t.Errorf("%s: client%d was answered by %d members", mode, n, len(answered))
			}
		}
		if len(everybody) < 2 {
			t.Errorf("%s: all clients were answered by one member", mode)
		}
	}
}
