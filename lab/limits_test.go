package lab_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/guestfirewall"
	"vnetlab/lab/labtest"
)

// TestLimits holds that a limit of the platform can be reached, and that one more is refused.
func TestLimits(t *testing.T) {
	endpoints := func(n int) (all []lab.Endpoint) {
		for i := range n {
			all = append(all, endpoint(fmt.Sprint("e", i), uint16(1000+i), uint16(1000+i)))
		}
		return all
	}
	regional := func(l *lab.Lab, name, space string, gateway bool) error {
		n := lab.VirtualNetwork{Name: name, Location: "West US", AddressSpace: prefixes(space)}
		if gateway {
			n.Subnets = []lab.Subnet{{Name: "GatewaySubnet", AddressPrefix: netip.PrefixFrom(prefix(space).Addr(), 29)}}
		}
		return l.CreateVirtualNetwork(n)
	}
	for _, tt := range []struct {
		name string
		most int
		make func(l *lab.Lab, n int) error // all n of them
		text string
	}{
		{"virtual machines of a cloud service", 50, func(l *lab.Lab, n int) error {
			for i := range n {
				if err := l.AddVirtualMachine("standalone", vm(fmt.Sprint("vm", i))); err != nil {
					return err
				}
			}
			return nil
		}, "50 virtual machines already"},
		{"input endpoints of a cloud service", 150, func(l *lab.Lab, n int) error {
			return errors.Join(l.AddVirtualMachine("standalone", vm("a", endpoints(100)...)), l.AddVirtualMachine("standalone", vm("b", endpoints(n)[100:]...)))
		}, "the maximum is 150"},
		{"rules of an access control list", 50, func(l *lab.Lab, n int) error {
			return l.AddVirtualMachine("standalone", vm("a", lab.Endpoint{
				Name: "e", PublicPort: 1, LocalPort: 1,
				Balancing: lab.Balancing{ACL: acl(sequence(n)...)},
			}))
		}, "the maximum is 50"},
		{"reserved IPs of a subscription", 20, func(l *lab.Lab, n int) error {
			for i := range n {
				if err := l.CreateReservedIP(lab.ReservedIP{Name: fmt.Sprint("r", i), Location: "West US"}); err != nil {
					return err
				}
			}
			return nil
		}, "20 reserved IPs already"},
		{"connections of a gateway", 10, func(l *lab.Lab, n int) error {
			if err := regional(l, "Hub", "172.16.0.0/16", true); err != nil {
				return err
			}
			g := lab.VPNGateway{}
			for i := range n {
				g.Connections = append(g.Connections, lab.GatewayConnection{Name: fmt.Sprint("site", i)})
				if err := l.CreateLocalNetwork(lab.LocalNetwork{Name: fmt.Sprint("site", i), AddressSpace: prefixes(fmt.Sprintf("192.168.%d.0/24", i))}); err != nil {
					return err
				}
			}
			return l.CreateGateway("Hub", g)
		}, "the maximum is 10"},
		{"virtual networks of an affinity group", 1, func(l *lab.Lab, n int) error {
			if err := l.CreateAffinityGroup(lab.AffinityGroup{Name: "g", Location: "West US"}); err != nil {
				return err
			}
			for i := range n {
				if err := l.CreateVirtualNetwork(lab.VirtualNetwork{Name: fmt.Sprint("n", i), AffinityGroup: "g", AddressSpace: prefixes("10.0.0.0/16")}); err != nil {
					return err
				}
			}
			return nil
		}, "Only one virtual network can be assigned an affinity group"},
		{"instances of a /29", 3, func(l *lab.Lab, n int) error {
			return l.CreateDeployment("contactsql", lab.PackageDeployment{VirtualNetwork: "SampleNetwork", Roles: []lab.Role{role("Web", n, "BackEnd", 80)}})
		}, "all 3 are in use"},
		{"instances of a /24", 251, func(l *lab.Lab, n int) error {
			return l.CreateDeployment("contactsql", lab.PackageDeployment{VirtualNetwork: "SampleNetwork", Roles: []lab.Role{role("Web", n, "FrontEnd", 80)}})
		}, "all 251 are in use"},
		{"instances behind a range of public ports", 4, func(l *lab.Lab, n int) error {
			r := role("Worker", n, "")
			r.InstanceInputEndpoints = []lab.InstanceInputEndpoint{{Name: "e", Protocol: emu.TCP, LocalPort: 1, Public: emu.PortRange{First: 10, Last: 13}}}
			return l.CreateDeployment("standalone", lab.PackageDeployment{Roles: []lab.Role{r}})
		}, "has 4 public ports for 5 instances"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.make(world(t), tt.most); err != nil {
				t.Errorf("%d are refused: %v", tt.most, err)
			}
			err := tt.make(world(t), tt.most+1)
			var refusal *lab.Error
			if !errors.As(err, &refusal) || refusal.Code != "BadRequest" ||
				!strings.Contains(refusal.Message, tt.text) {
				t.Errorf("%d: got %v, want …%s…", tt.most+1, err, tt.text)
			}
		})
	}
}

