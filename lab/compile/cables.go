package compile

import (
	"net/netip"
	"slices"

	"vnetlab/emu"
)

// cableEnds are the addresses at the two ends of a cable between routers, the end towards the internet first. They
// are local to the cable, no virtual network can have them, and they differ by level because a router can't have the
// address of its own gateway.
type cableEnds struct{ up, down netip.Addr }

var (
	internetCable   = cableEnds{netip.MustParseAddr("169.254.0.1"), netip.MustParseAddr("169.254.0.2")}
	datacenterCable = cableEnds{netip.MustParseAddr("169.254.0.3"), netip.MustParseAddr("169.254.0.4")}
	hostGateway     = netip.MustParseAddr("169.254.0.5") // of hosts that hang on a router without a subnet
)

const uplink = "wan" // an edge's or a datacenter's interface towards the internet

// cable joins a router to the one upstream, whose port it is.
func (c cableEnds) cable(upstream, port string, down *emu.Namespace) *emu.Link {
	down.Neighbors = append(down.Neighbors, emu.Neighbor{Device: uplink, Address: c.up, MAC: emu.MACOf(c.up)})
	down.Routes = append(down.Routes, defaultRoute(c.up, uplink, true))
	return &emu.Link{
		A: emu.LinkEnd{Namespace: upstream, Name: port, MAC: emu.MACOf(c.up), Addresses: []netip.Prefix{single(c.up)}},
		B: emu.LinkEnd{
			Namespace: down.Name,
			Name:      uplink,
			MAC:       emu.MACOf(c.down),
			Addresses: []netip.Prefix{single(c.down)},
		},
	}
}

// lead has a router reach public addresses behind the cable at one of its ports.
func (c cableEnds) lead(router *emu.Namespace, port string, public ...netip.Prefix) {
	router.Neighbors = append(router.Neighbors, emu.Neighbor{Device: port, Address: c.down, MAC: emu.MACOf(c.down)})
	for _, p := range public {
		router.Routes = append(router.Routes, emu.Route{Destination: p, Gateway: c.down, Device: port, OnLink: true})
	}
}

// attach joins a host with one address to a router, without a subnet between them.
func attach(router *emu.Namespace, port string, host *emu.Namespace, device string, address netip.Addr) *emu.Link {
	router.Neighbors = append(router.Neighbors, emu.Neighbor{Device: port, Address: address, MAC: emu.MACOf(address)})
	router.Routes = append(router.Routes, emu.Route{Destination: single(address), Device: port})
	host.Neighbors = append(
		host.Neighbors,
		emu.Neighbor{Device: device, Address: hostGateway, MAC: emu.MACOf(hostGateway)},
	)
	host.Routes = append(host.Routes, defaultRoute(hostGateway, device, true))
	return &emu.Link{
		A: emu.LinkEnd{
			Namespace: router.Name,
			Name:      port,
			MAC:       emu.MACOf(hostGateway),
			Addresses: []netip.Prefix{single(hostGateway)},
		},
		B: emu.LinkEnd{
			Namespace: host.Name,
			Name:      device,
			MAC:       emu.MACOf(address),
			Addresses: []netip.Prefix{single(address)},
		},
	}
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func singles(all []netip.Addr) []netip.Prefix {
	out := make([]netip.Prefix, len(all))
	for i, a := range all {
		out[i] = single(a)
	}
	return out
}

func defaultRoute(gateway netip.Addr, device string, onLink bool) emu.Route {
	return emu.Route{
		Destination: netip.PrefixFrom(netip.IPv4Unspecified(), 0),
		Gateway:     gateway,
		Device:      device,
		OnLink:      onLink,
	}
}

func sortPrefixes(all []netip.Prefix) {
	slices.SortFunc(all, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
}
