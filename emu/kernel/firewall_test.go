package kernel

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
	"vnetlab/emu/text"
)

// everyRule is a firewall with each form of rule.
func everyRule() *emu.Firewall {
	return &emu.Firewall{Rules: []emu.FirewallRule{
		{ID: "any"},
		{ID: "plain", Comment: "word"},
		{
			ID: "port", Comment: "allow tcp 1433 from 10.0.1.0/24", Protocol: "tcp",
			Ports: []emu.PortRange{{First: 1433, Last: 1433}}, From: prefix("10.0.1.0/24"),
		},
		{ID: "range", Protocol: "udp", Ports: []emu.PortRange{{First: 7000, Last: 7001}}},
		{ID: "open range", Protocol: "tcp", Ports: []emu.PortRange{{First: 0, Last: 65535}}},
		{ID: "zero", Protocol: "tcp", Ports: []emu.PortRange{{First: 0, Last: 0}}},
		{ID: "low", Protocol: "tcp", Ports: []emu.PortRange{{First: 0, Last: 1023}}},
		{ID: "high", Protocol: "tcp", Ports: []emu.PortRange{{First: 1024, Last: 65535}}},
		{
			ID: "ports", Comment: "several", Protocol: "tcp",
			Ports: []emu.PortRange{{First: 80, Last: 80}, {First: 443, Last: 443}, {First: 8000, Last: 8010}},
		},
		{ID: "host", Protocol: "tcp", Ports: []emu.PortRange{{First: 22, Last: 22}}, From: prefix("10.0.1.7/32")},
		{ID: "unmasked", Protocol: "tcp", From: prefix("10.0.1.7/24")},
		{ID: "everywhere", Protocol: "tcp", From: prefix("0.0.0.0/0")},
		{
			ID: "from to", Protocol: "tcp", Ports: []emu.PortRange{{First: 22, Last: 22}},
			FromTo: [2]netip.Addr{addr("10.0.1.7"), addr("10.0.1.9")},
		},
		{ID: "from to any", Comment: "x", FromTo: [2]netip.Addr{addr("10.0.1.7"), addr("10.0.1.9")}},
		{ID: "ping", Comment: "icmp", Protocol: "icmp"},
		{
			ID: `odd "id" \ 'x'`, Comment: "quote \" back\\slash 'single' `tick` $x é / : , ! #", Drop: true,
			Protocol: "udp", Ports: []emu.PortRange{{First: 53, Last: 53}},
		},
		{
			ID: "word", Drop: true, Comment: "two words", Protocol: "tcp",
			Ports: []emu.PortRange{{First: 1, Last: 2}, {First: 4, Last: 4}}, From: prefix("10.0.0.0/8"),
		},
		{ID: strings.Repeat("i", 60), Drop: true, Comment: strings.Repeat("c", 200)},
	}}
}

// What Lines promises is what iptables says it has.
func TestFirewallEqualsIptables(t *testing.T) {
	for _, variant := range []string{"nft", "legacy"} {
		t.Run(variant, func(t *testing.T) {
			program := "iptables-" + variant
			f := everyRule()
			n := empty(t, "host")
			kerneltest.RequirePrograms(t, program)
			if out, err := tryRun(n, "", program, "-S"); err != nil && variant == "legacy" {
				kerneltest.Lacks(t, "a kernel with legacy iptables: "+oneLine(out))
			}
			r, err := newRestorer()
			if err != nil {
				t.Fatal(err)
			}
			r.program = program + "-restore"
			if err := r.load(t.Context(), n, text.IPTables(f)); err != nil {
				t.Fatal(err)
			}
			want := append([]string{"-P INPUT DROP"}, f.Lines()...)
			got := strings.Split(strings.TrimSpace(run(t, n, "", program, "-S", "INPUT")), "\n")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-wanted +found\n%s", diff)
			}
		})
	}
}
