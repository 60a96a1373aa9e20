package labtest

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/guestfirewall"
)

// Sequence is a lab with something of each kind for Operation to change.
func Sequence(t testing.TB) *lab.Lab {
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
		Name:         "Net",
		Location:     "West US",
		AddressSpace: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
		Subnets: []lab.Subnet{
			{Name: "a", AddressPrefix: netip.MustParsePrefix("10.0.1.0/24")},
			{Name: "b", AddressPrefix: netip.MustParsePrefix("10.0.2.0/29")},
		},
	}))
	do(l.CreateReservedIP(lab.ReservedIP{Name: "kept", Location: "West US"}))
	do(l.CreateHostedService(lab.HostedService{Name: "inside", Location: "West US", VirtualNetwork: "Net"}))
	do(l.CreateHostedService(lab.HostedService{Name: "outside", Location: "West US"}))
	do(l.CreateHostedService(lab.HostedService{Name: "shop", Location: "East US"}))
	do(l.AddVirtualMachine("inside", lab.VirtualMachine{Name: "one", OS: lab.Linux, Subnet: "a", Services: Listen(80)}))
	do(l.AddVirtualMachine("outside", lab.VirtualMachine{Name: "two", OS: lab.Linux, Services: Listen(80)}))
	do(l.CreateInternetHost(lab.InternetHost{Name: "laptop"}))
	return l
}

// Operation draws an operation on a lab that began as Sequence. Many are refused.
func Operation(rt *rapid.T) lab.Operation {
	service := rapid.SampledFrom([]string{"inside", "outside"}).Draw(rt, "service")
	machine := rapid.SampledFrom([]string{"one", "two", "three"}).Draw(rt, "machine")
	slot := rapid.SampledFrom([]lab.Slot{lab.Production, lab.Staging})
	switch rapid.IntRange(0, 21).Draw(rt, "operation") {
	case 0, 1:
		vm := lab.VirtualMachine{
			Name:      machine,
			OS:        lab.Linux,
			Services:  Listen(80),
			Firewall:  rules(rt),
			Endpoints: []lab.Endpoint{endpoint(rt)},
		}
		if service == "inside" {
			vm.Subnet = rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "subnet")
		}
		if rapid.IntRange(0, 3).Draw(rt, "own address") == 0 {
			vm.PublicIPName = "own"
		}
		return lab.AddRoleOp{Service: service, VirtualMachine: vm}
	case 2:
		return lab.DeleteRoleOp{Service: service, Name: machine}
	case 3:
		return lab.ShutdownRoleOp{Service: service, Name: machine, StayProvisioned: rapid.Bool().Draw(rt, "stay")}
	case 4:
		return lab.StartRoleOp{Service: service, Name: machine}
	case 5:
		return lab.AddEndpointOp{Service: service, VirtualMachine: machine, Endpoint: endpoint(rt)}
	case 6:
		return lab.DeleteEndpointOp{Service: service, VirtualMachine: machine, Name: "web"}
	case 7:
		return lab.SetEndpointACLOp{Service: service, Instance: machine, Endpoint: "web", Rules: acl(rt)}
	case 8:
		return lab.AddFirewallRuleOp{Instance: machine, Rule: rules(rt)[0]}
	case 9:
		if rapid.Bool().Draw(rt, "switch") {
			return lab.SwitchFirewallOp{Instance: machine, Off: rapid.Bool().Draw(rt, "off")}
		}
		return lab.SetFirewallOp{Instance: machine, Off: rapid.Bool().Draw(rt, "off"), Rules: rules(rt)}
	case 10:
		return lab.CreateDeploymentOp{Service: "shop", Deployment: deployment(rt, slot.Draw(rt, "slot"))}
	case 11:
		return lab.SwapDeploymentOp{Service: "shop"}
	case 12:
		return lab.ScaleRoleOp{
			Service: "shop",
			Slot:    slot.Draw(rt, "slot"),
			Role:    "Web",
			Count:   rapid.IntRange(0, 3).Draw(rt, "count"),
		}
	case 13:
		return lab.AssociateReservedIPOp{Name: "kept", Service: service}
	case 14:
		return lab.DisassociateReservedIPOp{Name: "kept"}
	case 15:
		return lab.DeleteDeploymentOp{Service: "shop", Slot: slot.Draw(rt, "slot")}
	case 16:
		return lab.CreateWebSiteOp{
			WebSite: lab.WebSite{Name: "site" + fmt.Sprint(rapid.IntRange(1, 2).Draw(rt, "site")), Location: "West US"},
		}
	case 17:
		e := endpoint(rt)
		e.ACL = acl(rt)
		return lab.UpdateEndpointOp{Service: service, VirtualMachine: machine, Name: "web", Endpoint: e}
	case 18:
		return lab.UpgradeDeploymentOp{Service: "shop", Deployment: deployment(rt, slot.Draw(rt, "slot"))}
	case 19:
		return lab.SetBoundaryOp{
			Member:   rapid.SampledFrom([]string{machine, "laptop", "site1", "Web_IN_0"}).Draw(rt, "member"),
			Boundary: boundary(rt),
		}
	case 20:
		return lab.SetDefaultBoundaryOp{Boundary: boundary(rt)}
	default:
		return lab.SetServicesOp{
			Member:   rapid.SampledFrom([]string{machine, "laptop", "site1", "Web_IN_0"}).Draw(rt, "member"),
			Services: Listen(80, rapid.SampledFrom([]uint16{443, 8080}).Draw(rt, "port")),
		}
	}
}

