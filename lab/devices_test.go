package lab_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vnetlab/lab"
)

// TestVPNDevices holds which address a site's VPN device has on the internet of the lab.
func TestVPNDevices(t *testing.T) {
	devices := netip.MustParsePrefix("198.19.128.0/17")
	site := func(name, device string) lab.LocalNetwork {
		n := lab.LocalNetwork{Name: name, AddressSpace: prefixes("192.168.0.0/24")}
		if device != "" {
			n.VPNGatewayAddress = netip.MustParseAddr(device)
		}
		return n
	}
	for name, c := range map[string]struct {
		device string
		mapped bool
	}{
		"the lab's own":             {"203.0.113.40", false},
		"another's":                 {"8.20.30.40", true},
		"private":                   {"10.1.2.3", true},
		"of the platform's range":   {"198.18.0.16", true},
		"taken by an internet host": {"203.0.113.9", true},
		"the resolver":              {"192.0.2.53", true},
		"none's":                    {"203.0.113.0", true},
		"none":                      {"", false},
	} {
		l := lab.Lab{Name: "devices"}
		must(t, l.CreateInternetHost(lab.InternetHost{Name: "laptop", Address: netip.MustParseAddr("203.0.113.9")}))
		must(t, l.CreateLocalNetwork(site("office", c.device)))
		n := l.LocalNetworks[0]
		if n.Mapped() != c.mapped || c.mapped != devices.Contains(n.Address) || !n.Address.IsValid() {
			t.Errorf("%s: %s is %s", name, n.VPNGatewayAddress, n.Address)
		}
		if c.device != "" && n.VPNGatewayAddress.String() != c.device ||
			c.device == "" && n.VPNGatewayAddress.IsValid() {
			t.Errorf("%s: the file's address became %s", name, n.VPNGatewayAddress)
		}
		if c.mapped &&
			!strings.Contains(n.MappingText(), fmt.Sprintf("%s in the lab, which stands for %s", n.Address, c.device)) {
			t.Error(n.MappingText())
		}
	}
	for _, device := range []string{"0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.5", "255.255.255.255", "168.63.129.16", "2001:db8::1"} {
		l := lab.Lab{Name: "devices"}
		err := l.CreateLocalNetwork(site("office", device))
		var refusal *lab.Error
		if !errors.As(err, &refusal) ||
			refusal.Message != "The VPN device of office can't have the address "+device+": it is no public address of a host." ||
			len(l.LocalNetworks) > 0 {
			t.Errorf("%s: %v", device, err)
		}
	}
}

// TestStandInsAreStable holds that what stands for a device follows from the device's address alone, is nobody
// else's, and stays when others come and go.
func TestStandInsAreStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		address := rapid.Custom(func(t *rapid.T) netip.Addr {
			return netip.AddrFrom4(
				[4]byte{
					rapid.ByteRange(1, 100).Draw(t, "a"),
					rapid.Byte().Draw(t, "b"),
					rapid.Byte().Draw(t, "c"),
					rapid.Byte().Draw(t, "d"),
				},
			)
		})
		l, alone := lab.Lab{Name: "many"}, lab.Lab{Name: "one"}
		taken := map[netip.Addr]bool{}
		var last lab.LocalNetwork
		for i, device := range rapid.SliceOfN(address, 1, 40).Draw(t, "devices") {
			last = lab.LocalNetwork{
				Name:              fmt.Sprint("site", i),
				AddressSpace:      prefixes("192.168.0.0/24"),
				VPNGatewayAddress: device,
			}
			if err := l.CreateLocalNetwork(last); err != nil {
				t.Fatal(err)
			}
			made := l.LocalNetworks[i]
			if taken[made.Address] {
				t.Fatalf("%s is two devices'", made.Address)
			}
			taken[made.Address] = true
		}
		made := l.LocalNetworks[len(l.LocalNetworks)-1]
		if err := alone.CreateLocalNetwork(last); err != nil {
			t.Fatal(err)
		}
		if own := alone.LocalNetworks[0].Address; own != made.Address && !taken[own] {
			t.Fatalf("%s is %s alone and %s among others", last.VPNGatewayAddress, own, made.Address)
		}
		// As apply has it: the same site is made again with the address that it has.
		without, err := l.Apply(lab.DeleteLocalNetworkOp{Name: made.Name})
		if err != nil {
			t.Fatal(err)
		}
		again, err := without.Apply(lab.CreateLocalNetworkOp{LocalNetwork: *made})
		if err != nil || again.LocalNetworks[len(again.LocalNetworks)-1].Address != made.Address {
			t.Fatal(err, again.LocalNetworks)
		}
	})
}

