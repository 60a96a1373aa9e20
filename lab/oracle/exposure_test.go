package oracle_test

import (
	"net/netip"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/labtest"
	"vnetlab/lab/oracle"
)

// TestLetThrough holds which ports of public addresses the rules let a source through to, whoever listens, runs or is
// healthy.
func TestLetThrough(t *testing.T) {
	everything, connected := labtest.Everything(t), labtest.Connected(t)
	for _, tt := range []struct {
		lab      *lab.Lab
		name     string
		protocol emu.Protocol
		source   string
		want     string
	}{
		{everything, "contactmanager.cloudapp.net", emu.TCP, "203.0.113.4", "80"},
		{everything, "contactmanager.cloudapp.net", emu.UDP, "203.0.113.4", ""},
		{everything, "cassandra.cloudapp.net", emu.TCP, "203.0.113.4", "9160,2201,2202,2203"}, // nobody listens on the last three
		{everything, "cassandra.cloudapp.net", emu.TCP, "203.0.113.5", "2201,2202,2203"},      // the list denies it
		{everything, "cassandra.cloudapp.net", emu.TCP, "130.88.0.1", "2201,2202,2203"},       // and doesn't permit that
		{everything, "contacts.azurewebsites.net", emu.TCP, "203.0.113.4", "80"},
		{everything, "contacts.azurewebsites.net", emu.UDP, "203.0.113.4", ""},
		{connected, "data.cloudapp.net", emu.TCP, "203.0.113.5", "9042,1433"}, // not those of the internal load balancer
		{connected, "napping.cloudapp.net", emu.TCP, "203.0.113.5", ""},       // its guest firewall would block it
		{connected, "branch.cloudapp.net", emu.UDP, "203.0.113.5", "5060,5061"},
		{connected, "branch.cloudapp.net", emu.UDP, "130.88.0.1", ""}, // the guest firewall tells apart, too
		{connected, "shop.cloudapp.net", emu.TCP, "203.0.113.5", "80,10100,10101"},
		{connected, "shop.staging", emu.TCP, "203.0.113.5", "80,10100,10101"},
		{connected, "client1", emu.TCP, "203.0.113.5", "22"},
		{connected, "client1", emu.UDP, "203.0.113.5", "5060"},
		{connected, "client1", emu.UDP, "130.88.0.1", ""},
		{connected, "West", emu.UDP, "203.0.113.5", ""},
		{connected, "hq", emu.TCP, "203.0.113.5", ""},
	} {
		a, ok := tt.lab.PublicAddressNamed(tt.name)
		if !ok {
			t.Fatalf("%s has no public address", tt.name)
		}
		if got := lab.PortsText(
			oracle.LetThrough(tt.lab, netip.MustParseAddr(tt.source), a, tt.protocol)...); got != tt.want {
			t.Errorf("from %s to %s over %s: %q, want %q", tt.source, tt.name, tt.protocol, got, tt.want)
		}
	}
}

// TestLetThroughRanges holds what a guest firewall lets through to an instance that has a public address of its own.
func TestLetThroughRanges(t *testing.T) {
	for name, tt := range map[string]struct {
		rules    []string
		off      bool
		tcp, udp string // from 130.88.0.1
	}{
		"off":            {off: true, tcp: "1-65535", udp: "1-65535"},
		"nothing added":  {tcp: "22"},
		"all":            {rules: []string{"allow any"}, tcp: "1-65535", udp: "1-65535"},
		"all of TCP":     {rules: []string{"allow tcp"}, tcp: "1-65535"},
		"all but one":    {rules: []string{"allow any", "block tcp 1433"}, tcp: "1-1432,1434-65535", udp: "1-65535"},
		"ranges":         {rules: []string{"allow tcp 80-90,85-100,200", "block tcp 95"}, tcp: "22,80-94,96-100,200"},
		"the last port":  {rules: []string{"allow udp 65535", "block udp 65535 from 131.0.0.0/8"}, tcp: "22", udp: "65535"},
		"for others":     {rules: []string{"allow tcp 80 from 131.0.0.0/8"}, tcp: "22"},
		"for some":       {rules: []string{"allow tcp 80 from 130.88.0.0/16", "allow tcp 81 from 130.88.0.0-130.88.0.9"}, tcp: "22,80-81"},
		"not for some":   {rules: []string{"allow tcp 80-90", "block tcp 85 from 130.88.0.0/16"}, tcp: "22,80-84,86-90"},
		"local subnet":   {rules: []string{"allow tcp from localsubnet"}, tcp: "22"},
		"only ICMP":      {rules: []string{"allow icmp"}, tcp: "22"},
		"block over all": {rules: []string{"allow any", "block any"}},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := lab.New("ranges", lab.Origin{})
			if err != nil {
				t.Fatal(err)
			}
			vm := lab.VirtualMachine{Name: "vm1", OS: lab.Linux, PublicIPName: "direct", FirewallOff: tt.off}
			for i, text := range tt.rules {
				vm.Firewall = append(vm.Firewall, labtest.Rule(t, text, i+1))
			}
			if err := l.CreateHostedService(lab.HostedService{Name: "svc", Location: "West US"}); err != nil {
				t.Fatal(err)
			}
			if err := l.AddVirtualMachine("svc", vm); err != nil {
				t.Fatal(err)
			}
			a, _ := l.PublicAddressNamed("vm1")
			for protocol, want := range map[emu.Protocol]string{emu.TCP: tt.tcp, emu.UDP: tt.udp} {
				if got := lab.PortsText(
					oracle.LetThrough(l, netip.MustParseAddr("130.88.0.1"), a, protocol)...); got != want {
					t.Errorf("%s: %q, want %q", protocol, got, want)
				}
			}
		})
	}
}
