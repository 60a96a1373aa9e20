package supervisor

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/emulator"
	"vnetlab/emu/kerneltest"
	"vnetlab/lab"
	"vnetlab/lab/compile"
	"vnetlab/lab/labtest"
)

// TestLargeSubnet runs more instances in one subnet than a bridge can have ports, and asks across the bridges it is
// made of.
func TestLargeSubnet(t *testing.T) {
	kerneltest.RequireRoot(t)
	const instances = 1100
	l, err := lab.New("large", lab.Origin{})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(err)
	must(l.CreateVirtualNetwork(lab.VirtualNetwork{
		Name: "Large", Location: "West US", AddressSpace: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
		Subnets: []lab.Subnet{{Name: "Workers", AddressPrefix: netip.MustParsePrefix("10.0.0.0/20")}},
	}))
	must(l.CreateHostedService(lab.HostedService{Name: "workers", Location: "West US"}))
	must(l.CreateDeployment("workers", lab.PackageDeployment{VirtualNetwork: "Large", Roles: []lab.Role{{
		Name: "Worker", InstanceCount: instances, Subnet: "Workers", FirewallOff: true, Services: labtest.Listen(80),
		InputEndpoints: []lab.InputEndpoint{{Name: "In", Protocol: emu.TCP, Port: 80}},
	}}}))
	ctx := context.Background()
	e, err := emulator.Start(
		ctx,
		compile.Network(l),
		emulator.Options{Patience: kerneltest.Patience},
		func(emulator.Progress) {},
	)
	must(err)
	defer func() { must(e.Close()) }()

	sample := []int{
		0,
		1,
		200,
		251,
		252,
		253,
		400,
		507,
		508,
		900,
		instances - 1,
	} // 252 is the first of the second bridge
	for _, from := range sample {
		for _, to := range sample {
			name := fmt.Sprintf("Worker_IN_%d", to)
			target, err := l.EmuTarget(lab.Target{Name: name, Port: 80, Protocol: emu.TCP})
			must(err)
			if o := e.Probe(
				ctx,
				fmt.Sprintf("Worker_IN_%d", from),
				target,
			); o.Verdict != emu.Open ||
				o.AnsweredBy != name {
				t.Errorf("%d to %d: %+v", from, to, o)
			}
		}
	}
	target, err := l.EmuTarget(lab.Target{Name: "workers.cloudapp.net", Port: 80, Protocol: emu.TCP})
	must(err)
	o := e.Probe(ctx, lab.AnybodyName, target)
	if o.Verdict != emu.Open || len(o.Members) != instances {
		t.Errorf("from the internet: %s (%s) with %d members", o.Verdict, o.Detail, len(o.Members))
	}
}
