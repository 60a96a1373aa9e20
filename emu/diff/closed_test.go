package diff

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vnetlab/emu"
	"vnetlab/emu/internal/emutest"
)

// TestClosed holds which connections a change closes, and which it leaves.
func TestClosed(t *testing.T) {
	addr, prefix, at := netip.MustParseAddr, netip.MustParsePrefix, netip.MustParseAddrPort
	first, second := addr("198.18.0.16"), addr("198.18.0.17")
	blue, green := at("10.0.0.4:8080"), at("10.0.0.5:8080")
	before := func() *emu.Network {
		n := emutest.Small()
		n.Namespaces[0].Translations = []emu.Translation{
			{Of: "shop", Address: first},
			{Of: "shop", Address: first, Protocol: emu.UDP, Port: 80},
			{Of: "shop", Protocol: emu.UDP, Port: 80, To: blue},
			{Of: "shop", Address: second},
			{Of: "shop", Address: second, Protocol: emu.UDP, Port: 80},
			{Of: "shop", Protocol: emu.UDP, Port: 80, To: green},
			{Of: "shop", Address: second, Protocol: emu.TCP, Port: 80},
			{Of: "vm", Address: addr("198.18.0.99")},
		}
		n.Namespaces = append(n.Namespaces, &emu.Namespace{Name: "far", Kind: emu.Router})
		behind := []netip.Prefix{prefix("192.168.0.0/16")}
		n.Tunnels = []emu.Tunnel{{
			ID: "t", A: emu.TunnelEnd{Namespace: "edge", AllowedPrefixes: behind}, B: emu.TunnelEnd{Namespace: "far"},
		}}
		return n
	}
	without := func(n *emu.Network, gone func(emu.Translation) bool) {
		n.Namespaces[0].Translations = slices.DeleteFunc(n.Namespaces[0].Translations, gone)
	}
	for _, tt := range []struct {
		name   string
		change func(*emu.Network)
		want   []string // of the edge
	}{
		{"nothing", func(*emu.Network) {}, nil},
		{"other rules, another order", func(n *emu.Network) {
			n.Namespaces[0].Ruleset.Chains = nil
			slices.Reverse(n.Namespaces[0].Translations)
		}, nil},
		{"machine gone", func(n *emu.Network) {
			n.Namespaces, n.Links = slices.Delete(n.Namespaces, 1, 2), nil
			without(n, func(o emu.Translation) bool { return o.To == blue || o.Of == "vm" })
		}, []string{"connections by 198.18.0.99", "connections of 10.0.0.4"}},
		{"another machine with its address", func(n *emu.Network) {
			n.Namespaces[1].Name, n.Links[0].B.Namespace = "other", "other"
		}, []string{"connections of 10.0.0.4"}},
		{"port gone at one address", func(n *emu.Network) {
			without(n, func(o emu.Translation) bool { return o.Address == first && o.Port == 80 })
		}, []string{"connections to port 80/udp of 198.18.0.16"}},
		{"member gone: its connections came by either address", func(n *emu.Network) {
			without(n, func(o emu.Translation) bool { return o.To == green })
		}, []string{
			"connections to port 80/udp of 198.18.0.16 that are with 10.0.0.5:8080",
			"connections to port 80/udp of 198.18.0.17 that are with 10.0.0.5:8080",
		}},
		{"address gone with its ports", func(n *emu.Network) {
			without(n, func(o emu.Translation) bool { return o.Address == second || o.To == green })
		}, []string{
			"connections by 198.18.0.17", "connections to port 80/udp of 198.18.0.16 that are with 10.0.0.5:8080",
		}},
		{"address of somebody else", func(n *emu.Network) {
			n.Namespaces[0].Translations[7].Of = "other"
		}, []string{"connections by 198.18.0.99"}},
		{"tunnel gone", func(n *emu.Network) { n.Tunnels = nil }, []string{"connections of 192.168.0.0/16"}},
		{"addresses of the router gone", func(n *emu.Network) {
			n.Namespaces[0].Loopback, n.Namespaces[0].Bridges[0].Addresses = nil, nil
		}, []string{"connections of 10.0.0.1", "connections of 168.63.129.16"}},
		{"router made anew", func(n *emu.Network) { n.Namespaces[0].EstablishedTimeout = 240 }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, to := before(), before()
			tt.change(to)
			closed := Networks(from, to).Closed()
			var got []string
			for _, c := range closed["edge"] {
				got = append(got, c.String())
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-wanted +got\n%s", diff)
			}
			delete(closed, "edge")
			if len(closed) > 0 {
				t.Errorf("others close connections too: %v", closed)
			}
		})
	}
}
