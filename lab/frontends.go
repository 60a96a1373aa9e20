package lab

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
)

// Frontend is a port of a deployment's VIP, or of its internal load balancer, with the instances behind it.
type Frontend struct {
	Name       string // of the endpoint, or of the load-balanced set
	Owner      string // what is behind it: the name of a role, of a load-balanced set, or of a virtual machine
	Address    netip.Addr
	Protocol   emu.Protocol
	PublicPort uint16
	// Set reports that it belongs to a load-balanced set or to a role, and so outlives each of its members.
	Set bool
	Balancing
	Members []Backend // running or not, healthy or not
	Origin  Origin
}

// Backend is an instance behind a public port.
type Backend struct {
	Instance  *Instance
	LocalPort uint16
	ProbeID   string // of its health probe; empty: it serves while it runs
	// Serving says that the member gets new connections: it runs, and its health probe, where there is one, has a
	// good answer.
	Serving bool
}

// Frontends lists the public ports of a deployment in the order in which they were made. Without a VIP there are none
// but internal ones.
func (d *Deployment) Frontends() []Frontend {
	var all []Frontend
	for _, i := range d.Instances {
		for _, e := range i.Endpoints {
			at := slices.IndexFunc(all, func(f Frontend) bool {
				return f.Protocol == e.Protocol && f.PublicPort == e.PublicPort && f.Internal() == e.Internal()
			})
			if at < 0 {
				at = len(all)
				f := Frontend{
					Name: cmp.Or(e.LoadBalancedSet, e.Name), Owner: cmp.Or(i.Role, e.LoadBalancedSet, i.Name),
					Address: d.VIP, Protocol: e.Protocol, PublicPort: e.PublicPort, Set: e.LoadBalancedSet != "",
					Balancing: e.Balancing, Origin: e.Origin,
				}
				if f.Internal() {
					f.Address = d.InternalLoadBalancer.Address
				}
				all = append(all, f)
			}
			member := Backend{Instance: i, LocalPort: e.LocalPort, Serving: i.State == Running}
			if e.Probe != nil {
				member.ProbeID = i.ID + "/" + all[at].Name
				member.Serving = member.Serving && slices.Contains(i.healthy, all[at].Name)
			}
			all[at].Members = append(all[at].Members, member)
		}
	}
	return slices.DeleteFunc(all, func(f Frontend) bool { return !f.Address.IsValid() })
}

// Frontend finds a port of the deployment's VIP or, by its address, of its internal load balancer.
func (d *Deployment) Frontend(address netip.Addr, protocol emu.Protocol, port uint16) (Frontend, bool) {
	all := d.Frontends()
	i := slices.IndexFunc(all, func(f Frontend) bool {
		return f.Address == address && f.Protocol == protocol && f.PublicPort == port
	})
	if i < 0 {
		return Frontend{}, false
	}
	return all[i], true
}

// Serving lists the members that get new connections.
func (f Frontend) Serving() []Backend {
	var all []Backend
	for _, m := range f.Members {
		if m.Serving {
			all = append(all, m)
		}
	}
	return all
}

// DirectReturnAddress is the VIP that an instance of the deployment has as an address of its own, because it is the
// first serving member of an endpoint with direct server return.
func (d *Deployment) DirectReturnAddress(i *Instance) (netip.Addr, bool) {
	if !slices.ContainsFunc(i.Endpoints, func(e Endpoint) bool { return e.DirectServerReturn && !e.Internal() }) {
		return netip.Addr{}, false
	}
	for _, f := range d.Frontends() {
		if !f.DirectServerReturn || f.Internal() {
			continue
		}
		if serving := f.Serving(); len(serving) > 0 && serving[0].Instance.ID == i.ID {
			return f.Address, true
		}
	}
	return netip.Addr{}, false
}

// DirectReturnAddress is that of the instance's deployment.
func (l *Lab) DirectReturnAddress(i *Instance) (netip.Addr, bool) {
	return l.Deployment(i).DirectReturnAddress(i)
}

// SetHealth records what the load balancer found out about a member. What it is told about nobody it forgets.
func (l *Lab) SetHealth(probeID string, healthy bool) {
	id, port, _ := strings.Cut(probeID, "/")
	for d, i := range l.instances() {
		if i.ID != id {
			continue
		}
		if slices.Contains(i.healthy, port) == healthy {
			return
		}
		now := i.copy()
		if healthy {
			now.healthy = append(slices.Clip(i.healthy), port)
		} else {
			now.healthy = slices.DeleteFunc(slices.Clone(i.healthy), func(other string) bool { return other == port })
		}
		l.replaceInstance(d, i, now)
		return
	}
}

// Healthy tells whether the load balancer has a good answer of a member.
func (l *Lab) Healthy(probeID string) bool {
	id, port, _ := strings.Cut(probeID, "/")
	for _, i := range l.instances() { // few are asked for in one version of a lab, so that no index pays
		if i.ID == id {
			return slices.Contains(i.healthy, port)
		}
	}
	return false
}
