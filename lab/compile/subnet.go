package compile

import (
	"fmt"
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
)

// subnet is a bridge with its leaves.
type subnet struct {
	name   string
	bridge string
	prefix netip.Prefix
}

func newSubnet(name string, prefix netip.Prefix) subnet {
	return subnet{name, interfaceOf("br-", name, ""), prefix}
}

// subnetsOf lists the subnets that instances of a deployment are in: those of its virtual network, or its own block
// of addresses.
func subnetsOf(network *lab.VirtualNetwork, d *lab.Deployment) []subnet {
	if network == nil {
		return []subnet{newSubnet(d.Name, d.Block)}
	}
	all := make([]subnet, len(network.Subnets))
	for i, s := range network.Subnets {
		all[i] = newSubnet(s.Name, s.AddressPrefix)
	}
	return all
}

// leafSize is the number of addresses that one bridge carries: adding a port to a bridge costs time for each port it
// has, and the kernel refuses the 1,024th. The first addresses of a subnet are ports of its own bridge; each further
// block has a leaf bridge joined to it, made when the first instance needs it.
const leafSize = 256

func (s subnet) leafName(n int) string { return interfaceOf("br-", s.name, fmt.Sprintf(".%d", n)) }

// join makes the bridge of a subnet, and its leaves with the stations behind each, joined to it. The subnet's bridge
// answers ARP for all; what a leaf doesn't know goes up.
func (s subnet) join(edge *emu.Namespace, addresses []netip.Prefix, leaves map[int][]emu.MAC) (links []*emu.Link) {
	gateway := lab.Gateway(s.prefix)
	edge.Bridges = append(edge.Bridges, emu.Bridge{
		Name:      s.bridge,
		MAC:       emu.MACOf(gateway),
		Addresses: append([]netip.Prefix{netip.PrefixFrom(gateway, s.prefix.Bits())}, addresses...),
	})
	numbers := make([]int, 0, len(leaves))
	for n := range leaves {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		first := emu.MACOf(lab.Nth(s.prefix, n*leafSize))
		edge.Bridges = append(edge.Bridges, emu.Bridge{Name: s.leafName(n), MAC: first.Variant(leafBridge)})
		links = append(links, &emu.Link{
			A: emu.LinkEnd{
				Namespace: edge.Name, Name: interfaceOf(downPort, s.name, fmt.Sprintf(".%d", n)),
				MAC:  first.Variant(leafDown),
				Port: &emu.BridgePort{Bridge: s.bridge, Stations: leaves[n], ProxyARP: true},
			},
			B: emu.LinkEnd{
				Namespace: edge.Name, Name: interfaceOf(upPort, s.name, fmt.Sprintf(".%d", n)),
				MAC:  first.Variant(leafUp),
				Port: &emu.BridgePort{Bridge: s.leafName(n), Uplink: true},
			},
		})
	}
	return links
}

// Variants of the MAC address that an IPv4 address gives, for what isn't the station with that address itself: a
// bridge takes frames for the address of one of its own ports as its own.
const (
	bridgePort byte = 1 + iota // the bridge's end of an instance's cable
	leafBridge
	leafDown
	leafUp
)
