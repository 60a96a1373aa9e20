package lab

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"
)

// deviceAddress is the address on the internet of the lab of a new site's VPN device: the device's own where the lab
// can have it there, otherwise one that stands for it; without one the lowest free one. Networks come as they were
// exported, and what the internet of the lab has no place for must not keep them out.
func (l *Lab) deviceAddress(n LocalNetwork) (netip.Addr, *Error) {
	asked := n.VPNGatewayAddress
	switch {
	case !asked.IsValid():
		return l.internetAddress(n.Address)
	case !asked.Is4() || slices.ContainsFunc(forbiddenSpace, func(p netip.Prefix) bool { return p.Contains(asked) }):
		return netip.Addr{}, badRequest(
			"The VPN device of %s can't have the address %s: it is no public address of a host.",
			n.Name,
			asked,
		)
	case n.Address.IsValid() && deviceSpace.Contains(n.Address) && !l.onInternet(n.Address):
		return n.Address, nil
	case ofInternet(asked) && !l.onInternet(asked):
		return asked, nil
	}
	return l.StandIn(asked)
}

// StandIn is a free address on the internet of the lab to stand for that of a VPN device. It follows from the
// device's own address, unless another device has that one, so that it doesn't hang on what else is in the lab.
func (l *Lab) StandIn(device netip.Addr) (netip.Addr, *Error) {
	h := fnv.New32a()
	h.Write(device.AsSlice())
	count := int(size(deviceSpace))
	var number [4]byte
	h.Sum(number[:0])
	first := int(binary.BigEndian.Uint32(number[:]) % uint32(count))
	for i := range count {
		if a := Nth(deviceSpace, (first+i)%count); !l.onInternet(a) {
			return a, nil
		}
	}
	return netip.Addr{}, badRequest("The internet of the lab is full: no free address is left in %s.", deviceSpace)
}
