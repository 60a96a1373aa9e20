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
				s.Routes, emu.Route{Destination: netip.PrefixFrom(other, 32), Gateway: laptop, Device: "uplink"},
			)
		}
	}
	_, p := start(t, n)
	for _, tt := range []struct {
		protocol emu.Protocol
		port     uint16
		rule     string // that drops what comes from the laptop's own address
	}{{emu.TCP, 7000, "acl"}, {emu.UDP, 5003, "acl-udp"}} {
		for _, from := range []struct {
			name, detail string
			source       netip.Addr
			verdict      emu.Verdict
		}{
			{name: "the first address", verdict: emu.Blocked},
			{name: "another address", source: other, verdict: emu.Open},
			{name: "the first address by name", source: laptop, verdict: emu.Blocked},
			{name: "an address of others", source: web1, verdict: emu.Error, detail: "no source address"},
			{
				name: "IPv6", source: netip.MustParseAddr("2001:db8::1"), verdict: emu.Error,
				detail: "not an IPv4 address",
			},
		} {
			to := emu.Target{Address: vip, Port: tt.port, Protocol: tt.protocol, Source: from.source}
			got := p.Probe(t.Context(), "laptop", to)
			as := got.Verdict == from.verdict && strings.Contains(got.Detail, from.detail)
			switch from.verdict {
			case emu.Blocked:
				as = as && got.By != nil && got.By.ID == tt.rule
			case emu.Open:
				as = as && got.AnsweredBy == "web1" && got.SeenAs == other
			default:
			}
			if !as {
				t.Errorf("%s from %s: %+v by %+v", tt.protocol, from.name, got, got.By)
			}
		}
	}
}
