package compile_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/compile"
	"vnetlab/lab/labtest"
	"vnetlab/lab/rules"
)

func namespaceOf(t testing.TB, n *emu.Network, name string) *emu.Namespace {
	t.Helper()
	s, ok := n.Namespace(name)
	if !ok {
		t.Fatalf("there is no namespace %s", name)
	}
	return s
}

func TestRoleEnvironment(t *testing.T) {
	worker := namespaceOf(t, compile.Network(labtest.Connected(t)), "Worker_IN_1")
	want := []string{
		"ENDPOINT_ADMIN=100.64.12.7:7001", "ENDPOINT_DEBUG=100.64.12.7:22", "ENDPOINT_GOSSIP=100.64.12.7:7000",
		"PEERS_WORKER_ADMIN=100.64.12.6:7001,100.64.12.7:7001", "PEERS_WORKER_GOSSIP=100.64.12.6:7000,100.64.12.7:7000",
	}
	for _, s := range worker.Services {
		if !slices.Equal(s.Env, want) {
			t.Errorf("%s has %q\nwant %q", s.Name, s.Env, want)
		}
	}
}

// TestNameServers holds who the name servers of an instance are: the deployment's, else the network's, else the
// platform's.
func TestNameServers(t *testing.T) {
	l, err := lab.New("names", lab.Origin{})
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(err)
	first, second, third := netip.MustParseAddr(
		"10.0.0.4",
	), netip.MustParseAddr(
		"10.0.0.5",
	), netip.MustParseAddr(
		"10.0.0.6",
	)
	do(l.CreateVirtualNetwork(lab.VirtualNetwork{
		Name:         "n",
		Location:     "West US",
		AddressSpace: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
		DNSServers:   []lab.DNSServer{{Address: first}, {Address: second}},
		Subnets:      []lab.Subnet{{Name: "s", AddressPrefix: netip.MustParsePrefix("10.0.0.0/24")}},
	}))
	role := func(name, subnet string) []lab.Role {
		return []lab.Role{{Name: name, InstanceCount: 1, Subnet: subnet}}
	}
	for _, s := range []string{"plain", "network", "own"} {
		do(l.CreateHostedService(lab.HostedService{Name: s, Location: "West US"}))
	}
	do(l.CreateDeployment("plain", lab.PackageDeployment{Roles: role("Plain", "")}))
	do(l.CreateDeployment("network", lab.PackageDeployment{VirtualNetwork: "n", Roles: role("Network", "s")}))
	do(
		l.CreateDeployment(
			"own",
			lab.PackageDeployment{VirtualNetwork: "n", DNSServers: []netip.Addr{third}, Roles: role("Own", "s")},
		),
	)
	network := compile.Network(l)
	for name, want := range map[string]string{
		"Plain_IN_0":   "[168.63.129.16] [plain.internal.cloudapp.net]",
		"Network_IN_0": "[10.0.0.4 10.0.0.5] [network.internal.cloudapp.net]",
		"Own_IN_0":     "[10.0.0.6] [own.internal.cloudapp.net]",
	} {
		r := namespaceOf(t, network, name).Resolver
		if got := fmt.Sprint(r.Servers, " ", r.Search); got != want {
			t.Errorf("%s asks %s, want %s", name, got, want)
		}
	}
}

