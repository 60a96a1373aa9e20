package supervisor

import (
	"fmt"
	"net/netip"

	"pgregory.net/rapid"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/guestfirewall"
	"vnetlab/lab/labtest"
)

// targets are all members on the ports somebody listens on and one more, all public names on the public ports and one
// more, and addresses that mean something or nothing.
func targets(l *lab.Lab) (all []lab.Target) {
	add := func(name string, ports map[uint16]bool) {
		if _, err := l.EmuTarget(lab.Target{Name: name}); err != nil {
			return // it has no address
		}
		for p := range ports {
			all = append(all, lab.Target{Name: name, Port: p, Protocol: emu.TCP})
		}
	}
	for _, m := range l.Members() {
		ports := map[uint16]bool{9: true}
		for _, s := range m.Services() {
			ports[s.Port] = true
		}
		add(m.ID(), ports)
	}
	for _, s := range l.CloudServices {
		for _, d := range s.Deployments() {
			ports, inside := map[uint16]bool{9: true}, map[uint16]bool{9: true}
			for _, f := range d.Frontends() {
				if f.Internal() {
					inside[f.PublicPort] = true
				} else {
					ports[f.PublicPort] = true
				}
			}
			for _, i := range d.Instances {
				for _, listens := range i.Services {
					ports[listens.Port] = true
				}
				if i.PublicIP.IsValid() {
					add(i.PublicIP.String(), ports)
				}
			}
			add(s.NameOf(d), ports)
			if d.InternalLoadBalancer != nil {
				add(d.InternalLoadBalancer.Address.String(), inside)
			}
		}
	}
	for _, n := range l.LocalNetworks {
		add(n.VPNGatewayAddress.String(), map[uint16]bool{80: true})
		add(lab.Gateway(n.AddressSpace[0]).String(), map[uint16]bool{80: true})
	}
	for _, n := range l.VirtualNetworks {
		if n.Gateway != nil {
			add(n.Gateway.Address.String(), map[uint16]bool{80: true})
			for _, port := range []uint16{500, 51820, 51821} { // the tunnels' own are for the other ends
				all = append(all, lab.Target{Name: n.Gateway.Address.String(), Port: port, Protocol: emu.UDP})
			}
		}
	}
	for n := range all {
		if all[n].Port == 9 { // the port nobody listens on, over UDP too
			t := all[n]
			t.Protocol = emu.UDP
			all = append(all, t)
		}
	}
	addUDP := func(name string, port uint16) {
		if _, err := l.EmuTarget(lab.Target{Name: name}); err == nil {
			all = append(all, lab.Target{Name: name, Port: port, Protocol: emu.UDP})
		}
	}
	for _, m := range l.Members() {
		for _, s := range m.Services() {
			if s.Protocol != emu.UDP {
				continue
			}
			addUDP(m.ID(), s.Port)
			if m.Instance != nil && m.Instance.PublicIP.IsValid() {
				addUDP(m.Instance.PublicIP.String(), s.Port)
			}
		}
	}
	for _, d := range l.Deployments() {
		s, _ := l.CloudService(d.Service)
		for _, f := range d.Frontends() {
			if f.Protocol == emu.UDP {
				addUDP(s.NameOf(d), f.PublicPort)
			}
		}
	}
	for _, a := range l.UnnamedAddresses() { // nobody has them, whatever asks from there
		add(a.String(), map[uint16]bool{80: true, 25000: true})
		all = append(all, lab.Target{Name: a.String(), Port: 25000, Protocol: emu.UDP})
	}
	for _, name := range []string{"168.63.129.16", "192.0.2.53", "198.18.0.200", "203.0.113.99", "8.8.8.8", "10.0.1.1", "10.0.77.7", "172.16.0.4", "nobody.cloudapp.net"} {
		add(name, map[uint16]bool{53: true, 80: true})
	}
	return all
}

