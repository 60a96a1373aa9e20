// Package emutest has a network for tests.
package emutest

import (
	"net/netip"

	"vnetlab/emu"
)

// Small returns a network of a router and a host, with something of each kind that packets need.
func Small() *emu.Network {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	gateway, host := addr("10.0.0.1"), addr("10.0.0.4")
	return &emu.Network{
		Namespaces: []*emu.Namespace{
			{
				Name:     "edge",
				Kind:     emu.Router,
				Loopback: []netip.Addr{addr("168.63.129.16")},
				Bridges: []emu.Bridge{
					{Name: "front", MAC: emu.MACOf(gateway), Addresses: []netip.Prefix{prefix("10.0.0.1/24")}},
				},
				Routes:    []emu.Route{{Destination: prefix("198.18.0.0/24"), Device: "front"}},
				Neighbors: []emu.Neighbor{{Device: "front", Address: host, MAC: emu.MACOf(host)}},
				Ruleset: &emu.Ruleset{
					Table:  "lab",
					Chains: []*emu.Chain{{Name: "c", Rules: []emu.Rule{{Statements: []emu.Statement{emu.Accept{}}}}}},
				},
				DNS: &emu.NameServer{Addresses: []netip.Addr{addr("168.63.129.16")}},
			},
			{
				Name:   "vm",
				Kind:   emu.Host,
				Origin: emu.Origin{Line: 3},
				Routes: []emu.Route{{Destination: prefix("0.0.0.0/0"), Gateway: gateway, Device: "eth0"}},
				Firewall: &emu.Firewall{
					Rules: []emu.FirewallRule{
						{ID: "web", Protocol: "tcp", Ports: []emu.PortRange{{First: 80, Last: 80}}},
					},
				},
				Services: []emu.Service{{Name: "80", Port: 80, Protocol: emu.TCP}},
			},
		},
		Links: []*emu.Link{
			{
				A: emu.LinkEnd{
					Namespace: "edge",
					Name:      "vm",
					MAC:       emu.MACOf(host).Variant(1),
					Port:      &emu.BridgePort{Bridge: "front", Stations: []emu.MAC{emu.MACOf(host)}},
				},
				B: emu.LinkEnd{
					Namespace: "vm",
					Name:      "eth0",
					MAC:       emu.MACOf(host),
					Addresses: []netip.Prefix{prefix("10.0.0.4/24")},
				},
			},
		},
		PublicNames: []emu.NameRecord{{Name: "vm.example", Address: host}},
	}
}
