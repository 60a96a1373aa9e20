package lab_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
)

// world is a lab with an affinity group, a virtual network with two subnets and two services.
func world(t testing.TB) *lab.Lab {
	t.Helper()
	l, err := lab.New("contacts", lab.Origin{})
	must(t, err)
	must(t, l.CreateAffinityGroup(lab.AffinityGroup{Name: "west", Location: "West US"}))
	must(t, l.CreateVirtualNetwork(lab.VirtualNetwork{
		Name:          "SampleNetwork",
		AffinityGroup: "west",
		AddressSpace:  prefixes("10.0.0.0/16"),
		Subnets: []lab.Subnet{
			{Name: "FrontEnd", AddressPrefix: prefix("10.0.1.0/24")},
			{Name: "BackEnd", AddressPrefix: prefix("10.0.2.0/29")},
		},
	}))
	must(
		t,
		l.CreateHostedService(
			lab.HostedService{Name: "contactsql", AffinityGroup: "west", VirtualNetwork: "SampleNetwork"},
		),
	)
	must(t, l.CreateHostedService(lab.HostedService{Name: "standalone", Location: "East US"}))
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func prefixes(all ...string) (out []netip.Prefix) {
	for _, s := range all {
		out = append(out, prefix(s))
	}
	return out
}

func vm(name string, endpoints ...lab.Endpoint) lab.VirtualMachine {
	return lab.VirtualMachine{Name: name, Endpoints: endpoints}
}

func inSubnet(m lab.VirtualMachine, subnet string) lab.VirtualMachine {
	m.Subnet = subnet
	return m
}

func endpoint(name string, public, local uint16) lab.Endpoint {
	return lab.Endpoint{Name: name, PublicPort: public, LocalPort: local}
}

func member(set string, e lab.Endpoint) lab.Endpoint {
	e.LoadBalancedSet = set
	return e
}

func role(name string, count int, subnet string, ports ...uint16) lab.Role {
	r := lab.Role{Name: name, InstanceCount: count, Subnet: subnet}
	for _, p := range ports {
		r.InputEndpoints = append(
			r.InputEndpoints,
			lab.InputEndpoint{Name: fmt.Sprint("In", p), Protocol: emu.TCP, Port: p},
		)
	}
	return r
}

func acl(orders ...int) (rules []lab.ACLRule) {
	for _, o := range orders {
		rules = append(rules, lab.ACLRule{Order: o, Permit: true, RemoteSubnet: prefix("203.0.113.0/24")})
	}
	return rules
}

// TestRefusals holds each refusal with its code and text, and that it changed nothing.
func TestRefusals(t *testing.T) {
	network := func(edit func(*lab.VirtualNetwork)) func(*lab.Lab) error {
		n := lab.VirtualNetwork{Name: "New", Location: "West US", AddressSpace: prefixes("10.9.0.0/16")}
		edit(&n)
		return func(l *lab.Lab) error { return l.CreateVirtualNetwork(n) }
	}
	subnets := func(all ...lab.Subnet) func(*lab.Lab) error {
		return network(func(n *lab.VirtualNetwork) { n.Subnets = all })
	}
	service := func(s lab.HostedService) func(*lab.Lab) error {
		return func(l *lab.Lab) error { return l.CreateHostedService(s) }
	}
	machine := func(service string, machines ...lab.VirtualMachine) func(*lab.Lab) error {
		return func(l *lab.Lab) error {
			for _, m := range machines[:len(machines)-1] {
				if err := l.AddVirtualMachine(service, m); err != nil {
					return fmt.Errorf("preparation: %w", err)
				}
			}
			return l.AddVirtualMachine(service, machines[len(machines)-1])
		}
	}
	deployment := func(service string, network string, roles ...lab.Role) func(*lab.Lab) error {
		return func(l *lab.Lab) error {
			return l.CreateDeployment(service, lab.PackageDeployment{VirtualNetwork: network, Roles: roles})
		}
	}
	many := func(n int, make func(int) lab.VirtualMachine) (all []lab.VirtualMachine) {
		for i := range n {
			all = append(all, make(i))
		}
		return all
	}
	tests := []struct {
		name string
		do   func(*lab.Lab) error
		code string
		text string // of the message; platform texts are whole
	}{
		{"affinity group twice", func(l *lab.Lab) error {
			return l.CreateAffinityGroup(lab.AffinityGroup{Name: "west", Location: "West US"})
		}, "ConflictError", "already exists"},
		{
			"affinity group without location",
			func(l *lab.Lab) error { return l.CreateAffinityGroup(lab.AffinityGroup{Name: "a"}) },
			"BadRequest",
			"Location constraint name is empty or not specified",
		},
		{"affinity group on the moon", func(l *lab.Lab) error {
			return l.CreateAffinityGroup(lab.AffinityGroup{Name: "a", Location: "Moon"})
		}, "BadRequest", "not a location"},
		{
			"network without place",
			network(func(n *lab.VirtualNetwork) { n.Location = "" }),
			"BadRequest",
			"Neither Affinity Group nor Location elemet is specified in virtual network site 'New'. Either Affinity Group or Location must be specified for every virtual network.",
		},
		{
			"network in two places",
			network(func(n *lab.VirtualNetwork) { n.AffinityGroup = "west" }),
			"BadRequest",
			"one of the two",
		},
		{
			"second network in an affinity group",
			network(func(n *lab.VirtualNetwork) { n.Location, n.AffinityGroup = "", "west" }),
			"BadRequest",
			"Only one virtual network can be assigned an affinity group",
		},
		{
			"network in a missing affinity group",
			network(func(n *lab.VirtualNetwork) { n.Location, n.AffinityGroup = "", "wset" }),
			"ResourceNotFound",
			"does not exist",
		},
		{
			"network twice",
			network(func(n *lab.VirtualNetwork) { n.Name = "SampleNetwork" }),
			"ConflictError",
			"already exists",
		},
		{
			"network without address space",
			network(func(n *lab.VirtualNetwork) { n.AddressSpace = nil }),
			"BadRequest",
			"no address space",
		},
		{
			"link-local address space",
			network(func(n *lab.VirtualNetwork) { n.AddressSpace = prefixes("169.254.7.0/24") }),
			"BadRequest",
			"169.254.7.0/24 overlaps 169.254.0.0/16, which no network can have.",
		},
		{
			"multicast address space",
			network(func(n *lab.VirtualNetwork) { n.AddressSpace = prefixes("192.0.0.0/2") }),
			"BadRequest",
			"192.0.0.0/2 overlaps 224.0.0.0/4, which no network can have.",
		},
		{
			"the resolver's address space",
			network(func(n *lab.VirtualNetwork) { n.AddressSpace = prefixes("168.63.0.0/16") }),
			"BadRequest",
			"overlaps 168.63.129.16/32",
		},
		{
			"address space of the lab's internet",
			network(func(n *lab.VirtualNetwork) { n.AddressSpace = prefixes("203.0.0.0/16") }),
			"BadRequest",
			"overlaps 203.0.113.0/24, which is on the internet of the lab.",
		},
		{
			"address space with host bits",
			network(func(n *lab.VirtualNetwork) { n.AddressSpace = prefixes("10.0.0.5/8") }),
			"BadRequest",
			"The address prefix 10.0.0.5/8 of New has host bits set.",
		},
		{"site with host bits", func(l *lab.Lab) error {
			return l.CreateLocalNetwork(lab.LocalNetwork{Name: "office", AddressSpace: prefixes("192.168.1.1/24")})
		}, "BadRequest", "The address prefix 192.168.1.1/24 of office has host bits set."},
		{
			"overlapping address space",
			network(func(n *lab.VirtualNetwork) { n.AddressSpace = prefixes("10.9.0.0/16", "10.9.3.0/24") }),
			"BadRequest",
			"overlap",
		},
		{
			"subnet outside",
			subnets(lab.Subnet{Name: "a", AddressPrefix: prefix("10.8.0.0/24")}),
			"BadRequest",
			"not inside the address space",
		},
		{
			"subnets overlap",
			subnets(
				lab.Subnet{Name: "a", AddressPrefix: prefix("10.9.0.0/24")},
				lab.Subnet{Name: "b", AddressPrefix: prefix("10.9.0.128/25")},
			),
			"BadRequest",
			"overlap",
		},
		{
			"subnet twice",
			subnets(
				lab.Subnet{Name: "a", AddressPrefix: prefix("10.9.0.0/24")},
				lab.Subnet{Name: "A", AddressPrefix: prefix("10.9.1.0/24")},
			),
			"BadRequest",
			"already",
		},
		{
			"subnet of six addresses",
			subnets(lab.Subnet{Name: "a", AddressPrefix: prefix("10.9.0.0/30")}),
			"BadRequest",
			"smallest subnet is a /29",
		},
		{
			"subnet with host bits",
			subnets(lab.Subnet{Name: "a", AddressPrefix: prefix("10.9.0.1/24")}),
			"BadRequest",
			"host bits",
		},
		{
			"service twice",
			service(lab.HostedService{Name: "contactsql", Location: "West US"}),
			"ConflictError",
			"already taken",
		},
		{
			"service nowhere",
			service(lab.HostedService{Name: "abc"}),
			"BadRequest",
			"Location constraint name is empty or not specified",
		},
		{
			"service in a missing affinity group",
			service(lab.HostedService{Name: "abc", AffinityGroup: "wset"}),
			"BadRequest",
			"The affinity group name is empty or was not specified.",
		},
		{
			"service before its network",
			service(lab.HostedService{Name: "abc", Location: "West US", VirtualNetwork: "later"}),
			"BadRequest",
			"does not exist",
		},
		{
			"service outside its network's affinity group",
			service(lab.HostedService{Name: "abc", Location: "West US", VirtualNetwork: "SampleNetwork"}),
			"BadRequest",
			"The affinity group name West US specified for this hosted service is invalid. The hosted service must reside in the same affinity group as the virtual network .",
		},
		{
			"service name",
			service(lab.HostedService{Name: "Contact/SQL", Location: "West US"}),
			"BadRequest",
			"not valid",
		},
		{
			"service with a name of 300",
			service(lab.HostedService{Name: strings.Repeat("a", 300), Location: "West US"}),
			"BadRequest",
			"is 300 characters long; the maximum is 63.",
		},
		{
			"machine without service",
			machine("nowhere", vm("a")),
			"ResourceNotFound",
			"The hosted service does not exist.",
		},
		{"machine twice", machine("standalone", vm("a"), vm("A")), "ConflictError", "already"},
		{"machine name", machine("standalone", vm("a/b")), "BadRequest", "not valid"},
		{"machine without subnet", machine("contactsql", vm("a")), "BadRequest", "No subnet"},
		{
			"machine in a missing subnet",
			machine("contactsql", inSubnet(vm("a"), "FrontEndd")),
			"BadRequest",
			"has no subnet FrontEndd",
		},
		{
			"subnet outside a network",
			machine("standalone", inSubnet(vm("a"), "FrontEnd")),
			"BadRequest",
			"in no virtual network",
		},
		{
			"public port twice",
			machine("standalone", vm("a", endpoint("web", 80, 80)), vm("b", endpoint("web", 80, 80))),
			"BadRequest",
			"Port 80 is already in use by one of the endpoints in this deployment. Ensure that the port numbers are unique across endpoints within a deployment.",
		},
		{
			"local port twice",
			machine("standalone", vm("a", endpoint("RemoteDesktop", 3389, 3389), endpoint("other", 3390, 3389))),
			"BadRequest",
			"Local Port 3389 for endpoint other is already in use by one of the other endpoints in this role. Ensure that the local port numbers are unique across endpoints within a role.",
		},
		{
			"set with two ports",
			machine(
				"standalone",
				vm("a", member("s", endpoint("web", 80, 80))),
				vm("b", member("s", endpoint("web", 81, 80))),
			),
			"BadRequest",
			"members of the load-balanced set",
		},
		{"acl order twice", machine("standalone", vm("a", lab.Endpoint{
			Name: "e", PublicPort: 1, LocalPort: 1,
			Balancing: lab.Balancing{ACL: acl(1, 1)},
		})), "BadRequest", "two rules of order 1"},
		{"51 acl rules", machine("standalone", vm("a", lab.Endpoint{
			Name: "e", PublicPort: 1, LocalPort: 1,
			Balancing: lab.Balancing{ACL: acl(sequence(51)...)},
		})), "BadRequest", "the maximum is 50"},
		{
			"subnet full",
			machine(
				"contactsql",
				inSubnet(vm("a"), "BackEnd"),
				inSubnet(vm("b"), "BackEnd"),
				inSubnet(vm("c"), "BackEnd"),
				inSubnet(vm("d"), "BackEnd"),
			),
			"BadRequest",
			"No free address is left",
		},
		{
			"51 machines",
			machine("standalone", many(51, func(i int) lab.VirtualMachine { return vm(fmt.Sprint("vm", i)) })...),
			"BadRequest",
			"the most it can hold",
		},
		{"roles beside machines", func(l *lab.Lab) error {
			if err := l.AddVirtualMachine("standalone", vm("a")); err != nil {
				return fmt.Errorf("preparation: %w", err)
			}
			return l.CreateDeployment("standalone", lab.PackageDeployment{Roles: []lab.Role{role("Web", 1, "", 80)}})
		}, "ConflictError", "The specified deployment slot Production is occupied."},
		{"machine beside roles", func(l *lab.Lab) error {
			if err := l.CreateDeployment(
				"standalone",
				lab.PackageDeployment{Roles: []lab.Role{role("Web", 1, "", 80)}},
			); err != nil {
				return fmt.Errorf("preparation: %w", err)
			}
			return l.AddVirtualMachine("standalone", vm("a"))
		}, "ConflictError", "The specified deployment slot Production is occupied."},
		{
			"roles share a port",
			deployment("standalone", "", role("Web", 1, "", 80), role("Api", 1, "", 80)),
			"BadRequest",
			"Port 80 is already in use",
		},
		{
			"role without instance",
			deployment("standalone", "", role("Web", 0, "", 80)),
			"BadRequest",
			"The role Web can't have 0 instances: a role has at least one.",
		},
		{
			"role outside its affinity group's network",
			deployment("standalone", "SampleNetwork", role("Web", 1, "FrontEnd", 80)),
			"BadRequest",
			"The affinity group name East US specified for this hosted service is invalid. The hosted service must reside in the same affinity group as the virtual network .",
		},
		{
			"configuration without the network",
			deployment("contactsql", "", role("Web", 1, "", 80)),
			"BadRequest",
			"its configuration names none",
		},
		{
			"more instances than addresses",
			deployment("contactsql", "SampleNetwork", role("Web", 4, "BackEnd", 80)),
			"BadRequest",
			"No free address is left",
		},
		{"site with a machine's name", func(l *lab.Lab) error {
			if err := l.AddVirtualMachine("standalone", vm("web")); err != nil {
				return fmt.Errorf("preparation: %w", err)
			}
			return l.CreateWebSite(lab.WebSite{Name: "web", Location: "West US"})
		}, "ConflictError", "is taken by a virtual machine of standalone"},
		{"host with an address of others", func(l *lab.Lab) error {
			return l.CreateInternetHost(lab.InternetHost{Name: "laptop", Address: netip.MustParseAddr("8.8.8.8")})
		}, "BadRequest", "not in the internet of the lab"},
		{
			"host named internet",
			func(l *lab.Lab) error { return l.CreateInternetHost(lab.InternetHost{Name: "internet"}) },
			"BadRequest",
			"reserved",
		},
		{"expectation from nobody", func(l *lab.Lab) error {
			return l.Expect(
				lab.Expectation{
					From:    "nobody",
					To:      lab.Target{Name: "contactsql.cloudapp.net", Port: 1, Protocol: emu.TCP},
					Verdict: emu.Open,
				},
			)
		}, "ResourceNotFound", "named 'nobody'"},
		{"exposure of a stranger", func(l *lab.Lab) error {
			return l.ExpectExposure(
				[]lab.ExposedPort{{Target: lab.Target{Name: "contactsq.cloudapp.net", Port: 80, Protocol: emu.TCP}}},
			)
		}, "ResourceNotFound", "not the DNS name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := world(t)
			err := tt.do(l)
			var refusal *lab.Error
			if !errors.As(err, &refusal) || strings.HasPrefix(err.Error(), "preparation") {
				t.Fatalf("got %v, want a refusal", err)
			}
			if refusal.Code != tt.code || !strings.Contains(refusal.Message, tt.text) {
				t.Errorf("got %s, want %s: …%s…", refusal, tt.code, tt.text)
			}
			before := fingerprint(l)
			if err := tt.do(l); err == nil {
				t.Error("a second try is not refused")
			}
			if after := fingerprint(l); after != before {
				t.Errorf("the refusal changed the lab:\n%s\n%s", before, after)
			}
		})
	}
}

func sequence(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

// fingerprint is all that operations can change.
func fingerprint(l *lab.Lab) string {
	var b strings.Builder
	for _, g := range l.AffinityGroups {
		fmt.Fprintf(&b, "%+v\n", *g)
	}
	for _, n := range l.VirtualNetworks {
		fmt.Fprintf(&b, "%+v\n", *n)
	}
	for _, s := range l.CloudServices {
		fmt.Fprintf(&b, "%s %s %s\n", s.Name, s.AffinityGroup, s.Location)
		if s.Production != nil {
			fmt.Fprintf(&b, " %s %s\n", s.Production.VIP, s.Production.Kind)
			for _, i := range s.Production.Instances {
				fmt.Fprintf(&b, "  %s %s %v\n", i.ID, i.DIP, i.Endpoints)
			}
		}
	}
	for _, m := range l.Members() {
		fmt.Fprintf(&b, "%s %s\n", m.ID(), m.Address())
	}
	fmt.Fprint(&b, l.Expectations, l.Exposure)
	return b.String()
}