// randomLab draws a lab of up to three networks and five services.
func randomLab(rt *rapid.T) *lab.Lab {
	l, err := lab.New("random", lab.Origin{})
	if err != nil {
		rt.Fatal(err)
	}
	location := rapid.SampledFrom([]string{"West US", "East US"})
	port := rapid.SampledFrom([]uint16{22, 80, 443, 1433, 3389})
	rule := rapid.SampledFrom([]string{
		"allow tcp 80",
		"allow tcp 1433 from 10.0.1.0/24",
		"block tcp 80 from 10.0.1.5",
		"allow any",
		"block tcp 443",
		"allow tcp 1000-2000,22",
		"allow udp 5000-6000 from 130.88.0.0/16",
		"block tcp 1-1000 from 130.88.0.1-130.88.0.9",
		"allow tcp from localsubnet",
		"allow tcp 80,443,1433 from 203.0.113.0/24,198.18.0.0/15",
		"block any from 10.0.1.4-10.0.1.6",
		"allow icmp",
		"allow udp 5000",
		"block udp 5000 from 203.0.113.4",
	})
	firewall := func() (rules []lab.GuestFirewallRule) {
		for _, text := range rapid.SliceOfN(rule, 0, 4).Draw(rt, "firewall") {
			r, err := guestfirewall.Parse(text)
			if err != nil {
				rt.Fatal(err)
			}
			rules = append(rules, lab.GuestFirewallRule{Rule: r})
		}
		return rules
	}
	listen := func() []lab.Service {
		all := labtest.Listen(rapid.SliceOfNDistinct(port, 0, 3, rapid.ID).Draw(rt, "services")...)
		if rapid.Bool().Draw(rt, "over UDP") {
			all = append(all, lab.Service{Port: 5000, Protocol: emu.UDP})
		}
		return all
	}
	acl := func() (rules []lab.ACLRule) {
		remote := rapid.SampledFrom(
			[]string{
				"203.0.113.4/32",
				"203.0.113.0/24",
				"130.88.0.0/16",
				"198.18.0.0/20",
				"198.18.0.16/32",
				"10.0.0.0/8",
				"0.0.0.0/0",
			},
		)
		for i, text := range rapid.SliceOfN(remote, 0, 3).Draw(rt, "acl") {
			rules = append(
				rules,
				lab.ACLRule{
					Order:        i,
					Permit:       rapid.Bool().Draw(rt, "permit"),
					RemoteSubnet: netip.MustParsePrefix(text),
				},
			)
		}
		return rules
	}
	distribution := rapid.SampledFrom(
		[]lab.Distribution{"", lab.DistributeNone, lab.DistributeSourceIP, lab.DistributeSourceIPProtocol},
	)

	for i := range rapid.IntRange(0, 2).Draw(rt, "networks") {
		_ = l.CreateVirtualNetwork(lab.VirtualNetwork{ // the same addresses in each
			Name: fmt.Sprintf(
				"Network%d",
				i,
			),
			Location:     location.Draw(rt, "location"),
			AddressSpace: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
			Subnets: []lab.Subnet{
				{
					Name:          "a",
					AddressPrefix: netip.MustParsePrefix("10.0.1.0/24"),
				},
				{Name: "b", AddressPrefix: netip.MustParsePrefix("10.0.2.0/29")},
			},
		})
	}
	for i := range rapid.IntRange(1, 4).Draw(rt, "services") {
		service := lab.HostedService{Name: fmt.Sprintf("svc%d", i), Location: location.Draw(rt, "location")}
		subnet := ""
		if len(l.VirtualNetworks) > 0 && rapid.Bool().Draw(rt, "in a network") {
			n := rapid.SampledFrom(l.VirtualNetworks).Draw(rt, "network")
			service.VirtualNetwork, service.Location, subnet = n.Name, n.Location, rapid.SampledFrom([]string{"a", "b"}).
				Draw(rt, "subnet")
		}
		if err := l.CreateHostedService(service); err != nil {
			rt.Fatal(err)
		}
		if rapid.Bool().Draw(rt, "roles") {
			staged := lab.PackageDeployment{
				Slot:           lab.Staging,
				VirtualNetwork: service.VirtualNetwork,
				Roles: []lab.Role{
					{
						Name: fmt.Sprintf(
							"Next%d",
							i,
						),
						InstanceCount: 1,
						Subnet:        subnet,
						Firewall:      firewall(),
						Services:      listen(),
						InputEndpoints: []lab.InputEndpoint{
							{
								Name:      "In",
								Protocol:  emu.TCP,
								Port:      port.Draw(rt, "port"),
								LocalPort: port.Draw(rt, "local"),
								Balancing: lab.Balancing{ACL: acl()},
							},
						},
					},
				},
			}
			if rapid.Bool().Draw(rt, "staging") {
				_ = l.CreateDeployment(service.Name, staged)
			}
			_ = l.CreateDeployment(
				service.Name,
				lab.PackageDeployment{VirtualNetwork: service.VirtualNetwork, Roles: []lab.Role{
					{
						Name: fmt.Sprintf(
							"Web%d",
							i,
						),
						InstanceCount: rapid.IntRange(1, 3).Draw(rt, "instances"),
						Subnet:        subnet,
						Firewall:      firewall(),
						Services:      listen(),
						InputEndpoints: []lab.InputEndpoint{
							{
								Name:      "In",
								Protocol:  emu.TCP,
								Port:      port.Draw(rt, "port"),
								LocalPort: port.Draw(rt, "local"),
								Balancing: lab.Balancing{ACL: acl(), Distribution: distribution.Draw(rt, "mode")},
							},
						},
					},
				}},
			)
			continue
		}
		list, mode := acl(), distribution.Draw(rt, "mode")
		balancer, direct, guarded := "", rapid.Bool().Draw(rt, "direct server return"), acl()
		if subnet != "" && rapid.Bool().Draw(rt, "internal load balancer") {
			balancer = "inside"
		}
		for v := range rapid.IntRange(0, 3).Draw(rt, "machines") {
			var created *lab.InternalLoadBalancer
			if balancer != "" && v == 0 {
				created = &lab.InternalLoadBalancer{Name: balancer, Subnet: subnet}
			}
			_ = l.AddVirtualMachine(service.Name, lab.VirtualMachine{
				PublicIPName: rapid.SampledFrom([]string{"", "", fmt.Sprintf("ip%d%d", i, v)}).
					Draw(rt, "public IP"),
				InternalLoadBalancer: created,
				Name: fmt.Sprintf(
					"vm%d",
					v,
				),
				OS:          rapid.SampledFrom([]lab.OS{lab.Windows, lab.Linux}).Draw(rt, "os"),
				Subnet:      subnet,
				Firewall:    firewall(),
				FirewallOff: rapid.IntRange(0, 4).Draw(rt, "off") == 0,
				Services:    listen(),
				Endpoints: []lab.Endpoint{
					{
						Name: "set", PublicPort: 80, LocalPort: port.Draw(rt, "local"), LoadBalancedSet: "set",
						Balancing: lab.Balancing{ACL: list, Distribution: mode},
					},
					{Name: "own", LocalPort: 3390, PublicPort: 0},
					{
						Name:            "datagrams",
						Protocol:        emu.UDP,
						LocalPort:       5000,
						PublicPort:      5001,
						LoadBalancedSet: "datagrams",
						Balancing:       lab.Balancing{Distribution: mode},
					},
					{
						Name: "inner", LocalPort: 443, PublicPort: 443, LoadBalancedSet: "inner",
						Balancing: lab.Balancing{
							ACL: guarded, DirectServerReturn: direct, InternalLoadBalancer: balancer,
						},
					},
				},
			})
		}
	}
	if rapid.Bool().Draw(rt, "site") {
		_ = l.CreateWebSite(lab.WebSite{Name: "site", Location: location.Draw(rt, "location")})
	}
	for i := range rapid.IntRange(0, 2).Draw(rt, "hosts") {
		_ = l.CreateInternetHost(lab.InternetHost{Name: fmt.Sprintf("host%d", i), Services: listen()})
	}
	return l
}
