package probe

import (
	"net/netip"
	"strings"
	"testing"

	"vnetlab/emu"
)

// TestSource checks that a probe starts from the address that its target names.
func TestSource(t *testing.T) {
	other := netip.MustParseAddr("198.51.100.7")
	n := udpFabric()
	for _, s := range n.Namespaces {
		switch s.Name {
		case "laptop":
			s.Loopback = append(s.Loopback, other)
		case "edge":
			s.Routes = append(
				s.Routes,
				emu.Route{Destination: netip.PrefixFrom(other, 32), Gateway: laptop, Device: "uplink"},
			)
		}
	}
	_, p := start(t, n)
	for _, tt := range []struct {
		protocol emu.Protocol
		port     uint16
		rule     string // that drops what comes from the laptop's own address
	}{{emu.TCP, 7000, "acl"}, {emu.UDP, 5003, "acl-udp"}} {
		to := emu.Target{Address: vip, Port: tt.port, Protocol: tt.protocol}
		if got := p.Probe(
			t.Context(),
			"laptop",
			to,
		); got.Verdict != emu.Blocked || got.By == nil ||
			got.By.ID != tt.rule {
			t.Errorf("%s from the first address: %+v by %+v", tt.protocol, got, got.By)
		}
		to.Source = other
		if got := p.Probe(
			t.Context(),
			"laptop",
			to,
		); got.Verdict != emu.Open || got.AnsweredBy != "web1" ||
			got.SeenAs != other {
			t.Errorf("%s from another address: %+v by %+v", tt.protocol, got, got.By)
		}
		to.Source = laptop
		if got := p.Probe(
			t.Context(),
			"laptop",
			to,
		); got.Verdict != emu.Blocked || got.By == nil ||
			got.By.ID != tt.rule {
			t.Errorf("%s from the first address by name: %+v by %+v", tt.protocol, got, got.By)
		}
		to.Source = web1
		if got := p.Probe(
			t.Context(),
			"laptop",
			to,
		); got.Verdict != emu.Error ||
			!strings.Contains(got.Detail, "no source address") {
			t.Errorf("%s from an address of others: %+v", tt.protocol, got)
		}
		to.Source = netip.MustParseAddr("2001:db8::1")
		if got := p.Probe(
			t.Context(),
			"laptop",
			to,
		); got.Verdict != emu.Error ||
			!strings.Contains(got.Detail, "not an IPv4 address") {
			t.Errorf("%s from IPv6: %+v", tt.protocol, got)
		}
	}
}