func TestHealthProbes(t *testing.T) {
	probes := namespaceOf(t, compile.Network(labtest.Connected(t)), "edge.West").HealthProbes
	var got []string
	for _, p := range probes {
		got = append(
			got,
			fmt.Sprintf(
				"%s: %s asks %s %s every %d s, timeout %d s",
				p.ID,
				p.Source,
				p.Target,
				p.Protocol,
				p.Interval,
				p.Timeout,
			),
		)
	}
	want := []string{ // the third machine is stopped
		"data1/cql: 168.63.129.16 asks 10.1.1.4:9042 tcp every 15 s, timeout 31 s",
		"data2/cql: 168.63.129.16 asks 10.1.1.5:9042 tcp every 15 s, timeout 31 s",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestIdleTimeouts(t *testing.T) {
	network := compile.Network(labtest.Connected(t))
	for _, n := range network.Namespaces {
		want := 0
		if strings.HasPrefix(n.Name, "edge.") {
			want = 240
		}
		if n.EstablishedTimeout != want {
			t.Errorf("%s forgets established connections after %d s, not %d", n.Name, n.EstablishedTimeout, want)
		}
	}
	got := namespaceOf(t, network, "edge.West").Ruleset.Timeouts
	if want := []emu.TimeoutPolicy{{Name: "idle-tcp-10", Protocol: emu.TCP, Seconds: 600}}; !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestGuestFirewallOrder holds that replies and loopback come first, then what blocks, then what allows, then the
// default, which blocks.
func TestGuestFirewallOrder(t *testing.T) {
	lines := namespaceOf(t, compile.Network(labtest.Everything(t)), "sql1").Firewall.Lines()
	last := -1
	for _, part := range []string{"-i lo -j ACCEPT", "RELATED,ESTABLISHED -j ACCEPT", "-s 10.0.1.5/32", "--dport 3389", "--dport 5986", "-s 10.0.1.0/24", "NFLOG"} {
		at := slices.IndexFunc(lines[last+1:], func(l string) bool { return strings.Contains(l, part) })
		if at < 0 {
			t.Fatalf("no %q after line %d of\n%s", part, last, strings.Join(lines, "\n"))
		}
		last += 1 + at
	}
	if namespaceOf(t, compile.Network(labtest.Everything(t)), "report1").Firewall != nil {
		t.Error("a firewall that is off has rules")
	}
}

// TestOutboundICMP holds that ICMP doesn't leave by a VIP, but does from an instance with a public address of its own.
func TestOutboundICMP(t *testing.T) {
	network := compile.Network(labtest.Connected(t))
	for edge, own := range map[string]bool{"edge.West": true, "edge.East": false} {
		all := forward(namespaceOf(t, network, edge))
		drop := slices.IndexFunc(all, func(r emu.Rule) bool { return r.ID == rules.OutboundICMP })
		accepted := slices.IndexFunc(all, func(r emu.Rule) bool {
			return slices.Contains(
				r.Statements,
				emu.Statement(emu.MatchPrefix{Of: emu.Source, Prefix: netip.MustParsePrefix("10.1.1.7/32")}),
			)
		})
		if drop < 0 || own != (accepted >= 0) || accepted > drop {
			t.Errorf("%s: dropped by rule %d, let out by rule %d", edge, drop, accepted)
		}
	}
}

func forward(s *emu.Namespace) []emu.Rule {
	for _, c := range s.Ruleset.Chains {
		if c.Hook == emu.ForwardHook {
			return c.Rules
		}
	}
	return nil
}

// TestDirectServerReturn holds that the guest itself has the VIP.
func TestDirectServerReturn(t *testing.T) {
	l := labtest.Connected(t)
	s, _ := l.CloudService("data")
	network := compile.Network(l)
	if got := namespaceOf(t, network, "data1").Loopback; !slices.Equal(got, []netip.Addr{s.Production.VIP}) {
		t.Errorf("data1 has %v, want the VIP %v", got, s.Production.VIP)
	}
	if got := namespaceOf(t, network, "data2").Loopback; len(got) > 0 {
		t.Errorf("data2 has %v", got)
	}
}

// TestRemoteDesktop holds that a forwarder knows the desktops of its own deployment, and that the guest firewalls let
// it through to them.
func TestRemoteDesktop(t *testing.T) {
	l := labtest.Sequence(t)
	role := func(name string, port uint16) lab.Role {
		return lab.Role{
			Name:           name,
			InstanceCount:  1,
			InputEndpoints: []lab.InputEndpoint{{Name: "In", Protocol: emu.TCP, Port: port}},
		}
	}
	web, data := labtest.WithRemoteDesktop(role("Web", 80)), labtest.WithRemoteDesktop(role("Data", 81))
	data.InputEndpoints, data.Services = data.InputEndpoints[:1], data.Services[:1] // without a forwarder
	for _, slot := range []lab.Slot{lab.Production, lab.Staging} {
		if err := l.CreateDeployment(
			"shop",
			lab.PackageDeployment{Slot: slot, Name: string(slot), Roles: []lab.Role{web, data}},
		); err != nil {
			t.Fatal(err)
		}
	}
	network := compile.Network(l)
	for _, d := range l.Deployments() {
		for _, i := range d.Instances {
			if i.Role == "" {
				continue
			}
			s := namespaceOf(t, network, i.ID)
			if server := s.Services[0]; server.Port != 3389 || server.RemoteDesktop != emu.RemoteDesktopServer ||
				len(server.Desktops) > 0 {
				t.Errorf("%s: %+v", i.ID, server)
			}
			if i.Role == "Web" {
				if forwarder := s.Services[1]; forwarder.RemoteDesktop != emu.RemoteDesktopForwarder ||
					!slices.Equal(forwarder.Desktops, d.Desktops()) ||
					len(forwarder.Desktops) != 2 {
					t.Errorf("%s: %+v, want %v", i.ID, forwarder, d.Desktops())
				}
			}
			for _, from := range d.Instances {
				rule := fmt.Sprintf("-s %s/32 -p tcp -m tcp --dport 3389", from.DIP)
				if !slices.ContainsFunc(s.Firewall.Lines(), func(l string) bool { return strings.Contains(l, rule) }) {
					t.Errorf("%s doesn't let in %s:\n%s", i.ID, from.ID, strings.Join(s.Firewall.Lines(), "\n"))
				}
			}
		}
	}
}
