// Package labtest makes labs for tests.
package labtest

import (
	"net/netip"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/guestfirewall"
)

// Everything is a lab with one of each: a virtual network with a role and two virtual machines, two services outside it, one of them
// load-balanced with an access control list, a web site and two internet hosts.
func Everything(t testing.TB) *lab.Lab {
	t.Helper()
	l, err := lab.New("everything", lab.Origin{})
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(err)
	do(l.CreateAffinityGroup(lab.AffinityGroup{Name: "west", Location: "West US", Origin: at(1)}))
	do(l.CreateVirtualNetwork(lab.VirtualNetwork{
		Name: "SampleNetwork", AffinityGroup: "west", AddressSpace: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}, Origin: at(2),
		Subnets: []lab.Subnet{
			{Name: "FrontEnd", AddressPrefix: netip.MustParsePrefix("10.0.1.0/24"), Origin: at(3)},
			{Name: "BackEnd", AddressPrefix: netip.MustParsePrefix("10.0.2.0/24"), Origin: at(4)},
		},
	}))
	do(l.CreateHostedService(lab.HostedService{Name: "contactsql", AffinityGroup: "west", VirtualNetwork: "SampleNetwork", Origin: at(10)}))
	do(l.AddVirtualMachine("contactsql", lab.VirtualMachine{
		Name: "sql1", Subnet: "BackEnd", Services: Listen(1433, 3389), Origin: at(11),
		Firewall: []lab.GuestFirewallRule{Rule(t, "block tcp 1433 from 10.0.1.5", 12), Rule(t, "allow tcp 1433 from 10.0.1.0/24", 13)},
	}))
	do(l.AddVirtualMachine("contactsql", lab.VirtualMachine{
		Name: "report1", OS: lab.Linux, Subnet: "BackEnd", Services: Listen(8080), FirewallOff: true, Origin: at(14),
	}))
	do(l.CreateHostedService(lab.HostedService{Name: "contactmanager", AffinityGroup: "west", Origin: at(20)}))
	do(l.CreateDeployment("contactmanager", lab.PackageDeployment{VirtualNetwork: "SampleNetwork", Origin: at(21), Roles: []lab.Role{{
		Name: "ContactManager.Web", InstanceCount: 2, Subnet: "FrontEnd", Services: Listen(80), Origin: at(22),
		InputEndpoints: []lab.InputEndpoint{{Name: "HttpIn", Protocol: emu.TCP, Port: 80, Origin: at(23)}},
	}}}))
	do(l.CreateHostedService(lab.HostedService{Name: "cassandra", Location: "East US", Origin: at(30)}))
	for i, name := range []string{"cas1", "cas2", "cas3"} {
		do(l.AddVirtualMachine("cassandra", lab.VirtualMachine{
			Name: name, OS: lab.Linux, Services: Listen(9160, 7000), Origin: at(31 + i),
			Firewall: []lab.GuestFirewallRule{Rule(t, "allow tcp 9160", 34), Rule(t, "allow tcp 7000 from localsubnet", 35)},
			Endpoints: []lab.VMEndpoint{
				{Name: "thrift", PublicPort: 9160, LocalPort: 9160, LoadBalancedSet: "cassandra", Origin: at(36), ACL: []lab.ACLRule{
					{Order: 100, RemoteSubnet: netip.MustParsePrefix("203.0.113.5/32"), Origin: at(37)},
					{Order: 200, Permit: true, RemoteSubnet: netip.MustParsePrefix("203.0.113.0/24"), Origin: at(38)},
					{Order: 300, Permit: true, RemoteSubnet: netip.MustParsePrefix("198.18.0.0/15"), Origin: at(39)},
				}},
				{Name: "ssh", PublicPort: uint16(2201 + i), LocalPort: 22, Origin: at(40)},
			},
		}))
	}
	do(l.CreateHostedService(lab.HostedService{Name: "node", Location: "West US", Origin: at(50)}))
	do(l.AddVirtualMachine("node", lab.VirtualMachine{
		Name: "node1", OS: lab.Linux, Services: Listen(80), Origin: at(51),
		Firewall:  []lab.GuestFirewallRule{Rule(t, "allow tcp 80", 52)},
		Endpoints: []lab.VMEndpoint{{Name: "web", PublicPort: 80, LocalPort: 80, Origin: at(53)}},
	}))
	do(l.CreateWebSite(lab.WebSite{Name: "contacts", Location: "West US", Origin: at(60)}))
	do(l.CreateInternetHost(lab.InternetHost{Name: "laptop", Services: Listen(8000), Origin: at(70)}))
	do(l.CreateInternetHost(lab.InternetHost{Name: "intruder", Origin: at(71)}))
	return l
}

// Listen gives built-in listeners.
func Listen(ports ...uint16) (all []lab.Service) {
	for _, p := range ports {
		all = append(all, lab.Service{Port: p, Protocol: emu.TCP})
	}
	return all
}

// Rule reads a guest firewall rule.
func Rule(t testing.TB, text string, line int) lab.GuestFirewallRule {
	t.Helper()
	r, err := guestfirewall.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return lab.GuestFirewallRule{Rule: r, Origin: at(line)}
}

func at(line int) lab.Origin { return lab.Origin{File: "lab.yaml", Line: line} }