// TestResourceNames holds which names networks, subnets, sites, groups and reserved IPs can have.
func TestResourceNames(t *testing.T) {
	make := map[string]func(l *lab.Lab, name string) error{
		"affinity group": func(l *lab.Lab, name string) error {
			return l.CreateAffinityGroup(lab.AffinityGroup{Name: name, Location: "West US"})
		},
		"virtual network": func(l *lab.Lab, name string) error {
			return l.CreateVirtualNetwork(
				lab.VirtualNetwork{Name: name, Location: "West US", AddressSpace: prefixes("10.0.0.0/16")},
			)
		},
		"local network site": func(l *lab.Lab, name string) error {
			return l.CreateLocalNetwork(lab.LocalNetwork{Name: name, AddressSpace: prefixes("192.168.0.0/24")})
		},
		"reserved IP": func(l *lab.Lab, name string) error {
			return l.CreateReservedIP(lab.ReservedIP{Name: name, Location: "West US"})
		},
		"subnet": func(l *lab.Lab, name string) error {
			return l.CreateVirtualNetwork(lab.VirtualNetwork{
				Name:         "net " + name,
				Location:     "West US",
				AddressSpace: prefixes("10.0.0.0/16"),
				Subnets:      []lab.Subnet{{Name: name, AddressPrefix: prefix("10.0.0.0/24")}},
			})
		},
	}
	long := strings.Repeat("ä", 257)
	for kind, create := range make {
		for _, name := range []string{
			"Net", "net 2", "1net", "2015", "Group My-RG my net", "Web (old)", "[a]{b}", "R&D", `"quoted"`, "it's", "a.b", "_", "-x", "$(x)", "`x`", "a;b", "Ünïcode", "日本",
			"Edge", "internet", "DATACENTER", "localhost", "anybody", "wan", "lo", "all", "net.cloudapp.net", strings.Repeat("ö", 200),
		} {
			if err := create(&lab.Lab{Name: "names"}, name); err != nil {
				t.Errorf("%s %q: %v", kind, name, err)
			}
		}
		l := lab.Lab{Name: "names"}
		must(t, create(&l, "Group My-RG my net"))
		for name, text := range map[string]string{
			"":   "The name of the " + kind + " is empty.",
			" x": "The name ' x' is not valid for a", "x ": "The name 'x ' is not valid for a", "a/b": "The name 'a/b' is not valid for a", `a\b`: `The name 'a\b' is not valid for a`,
			"<x>": "The name '<x>' is not valid for a", "a\nb": "is not valid for a", "a\x00b": "is not valid for a", "\xff": "is not valid for a", "a\u202eb": "is not valid for a",
			long: "of the " + kind + " is 257 characters long; the maximum is 256.",
		} {
			if err := create(
				&l,
				name,
			); err == nil || !strings.HasPrefix(err.Error(), "BadRequest: ") ||
				!strings.Contains(err.Error(), text) {
				t.Errorf("%s %q: %v", kind, name, err)
			}
		}
		if kind == "subnet" {
			continue
		}
		if err := create(
			&l,
			"GROUP my-rg MY net",
		); err == nil ||
			err.Error() != "ConflictError: The "+kind+" Group My-RG my net already exists." {
			t.Errorf("%s by another case: %v", kind, err)
		}
	}
}

// TestReservedWords holds that names of what connections start and end at can't be those of what is between.
func TestReservedWords(t *testing.T) {
	l := world(t)
	for _, name := range []string{"internet", "Internet", "edge", "datacenter", "localhost", "anybody"} {
		m := vm(name)
		m.OS = lab.Linux
		for kind, err := range map[string]error{
			"machine": l.AddVirtualMachine("standalone", m),
			"host":    l.CreateInternetHost(lab.InternetHost{Name: name}),
			"role":    l.CreateDeployment("standalone", lab.PackageDeployment{Roles: []lab.Role{role(name, 1, "", 80)}}),
		} {
			if err == nil || err.Error() != "BadRequest: The name "+name+" is reserved." {
				t.Errorf("%s %s: %v", kind, name, err)
			}
		}
	}
	if err := l.CreateDeployment(
		"standalone",
		lab.PackageDeployment{Roles: []lab.Role{role("edge.Net", 1, "", 80)}},
	); err == nil ||
		!strings.Contains(err.Error(), "is reserved") {
		t.Errorf("a role with the name of an edge: %v", err)
	}
	must(t, l.CreateHostedService(lab.HostedService{Name: "edge", Location: "West US"}))
	must(t, l.AddVirtualMachine("edge", vm("a", endpoint("Internet", 80, 80))))
}

