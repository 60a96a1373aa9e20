package netcfg

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/lab/strictxml"
)

// devices are the addresses that VPN devices have in a lab: those that are set aside for documentation (RFC 5737).
var devices = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("192.0.2.0/24")}

// standIns finds out which local network sites stand for virtual networks of the file. Of several with the same address space, the one
// with the site's name is meant. A site of another name that has a VPN device is on the customer's premises, whose addresses may be those of a
// virtual network that isn't joined to the site's; where two virtual networks name each other, sites stand for them all the same.
func (c *NetworkConfiguration) standIns() {
	for i, site := range c.LocalNetworkSites {
		var candidates []string
		for _, v := range c.VirtualNetworkSites {
			if sameSpace(v.AddressSpace, site.AddressSpace) {
				candidates = append(candidates, v.Name)
			}
		}
		device := slices.ContainsFunc(devices, func(p netip.Prefix) bool { return p.Contains(site.VPNGatewayAddress) })
		switch {
		case slices.Contains(candidates, site.Name):
			c.LocalNetworkSites[i].VirtualNetworkSite = site.Name
		case device && !c.joined(site):
		case len(candidates) == 1:
			c.LocalNetworkSites[i].VirtualNetworkSite = candidates[0]
		case len(candidates) > 1:
			c.unsupported.Add(site.Origin, "local network site %.60q: several virtual networks have its address space, so it can't be told which it stands for", site.Name).
				WithHint("give it the name of one of them: %s", strings.Join(candidates, ", "))
		}
	}
}

// joined says whether a virtual network with the address space of a site and one that is connected to the site name each other.
func (c *NetworkConfiguration) joined(site LocalNetworkSite) bool {
	for _, from := range c.VirtualNetworkSites {
		if !slices.ContainsFunc(c.connections(from), func(to LocalNetworkSite) bool { return to.Name == site.Name }) {
			continue
		}
		for _, v := range c.VirtualNetworkSites {
			if v.Name != from.Name && sameSpace(v.AddressSpace, site.AddressSpace) &&
				slices.ContainsFunc(c.connections(v), func(back LocalNetworkSite) bool { return sameSpace(back.AddressSpace, from.AddressSpace) }) {
				return true
			}
		}
	}
	return false
}

// connections lists the sites that the gateway of a virtual network is connected to.
func (c *NetworkConfiguration) connections(v VirtualNetworkSite) (all []LocalNetworkSite) {
	if v.Gateway == nil {
		return nil
	}
	for _, site := range c.LocalNetworkSites {
		if slices.ContainsFunc(v.Gateway.Connections, func(to Connection) bool { return to.LocalNetworkSite == site.Name }) {
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

// note collects what has no effect and what can't be built.
func (c *NetworkConfiguration) note() {
	const hint = "remove it, and the lab is without it"
	for _, l := range c.LocalNetworkSites {
		if l.VirtualNetworkSite != "" && l.VPNGatewayAddress.IsValid() {
			c.withoutEffect = append(c.withoutEffect, strictxml.Note{
				Origin: l.Origin, Differs: true,
				Text: fmt.Sprintf("<VPNGatewayAddress> of local network site %.60q has no effect: it stands for the virtual network %.60q, whose gateway has the address that the platform gives it",
					l.Name, l.VirtualNetworkSite),
			})
		}
	}
	for _, v := range c.VirtualNetworkSites {
		if v.Gateway == nil {
			continue
		}
		if len(v.Gateway.VPNClientAddressPool) > 0 {
			c.unsupported.Add(v.Gateway.VPNClientAddressPool[0].Origin, "gateway of virtual network site %.60q: this version of vnetlab can't build point-to-site connections", v.Name).WithHint(hint)
		}
		for _, connection := range v.Gateway.Connections {
			if connection.Type == "Dedicated" {
				c.unsupported.Add(connection.Origin, "gateway of virtual network site %.60q: this version of vnetlab can't build dedicated connections (ExpressRoute)", v.Name).WithHint(hint)
			}
		}
	}
	strictxml.SortNotes(c.withoutEffect)
	c.unsupported.Sort()
}
