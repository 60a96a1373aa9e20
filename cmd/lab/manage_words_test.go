package main

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/cobra"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/labfile"
)

func TestParseEndpoint(t *testing.T) {
	for text, want := range map[string]lab.Endpoint{
		"tcp:57500:1433": {Protocol: emu.TCP, PublicPort: 57500, LocalPort: 1433},
		"UDP::53":        {Protocol: emu.UDP, LocalPort: 53},
		"tcp:80:8080,name=http,set=web": {
			Protocol: emu.TCP, PublicPort: 80, LocalPort: 8080, Name: "http",
			LoadBalancedSet: "web",
		},
		"tcp:80:80,distribution=sourceIP,idle=30": {
			Protocol: emu.TCP, PublicPort: 80, LocalPort: 80,
			Balancing: lab.Balancing{Distribution: lab.DistributeSourceIP, IdleTimeoutInMinutes: 30},
		},
		"tcp:80:80,probe=tcp": {
			Protocol: emu.TCP, PublicPort: 80, LocalPort: 80,
			Balancing: lab.Balancing{Probe: &lab.Probe{Protocol: "tcp"}},
		},
		"tcp:80:80,timeout=11,probe=http:8080:/health?a:b": {
			Protocol: emu.TCP, PublicPort: 80, LocalPort: 80,
			Balancing: lab.Balancing{
				Probe: &lab.Probe{Protocol: "http", Port: 8080, Path: "/health?a:b", TimeoutInSeconds: 11},
			},
		},
		"tcp:80:80,internal=ilb,dsr": {
			Protocol: emu.TCP, PublicPort: 80, LocalPort: 80,
			Balancing: lab.Balancing{InternalLoadBalancer: "ilb", DirectServerReturn: true},
		},
	} {
		got, err := parseEndpoint(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", text, diff)
		}
	}
	for _, text := range []string{
		"", "80", "tcp:80", "tcp:80:", "tcp:0:80", "tcp:80:0", "tcp:65536:80", "icmp:80:80", "tcp:80:80:80", "tcp:80:80,",
		"tcp:80:80,set", "tcp:80:80,idle=x",
		"tcp:80:80,idle=-4", "tcp:80:80,distribution=random", "tcp:80:80,probe=http", "tcp:80:80,probe=tcp:/x",
		"tcp:80:80,probe=http:0:/x",
		"tcp:80:80,interval=5", "tcp:80:80,color=red", "tcp:+80:80",
	} {
		var wrong *failure
		if _, err := parseEndpoint(text); !errors.As(err, &wrong) || wrong.status != exitUsage || wrong.hint == "" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestEndpointFlags holds that flags describe the same endpoints as the compact form, and that every key of it has
// a flag.
func TestEndpointFlags(t *testing.T) {
	for line, spec := range map[string]string{
		"--public 57500 --local 1433":                                      "tcp:57500:1433",
		"--public 80":                                                      "tcp:80:80",
		"--local 53 --protocol udp":                                        "udp::53",
		"--public 80 --local 8080 --set web --idle-timeout 30":             "tcp:80:8080,set=web,idle=30",
		"--local 80 --distribution sourceIPProtocol":                       "tcp::80,distribution=sourceIPProtocol",
		"--local 80 --probe http:81:/x --probe-interval 5":                 "tcp::80,probe=http:81:/x,interval=5",
		"--local 80 --probe none":                                          "tcp::80",
		"--local 80 --probe tcp --probe-timeout 11":                        "tcp::80,probe=tcp,timeout=11",
		"--public 1433 --local 1433 --internal ilb --direct-server-return": "tcp:1433:1433,internal=ilb,dsr",
		"--endpoint tcp:1:2":                                               "tcp:1:2",
	} {
		want, err := parseEndpoint(spec)
		if err != nil {
			t.Fatal(err)
		}
		f := endpointFlags{}
		cmd := &cobra.Command{}
		f.add(&app{}, cmd)
		if err := cmd.ParseFlags(strings.Fields(line)); err != nil {
			t.Fatal(err)
		}
		if err := f.check(cmd); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		got, err := f.apply(cmd, lab.Endpoint{Protocol: emu.TCP})
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v, -want +got:\n%s", line, err, diff)
		}
	}
	for _, k := range endpointKeys {
		text := "tcp:80:80,probe=tcp," + k.key
		if k.value != "" {
			text += "=" + map[string]string{"distribution": "none", "probe": "tcp"}[k.key]
		}
		if strings.HasSuffix(text, "=") {
			text += "5"
		}
		if _, err := parseEndpoint(text); err != nil {
			t.Errorf("the help lists the key %s: %v", k.key, err)
		}
	}
}

func TestParseACL(t *testing.T) {
	want := []lab.ACLRule{
		{Order: 100, Permit: true, RemoteSubnet: netip.MustParsePrefix("203.0.113.0/24"), Description: "the office"},
		{Order: 200, RemoteSubnet: netip.MustParsePrefix("0.0.0.0/0")},
		{Order: 300, RemoteSubnet: netip.MustParsePrefix("198.51.100.7/32")},
	}
	got, err := parseACL([]string{
		"100 permit 203.0.113.0/24 the office", "200", "deny", "0.0.0.0/0",
		" 300  deny 198.51.100.7",
	})
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	for _, args := range [][]string{
		{""},
		{"100"},
		{"100", "permit"},
		{"100 allow 0.0.0.0/0"},
		{"x deny 0.0.0.0/0"},
		{"100 deny x"},
		{"100", "deny", "x y"},
	} {
		if rules, err := parseACL(args); err == nil {
			t.Errorf("%q: %v", args, rules)
		}
	}
}

// What the shell makes of a rule as it is typed is put together again.
func TestParseFirewallRule(t *testing.T) {
	for _, c := range []struct {
		args []string
		name string
		rule string
	}{
		{[]string{"allow tcp 1433 from localsubnet"}, "", "allow tcp 1433 from localsubnet"},
		{[]string{"allow", "tcp", "80,443"}, "", "allow tcp 80,443"},
		{strings.Split("netsh advfirewall firewall add rule|name=SQL Server|dir=in|action=block|protocol=TCP|localport=1433", "|"), "SQL Server", "block tcp 1433"},
		{
			append(strings.Fields("netsh advfirewall firewall add rule"), "name=SQL Server", "dir=in", "action=allow",
				"protocol=TCP", "localport=1433"),
			"SQL Server", "allow tcp 1433",
		},
		{
			append(strings.Fields("netsh advfirewall firewall add rule"), `name="SQL Server"`, "dir=in", "action=allow",
				"protocol=TCP", "localport=1433"),
			"SQL Server", "allow tcp 1433",
		},
		{strings.Split("New-NetFirewallRule|-DisplayName|SQL Server|-Direction|Inbound|-Protocol|TCP|-LocalPort|1433|-Action|Allow", "|"), "SQL Server", "allow tcp 1433"},
	} {
		if c.name != "" && strings.Contains(c.args[0], " ") {
			c.args = append(strings.Fields(c.args[0]), c.args[1:]...)
		}
		got, err := parseFirewallCommand(c.args)
		if err != nil || len(got.Rules) != 1 || got.Rules[0].Name != c.name || got.Rules[0].String() != c.rule {
			t.Errorf("%q: %v, %v", c.args, got, err)
		}
	}
	if _, err := parseFirewallCommand([]string{"allow", "tcp", "x"}); err == nil {
		t.Error("a rule with port x")
	}
}

func FuzzParseEndpoint(f *testing.F) {
	for _, seed := range []string{
		"tcp:57500:1433", "udp::53,name=dns",
		"tcp:80:80,probe=http:8080:/x,interval=5,timeout=11,idle=4", "tcp:1:1,dsr",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseEndpoint(text)
		if err == nil && (e.LocalPort == 0 || e.Protocol != emu.TCP && e.Protocol != emu.UDP) {
			t.Errorf("%q: %+v", text, e)
		}
	})
}

