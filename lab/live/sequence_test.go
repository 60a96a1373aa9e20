package live

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"vnetlab/emu"
	"vnetlab/emu/emulator"
	"vnetlab/emu/kerneltest"
	"vnetlab/lab"
	"vnetlab/lab/compile"
	"vnetlab/lab/guestfirewall"
	"vnetlab/lab/labtest"
)

// TestRandomOperationsOnARunningLab does operations at random, valid and not, on one running lab. After each one packets and oracle agree
// over all pairs; at the end the kernel has what a fresh start of the same resources would have.
func TestRandomOperationsOnARunningLab(t *testing.T) {
	kerneltest.RequireRoot(t)
	checks := flag.Lookup("rapid.checks")
	before := checks.Value.String()
	if err := checks.Value.Set("6"); err != nil {
		t.Fatal(err)
	}
	defer checks.Value.Set(before)
	rapid.Check(t, func(rt *rapid.T) {
		ctx := context.Background()
		l := sequenceStart(t)
		e, err := emulator.Start(ctx, compile.Network(l), emulator.Options{}, func(emulator.Progress) {})
		if err != nil {
			rt.Fatal(err)
		}
		defer e.Close()
		for n := range rapid.IntRange(1, 10).Draw(rt, "operations") {
			o := randomOperation(rt)
			next, err := l.Apply(o)
			if err != nil {
				continue // refused: nothing changed
			}
			l = next
			if _, err := e.Update(ctx, compile.Network(l)); err != nil {
				rt.Fatalf("operation %d, %s: %v", n, o, err)
			}
			if bad := disagreementsIn(t, e, l); len(bad) > 0 {
				rt.Fatalf("after operation %d, %s: %d disagreements, the first: %s", n, o, len(bad), bad[0])
			}
		}
		differences, err := e.Diff(ctx)
		if err != nil || len(differences) > 0 {
			rt.Fatalf("the kernel differs from a fresh start: %v %v", differences, err)
		}
	})
}

// sequenceStart is a lab with something of each kind to change.
func sequenceStart(t *testing.T) *lab.Lab {
	t.Helper()
	l, err := lab.New("sequence", lab.Origin{})
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(err)
	do(l.CreateVirtualNetwork(lab.VirtualNetwork{
		Name: "Net", Location: "West US", AddressSpace: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
		Subnets: []lab.Subnet{{Name: "a", AddressPrefix: netip.MustParsePrefix("10.0.1.0/24")}, {Name: "b", AddressPrefix: netip.MustParsePrefix("10.0.2.0/29")}},
	}))
	do(l.CreateReservedIP(lab.ReservedIP{Name: "kept", Location: "West US"}))
	do(l.CreateHostedService(lab.HostedService{Name: "inside", Location: "West US", VirtualNetwork: "Net"}))
	do(l.CreateHostedService(lab.HostedService{Name: "outside", Location: "West US"}))
	do(l.CreateHostedService(lab.HostedService{Name: "shop", Location: "East US"}))
	do(l.AddVirtualMachine("inside", lab.VirtualMachine{Name: "one", OS: lab.Linux, Subnet: "a", Services: labtest.Listen(80)}))
	do(l.AddVirtualMachine("outside", lab.VirtualMachine{Name: "two", OS: lab.Linux, Services: labtest.Listen(80)}))
	do(l.CreateInternetHost(lab.InternetHost{Name: "laptop"}))
	return l
}