// TestRanges holds the values that probes, idle timeouts, internal load balancers, direct server return and gateways
// may have.
func TestRanges(t *testing.T) {
	with := func(edit func(*lab.Endpoint)) func(*lab.Lab) error {
		e := endpoint("e", 80, 80)
		edit(&e)
		return func(l *lab.Lab) error { return l.AddVirtualMachine("standalone", vm("a", e)) }
	}
	probe := func(p lab.Probe) func(*lab.Lab) error { return with(func(e *lab.Endpoint) { e.Probe = &p }) }
	idle := func(minutes int) func(*lab.Lab) error {
		return with(func(e *lab.Endpoint) { e.IdleTimeoutInMinutes = minutes })
	}
	balancer := func(b lab.InternalLoadBalancer, service, subnet string) func(*lab.Lab) error {
		return func(l *lab.Lab) error {
			m := inSubnet(vm("a"), subnet)
			m.InternalLoadBalancer = &b
			return l.AddVirtualMachine(service, m)
		}
	}
	gateway := func(network string, connections ...string) func(*lab.Lab) error {
		return func(l *lab.Lab) error {
			must(t, l.CreateVirtualNetwork(lab.VirtualNetwork{
				Name: "Hub", Location: "West US", AddressSpace: prefixes("172.16.0.0/16"),
				Subnets: []lab.Subnet{{Name: "GatewaySubnet", AddressPrefix: prefix("172.16.0.0/29")}},
			}))
			must(t, l.CreateLocalNetwork(lab.LocalNetwork{Name: "hq", AddressSpace: prefixes("192.168.0.0/24")}))
			must(t, l.CreateLocalNetwork(lab.LocalNetwork{Name: "clash", AddressSpace: prefixes("172.16.8.0/24")}))
			return l.CreateGateway(network, lab.VPNGateway{Connections: lab.ConnectTo(connections...)})
		}
	}
	for _, tt := range []struct {
		name string
		do   func(*lab.Lab) error
		text string // empty: it is accepted
	}{
		{"probe of http without a path", probe(lab.Probe{Protocol: "http"}), "BadRequest: An http health probe needs a path."},
		{"probe of tcp with a path", probe(lab.Probe{Protocol: "tcp", Path: "/"}), "BadRequest: A tcp health probe has no path."},
		{"probe every 4 seconds", probe(lab.Probe{Protocol: "tcp", IntervalInSeconds: 4}), "BadRequest: The interval of a health probe is 4 seconds; it must be at least 5."},
		{"probe with a timeout of 10 seconds", probe(lab.Probe{Protocol: "tcp", TimeoutInSeconds: 10}), "BadRequest: The timeout of a health probe is 10 seconds; it must be at least 11."},
		{"probe of the least", probe(lab.Probe{Protocol: "http", Path: "/", IntervalInSeconds: 5, TimeoutInSeconds: 11}), ""},
		{"idle timeout of 3 minutes", idle(3), "BadRequest: The idle timeout is 3 minutes; it can be from 4 to 30."},
		{"idle timeout of 31 minutes", idle(31), "BadRequest: The idle timeout is 31 minutes; it can be from 4 to 30."},
		{"idle timeout of 4 minutes", idle(4), ""},
		{"idle timeout of 30 minutes", idle(30), ""},
		{
			"direct server return to another port", with(func(e *lab.Endpoint) { e.LocalPort, e.DirectServerReturn = 8080, true }),
			"BadRequest: With direct server return the public port of e (80) must be its local port (8080).",
		},
		{"distribution without a set", with(func(e *lab.Endpoint) { e.Distribution = lab.DistributeSourceIP }), "BadRequest: The endpoint e has a distribution mode but no load-balanced set."},
		{"internal load balancer that isn't there", with(func(e *lab.Endpoint) { e.InternalLoadBalancer = "inside" }), "BadRequest: The deployment has no internal load balancer named inside."},
		{
			"internal load balancer in an affinity group's network", balancer(lab.InternalLoadBalancer{Name: "inside", Subnet: "FrontEnd"}, "contactsql", "FrontEnd"),
			"BadRequest: The virtual network SampleNetwork is bound to an affinity group; an internal load balancer needs one that is bound to a location.",
		},
		{"internal load balancer outside a network", balancer(lab.InternalLoadBalancer{Name: "inside"}, "standalone", ""), ""},
		{
			"static internal load balancer outside a network", balancer(lab.InternalLoadBalancer{Name: "inside", Address: netip.MustParseAddr("10.0.0.9")}, "standalone", ""),
			"BadRequest: A static address of an internal load balancer needs a virtual network.",
		},
		{"reserved IP in an affinity group's network", func(l *lab.Lab) error {
			must(t, l.CreateReservedIP(lab.ReservedIP{Name: "kept", Location: "West US"}))
			m := inSubnet(vm("a"), "FrontEnd")
			m.ReservedIP = "kept"
			return l.AddVirtualMachine("contactsql", m)
		}, "BadRequest: The virtual network SampleNetwork is bound to an affinity group; a reserved IP needs one that is bound to a location."},
		{"gateway", gateway("Hub", "hq"), ""},
		{"gateway without GatewaySubnet", gateway("SampleNetwork", "hq"), "BadRequest: The virtual network SampleNetwork has no subnet named GatewaySubnet."},
		{"gateway to overlapping space", gateway("Hub", "clash"), "BadRequest: The address spaces of Hub (172.16.0.0/16) and clash (172.16.8.0/24) overlap: they can't be joined."},
		{"gateway to nowhere", gateway("Hub", "moon"), "BadRequest: The gateway of Hub has a connection to 'moon', which is neither a local network site nor another virtual network."},
		{"gateway to itself", gateway("Hub", "Hub"), "BadRequest: The gateway of Hub can't connect Hub with itself."},
		{"machine in GatewaySubnet", func(l *lab.Lab) error {
			must(t, gateway("Hub", "hq")(l))
			must(t, l.CreateHostedService(lab.HostedService{Name: "abc", Location: "West US", VirtualNetwork: "Hub"}))
			return l.AddVirtualMachine("abc", inSubnet(vm("a"), "GatewaySubnet"))
		}, "BadRequest: The subnet GatewaySubnet is for the virtual network's gateway alone."},
		{"connected site is deleted", func(l *lab.Lab) error {
			must(t, gateway("Hub", "hq")(l))
			return l.DeleteLocalNetwork("hq")
		}, "ConflictError: The local network site hq is connected to the virtual network Hub."},
		{"service in another location than its network", func(l *lab.Lab) error {
			must(t, gateway("Hub", "hq")(l))
			return l.CreateHostedService(lab.HostedService{Name: "abc", Location: "East US", VirtualNetwork: "Hub"})
		}, "BadRequest: The cloud service abc is in East US, the virtual network Hub in West US."},
		{"several address prefixes", func(l *lab.Lab) error {
			return l.CreateVirtualNetwork(lab.VirtualNetwork{Name: "Two", Location: "West US", AddressSpace: prefixes("10.1.0.0/16", "192.168.0.0/24")})
		}, ""},
		{"the same addresses in two networks", func(l *lab.Lab) error {
			return l.CreateVirtualNetwork(lab.VirtualNetwork{Name: "Same", Location: "West US", AddressSpace: prefixes("10.0.0.0/16")})
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := world(t)
			err := tt.do(l)
			if tt.text == "" {
				must(t, err)
				return
			}
			var refusal *lab.Error
			if !errors.As(err, &refusal) || refusal.Error() != tt.text {
				t.Errorf("got  %v\nwant %s", err, tt.text)
			}
		})
	}
}

