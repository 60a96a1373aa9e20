package probe

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"vnetlab/emu"
)

// farFabric is the fabric with a router between the laptop and the edge.
func farFabric() *emu.Network {
	n := fabric()
	edge := n.Namespaces[0]
	edge.Proxies = nil
	edge.Routes = append(edge.Routes, emu.Route{
		Destination: netip.MustParsePrefix("203.0.113.0/24"), Gateway: netip.MustParseAddr("198.18.255.1"), Device: "uplink",
	})
	internet := &emu.Namespace{Name: "internet", Kind: emu.Router, Routes: []emu.Route{{
		Destination: netip.MustParsePrefix("10.0.0.0/16"), Gateway: netip.MustParseAddr("198.18.255.2"), Device: "edge",
	}}}
	n.Namespaces = append(n.Namespaces, internet)
	for _, l := range n.Links {
		if l.B.Namespace == "laptop" {
			l.A.Namespace, l.A.Name = "internet", "laptop"
		}
	}
	n.Links = append(n.Links, &emu.Link{
		A: emu.LinkEnd{Namespace: "edge", Name: "uplink", MAC: emu.MAC{2, 2, 0, 0, 0, 2}, Addresses: []netip.Prefix{netip.MustParsePrefix("198.18.255.2/30")}},
		B: emu.LinkEnd{Namespace: "internet", Name: "edge", MAC: emu.MAC{2, 2, 0, 0, 0, 1}, Addresses: []netip.Prefix{netip.MustParsePrefix("198.18.255.1/30")}},
	})
	n.Sort()
	return n
}

// TestDriftOfAFarRouter has a person change the router that drops what nobody has an address for, two routers from where the probe starts.
func TestDriftOfAFarRouter(t *testing.T) {
	for _, c := range []struct {
		name, line string
		protocol   emu.Protocol
		detail     string
	}{
		{"reset", "nft insert rule ip lab forward tcp dport 99 reject with tcp reset", emu.TCP, "10.0.2.99:99 refused, or a rule did in its name: edge: nftables chain forward rule 1"},
		{"UDP rejected", "nft insert rule ip lab forward udp dport 99 reject", emu.UDP, "10.0.2.99:99 refused, or a rule did in its name: edge: nftables chain forward rule 1"},
		{"unreachable", "nft insert rule ip lab forward tcp dport 99 reject with icmp type host-unreachable", emu.TCP, "edge: nftables chain forward rule 1"},
		{"dropped unheard", "nft insert rule ip lab forward tcp dport 99 drop", emu.TCP, "edge: nftables chain forward rule 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			state, p := start(t, farFabric())
			target := emu.Target{Address: nobody, Port: 99, Protocol: c.protocol}
			if got := p.Probe(t.Context(), "laptop", target); got.Verdict != emu.Blocked || got.By.ID != "no-endpoint" {
				t.Fatalf("before: %+v by %+v", got, got.By)
			}
			byHand(t, namespace(t, state, "edge"), c.line)
			p.TimeLimit = 300 * time.Millisecond
			for range 3 {
				got := p.Probe(t.Context(), "laptop", target)
				if got.Verdict != emu.Timeout || !strings.Contains(got.Detail, c.detail) {
					t.Fatalf("%+v by %+v, want %s", got, got.By, c.detail)
				}
			}
		})
	}
}