func boundary(rt *rapid.T) emu.Boundary {
	b := emu.Boundary{Limits: emu.Limits{PIDs: rapid.SampledFrom([]int{0, 1, 100}).Draw(rt, "processes")}}
	if rapid.Bool().Draw(rt, "mount") {
		b.Mounts = []emu.Mount{{Path: "/usr", Writable: rapid.Bool().Draw(rt, "writable")}}
	}
	return b
}

func endpoint(rt *rapid.T) lab.Endpoint {
	port := rapid.SampledFrom([]uint16{80, 443})
	e := lab.Endpoint{
		Name:       rapid.SampledFrom([]string{"web", "admin"}).Draw(rt, "endpoint"),
		PublicPort: port.Draw(rt, "public"),
		LocalPort:  port.Draw(rt, "local"),
	}
	if rapid.Bool().Draw(rt, "balanced") {
		e.LoadBalancedSet = e.Name
	}
	return e
}

func acl(rt *rapid.T) []lab.ACLRule {
	return []lab.ACLRule{
		{Order: 1, Permit: rapid.Bool().Draw(rt, "permit"), RemoteSubnet: netip.MustParsePrefix("203.0.113.0/24")},
	}
}

func rules(rt *rapid.T) []lab.GuestFirewallRule {
	text := rapid.SampledFrom([]string{"allow tcp 80", "block tcp 80 from 10.0.1.0/24", "allow tcp 443 from 203.0.113.0/24", "allow any"}).
		Draw(rt, "rule")
	r, err := guestfirewall.Parse(text)
	if err != nil {
		rt.Fatal(err)
	}
	return []lab.GuestFirewallRule{{Rule: r}}
}

func deployment(rt *rapid.T, slot lab.Slot) lab.PackageDeployment {
	web := lab.Role{
		Name:           "Web",
		InstanceCount:  rapid.IntRange(1, 2).Draw(rt, "count"),
		Services:       Listen(80),
		InputEndpoints: []lab.InputEndpoint{{Name: "In", Protocol: emu.TCP, Port: 80}},
		InternalEndpoints: []lab.InternalEndpoint{
			{Name: "Peer", Protocol: "tcp", Ports: emu.PortRange{First: 7000, Last: 7000}},
		},
	}
	if rapid.IntRange(0, 3).Draw(rt, "remote desktop") == 0 {
		web = WithRemoteDesktop(web)
	}
	return lab.PackageDeployment{Slot: slot, Name: string(slot), Roles: []lab.Role{web}}
}
