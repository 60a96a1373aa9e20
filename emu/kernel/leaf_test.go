package kernel

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
)

// leafNetwork is one subnet of three bridges: two hosts on each of two leaf bridges and two on the main one. It shows
// the flags that such a subnet needs.
func leafNetwork() (*emu.Network, map[string]netip.Addr) {
	return leafNetworkOf("main", "main", "leaf0", "leaf0", "leaf1", "leaf1")
}

// leafNetworkOf is such a subnet with its hosts at the bridges with these names; a host without one is not there.
func leafNetworkOf(bridges ...string) (*emu.Network, map[string]netip.Addr) {
	hosts := map[string]netip.Addr{}
	gateway := kerneltest.Gateway(0)
	edge := &emu.Namespace{Name: kerneltest.Edge, Kind: emu.Router, Bridges: []emu.Bridge{
		{Name: "main", MAC: emu.MACOf(gateway), Addresses: []netip.Prefix{netip.PrefixFrom(gateway, 22)}},
	}}
	n := &emu.Network{}
	host := func(i int, bridge string, proxy bool) emu.MAC {
		name, address := kerneltest.Host(0, i), kerneltest.Address(0, i)
		mac := emu.MACOf(address)
		hosts[name] = address
		n.Namespaces = append(n.Namespaces, &emu.Namespace{
			Name: name, Kind: emu.Host,
			Routes: []emu.Route{{Destination: prefix("0.0.0.0/0"), Gateway: gateway, Device: "eth0"}},
		})
		n.Links = append(n.Links, &emu.Link{
			A: emu.LinkEnd{
				Namespace: edge.Name, Name: fmt.Sprintf("p%d", i), MAC: emu.MAC{0x02, 0x01, 0, 0, 0, byte(i)},
				Port: &emu.BridgePort{Bridge: bridge, Stations: []emu.MAC{mac}, ProxyARP: proxy},
			},
			B: emu.LinkEnd{
				Namespace: name, Name: "eth0", MAC: mac,
				Addresses: []netip.Prefix{netip.PrefixFrom(address, 22)},
			},
		})
		edge.Neighbors = append(edge.Neighbors, emu.Neighbor{Device: "main", Address: address, MAC: mac})
		return mac
	}
	stations := map[string][]emu.MAC{}
	for i, bridge := range bridges {
		if bridge != "" {
			stations[bridge] = append(stations[bridge], host(i, bridge, bridge == "main"))
		}
	}
	for leaf := range 2 {
		bridge := fmt.Sprintf("leaf%d", leaf)
		edge.Bridges = append(edge.Bridges, emu.Bridge{Name: bridge, MAC: emu.MAC{0x02, 0x02, 0, 0, 0, byte(leaf)}})
		n.Links = append(n.Links, &emu.Link{
			A: emu.LinkEnd{
				Namespace: edge.Name, Name: fmt.Sprintf("down%d", leaf), MAC: emu.MAC{0x02, 0x03, 0, 0, 0, byte(leaf)},
				Port: &emu.BridgePort{Bridge: "main", Stations: stations[bridge], ProxyARP: true},
			},
			B: emu.LinkEnd{
				Namespace: edge.Name, Name: fmt.Sprintf("up%d", leaf), MAC: emu.MAC{0x02, 0x04, 0, 0, 0, byte(leaf)},
				Port: &emu.BridgePort{Bridge: bridge, Uplink: true},
			},
		})
	}
	n.Namespaces = append(n.Namespaces, edge)
	return n, hosts
}

// TestLeafBridges checks that all hosts of a subnet of several bridges reach each other, and that no ARP request
// reaches a host.
func TestLeafBridges(t *testing.T) {
	want, hosts := leafNetwork()
	s := apply(t, want)
	hosts[kerneltest.Edge] = kerneltest.Gateway(0)
	for name, address := range hosts {
		n, _ := s.Namespace(name)
		l, err := n.ListenTCP(netip.AddrPortFrom(address, kerneltest.Port))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	reach := func(hosts map[string]netip.Addr) {
		for from := range hosts {
			for to, address := range hosts {
				n, _ := s.Namespace(from)
				ctx, cancel := context.WithTimeout(t.Context(), kerneltest.Patience)
				c, err := n.Dial(ctx, "tcp4", netip.AddrPortFrom(address, kerneltest.Port))
				cancel()
				if err != nil {
					t.Errorf("%s to %s: %v", from, to, err)
					continue
				}
				c.Close()
			}
		}
	}
	busy := maps.Clone(hosts)
	idle := []string{kerneltest.Host(0, 1), kerneltest.Host(0, 3)} // one on the main bridge, one on a leaf
	for _, name := range idle {
		delete(busy, name)
	}
	reach(busy)
	for _, name := range idle {
		n, _ := s.Namespace(name)
		got := run(t, n, "", "cat", "/proc/thread-self/net/dev")
		if !regexp.MustCompile(`eth0: +0 +0 `).MatchString(got) {
			t.Errorf("%s received what is not for it:\n%s", name, got)
		}
	}
	reach(hosts)
	// The gateway answers as the main bridge, also to those behind a leaf bridge of the same namespace.
	for name := range hosts {
		n, _ := s.Namespace(name)
		got := run(t, n, "", "ip", "-4", "neigh", "show", hosts[kerneltest.Edge].String())
		if name != kerneltest.Edge && !strings.Contains(got, emu.MACOf(hosts[kerneltest.Edge]).String()) {
			t.Errorf("%s knows the gateway as %q", name, got)
		}
	}
}
