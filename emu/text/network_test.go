package text_test

import (
	"net/netip"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/text"
)

// Tunnels are listed with both of their namespaces.
func TestNetworkListsTunnels(t *testing.T) {
	end := func(namespace, device, address string, prefixes ...string) emu.TunnelEnd {
		e := emu.TunnelEnd{Namespace: namespace, Device: device, Address: netip.MustParseAddr(address), Port: 51820}
		for _, p := range prefixes {
			e.AllowedPrefixes = append(e.AllowedPrefixes, netip.MustParsePrefix(p))
		}
		return e
	}
	n := &emu.Network{
		Namespaces: []*emu.Namespace{
			{Name: "edge.Network", Kind: emu.Router},
			{Name: "site.hq", Kind: emu.Router, Origin: emu.Origin{File: "lab.yaml", Line: 7}},
		},
		Tunnels: []emu.Tunnel{{
			ID: "hq",
			A:  end("edge.Network", "vpn-hq", "65.52.0.9", "192.168.0.0/22", "192.168.8.0/24"),
			B:  end("site.hq", "vpn-azure", "131.107.0.9", "10.0.0.0/8"),
		}},
	}
	const want = `2 namespaces, 0 links

namespace edge.Network (router)
  tunnel hq on vpn-hq, 65.52.0.9:51820 to 131.107.0.9:51820 of site.hq, for 192.168.0.0/22 192.168.8.0/24

namespace site.hq (router)  # lab.yaml:7
  tunnel hq on vpn-azure, 131.107.0.9:51820 to 65.52.0.9:51820 of edge.Network, for 10.0.0.0/8
`
	var b strings.Builder
	if err := text.WriteNetwork(&b, n); err != nil || b.String() != want {
		t.Errorf("%v\n%s", err, b.String())
	}
}
