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
		Destination: netip.MustParsePrefix("203.0.113.0/24"),
		Gateway:     netip.MustParseAddr("198.18.255.1"), Device: "uplink",
	})
	internet := &emu.Namespace{Name: "internet", Kind: emu.Router, Routes: []emu.Route{{
		Destination: netip.MustParsePrefix("10.0.0.0/16"),
		Gateway:     netip.MustParseAddr("198.18.255.2"), Device: "edge",
	}}}
	n.Namespaces = append(n.Namespaces, internet)
	for _, l := range n.Links {
		if l.B.Namespace == "laptop" {
			l.A.Namespace, l.A.Name = "internet", "laptop"
		}
	}
	near, far := netip.MustParsePrefix("198.18.255.1/30"), netip.MustParsePrefix("198.18.255.2/30")
	n.Links = append(n.Links, &emu.Link{
		A: emu.LinkEnd{
			Namespace: "edge",
			Name:      "uplink",
			MAC:       emu.MAC{2, 2, 0, 0, 0, 2},
			Addresses: []netip.Prefix{far},
		},
		B: emu.LinkEnd{
			Namespace: "internet",
			Name:      "edge",
			MAC:       emu.MAC{2, 2, 0, 0, 0, 1},
			Addresses: []netip.Prefix{near},
		},
	})
	n.Sort()
	return n
}

// TestDriftOfAFarRouter has a person change the router that drops what is sent to an address that nobody has. It
// is the second router on the way.
func TestDriftOfAFarRouter(t *testing.T) {
	const (
		insert    = "nft insert rule ip lab forward "
		different = "edge: nftables chain forward rule 1"
		refused   = "10.0.2.99:99 refused, or a rule did in its name: " + different
	)
	for _, c := range []struct {
		name, rule string
		protocol   emu.Protocol
		detail     string
	}{
		{"reset", "tcp dport 99 reject with tcp reset", emu.TCP, refused},
		{"UDP rejected", "udp dport 99 reject", emu.UDP, refused},
		{"unreachable", "tcp dport 99 reject with icmp type host-unreachable", emu.TCP, different},
		{"dropped unheard", "tcp dport 99 drop", emu.TCP, different},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			state, p := start(t, farFabric())
			target := emu.Target{Address: nobody, Port: 99, Protocol: c.protocol}
			if got := p.Probe(t.Context(), "laptop", target); got.Verdict != emu.Blocked ||
				got.By.ID != "no-endpoint" {
				t.Fatalf("before: %+v by %+v", got, got.By)
			}
			byHand(t, namespace(t, state, "edge"), insert+c.rule)
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