// Importing what was exported changes nothing.
func TestReplaceNetworks(t *testing.T) {
	prefix := netip.MustParsePrefix
	here := func(name string) api.VirtualNetwork {
		return api.VirtualNetwork{
			Name:         name,
			Location:     "West US",
			AddressSpace: []netip.Prefix{prefix("10.0.0.0/8")},
			DNSServers:   []netip.Addr{},
			Subnets:      []api.Subnet{{Name: "s", AddressPrefix: prefix("10.0.0.0/24")}},
		}
	}
	info := api.Lab{VirtualNetworks: []api.VirtualNetwork{here("gone"), here("same"), here("other")}}
	same, other, more := requestOf(here("same")), requestOf(here("other")), requestOf(here("more"))
	same.Origin = lab.Origin{File: "x", Line: 1}
	other.Subnets[0].AddressPrefix = prefix("10.0.1.0/24")
	compare := func(wanted labfile.Networks, want ...string) {
		t.Helper()
		var got []string
		for _, o := range replaceNetworks(info, wanted) {
			got = append(got, o.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	compare(labfile.Networks{VirtualNetworks: []lab.VirtualNetwork{more, other, same}},
		"delete virtual network gone", "create virtual network more", "change virtual network other")

	// Gateways go before what they join, and come after it.
	space := []netip.Prefix{prefix("192.168.0.0/24")}
	device := netip.MustParseAddr("203.0.113.9")
	info = api.Lab{
		VirtualNetworks: []api.VirtualNetwork{here("a"), here("b")},
		LocalNetworks: []api.LocalNetwork{
			{Name: "x", AddressSpace: space, VPNGatewayAddress: device},
			{Name: "y", AddressSpace: space},
		},
	}
	joined := func(sites ...string) *api.Gateway {
		g := &api.Gateway{}
		for _, name := range sites {
			g.Peers = append(g.Peers, api.Peer{Name: name, Kind: lab.ToLocalNetwork})
		}
		return g
	}
	info.VirtualNetworks[0].Gateway, info.VirtualNetworks[1].Gateway = joined("x", "y"), joined("x")
	to := func(network string, connections ...string) lab.CreateGatewayOp {
		return lab.CreateGatewayOp{Network: network, Gateway: gatewayOf(joined(connections...))}
	}
	networks := []lab.VirtualNetwork{requestOf(here("a")), requestOf(here("b"))}
	x, y, z := lab.LocalNetwork{Name: "x", AddressSpace: space}, lab.LocalNetwork{Name: "y", AddressSpace: space},
		lab.LocalNetwork{Name: "z", AddressSpace: space}
	compare(labfile.Networks{
		VirtualNetworks: networks, LocalNetworks: []lab.LocalNetwork{x, y},
		Gateways: []lab.CreateGatewayOp{to("a", "y", "x"), to("b", "x")},
	})
	y.AddressSpace, x.VPNGatewayAddress = []netip.Prefix{prefix("192.168.1.0/24")}, netip.MustParseAddr("203.0.113.10")
	compare(labfile.Networks{
		VirtualNetworks: networks, LocalNetworks: []lab.LocalNetwork{x, y},
		Gateways: []lab.CreateGatewayOp{to("a", "x", "y"), to("b", "x")},
	},
		"delete the gateway of a", "change local network site x", "change local network site y",
		"create the gateway of a to x, y")
	compare(labfile.Networks{
		VirtualNetworks: networks[1:], LocalNetworks: []lab.LocalNetwork{z},
		Gateways: []lab.CreateGatewayOp{to("b", "z")},
	},
		"delete the gateway of a", "delete the gateway of b", "delete virtual network a", "delete local network site x",
		"delete local network site y",
		"create local network site z", "create the gateway of b to z")
}

// Every verb says what it does, has an example that names it, and completes its arguments.
func TestManagementHelp(t *testing.T) {
	a := &app{stdout: newOutput(io.Discard), stderr: newOutput(io.Discard)}
	root := a.root()
	var verbs []*cobra.Command
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if !c.HasSubCommands() {
			verbs = append(verbs, c)
			return
		}
		if c.Long == "" {
			t.Errorf("%s has no description", c.CommandPath())
		}
		for _, below := range c.Commands() {
			walk(below)
		}
	}
	for _, c := range root.Commands() {
		if c.GroupID == manageGroup || c.Name() == "forward" {
			walk(c)
		}
	}
	if len(verbs) < 40 {
		t.Errorf("%d verbs", len(verbs))
	}
	for _, c := range verbs {
		if c.Short == "" || !strings.Contains(c.Example, "sudo "+c.CommandPath()) {
			t.Errorf("%s: %q, %q", c.CommandPath(), c.Short, c.Example)
		}
		if c.ValidArgsFunction == nil || c.Args == nil {
			t.Errorf("%s: arguments aren't checked or completed", c.CommandPath())
		}
		if c.Flags().Lookup("lab") == nil {
			t.Errorf("%s has no --lab", c.CommandPath())
		}
		for line := range strings.SplitSeq(c.Example, "\n") {
			if w := len(line); w > 160 {
				t.Errorf("%s: an example of %d columns", c.CommandPath(), w)
			}
		}
	}
}
