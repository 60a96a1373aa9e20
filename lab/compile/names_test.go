package compile_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/compile"
	"vnetlab/lab/rules"
)

// TestNames holds that whatever networks, subnets and sites are called, namespaces and interfaces have names that the
// kernel takes, each its own.
func TestNames(t *testing.T) {
	names := []string{
		"Prod",
		"Prod net",
		"Prod-net",
		"Prod.net",
		"Prod  net",
		"prod_net",
		"1",
		"-",
		"wan",
		"lo",
		"all",
		"default",
		"a.b.cloudapp.net",
		"front.cloudapp.net",
		"azurewebsites.west-us",
		"Ünïcode",
		"日本",
		"🙂",
		"[web] (1)",
		`"q"`,
		"%d",
		"a=b",
		"$(x)",
		"internet",
		"s.front",
		"w.west-us",
		"dc-west-us",
		strings.Repeat(
			"long ",
			50,
		) + "1",
		strings.Repeat("long ", 50) + "2",
		strings.Repeat("x", 200) + "1",
		strings.Repeat("x", 200) + "2",
	}
	l, err := lab.New("names", lab.Origin{})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(err)
	prefix := netip.MustParsePrefix
	// Every name is one of a virtual network, of a site that the network of the same name is connected to, and of a
	// subnet of the first.
	var subnets []lab.Subnet
	for i, name := range names {
		subnets = append(subnets, lab.Subnet{Name: name, AddressPrefix: prefix(fmt.Sprintf("10.0.%d.0/24", i))})
	}
	subnets = append(subnets, lab.Subnet{Name: "large (1)", AddressPrefix: prefix("10.0.128.0/17")})
	for i, name := range names {
		n := lab.VirtualNetwork{
			Name: name, Location: "West US", AddressSpace: []netip.Prefix{prefix(fmt.Sprintf("10.%d.0.0/16", i))},
			Subnets: []lab.Subnet{{Name: "GatewaySubnet", AddressPrefix: prefix(fmt.Sprintf("10.%d.0.0/29", i))}},
		}
		if i == 0 {
			n.Subnets = append(
				[]lab.Subnet{{Name: "GatewaySubnet", AddressPrefix: prefix("10.0.127.0/29")}},
				subnets...)
		}
		must(l.CreateVirtualNetwork(n))
		must(
			l.CreateLocalNetwork(
				lab.LocalNetwork{
					Name:              name,
					AddressSpace:      []netip.Prefix{prefix(fmt.Sprintf("172.16.%d.0/24", i))},
					VPNGatewayAddress: netip.AddrFrom4([4]byte{8, 8, 8, byte(i)}),
				},
			),
		)
	}
	for _, name := range names[1:] {
		must(
			l.CreateGateway(
				name,
				lab.VPNGateway{
					Connections: []lab.GatewayConnection{
						{Name: name, To: lab.ToLocalNetwork},
						{Name: names[0], To: lab.ToVirtualNetwork},
					},
				},
			),
		)
	}
	first := lab.VPNGateway{Connections: []lab.GatewayConnection{{Name: names[0], To: lab.ToLocalNetwork}}}
	for _, name := range names[1:10] {
		first.Connections = append(first.Connections, lab.GatewayConnection{Name: name, To: lab.ToVirtualNetwork})
	}
	must(l.CreateGateway(names[0], first))
	must(l.CreateHostedService(lab.HostedService{Name: "front", Location: "West US"}))
	must(l.AddVirtualMachine("front", lab.VirtualMachine{Name: "vm1", OS: lab.Linux}))
	must(l.CreateHostedService(lab.HostedService{Name: "inside", Location: "West US", VirtualNetwork: names[0]}))
	must(
		l.AddVirtualMachine(
			"inside",
			lab.VirtualMachine{
				Name:          "vm2",
				OS:            lab.Linux,
				Subnet:        "large (1)",
				StaticAddress: netip.MustParseAddr("10.0.130.4"),
			},
		),
	)
	must(
		l.AddVirtualMachine(
			"inside",
			lab.VirtualMachine{
				Name:          "vm3",
				OS:            lab.Linux,
				Subnet:        "large (1)",
				StaticAddress: netip.MustParseAddr("10.0.140.4"),
			},
		),
	)

	network := compile.Network(l)
	file, device := regexp.MustCompile(
		`^[A-Za-z0-9._-]{1,160}$`,
	), regexp.MustCompile(
		`^[A-Za-z0-9_][A-Za-z0-9._-]{0,14}$`,
	)
	namespaces, devices := map[string]bool{}, map[string]bool{}
	add := func(namespace, name string) {
		t.Helper()
		if at := namespace + " " + name; devices[at] || !device.MatchString(name) || name == "lo" || name == "all" ||
			name == "default" {
			t.Errorf("the interface %q of %s is there twice, or can't be", name, namespace)
		} else {
			devices[at] = true
		}
	}
	for _, n := range network.Namespaces {
		if namespaces[n.Name] || !file.MatchString(n.Name) {
			t.Errorf("the namespace %q is there twice, or can't be", n.Name)
		}
		namespaces[n.Name] = true
		for _, b := range n.Bridges {
			add(n.Name, b.Name)
		}
		if n.Ruleset == nil {
			continue
		}
		for _, c := range n.Ruleset.Chains {
			for _, r := range c.Rules {
				if len(r.Comment) > 127 {
					t.Errorf("%d bytes of comment: %s", len(r.Comment), r.Comment)
				}
			}
		}
	}
	for _, link := range network.Links {
		for _, end := range []emu.LinkEnd{link.A, link.B} {
			add(end.Namespace, end.Name)
		}
	}
	tunnels := map[string]bool{}
	for _, tunnel := range network.Tunnels {
		if tunnels[tunnel.ID] {
			t.Errorf("the tunnel %q is there twice", tunnel.ID)
		}
		tunnels[tunnel.ID] = true
		add(tunnel.A.Namespace, tunnel.A.Device)
		add(tunnel.B.Namespace, tunnel.B.Device)
	}
	if len(network.Tunnels) != len(names)+9 {
		t.Errorf("%d tunnels", len(network.Tunnels))
	}
	for name, want := range map[string]string{"Prod": "edge.Prod", "Prod net": "edge.Prod.20net", "Ünï": "edge..c3.9cn.c3.af"} {
		if got := rules.NetworkEdgeName(name); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
