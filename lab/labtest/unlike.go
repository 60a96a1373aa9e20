package labtest

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
)

// Unlike is a lab with sets whose members don't fare alike: web2 isn't let in by its guest firewall, web3 doesn't
// listen. In each distribution mode one, over UDP one, and one that one of the four addresses of web sites is kept
// from. Two networks have the same addresses.
func Unlike(t testing.TB) *lab.Lab {
	t.Helper()
	l, err := lab.New("unlike", lab.Origin{})
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(err)
	do(l.CreateHostedService(lab.HostedService{Name: "web", Location: "West US"}))
	kept := netip.PrefixFrom(lab.WebSitesOutbound("East US")[1], 32)
	for i := range 3 {
		endpoint := func(name string, port uint16, more lab.Endpoint) lab.Endpoint {
			more.Name, more.LoadBalancedSet, more.PublicPort, more.LocalPort = name, name, port, port
			return more
		}
		vm := lab.VirtualMachine{
			Name: fmt.Sprintf("web%d", i+1), OS: lab.Linux, Services: append(Listen(80, 81, 82, 83), udp(80)),
			Firewall: []lab.GuestFirewallRule{Rule(t, "allow any", 1)},
			Endpoints: []lab.Endpoint{
				endpoint("any", 80, lab.Endpoint{}), endpoint("udp", 80, lab.Endpoint{Protocol: emu.UDP}),
				endpoint("source", 81, lab.Endpoint{Balancing: lab.Balancing{Distribution: lab.DistributeSourceIP}}),
				endpoint("protocol", 82, lab.Endpoint{
					Balancing: lab.Balancing{Distribution: lab.DistributeSourceIPProtocol},
				}),
				endpoint("listed", 83, lab.Endpoint{
					Balancing: lab.Balancing{ACL: []lab.ACLRule{{Order: 1, RemoteSubnet: kept}}},
				}),
			},
		}
		switch i {
		case 1:
			vm.Firewall = nil
		case 2:
			vm.Services = nil
		}
		do(l.AddVirtualMachine("web", vm))
	}
	for _, name := range []string{"One", "Two"} {
		do(l.CreateVirtualNetwork(lab.VirtualNetwork{
			Name: name, Location: "West US", AddressSpace: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
			Subnets: []lab.Subnet{{Name: "s", AddressPrefix: netip.MustParsePrefix("10.0.1.0/24")}},
		}))
		service := "in" + strings.ToLower(name)
		do(l.CreateHostedService(lab.HostedService{Name: service, Location: "West US", VirtualNetwork: name}))
		for _, vm := range []string{"first", "second"} {
			do(l.AddVirtualMachine(service, lab.VirtualMachine{
				Name:     vm + name,
				OS:       lab.Linux,
				Subnet:   "s",
				Services: Listen(1433),
				Firewall: []lab.GuestFirewallRule{Rule(t, "allow tcp 1433-1434", 1)},
			}))
		}
	}
	do(l.CreateWebSite(lab.WebSite{Name: "site", Location: "East US"}))
	for range 12 {
		do(l.CreateInternetHost(lab.InternetHost{Name: fmt.Sprint("host", len(l.InternetHosts))}))
	}
	return l
}
