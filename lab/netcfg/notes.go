package netcfg

import (
	"fmt"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/strictxml"
)

// gatewaySubnet is the subnet that a gateway is in ("Azure Virtual Network Configuration Schema").
const gatewaySubnet = "GatewaySubnet"

// standIns finds the local network sites that stand for virtual networks of the file. Each of two joined virtual
// networks has the other as a local network site, with exactly its address space, and its gateway is connected to
// that site ("Configure a VNet to VNet connection"). So a site stands for a virtual network with its address space
// where that network is connected to a site with the address space of the first one's. A network that only happens
// to have a site's addresses is unrelated to it.
//
// The export of a lab can have only one half of such a pair. Its site then has the address of a gateway in the lab,
// which no device elsewhere has.
func (c *NetworkConfiguration) standIns() {
	for i, site := range c.LocalNetworkSites {
		for _, v := range c.VirtualNetworkSites {
			// If there are several, it stands for the one with its name.
			if sameSpace(v.AddressSpace, site.AddressSpace) &&
				(c.joined(site, v) || lab.OfDatacenter(site.VPNGatewayAddress)) &&
				(c.LocalNetworkSites[i].VirtualNetworkSite == "" || v.Name == site.Name) {
				c.LocalNetworkSites[i].VirtualNetworkSite = v.Name
			}
		}
	}
}

// joined reports whether a virtual network that is connected to a site and the one that the site may stand for name
// each other.
func (c *NetworkConfiguration) joined(site LocalNetworkSite, v VirtualNetworkSite) bool {
	return slices.ContainsFunc(c.VirtualNetworkSites, func(from VirtualNetworkSite) bool {
		return from.Name != v.Name &&
			slices.ContainsFunc(c.connections(from), func(to LocalNetworkSite) bool { return to.Name == site.Name }) &&
			slices.ContainsFunc(c.connections(v),
				func(back LocalNetworkSite) bool { return sameSpace(back.AddressSpace, from.AddressSpace) })
	})
}

// connections returns the local network sites that a virtual network has tunnels to.
func (c *NetworkConfiguration) connections(v VirtualNetworkSite) (all []LocalNetworkSite) {
	if v.Gateway == nil {
		return nil
	}
	for _, site := range c.LocalNetworkSites {
		if slices.ContainsFunc(v.Gateway.Connections,
			func(to Connection) bool { return to.LocalNetworkSite == site.Name && to.Type == IPsec }) {
			all = append(all, site)
		}
	}
	return all
}

func sameSpace(a, b []Prefix) bool { return slices.Equal(sorted(a), sorted(b)) }

func sorted(all []Prefix) []string {
	texts := make([]string, len(all))
	for i, p := range all {
		texts[i] = p.String()
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}

func (c *NetworkConfiguration) note(at emu.Origin, format string, args ...any) {
	c.notes = append(c.notes, strictxml.Note{Origin: at, Text: fmt.Sprintf(format, args...), Differs: true})
}

// noteDifferences adds notes on differences between the lab and the file.
func (c *NetworkConfiguration) noteDifferences() {
	for _, l := range c.LocalNetworkSites {
		if l.VirtualNetworkSite != "" && l.VPNGatewayAddress.IsValid() && !lab.OfDatacenter(l.VPNGatewayAddress) {
			c.note(l.Origin, "<VPNGatewayAddress> of local network site %.60q has no effect: it stands for the "+
				"virtual network %.60q, whose gateway has an address of the lab's own",
				l.Name, l.VirtualNetworkSite)
		}
	}
	for _, v := range c.VirtualNetworkSites {
		g := v.Gateway
		if g == nil {
			continue
		}
		if !v.CanHaveGateway() {
			if len(g.Connections) > 0 || len(g.VPNClientAddressPool) > 0 {
				c.note(g.Origin, "virtual network site %.60q has no subnet named %s, so that no gateway can be "+
					"created in it: it isn't connected", v.Name, gatewaySubnet)
			}
			continue
		}
		if len(g.VPNClientAddressPool) > 0 {
			c.note(g.VPNClientAddressPool[0].Origin,
				"the lab has no point-to-site clients: nothing connects to the virtual network site %.60q with an "+
					"address of the pool", v.Name)
		}
		for _, connection := range g.Connections {
			if connection.Type == Dedicated {
				c.note(connection.Origin,
					"the lab has no dedicated circuits (ExpressRoute): virtual network site %.60q isn't connected "+
						"to local network site %.60q by one",
					v.Name, connection.LocalNetworkSite)
			}
		}
	}
	strictxml.SortNotes(c.notes)
}

// CanHaveGateway reports whether the virtual network has a subnet for a gateway.
func (v VirtualNetworkSite) CanHaveGateway() bool {
	return slices.ContainsFunc(v.Subnets, func(s Subnet) bool { return s.Name == gatewaySubnet })
}