// TestConnections holds what gateways can join.
func TestConnections(t *testing.T) {
	base := func(t *testing.T) *lab.Lab {
		l, err := lab.New("joined", lab.Origin{})
		must(t, err)
		for _, network := range [][2]string{{"A", "10.1.0.0"}, {"A2", "10.1.0.0"}, {"B", "10.2.0.0"}} {
			name, n := network[0], network[1]
			must(t, l.CreateVirtualNetwork(lab.VirtualNetwork{
				Name:         name,
				Location:     "West US",
				AddressSpace: prefixes(n + "/16"),
				Subnets:      []lab.Subnet{{Name: "GatewaySubnet", AddressPrefix: prefix(n + "/29")}},
			}))
		}
		must(t, l.CreateLocalNetwork(lab.LocalNetwork{Name: "B", AddressSpace: prefixes("192.168.0.0/24")}))
		must(t, l.CreateLocalNetwork(lab.LocalNetwork{Name: "A", AddressSpace: prefixes("130.88.0.0/16")}))
		must(
			t,
			l.CreateLocalNetwork(
				lab.LocalNetwork{
					Name:              "circuit",
					AddressSpace:      prefixes("10.0.0.0/8"),
					VPNGatewayAddress: netip.MustParseAddr("3.2.1.4"),
				},
			),
		)
		return l
	}
	site := func(name string) lab.GatewayConnection {
		return lab.GatewayConnection{Name: name, To: lab.ToLocalNetwork}
	}
	network := func(name string) lab.GatewayConnection {
		return lab.GatewayConnection{Name: name, To: lab.ToVirtualNetwork}
	}
	l := base(t)
	must(t, l.CreateGateway("A", lab.VPNGateway{
		Connections: append(
			lab.ConnectTo("B", "A"),
			network("B"),
			lab.GatewayConnection{Name: "circuit", Dedicated: true},
		),
		ClientAddressPool: prefixes("172.16.0.0/24"),
	}))
	must(t, l.CreateGateway("B", lab.VPNGateway{Connections: []lab.GatewayConnection{network("A")}}))
	var up []string
	for _, c := range l.Connections() {
		up = append(up, fmt.Sprintf("%s to %s %v", c.Network.Name, c.Peer(), c.LocalNetwork != nil))
	}
	if got := strings.Join(up, "; "); got != "A to B true; A to A true; A to B false" {
		t.Error(got)
	}
	if err := l.DeleteLocalNetwork("circuit"); err == nil {
		t.Error("a site that a gateway names is gone")
	}
	for name, c := range map[string]struct {
		network string
		gateway lab.VPNGateway
		text    string
	}{
		"itself":               {"A", lab.VPNGateway{Connections: []lab.GatewayConnection{network("A")}}, "The gateway of A can't connect A with itself."},
		"nothing of this kind": {"A", lab.VPNGateway{Connections: []lab.GatewayConnection{site("A2")}}, "The gateway of A has a connection to 'A2', which is neither a local network site nor another virtual network."},
		"twice":                {"A", lab.VPNGateway{Connections: []lab.GatewayConnection{site("B"), site("B")}}, "The gateway of A has two connections to B."},
		"clients of its own addresses": {
			"A",
			lab.VPNGateway{ClientAddressPool: prefixes("10.1.7.0/24")},
			"The address spaces of A (10.1.0.0/16) and the point-to-site clients (10.1.7.0/24) overlap: they can't be joined.",
		},
		"clients of a site's addresses": {
			"A",
			lab.VPNGateway{ClientAddressPool: prefixes("192.168.0.128/25"), Connections: []lab.GatewayConnection{site("B")}},
			"The address spaces of the point-to-site clients (192.168.0.128/25) and B (192.168.0.0/24) overlap: they can't be joined.",
		},
		"by IPsec what only a circuit may be": {
			"A", lab.VPNGateway{Connections: []lab.GatewayConnection{site("circuit")}}, "The address spaces of A (10.1.0.0/16) and circuit (10.0.0.0/8) overlap: they can't be joined.",
		},
	} {
		l := base(t)
		if err := l.CreateGateway(c.network, c.gateway); err == nil || err.Error() != "BadRequest: "+c.text {
			t.Errorf("%s: %v", name, err)
		}
	}
	l = base(t)
	must(t, l.CreateGateway("A", lab.VPNGateway{Connections: []lab.GatewayConnection{site("B")}}))
	const text = "BadRequest: The address spaces of A (10.1.0.0/16) and A2 (10.1.0.0/16) overlap: the VPN device of B, which both are connected to, can't tell them apart."
	if err := l.CreateGateway(
		"A2",
		lab.VPNGateway{Connections: []lab.GatewayConnection{site("B")}},
	); err == nil ||
		err.Error() != text {
		t.Errorf("two networks with one address space at one site: %v", err)
	}
}