func randomOperation(rt *rapid.T) lab.Operation {
	service := rapid.SampledFrom([]string{"inside", "outside"})
	machine := rapid.SampledFrom([]string{"one", "two", "three"})
	port := rapid.SampledFrom([]uint16{80, 443})
	endpoint := func() lab.VMEndpoint {
		e := lab.VMEndpoint{Name: rapid.SampledFrom([]string{"web", "admin"}).Draw(rt, "endpoint"), PublicPort: port.Draw(rt, "public"), LocalPort: port.Draw(rt, "local")}
		if rapid.Bool().Draw(rt, "balanced") {
			e.LoadBalancedSet = e.Name
		}
		return e
	}
	slot := rapid.SampledFrom([]lab.Slot{lab.Production, lab.Staging})
	rule := func() lab.GuestFirewallRule {
		text := rapid.SampledFrom([]string{"allow tcp 80", "block tcp 80 from 10.0.1.0/24", "allow tcp 443 from 203.0.113.0/24", "allow any"}).Draw(rt, "rule")
		r, err := guestfirewall.Parse(text)
		if err != nil {
			rt.Fatal(err)
		}
		return lab.GuestFirewallRule{Rule: r}
	}
	s, m := service.Draw(rt, "service"), machine.Draw(rt, "machine")
	switch rapid.IntRange(0, 15).Draw(rt, "operation") {
	case 0, 1:
		vm := lab.VirtualMachine{Name: m, OS: lab.Linux, Services: labtest.Listen(80), Firewall: []lab.GuestFirewallRule{rule()}, Endpoints: []lab.VMEndpoint{endpoint()}}
		if s == "inside" {
			vm.Subnet = rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "subnet")
		}
		if rapid.IntRange(0, 3).Draw(rt, "own address") == 0 {
			vm.PublicIPName = "own"
		}
		return lab.AddRoleOp{Service: s, VirtualMachine: vm}
	case 2:
		return lab.DeleteRoleOp{Service: s, Name: m}
	case 3:
		return lab.ShutdownRoleOp{Service: s, Name: m, StayProvisioned: rapid.Bool().Draw(rt, "stay")}
	case 4:
		return lab.StartRoleOp{Service: s, Name: m}
	case 5:
		return lab.AddEndpointOp{Service: s, VirtualMachine: m, Endpoint: endpoint()}
	case 6:
		return lab.DeleteEndpointOp{Service: s, VirtualMachine: m, Name: "web"}
	case 7:
		return lab.SetEndpointACLOp{Service: s, Instance: m, Endpoint: "web", Rules: []lab.ACLRule{{Order: 1, Permit: rapid.Bool().Draw(rt, "permit"), RemoteSubnet: netip.MustParsePrefix("203.0.113.0/24")}}}
	case 8:
		return lab.AddFirewallRuleOp{Instance: m, Rule: rule()}
	case 9:
		return lab.SetFirewallOp{Instance: m, Off: rapid.Bool().Draw(rt, "off"), Rules: []lab.GuestFirewallRule{rule()}}
	case 10:
		where := slot.Draw(rt, "slot")
		return lab.CreateDeploymentOp{Service: "shop", Deployment: lab.PackageDeployment{Slot: where, Name: string(where), Roles: []lab.Role{{
			Name: "Web", InstanceCount: rapid.IntRange(1, 2).Draw(rt, "count"), Services: labtest.Listen(80),
			InputEndpoints:    []lab.InputEndpoint{{Name: "In", Protocol: emu.TCP, Port: 80}},
			InternalEndpoints: []lab.InternalEndpoint{{Name: "Peer", Protocol: "tcp", Ports: emu.PortRange{First: 7000, Last: 7000}}},
		}}}}
	case 11:
		return lab.SwapDeploymentOp{Service: "shop"}
	case 12:
		return lab.ScaleRoleOp{Service: "shop", Slot: slot.Draw(rt, "slot"), Role: "Web", Count: rapid.IntRange(0, 3).Draw(rt, "count")}
	case 13:
		return lab.AssociateReservedIPOp{Name: "kept", Service: s}
	case 14:
		return lab.DisassociateReservedIPOp{Name: "kept"}
	default:
		if rapid.Bool().Draw(rt, "create") {
			return lab.CreateWebSiteOp{WebSite: lab.WebSite{Name: "site" + fmt.Sprint(rapid.IntRange(1, 2).Draw(rt, "site")), Location: "West US"}}
		}
		return lab.DeleteDeploymentOp{Service: "shop", Slot: slot.Draw(rt, "slot")}
	}
}
