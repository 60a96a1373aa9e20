package compile_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/text"
	"vnetlab/lab"
	"vnetlab/lab/compile"
	"vnetlab/lab/labtest"
	"vnetlab/lab/rules"
)

// TestSwitchRules holds whose addresses each port lets in: of an instance its own, and the VIP where it answers as
// that itself.
func TestSwitchRules(t *testing.T) {
	l := labtest.Connected(t)
	s, _ := l.CloudService("data")
	network := compile.Network(l)
	own := "10.1.1.4 " + s.Production.VIP.String()
	for namespace, want := range map[string][]string{
		"edge.West": {"10.1.1.4 10.1.1.4", own, "10.1.1.5 10.1.1.5", "10.1.1.7 10.1.1.7"},
		"edge.East": {"10.2.1.4 10.2.1.4"},
		"site.hq":   {"192.168.10.4 192.168.10.4", "192.168.10.5 192.168.10.5"},
	} {
		r := namespaceOf(t, network, namespace).Switch
		var got []string
		for _, e := range r.Ports[0].Elements {
			got = append(got, e.Device+" "+e.Address.String())
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s lets in %q, want %q", namespace, got, want)
		}
		if rules := text.NFTables(r); strings.Contains(rules, "up-") {
			t.Errorf("%s has no leaf, but lets in what comes from one:\n%s", namespace, rules)
		}
		for _, id := range []string{rules.SpoofedSource, rules.SpoofedARP, rules.NotIPv4} {
			if ref, ok := network.Rule(namespace, id); !ok || ref.Text == "" {
				t.Errorf("%s: the rule %s is not found, or says nothing: %+v", namespace, id, ref)
			}
		}
	}
}

