package compile

import (
	"net/netip"

	"vnetlab/emu"
	"vnetlab/lab"
)

// translations are what of an endpoint established connections depend on: its public port, which is the service's,
// so that a swap is no end of it, and the members behind it, whether they serve or not: connections outlive the
// health of their member ("Load balancer overview").
//
// They outlive changes of a load-balanced set too, even that their member leaves it (the same page). A datagram
// isn't of a connection: it goes to a member that there is.
func translations(d *lab.Deployment, f lab.Frontend) []emu.Translation {
	of := d.Service
	if f.Internal() {
		of += "/" + d.Name // an internal load balancer stays where it is
	}
	all := []emu.Translation{{Of: of, Address: f.Address, Protocol: f.Protocol, Port: f.PublicPort}}
	if f.DirectServerReturn && !f.Internal() || f.Set && f.Protocol == emu.TCP {
		return all
	}
	for _, m := range f.Members {
		if m.Instance.State == lab.Running {
			to := netip.AddrPortFrom(m.Instance.DIP, m.LocalPort)
			all = append(all, emu.Translation{Of: of, Protocol: f.Protocol, Port: f.PublicPort, To: to})
		}
	}
	return all
}