func with(e lab.Endpoint, change func(*lab.Endpoint)) lab.Endpoint {
	change(&e)
	return e
}

// TestReservedIPNeedsEndpoint holds that a deployment has an endpoint before it has a reserved IP.
func TestReservedIPNeedsEndpoint(t *testing.T) {
	const text = "BadRequest: Deployment standalone uses ReservedIP kept but does not contain any endpoints. Deployment must contain at least one endpoint in order to use a ReservedIP."
	l := world(t)
	must(t, l.CreateReservedIP(lab.ReservedIP{Name: "kept", Location: "East US"}))
	first := vm("a")
	first.ReservedIP = "kept"
	refused := func(what string, err error) {
		t.Helper()
		if err == nil || err.Error() != text {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("the first machine", l.AddVirtualMachine("standalone", first))
	worker := role("Worker", 1, "")
	worker.InputEndpoints = nil
	refused(
		"roles",
		l.CreateDeployment("standalone", lab.PackageDeployment{ReservedIP: "kept", Roles: []lab.Role{worker}}),
	)
	if s, _ := l.CloudService("standalone"); s.Production != nil {
		t.Error("there is a deployment")
	}
	must(t, l.AddVirtualMachine("standalone", vm("a")))
	refused("a deployment that is there", l.AssociateReservedIP("kept", "standalone", ""))
	must(t, l.AddEndpoint("standalone", "a", endpoint("web", 80, 80)))
	must(t, l.AssociateReservedIP("kept", "standalone", ""))
	must(t, l.AddVirtualMachine("standalone", vm("b")))
}

// TestLoadBalancedSet holds that what belongs to a set is of all its members.
func TestLoadBalancedSet(t *testing.T) {
	l := inhabited(t)
	must(t, l.SetEndpointACL("standalone", lab.Production, "a", "web", acl(1)))
	changed := member("web", endpoint("web", 80, 8080))
	changed.ACL, changed.IdleTimeoutInMinutes, changed.Distribution = acl(1), 30, lab.DistributeSourceIP
	must(t, l.UpdateEndpoint("standalone", "a", "web", changed))
	b, _ := l.Find("b")
	if e := b.Instance.Endpoints[0]; len(e.ACL) != 1 || e.IdleTimeoutInMinutes != 30 ||
		e.Distribution != lab.DistributeSourceIP {
		t.Errorf("the other member has %+v", e)
	}
	for text, odd := range map[string]lab.Endpoint{
		"ACL rules do not match for endpoint in 'web'. Mismatch in rule count. Specified '0'. Existing '1'.": with(changed, func(e *lab.Endpoint) { e.ACL = nil }),
		"ACL rules do not match for endpoint in 'web'. Mismatch in rule count. Specified '2'. Existing '1'.": with(changed, func(e *lab.Endpoint) { e.ACL = acl(1, 2) }),
		"The access control list belongs to the load-balanced set web: all its members must have the same.":  with(changed, func(e *lab.Endpoint) { e.ACL = acl(2) }),
		"Health probe, distribution mode, idle timeout and direct server return belong to the load-balanced set web: all its members must have the same.": with(changed, func(e *lab.Endpoint) {
			e.IdleTimeoutInMinutes = 0
		}),
	} {
		if err := l.AddVirtualMachine("standalone", vm("c", odd)); err == nil || err.Error() != "BadRequest: "+text {
			t.Errorf("got  %v\nwant %s", err, text)
		}
	}
	must(t, l.SetEndpointACL("standalone", lab.Production, "a", "web", nil))
	if err := l.AddVirtualMachine(
		"standalone",
		vm("c", changed),
	); err == nil ||
		err.Error() != "BadRequest: Existing endpoints in LB set 'web' do not contain ACL." {
		t.Errorf("a member with a list, where the others have none: %v", err)
	}
	must(t, l.AddVirtualMachine("standalone", vm("d", endpoint("https", 443, 443))))
}

// TestFirewallDefaults holds what a guest firewall lets in before anybody adds a rule.
func TestFirewallDefaults(t *testing.T) {
	l := world(t)
	linux := vm("l")
	linux.OS = lab.Linux
	must(t, l.AddVirtualMachine("standalone", linux))
	must(t, l.AddVirtualMachine("standalone", vm("w", endpoint("sql", 1433, 1433))))
	must(t, l.CreateHostedService(lab.HostedService{Name: "shop", Location: "East US"}))
	web := role("Web", 1, "", 80)
	web.InputEndpoints[0].LocalPort = 8080
	must(t, l.CreateDeployment("shop", lab.PackageDeployment{Roles: []lab.Role{web}}))
	for name, want := range map[string]string{
		"l": "[allow tcp 22 allow icmp]", "w": "[allow tcp 3389 allow tcp 5986]", "Web_IN_0": "[allow tcp 8080]",
	} {
		m, _ := l.Find(name)
		var got []string
		for _, r := range l.FirewallRules(m.Instance) {
			got = append(got, r.String())
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s: got %v, want %s", name, got, want)
		}
	}
}

// TestFirewallLocalAddress holds that a rule for some addresses of the machine counts where the DIP is one of them.
func TestFirewallLocalAddress(t *testing.T) {
	l := world(t)
	must(t, l.AddVirtualMachine("standalone", vm("w")))
	dip := address(t, l, "w")
	for text, want := range map[string]bool{dip.String(): true, dip.Next().String(): false, dip.String() + "-" + dip.Next().String(): true} {
		r, err := guestfirewall.Parse("netsh advfirewall firewall add rule name=x dir=in action=allow localip=" + text)
		if err != nil {
			t.Fatal(err)
		}
		must(t, l.SetFirewall("w", false, []lab.GuestFirewallRule{{Rule: r}}))
		m, _ := l.Find("w")
		rules := l.FirewallRules(m.Instance)
		if got := rules[len(rules)-1].Inactive == ""; got != want {
			t.Errorf("%s: counts %t, want %t", text, got, want)
		}
	}
}

func TestUpgradeKeepsAddresses(t *testing.T) {
	l := inhabited(t)
	s, _ := l.CloudService("shop")
	vip, first, second := s.Production.VIP, address(t, l, "Web_IN_0"), address(t, l, "Web_IN_1")
	must(
		t,
		l.UpgradeDeployment(
			"shop",
			lab.PackageDeployment{Roles: []lab.Role{role("Api", 1, "", 81), role("Web", 2, "", 80)}},
		),
	)
	if s.Production.VIP != vip || address(t, l, "Web_IN_0") != first || address(t, l, "Web_IN_1") != second {
		t.Errorf(
			"the VIP is %v, Web_IN_0 has %v, Web_IN_1 %v",
			s.Production.VIP,
			address(t, l, "Web_IN_0"),
			address(t, l, "Web_IN_1"),
		)
	}
	if _, ok := l.Find("Api_IN_0"); !ok {
		t.Error("the new role has no instance")
	}
	if err := l.UpgradeDeployment(
		"shop",
		lab.PackageDeployment{VirtualNetwork: "SampleNetwork", Roles: []lab.Role{role("Web", 2, "FrontEnd", 80)}},
	); err == nil ||
		!strings.Contains(err.Error(), "can't move it") {
		t.Errorf("an upgrade into a virtual network: %v", err)
	}
}

// TestUpgradeKeepsWhatInstancesHave does it where the addresses that would be free during the upgrade are in another
// order than before.
func TestUpgradeKeepsWhatInstancesHave(t *testing.T) {
	l := world(t)
	web := role("Web", 1, "", 80)
	web.PublicIPName, web.InputEndpoints[0].Probe = "own", &lab.Probe{Protocol: "tcp"}
	must(t, l.CreateReservedIP(lab.ReservedIP{Name: "first", Location: "East US"}))
	must(t, l.CreateDeployment("standalone", lab.PackageDeployment{ReservedIP: "first", Roles: []lab.Role{web}}))
	must(t, l.DisassociateReservedIP("first"))
	must(t, l.DeleteReservedIP("first"))
	probe := deployed(t, l, "standalone").Frontends()[0].Members[0].ProbeID
	l.SetHealth(probe, true)
	vip, own := deployed(t, l, "standalone").VIP, deployed(t, l, "standalone").Instances[0].PublicIP
	web.Services, web.InstanceCount = labtest.Listen(443), 2
	must(t, l.UpgradeDeployment("standalone", lab.PackageDeployment{Roles: []lab.Role{web}}))
	d := deployed(t, l, "standalone")
	if d.VIP != vip || d.Instances[0].PublicIP != own {
		t.Errorf(
			"the VIP is %s and the first instance's own address %s, want %s and %s",
			d.VIP,
			d.Instances[0].PublicIP,
			vip,
			own,
		)
	}
	if other := d.Instances[1].PublicIP; other == vip || other == own || !other.IsValid() {
		t.Errorf("the second instance has the address %s", other)
	}
	if !l.Healthy(probe) {
		t.Error("the answer to the health probe is lost")
	}
}

func TestSwapWithoutProduction(t *testing.T) {
	l := inhabited(t)
	must(t, l.DeleteDeployment("shop", lab.Production))
	s, _ := l.CloudService("shop")
	staging := s.Staging
	must(t, l.SwapDeployment("shop"))
	s, _ = l.CloudService("shop")
	if s.Production != staging || s.Staging != nil || s.NameOf(staging) != "shop.cloudapp.net" {
		t.Error("staging isn't production")
	}
}

func TestDeallocatedMachineKeepsItsStaticAddress(t *testing.T) {
	l := world(t)
	must(t, l.CreateVirtualNetwork(lab.VirtualNetwork{
		Name:         "Regional",
		Location:     "East US",
		AddressSpace: prefixes("10.7.0.0/16"),
		Subnets:      []lab.Subnet{{Name: "s", AddressPrefix: prefix("10.7.1.0/24")}},
	}))
	m := inSubnet(vm("a"), "s")
	m.VirtualNetwork, m.StaticAddress, m.PublicIPName = "Regional", netip.MustParseAddr("10.7.1.9"), "own"
	must(t, l.AddVirtualMachine("standalone", m))
	must(t, l.ShutdownRole("standalone", "a", true))
	a, _ := l.Find("a")
	if a.Address() != m.StaticAddress || a.Instance.PublicIP.IsValid() {
		t.Errorf("a has %v and the public address %v", a.Address(), a.Instance.PublicIP)
	}
	other := inSubnet(vm("b"), "s")
	other.StaticAddress = m.StaticAddress
	if l.AddVirtualMachine("standalone", other) == nil {
		t.Error("another machine has the address")
	}
	must(t, l.StartRole("standalone", "a"))
	a, _ = l.Find("a")
	if a.Address() != m.StaticAddress || !a.Instance.PublicIP.IsValid() {
		t.Errorf("started, a has %v and the public address %v", a.Address(), a.Instance.PublicIP)
	}
}

func TestDeleteFirewallRules(t *testing.T) {
	l := inhabited(t)
	for _, text := range []string{
		`netsh advfirewall firewall add rule name=web dir=in action=allow protocol=tcp localport=80`,
		`netsh advfirewall firewall add rule name=web dir=in action=allow protocol=tcp localport=81`, "allow tcp 82", "allow tcp 83",
	} {
		r, err := guestfirewall.Parse(text)
		must(t, err)
		must(t, l.AddFirewallRule("a", lab.GuestFirewallRule{Rule: r}))
	}
	must(t, l.DeleteFirewallRule("a", "web"))
	must(t, l.DeleteFirewallRule("a", "allow tcp 82"))
	a, _ := l.Find("a")
	if left := a.Instance.Firewall; len(left) != 1 || left[0].Text != "allow tcp 83" {
		t.Errorf("left are %v", left)
	}
}

func TestInstanceLevelPublicIPs(t *testing.T) {
	l := world(t)
	with := func(name string) lab.VirtualMachine {
		m := vm(name)
		m.PublicIPName = "own"
		return m
	}
	for n := range 5 {
		must(t, l.AddVirtualMachine("standalone", with(fmt.Sprint("vm", n))))
	}
	for service, m := range map[string]lab.VirtualMachine{"standalone": with("more"), "contactsql": inSubnet(with("inside"), "FrontEnd")} {
		if err := l.AddVirtualMachine(
			service,
			m,
		); err == nil ||
			!strings.Contains(err.Error(), "instance-level public IP") {
			t.Errorf("%s in %s: got %v", m.Name, service, err)
		}
	}
}
