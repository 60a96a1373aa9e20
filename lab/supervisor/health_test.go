package supervisor

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
	"vnetlab/lab"
	"vnetlab/lab/api"
)

// A member whose program ends leaves the load balancer, and comes back with it.
func TestHealthFollowsTheProgram(t *testing.T) {
	setUp(t)
	c := up(t, write(t, "shop", withProgram(shop, "[ ! -e /tmp/broken ] || exec sleep 1000; ")))
	e := lab.Endpoint{
		Name: "probed", PublicPort: 8080, LocalPort: 80, LoadBalancedSet: "probed",
		Balancing: lab.Balancing{
			Probe: &lab.Probe{Protocol: "tcp", Port: 80, IntervalInSeconds: 5, TimeoutInSeconds: 11},
		},
	}
	do(
		t,
		c,
		lab.DeleteEndpointOp{Service: "shopweb", VirtualMachine: "web1", Name: "http"},
		lab.DeleteEndpointOp{Service: "shopweb", VirtualMachine: "web2", Name: "http"},
		lab.AddEndpointOp{
			Service:        "shopweb",
			VirtualMachine: "web1",
			Endpoint:       e,
		},
		lab.AddEndpointOp{Service: "shopweb", VirtualMachine: "web2", Endpoint: e},
	)
	answered := func() (all []string) {
		t.Helper()
		p := isSeen(t, c, "laptop", "shopweb.cloudapp.net:8080", emu.Open)
		for _, m := range p.Members {
			all = append(all, m.Member)
		}
		if len(all) == 0 {
			all = append(all, p.AnsweredBy)
		}
		slices.Sort(all)
		return all
	}
	members := func() (all []string) {
		t.Helper()
		info, err := c.Lab(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range info.CloudServices[1].Endpoints[0].Members {
			if m.Serving && m.Health != nil {
				all = append(all, m.Instance)
			}
		}
		return all
	}
	await := func(want ...string) {
		t.Helper()
		var now []string
		if !kerneltest.Becomes(func() bool { now = members(); return slices.Equal(now, want) }) {
			t.Fatalf("members %v, want %v", now, want)
		}
		if got := answered(); !slices.Equal(got, want) {
			t.Errorf("%v answer, want %v", got, want)
		}
	}
	sh := func(command string) {
		t.Helper()
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		if exit, err := c.Exec(
			t.Context(),
			api.ExecRequest{Instance: "web1", Argv: []string{"sh", "-c", command}},
			null,
			null,
			os.Stderr,
		); err != nil ||
			exit != 0 {
			t.Fatalf("%s: %d, %v", command, exit, err)
		}
	}
	await("web1", "web2")
	sh("touch /tmp/broken; pkill server")
	await("web2")
	asWanted(t, c)
	sh("until pgrep -x sleep; do :; done; rm /tmp/broken; pkill sleep") // the program may just be starting again
	await("web1", "web2")
	asWanted(t, c)
}

// When up returns, the load balancer knows who serves.
func TestUpWithHealthProbes(t *testing.T) {
	setUp(t)
	text := strings.ReplaceAll(
		withProgram(shop, ""),
		"loadBalancedSet: web}",
		"loadBalancedSet: web, probe: {protocol: http, port: 80, path: /, intervalInSeconds: 60, timeoutInSeconds: 121}}",
	)
	c := up(t, write(t, "shop", text))
	isSeen(t, c, "laptop", "shopweb.cloudapp.net:80", emu.Open)
	info, err := c.Lab(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range info.CloudServices[1].Endpoints[0].Members {
		if !m.Serving || m.Health == nil || !m.Health.Healthy {
			t.Errorf("member %+v, health %+v", m, m.Health)
		}
	}
	asWanted(t, c)
}

// A gateway joins a running network to a site, and takes it apart.
func TestGatewayOperations(t *testing.T) {
	setUp(t)
	text := strings.Replace(
		shop,
		"      - {name: BackEnd,",
		"      - {name: GatewaySubnet, addressPrefix: 10.0.9.0/29}\n      - {name: BackEnd,",
		1,
	)
	c := up(t, write(t, "shop", text))
	do(t, c, lab.CreateLocalNetworkOp{LocalNetwork: lab.LocalNetwork{
		Name:         "hq",
		AddressSpace: []netip.Prefix{netip.MustParsePrefix("192.168.10.0/24")},
		Hosts:        []*lab.LocalHost{{Name: "desk"}},
	}})
	do(t, c, lab.CreateGatewayOp{Network: "Net", Gateway: lab.VPNGateway{Connections: lab.ConnectTo("hq")}})
	isSeen(t, c, "desk", "web1:80", emu.Open)
	info, err := c.Lab(t.Context())
	if err != nil || len(info.LocalNetworks) != 1 || len(info.LocalNetworks[0].Hosts) != 1 ||
		info.VirtualNetworks[0].Gateway == nil {
		t.Errorf("%+v, %v", info, err)
	}
	do(t, c, lab.DeleteGatewayOp{Network: "Net"})
	p, err := c.Probe(t.Context(), api.ProbeRequest{From: "desk", To: "web1:80"})
	if err != nil || p.Verdict == emu.Open || !p.Agrees {
		t.Errorf("without the gateway: %+v, %v", p, err)
	}
	do(t, c, lab.CreateGatewayOp{Network: "Net", Gateway: lab.VPNGateway{Connections: lab.ConnectTo("hq")}})
	isSeen(t, c, "desk", "web1:80", emu.Open)

	// Hosts come and go behind the tunnel, which stays.
	do(
		t,
		c,
		lab.AddLocalHostOp{
			Site: "hq",
			Host: lab.LocalHost{Name: "printer", Services: []lab.Service{{Port: 631, Protocol: emu.TCP}}},
		},
	)
	isSeen(t, c, "web1", "printer:631", emu.Open)
	isSeen(t, c, "printer", "web1:80", emu.Open)
	do(t, c, lab.DeleteLocalHostOp{Site: "hq", Name: "printer"})
	isSeen(t, c, "desk", "web1:80", emu.Open)
	asWanted(t, c)
	do(t, c, lab.DeleteGatewayOp{Network: "Net"}, lab.DeleteLocalNetworkOp{Name: "hq"})
}
