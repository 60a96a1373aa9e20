package kerneltest

import (
	"fmt"
	"net/netip"

	"vnetlab/emu"
)

// Names in the networks that Subnets makes.
const (
	Edge   = "edge" // the router
	Device = "eth0" // of each host
	Port   = 8080   // that the hosts' firewalls open to all
)

// Host names host i of subnet s, both from 0.
func Host(s, i int) string { return fmt.Sprintf("host-%d-%d", s, i) }

// Address returns the address of host i of subnet s. Subnet s is 10.X.Y.0/22, the s-th from 10.0.0.0, and .4 its first
// host.
func Address(s, i int) netip.Addr { return at(s, i+4) }

// Gateway returns the address of the router in subnet s.
func Gateway(s int) netip.Addr { return at(s, 1) }

// at returns the n-th address of subnet s.
func at(s, n int) netip.Addr {
	v := s<<10 + n
	return netip.AddrFrom4([4]byte{10, byte(v >> 16), byte(v >> 8), byte(v)})
}

const bits = 22

// Subnets makes a network of one router with a bridge for each subnet, and the same number of hosts, at most 1000, in
// each. Every host has a firewall of five rules.
func Subnets(subnets, hostsPer int) *emu.Network {
	n := &emu.Network{}
	edge := &emu.Namespace{Name: Edge, Kind: emu.Router}
	for s := range subnets {
		bridge := fmt.Sprintf("subnet%d", s)
		edge.Bridges = append(edge.Bridges, emu.Bridge{
			Name: bridge, MAC: emu.MACOf(Gateway(s)), Addresses: []netip.Prefix{netip.PrefixFrom(Gateway(s), bits)},
		})
		for i := range hostsPer {
			mac := emu.MACOf(Address(s, i))
			edge.Neighbors = append(edge.Neighbors, emu.Neighbor{Device: bridge, Address: Address(s, i), MAC: mac})
			n.Namespaces = append(n.Namespaces, NewHost(Host(s, i), Gateway(s)))
			n.Links = append(n.Links, &emu.Link{
				A: emu.LinkEnd{
					Namespace: Edge, Name: fmt.Sprintf("h%d-%d", s, i),
					MAC:  emu.MAC{0x02, 0x01, 0, byte(s), byte(i >> 8), byte(i)},
					Port: &emu.BridgePort{Bridge: bridge, Stations: []emu.MAC{mac}, ProxyARP: true},
				},
				B: emu.LinkEnd{
					Namespace: Host(s, i), Name: Device, MAC: mac,
					Addresses: []netip.Prefix{netip.PrefixFrom(Address(s, i), bits)},
				},
			})
		}
	}
	n.Namespaces = append(n.Namespaces, edge)
	n.Sort()
	return n
}

// NewHost makes a host behind a gateway, with a firewall of five rules.
func NewHost(name string, gateway netip.Addr) *emu.Namespace {
	return &emu.Namespace{
		Name: name, Kind: emu.Host,
		Routes: []emu.Route{{Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: gateway, Device: Device}},
		Firewall: &emu.Firewall{Rules: []emu.FirewallRule{
			{ID: "open", Comment: "allow tcp 8080", Protocol: "tcp", Ports: []emu.PortRange{{First: Port, Last: Port}}},
			{ID: "rdp", Comment: "allow tcp 3389", Protocol: "tcp", Ports: []emu.PortRange{{First: 3389, Last: 3389}}},
			{
				ID: "sql", Comment: "allow tcp 1433 from 10.0.0.0/22", Protocol: "tcp",
				Ports: []emu.PortRange{{First: 1433, Last: 1433}}, From: netip.MustParsePrefix("10.0.0.0/22"),
			},
			{ID: "ping", Comment: "allow icmp", Protocol: "icmp"},
			{
				ID: "gossip", Comment: "block tcp 7000-7001", Drop: true, Protocol: "tcp",
				Ports: []emu.PortRange{{First: 7000, Last: 7001}},
			},
		}},
	}
}