// TestClosedByOperations holds what operations close at an edge, beyond what goes with a link: the sum of all is
// shown with packets elsewhere.
func TestClosedByOperations(t *testing.T) {
	l, err := lab.New("flows", lab.Origin{})
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(err)
	do(l.CreateVirtualNetwork(lab.VirtualNetwork{
		Name: "Net", Location: "West US", AddressSpace: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
		Subnets: []lab.Subnet{{Name: "a", AddressPrefix: netip.MustParsePrefix("10.0.0.0/24")}},
	}))
	do(l.CreateReservedIP(lab.ReservedIP{Name: "kept", Location: "West US"}))
	do(l.CreateHostedService(lab.HostedService{Name: "shop", Location: "West US", VirtualNetwork: "Net"}))
	probe := &lab.Probe{Protocol: "tcp", Port: 1}
	for _, name := range []string{"web1", "web2"} {
		vm := lab.VirtualMachine{Name: name, Subnet: "a", Endpoints: []lab.Endpoint{
			{
				Name: "set-tcp", PublicPort: 80, LocalPort: 8080, LoadBalancedSet: "tcp",
				Balancing: lab.Balancing{Probe: probe},
			},
			{
				Name: "set-udp", Protocol: emu.UDP, PublicPort: 53, LocalPort: 5353, LoadBalancedSet: "udp",
				Balancing: lab.Balancing{Probe: probe},
			},
		}}
		if name == "web1" {
			vm.Endpoints = append(vm.Endpoints, lab.Endpoint{Name: "own", PublicPort: 22, LocalPort: 22})
		}
		do(l.AddVirtualMachine("shop", vm))
		l.SetHealth(name+"/tcp", true)
		l.SetHealth(name+"/udp", true)
	}
	do(l.CreateHostedService(lab.HostedService{Name: "roles", Location: "West US"}))
	for _, slot := range []lab.Slot{lab.Production, lab.Staging} {
		do(l.CreateDeployment("roles", lab.PackageDeployment{Slot: slot, VirtualNetwork: "Net", Roles: []lab.Role{{
			Name: string(slot), InstanceCount: 1, Subnet: "a",
			InputEndpoints: []lab.InputEndpoint{{Name: "In", Protocol: emu.UDP, Port: 80}},
		}}}))
	}
	s, _ := l.CloudService("shop")
	vip := s.Production.VIP
	r, _ := l.CloudService("roles")
	second := r.Staging.VIP
	swapped, err := l.Apply(lab.SwapDeploymentOp{Service: "roles"})
	do(err)
	for _, tt := range []struct {
		name string
		from *lab.Lab
		do   lab.Operation
		want []string
	}{
		{"access control list", l, lab.SetEndpointACLOp{
			Service: "shop", Instance: "web1", Endpoint: "set-udp",
			Rules: []lab.ACLRule{{Order: 1, RemoteSubnet: netip.MustParsePrefix("0.0.0.0/0")}},
		}, nil},
		{"endpoint added", l, lab.AddEndpointOp{
			Service: "shop", VirtualMachine: "web2",
			Endpoint: lab.Endpoint{Name: "own", PublicPort: 23, LocalPort: 22},
		}, nil},
		{"endpoint deleted", l, lab.DeleteEndpointOp{Service: "shop", VirtualMachine: "web1", Name: "own"}, []string{
			fmt.Sprintf("connections to port 22/tcp of %s", vip),
			fmt.Sprintf("connections to port 22/tcp of %s that are with 10.0.0.4:22", vip),
		}},
		{"another local port", l, lab.UpdateEndpointOp{
			Service: "shop", VirtualMachine: "web1", Name: "own",
			Endpoint: lab.Endpoint{Name: "own", PublicPort: 22, LocalPort: 2222},
		}, []string{
			fmt.Sprintf("connections to port 22/tcp of %s that are with 10.0.0.4:22", vip),
		}},
		{"TCP member leaves", l, lab.DeleteEndpointOp{Service: "shop", VirtualMachine: "web1", Name: "set-tcp"}, nil},
		{"UDP member leaves", l, lab.DeleteEndpointOp{
			Service: "shop", VirtualMachine: "web1", Name: "set-udp",
		}, []string{
			fmt.Sprintf("connections to port 53/udp of %s that are with 10.0.0.4:5353", vip),
		}},
		{"machine deleted", l, lab.DeleteRoleOp{Service: "shop", Name: "web1"}, []string{
			"connections of 10.0.0.4", fmt.Sprintf("connections to port 22/tcp of %s", vip),
		}},
		{"reserved IP", l, lab.AssociateReservedIPOp{
			Name: "kept", Service: "shop", Slot: lab.Production,
		}, []string{fmt.Sprintf("connections by %s", vip)}},
		{"swap", l, lab.SwapDeploymentOp{Service: "roles"}, nil},
		// What was with it keeps the VIP it began with.
		{"deployment deleted after a swap", swapped, lab.DeleteDeploymentOp{
			Service: "roles", Slot: lab.Staging,
		}, []string{
			fmt.Sprintf("connections by %s", second), "connections of 10.0.0.6",
		}},
		{"guest firewall", l, lab.SetFirewallOp{Instance: "web1", Off: true}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := new(compile.Compilation).Next(tt.from)
			next, err := tt.from.Apply(tt.do)
			if err != nil {
				t.Fatal(err)
			}
			closed := diff.Networks(before.Network, before.Next(next).Network).Closed()
			var got []string
			for _, c := range closed["edge.Net"] {
				got = append(got, c.String())
			}
			slices.Sort(got)
			slices.Sort(tt.want)
			if !slices.Equal(got, tt.want) {
				t.Errorf("closed:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			delete(closed, "edge.Net")
			if len(closed) > 0 {
				t.Errorf("others close connections, too: %v", closed)
			}
		})
	}
	sick := l.Clone()
	sick.SetHealth("web1/udp", false)
	if closed := diff.Networks(compile.Network(l), compile.Network(sick)).Closed(); len(closed) > 0 {
		t.Errorf("a probe that fails closes %v", closed)
	}
}
