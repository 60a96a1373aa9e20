package lab

import (
	"net/netip"
	"slices"

	"vnetlab/emu"
)

// Frontend is a public port of a deployment's VIP with the instances behind it.
type Frontend struct {
	Name         string // of the endpoint, or of the load-balanced set
	Protocol     emu.Protocol
	PublicPort   uint16
	Distribution Distribution
	ACL          []ACLRule // in the order of evaluation
	Members      []Backend
	Origin       Origin
}

// Backend is an instance behind a public port.
type Backend struct {
	Instance  *Instance
	LocalPort uint16
}

// Frontends lists the public ports of a deployment in the order in which they were made.
func (d *Deployment) Frontends() []Frontend {
	var all []Frontend
	for _, i := range d.Instances {
		for _, e := range i.Endpoints {
			at := slices.IndexFunc(all, func(f Frontend) bool { return f.Protocol == e.Protocol && f.PublicPort == e.PublicPort })
			if at < 0 {
				at = len(all)
				all = append(all, Frontend{
					Name: orDefault(e.LoadBalancedSet, e.Name), Protocol: e.Protocol, PublicPort: e.PublicPort,
					Distribution: e.Distribution, ACL: e.ACL, Origin: e.Origin,
				})
			}
			all[at].Members = append(all[at].Members, Backend{Instance: i, LocalPort: e.LocalPort})
		}
	}
	return all
}

// Frontend finds the public port of a deployment.
func (d *Deployment) Frontend(protocol emu.Protocol, port uint16) (Frontend, bool) {
	all := d.Frontends()
	i := slices.IndexFunc(all, func(f Frontend) bool { return f.Protocol == protocol && f.PublicPort == port })
	if i < 0 {
		return Frontend{}, false
	}
	return all[i], true
}

// Permits tells whether the access control list lets a client in, and the rule that decides; nil when no rule matches: then
// everybody is let in unless some rule permits ("About Network Access Control Lists").
func (f Frontend) Permits(client netip.Addr) (bool, *ACLRule) {
	for i := range f.ACL {
		if f.ACL[i].RemoteSubnet.Contains(client) {
			return f.ACL[i].Permit, &f.ACL[i]
		}
	}
	return !f.hasPermit(), nil
}

func (f Frontend) hasPermit() bool {
	return slices.ContainsFunc(f.ACL, func(r ACLRule) bool { return r.Permit })
}

// PermitsByDefault tells whether a client that no rule of the access control list matches is let in.
func (f Frontend) PermitsByDefault() bool { return !f.hasPermit() }
