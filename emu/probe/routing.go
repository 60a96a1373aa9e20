package probe

import (
	"net/netip"
	"slices"

	"vnetlab/emu"
)

// route returns the device through which an address is reached, and the next hop: a gateway, or the address itself.
func (t *topology) route(s *emu.Namespace, to netip.Addr) (device string, hop netip.Addr, ok bool) {
	best := -1
	consider := func(p netip.Prefix, d string, h netip.Addr) {
		if p.Bits() > best && p.Contains(to) {
			best, device, hop = p.Bits(), d, h
		}
	}
	for _, i := range t.interfaces[s.Name] {
		consider(i.prefix.Masked(), i.device, to)
	}
	for _, b := range s.Bridges {
		for _, a := range b.Addresses {
			consider(a.Masked(), b.Name, to)
		}
	}
	for _, r := range s.Routes {
		if r.Gateway.IsValid() {
			consider(r.Destination, r.Device, r.Gateway)
		} else {
			consider(r.Destination, r.Device, to)
		}
	}
	for _, tunnel := range t.network.Tunnels {
		for _, pair := range tunnel.Ends() {
			if pair[0].Namespace == s.Name {
				for _, p := range pair[0].AllowedPrefixes {
					consider(p, pair[0].Device, to)
				}
			}
		}
	}
	return device, hop, best >= 0
}

// addressOn returns the source address of connections that leave a namespace through a device.
func (t *topology) addressOn(s *emu.Namespace, device string) (netip.Addr, bool) {
	for _, i := range t.interfaces[s.Name] {
		if i.device == device {
			return i.prefix.Addr(), true
		}
	}
	for _, b := range s.Bridges {
		if b.Name == device && len(b.Addresses) > 0 {
			return b.Addresses[0].Addr(), true
		}
	}
	return netip.Addr{}, false
}

// behind returns the namespace that has the address of a next hop behind a device; empty: none.
func (t *topology) behind(namespace, name string, hop netip.Addr) string {
	router := namespace
	if far, ok := t.cables[device{namespace, name}]; ok {
		if far.Port == nil || slices.Contains(t.owners[hop], far.Namespace) {
			return far.Namespace
		}
		router = far.Namespace // the hop is on the bridge at the other end of the cable
	}
	for _, tunnel := range t.network.Tunnels {
		for _, pair := range tunnel.Ends() {
			if pair[0].Namespace == namespace && pair[0].Device == name {
				return pair[1].Namespace
			}
		}
	}
	for _, owner := range t.owners[hop] {
		if t.neighbors[router][owner] > 0 {
			return owner
		}
	}
	return ""
}
