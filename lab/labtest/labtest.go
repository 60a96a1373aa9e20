// Package labtest makes labs for tests.
package labtest

import (
	"net/netip"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/guestfirewall"
)

// Everything is a lab with one of each: a virtual network with a role and two virtual machines, two services outside
// it, one of them load-balanced with an access control list, a web site and two internet hosts.
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
		Name:          "SampleNetwork",
		AffinityGroup: "west",
		AddressSpace:  []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
		Origin:        at(2),
		Subnets: []lab.Subnet{
			{Name: "FrontEnd", AddressPrefix: netip.MustParsePrefix("10.0.1.0/24"), Origin: at(3)},
			{Name: "BackEnd", AddressPrefix: netip.MustParsePrefix("10.0.2.0/24"), Origin: at(4)},
		},
	}))
	do(
		l.CreateHostedService(
			lab.HostedService{
				Name:           "contactsql",
				AffinityGroup:  "west",
				VirtualNetwork: "SampleNetwork",
				Origin:         at(10),
			},
		),
	)
	do(l.AddVirtualMachine("contactsql", lab.VirtualMachine{
		Name:     "sql1",
		Subnet:   "BackEnd",
		Services: Listen(1433, 3389),
		Origin:   at(11),
		Firewall: []lab.GuestFirewallRule{
			Rule(t, "block tcp 1433 from 10.0.1.5", 12),
			Rule(t, "allow tcp 1433 from 10.0.1.0/24", 13),
		},
	}))
	do(l.AddVirtualMachine("contactsql", lab.VirtualMachine{
		Name: "report1", OS: lab.Linux, Subnet: "BackEnd", Services: Listen(8080), FirewallOff: true, Origin: at(14),
	}))
	do(l.CreateHostedService(lab.HostedService{Name: "contactmanager", AffinityGroup: "west", Origin: at(20)}))
	do(
		l.CreateDeployment(
			"contactmanager",
			lab.PackageDeployment{VirtualNetwork: "SampleNetwork", Origin: at(21), Roles: []lab.Role{{
				Name: "ContactManager.Web", InstanceCount: 2, Subnet: "FrontEnd", Services: Listen(80), Origin: at(22),
				InputEndpoints: []lab.InputEndpoint{{Name: "HttpIn", Protocol: emu.TCP, Port: 80, Origin: at(23)}},
			}}},
		),
	)
	do(l.CreateHostedService(lab.HostedService{Name: "cassandra", Location: "East US", Origin: at(30)}))
	for i, name := range []string{"cas1", "cas2", "cas3"} {
		do(l.AddVirtualMachine("cassandra", lab.VirtualMachine{
			Name:     name,
			OS:       lab.Linux,
			Services: Listen(9160, 7000),
			Origin:   at(31 + i),
			Firewall: []lab.GuestFirewallRule{
				Rule(t, "allow tcp 9160", 34),
				Rule(t, "allow tcp 7000 from localsubnet", 35),
			},
			Endpoints: []lab.Endpoint{
				{
					Name: "thrift", PublicPort: 9160, LocalPort: 9160, LoadBalancedSet: "cassandra", Origin: at(36),
					Balancing: lab.Balancing{ACL: []lab.ACLRule{
						{Order: 100, RemoteSubnet: netip.MustParsePrefix("203.0.113.5/32"), Origin: at(37)},
						{
							Order:        200,
							Permit:       true,
							RemoteSubnet: netip.MustParsePrefix("203.0.113.0/24"),
							Origin:       at(38),
						},
						{
							Order:        300,
							Permit:       true,
							RemoteSubnet: netip.MustParsePrefix("198.18.0.0/15"),
							Origin:       at(39),
						},
					}},
				},
				{Name: "ssh", PublicPort: uint16(2201 + i), LocalPort: 22, Origin: at(40)},
			},
		}))
	}
	do(l.CreateHostedService(lab.HostedService{Name: "node", Location: "West US", Origin: at(50)}))
	do(l.AddVirtualMachine("node", lab.VirtualMachine{
		Name: "node1", OS: lab.Linux, Services: Listen(80), Origin: at(51),
		Firewall:  []lab.GuestFirewallRule{Rule(t, "allow tcp 80", 52)},
		Endpoints: []lab.Endpoint{{Name: "web", PublicPort: 80, LocalPort: 80, Origin: at(53)}},
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

// Connected is a lab with what Everything has not: both slots of a service, internal and instance input endpoints,
// health probes, an internal load balancer, direct server return, a reserved and an instance's own public address,
// stopped machines, and gateways that join two virtual networks and two on-premises sites.
func Connected(t testing.TB) *lab.Lab {
	t.Helper()
	l, err := lab.New("connected", lab.Origin{})
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(err)
	network := func(name, location, space, data, gateway string) {
		do(l.CreateVirtualNetwork(lab.VirtualNetwork{
			Name:         name,
			Location:     location,
			AddressSpace: []netip.Prefix{netip.MustParsePrefix(space)},
			Subnets: []lab.Subnet{
				{Name: "Data", AddressPrefix: netip.MustParsePrefix(data)},
				{Name: "GatewaySubnet", AddressPrefix: netip.MustParsePrefix(gateway)},
			},
		}))
	}
	network("West", "West US", "10.1.0.0/16", "10.1.1.0/24", "10.1.255.0/29")
	network("East", "East US", "10.2.0.0/16", "10.2.1.0/24", "10.2.255.0/29")
	do(l.CreateReservedIP(lab.ReservedIP{Name: "kept", Location: "West US"}))
	do(l.CreateHostedService(lab.HostedService{Name: "data", Location: "West US", VirtualNetwork: "West"}))
	probe := &lab.Probe{Protocol: "tcp", Port: 9042}
	for i, name := range []string{"data1", "data2", "data3"} {
		do(l.AddVirtualMachine("data", lab.VirtualMachine{
			Name:       name,
			OS:         lab.Linux,
			Subnet:     "Data",
			ReservedIP: "kept",
			Services:   Listen(9042, 9044, 1433, 1434),
			InternalLoadBalancer: first(
				i == 0,
				&lab.InternalLoadBalancer{Name: "inside", Subnet: "Data", Address: netip.MustParseAddr("10.1.1.100")},
			),
			Firewall: []lab.GuestFirewallRule{Rule(t, "allow tcp 9042,9044,1433-1434", 1)},
			Endpoints: []lab.Endpoint{
				{
					Name: "cql", PublicPort: 9042, LocalPort: 9042, LoadBalancedSet: "cql",
					Balancing: lab.Balancing{Probe: probe, IdleTimeoutInMinutes: 10},
				},
				{
					Name: "cql-inside", PublicPort: 9043, LocalPort: 9042, LoadBalancedSet: "cql-inside",
					Balancing: lab.Balancing{InternalLoadBalancer: "inside"},
				},
				{
					Name: "guarded", PublicPort: 9044, LocalPort: 9044, LoadBalancedSet: "guarded",
					Balancing: lab.Balancing{InternalLoadBalancer: "inside", ACL: []lab.ACLRule{
						{
							Order:        1,
							RemoteSubnet: netip.MustParsePrefix("192.168.10.0/24"),
						},
						{Order: 2, Permit: true, RemoteSubnet: netip.MustParsePrefix("10.1.1.7/32")},
					}},
				},
				{
					Name: "listener", PublicPort: 1433, LocalPort: 1433, LoadBalancedSet: "listener",
					Balancing: lab.Balancing{DirectServerReturn: true},
				},
				{
					Name: "listener-inside", PublicPort: 1434, LocalPort: 1434, LoadBalancedSet: "listener-inside",
					Balancing: lab.Balancing{InternalLoadBalancer: "inside", DirectServerReturn: true},
				},
			},
		}))
	}
	do(l.ShutdownRole("data", "data3", false))
	do(l.CreateHostedService(lab.HostedService{Name: "clients", Location: "West US", VirtualNetwork: "West"}))
	do(l.AddVirtualMachine("clients", lab.VirtualMachine{
		Name:         "client1",
		OS:           lab.Linux,
		Subnet:       "Data",
		PublicIPName: "own",
		Services:     append(Listen(22, 5000), udp(5060)),
		Firewall:     []lab.GuestFirewallRule{Rule(t, "allow udp 5060 from 203.0.113.0/24", 3)},
	}))
	do(l.CreateHostedService(lab.HostedService{Name: "branch", Location: "East US", VirtualNetwork: "East"}))
	do(l.AddVirtualMachine("branch", lab.VirtualMachine{
		Name:     "branch1",
		OS:       lab.Linux,
		Subnet:   "Data",
		Services: append(Listen(22), udp(5060)),
		Firewall: []lab.GuestFirewallRule{Rule(t, "allow udp 5060-5061 from 203.0.113.0/24,10.1.0.0/16", 2)},
		Endpoints: []lab.Endpoint{
			{Name: "sip", Protocol: emu.UDP, PublicPort: 5060, LocalPort: 5060},
			{Name: "none", Protocol: emu.UDP, PublicPort: 5061, LocalPort: 5061},
		},
	}))
	do(l.AddVirtualMachine("branch", lab.VirtualMachine{Name: "branch2", OS: lab.Linux, Subnet: "Data"}))
	do(l.ShutdownRole("branch", "branch2", true))
	do(l.CreateLocalNetwork(lab.LocalNetwork{
		Name: "hq",
		AddressSpace: []netip.Prefix{
			netip.MustParsePrefix("192.168.10.0/24"),
			netip.MustParsePrefix("192.168.20.0/24"),
		},
		Hosts: []*lab.LocalHost{{Name: "desk", Services: Listen(445)}, {Name: "printer"}},
	}))
	do(l.CreateGateway("West", lab.VPNGateway{Connections: lab.ConnectTo("hq", "East")}))
	// A university has public addresses of its own. Its site is called like a virtual network, and its VPN device
	// can't be on the lab's internet.
	do(l.CreateLocalNetwork(lab.LocalNetwork{
		Name:         "West",
		AddressSpace: []netip.Prefix{netip.MustParsePrefix("65.52.1.9/32"), netip.MustParsePrefix("130.88.0.0/24")},
		VPNGatewayAddress: netip.MustParseAddr(
			"130.88.0.1",
		),
		Hosts: []*lab.LocalHost{{Name: "lecturer", Services: Listen(445)}},
	}))
	do(l.CreateGateway("East", lab.VPNGateway{Connections: []lab.GatewayConnection{
		{Name: "West", To: lab.ToVirtualNetwork}, {Name: "West", To: lab.ToLocalNetwork},
	}}))

	worker := lab.Role{
		Name:          "Worker",
		InstanceCount: 2,
		Services:      Listen(7000, 7001, 22),
		InstanceInputEndpoints: []lab.InstanceInputEndpoint{
			{Name: "Debug", Protocol: emu.TCP, LocalPort: 22, Public: emu.PortRange{First: 10100, Last: 10109}},
		},
		InternalEndpoints: []lab.InternalEndpoint{
			{Name: "Gossip", Protocol: "tcp", Ports: emu.PortRange{First: 7000, Last: 7000}},
			{
				Name:       "Admin",
				Protocol:   "tcp",
				Ports:      emu.PortRange{First: 7001, Last: 7001},
				Restricted: true,
				FromRoles:  []string{"Web"},
			},
		},
	}
	web := lab.Role{
		Name:           "Web",
		InstanceCount:  2,
		Services:       Listen(80),
		InputEndpoints: []lab.InputEndpoint{{Name: "In", Protocol: emu.TCP, Port: 80}},
	}
	do(l.CreateHostedService(lab.HostedService{Name: "shop", Location: "East US"}))
	for _, slot := range []lab.Slot{lab.Production, lab.Staging} {
		do(l.CreateDeployment("shop", lab.PackageDeployment{Slot: slot, Roles: []lab.Role{web, worker}}))
	}
	do(l.CreateHostedService(lab.HostedService{Name: "asleep", Location: "East US"}))
	do(
		l.AddVirtualMachine(
			"asleep",
			lab.VirtualMachine{
				Name:      "asleep1",
				Endpoints: []lab.Endpoint{{Name: "web", PublicPort: 80, LocalPort: 80}},
			},
		),
	)
	do(l.ShutdownRole("asleep", "asleep1", true))
	do(l.CreateHostedService(lab.HostedService{Name: "napping", Location: "East US"}))
	do(
		l.AddVirtualMachine(
			"napping",
			lab.VirtualMachine{Name: "nap1", Endpoints: []lab.Endpoint{{Name: "web", PublicPort: 80, LocalPort: 80}}},
		),
	)
	do(l.ShutdownRole("napping", "nap1", false))
	do(l.CreateInternetHost(lab.InternetHost{Name: "laptop", Services: []lab.Service{udp(53)}}))
	return l
}

func udp(port uint16) lab.Service { return lab.Service{Port: port, Protocol: emu.UDP} }

func first(yes bool, b *lab.InternalLoadBalancer) *lab.InternalLoadBalancer {
	if yes {
		return b
	}
	return nil
}

// SameNames is a lab whose endpoints have one name: two virtual machines with RDP, two roles with Endpoint1 in
// production and in staging, each with an access control list that denies 203.0.113.4 by its first rule. The line of
// each rule is the public port, that of its endpoint a thousand more; those of staging are a hundred more.
func SameNames(t testing.TB) *lab.Lab {
	t.Helper()
	l, err := lab.New("same-names", lab.Origin{})
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(err)
	list := func(line int) []lab.ACLRule {
		return []lab.ACLRule{
			{Order: 1, RemoteSubnet: netip.MustParsePrefix("203.0.113.4/32"), Origin: at(line)},
			{Order: 2, Permit: true, RemoteSubnet: netip.MustParsePrefix("203.0.113.0/24"), Origin: at(line)},
		}
	}
	for i, name := range []string{"one", "two"} {
		port := uint16(101 + i)
		do(l.CreateHostedService(lab.HostedService{Name: "desk-" + name, Location: "West US"}))
		for k, vm := range []string{name + "-a", name + "-b"} {
			port := port + 10*uint16(k)
			do(l.AddVirtualMachine("desk-"+name, lab.VirtualMachine{Name: vm, Endpoints: []lab.Endpoint{
				{
					Name: "RDP", PublicPort: port, LocalPort: 3389,
					Balancing: lab.Balancing{ACL: list(int(port))},
					Origin:    at(1000 + int(port)),
				},
			}}))
		}
	}
	do(l.CreateHostedService(lab.HostedService{Name: "shop", Location: "West US"}))
	for more, slot := range []lab.Slot{lab.Production, lab.Staging} {
		var roles []lab.Role
		for i, name := range []string{"Web", "Admin"} {
			port := uint16(301 + i)
			roles = append(roles, lab.Role{Name: name, InstanceCount: 1, InputEndpoints: []lab.InputEndpoint{{
				Name: "Endpoint1", Protocol: emu.TCP, Port: port,
				Balancing: lab.Balancing{ACL: list(int(port) + 100*more)},
				Origin:    at(1000 + int(port) + 100*more),
			}}})
		}
		do(l.CreateDeployment("shop", lab.PackageDeployment{Slot: slot, Roles: roles}))
	}
	do(l.CreateInternetHost(lab.InternetHost{Name: "denied", Address: netip.MustParseAddr("203.0.113.4")}))
	do(l.CreateInternetHost(lab.InternetHost{Name: "stranger", Address: netip.MustParseAddr("198.51.100.4")}))
	return l
}
