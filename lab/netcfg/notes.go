package netcfg

import (
	"fmt"
	"slices"
	"strings"

	"vnetlab/lab/strictxml"
)

// standIns finds out which local network sites stand for virtual networks of the file. Of several with the same address space, the one
// with the site's name is meant.
func (c *NetworkConfiguration) standIns() {
	for i, site := range c.LocalNetworkSites {
		var candidates []string
		for _, v := range c.VirtualNetworkSites {
			if slices.Equal(sorted(v.AddressSpace), sorted(site.AddressSpace)) {
				candidates = append(candidates, v.Name)
			}
		}
		switch {
		case len(candidates) == 1:
			c.LocalNetworkSites[i].VirtualNetworkSite = candidates[0]
		case slices.Contains(candidates, site.Name):
			c.LocalNetworkSites[i].VirtualNetworkSite = site.Name
		case len(candidates) > 1:
			c.unsupported.Add(site.Origin, "local network site %.60q: several virtual networks have its address space, so it can't be told which it stands for", site.Name).
				WithHint("give it the name of one of them: %s", strings.Join(candidates, ", "))
		}
	}
}

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
				Origin: l.Origin,
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
