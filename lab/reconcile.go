package lab

import (
	"reflect"
	"slices"

	"vnetlab/emu"
)

// Reconcile gives the operations that make the running lab what the wanted one is, or the platform's refusal of a
// change that can't be made. Nothing is changed. What is expected of the lab is not a resource: see TakeExpectations.
func Reconcile(running, wanted *Lab) ([]Operation, error) {
	r := &reconciler{running: running, wanted: wanted}
	if !running.Boundary.Equal(wanted.Boundary) {
		r.do(SetDefaultBoundaryOp{wanted.Boundary})
	}
	r.removals()
	gateways := r.gateways()
	r.networks()
	r.operations = append(r.operations, gateways...)
	r.services()
	r.others()
	if r.err != nil {
		return nil, r.err
	}
	if _, err := running.Apply(r.operations...); err != nil {
		return nil, err
	}
	return r.operations, nil
}

// TakeExpectations gives the lab with the expectations of another one.
func (l *Lab) TakeExpectations(from *Lab) *Lab {
	next := l.Clone()
	next.Expectations, next.Exposure = from.Expectations, from.Exposure
	return next
}

type reconciler struct {
	running, wanted *Lab
	operations      []Operation
	err             error
}

func (r *reconciler) do(o Operation) { r.operations = append(r.operations, o) }

func (r *reconciler) refuse(err *Error) {
	if r.err == nil {
		r.err = err
	}
}

// removals take away what isn't wanted, users before what they use.
func (r *reconciler) removals() {
	gone := map[*Deployment]bool{}
	for _, s := range r.running.CloudServices {
		w, wanted := r.wanted.cloudService(s.Name)
		for d := range s.deployments() {
			slot := s.SlotOf(d)
			var to *Deployment
			if wanted {
				to = w.In(slot)
			}
			r.removeDeployment(s, slot, d, to)
			gone[d] = !stays(d, to)
		}
		if !wanted {
			r.do(DeleteHostedServiceOp{s.Name})
		}
	}
	for _, s := range r.running.WebSites {
		if w, ok := find(
			r.wanted.WebSites,
			func(o *WebSite) bool { return o.Name == s.Name },
		); !ok ||
			w.Location != s.Location {
			r.do(DeleteWebSiteOp{s.Name})
		}
	}
	for _, h := range r.running.InternetHosts {
		if w, ok := find(
			r.wanted.InternetHosts,
			func(o *InternetHost) bool { return o.Name == h.Name },
		); !ok ||
			w.Address != h.Address {
			r.do(DeleteInternetHostOp{h.Name})
		}
	}
	for _, x := range r.running.ReservedIPs {
		w, ok := r.wanted.reservedIP(x.Name)
		user := r.running.UsedBy(x)
		switch {
		case ok && w.Location != x.Location:
			r.refuse(conflict("The reserved IP %s is in %s and can't be moved.", x.Name, x.Location).At(w.Origin))
		case user != nil && !gone[user] && (!ok || !r.sameUser(user, r.wanted.UsedBy(w))):
			r.do(DisassociateReservedIPOp{x.Name})
		}
		if !ok {
			r.do(DeleteReservedIPOp{x.Name})
		}
	}
}

// sameUser tells whether a deployment of the running lab is what one of the wanted lab, if there is one, is to be.
func (r *reconciler) sameUser(running, wanted *Deployment) bool {
	return wanted != nil && running.Service == wanted.Service && r.running.slotOf(running) == r.wanted.slotOf(wanted)
}

func (l *Lab) slotOf(d *Deployment) Slot {
	s, _ := l.cloudService(d.Service)
	return s.SlotOf(d)
}

// stays tells whether a deployment is still there after the removals: one of virtual machines goes with the last of
// them.
func stays(d, to *Deployment) bool {
	if to == nil || to.Kind != d.Kind {
		return false
	}
	return d.Kind == PaaS ||
		slices.ContainsFunc(d.Instances, func(i *Instance) bool { return to.machine(i.Name) != nil })
}

func (r *reconciler) removeDeployment(s *CloudService, slot Slot, d, to *Deployment) {
	if d.Kind == PaaS {
		if to == nil || to.Kind != PaaS {
			r.do(DeleteDeploymentOp{s.Name, slot})
		}
		return
	}
	for _, i := range d.Instances {
		if to == nil || to.Kind != IaaS ||
			!slices.ContainsFunc(to.Instances, func(o *Instance) bool { return o.Name == i.Name }) {
			r.do(DeleteRoleOp{s.Name, i.Name})
			continue
		}
		w := to.machine(i.Name)
		for _, e := range i.Endpoints {
			if !slices.ContainsFunc(w.Endpoints, func(o Endpoint) bool { return o.Name == e.Name }) {
				r.do(DeleteEndpointOp{s.Name, i.Name, e.Name})
			}
		}
	}
}

// gateways take away gateways and sites that aren't wanted as they are; sites come back before gateways do.
func (r *reconciler) gateways() (create []Operation) {
	changedSites := map[string]bool{}
	for _, n := range r.running.LocalNetworks {
		w, ok := r.wanted.localNetwork(n.Name)
		changedSites[n.Name] = !ok || !sameSite(n, w)
	}
	for _, n := range r.running.VirtualNetworks {
		w, ok := r.wanted.virtualNetwork(n.Name)
		keep := ok && n.Gateway != nil && w.Gateway != nil && sameGateway(n.Gateway, w.Gateway) &&
			!slices.ContainsFunc(n.Gateway.Connections,
				func(c GatewayConnection) bool { return c.To == ToLocalNetwork && changedSites[c.Name] })
		if n.Gateway != nil && !keep {
			r.do(DeleteGatewayOp{n.Name})
		}
		if ok && w.Gateway != nil && !keep {
			create = append(create, CreateGatewayOp{n.Name, w.Gateway.request(w.Gateway.Origin)})
		}
	}
	for _, w := range r.wanted.VirtualNetworks {
		if _, ok := r.running.virtualNetwork(w.Name); !ok && w.Gateway != nil {
			create = append(create, CreateGatewayOp{w.Name, w.Gateway.request(w.Gateway.Origin)})
		}
	}
	r.sites(changedSites)
	return create
}

// sites creates and deletes on-premises sites, those that change for good among them; in the others hosts come and
// go, and addresses and names are free before they are asked for.
func (r *reconciler) sites(changed map[string]bool) {
	var come []Operation
	for _, n := range r.running.LocalNetworks {
		if changed[n.Name] {
			r.do(DeleteLocalNetworkOp{n.Name})
		}
	}
	for _, w := range r.wanted.LocalNetworks {
		n, ok := r.running.localNetwork(w.Name)
		if !ok || changed[w.Name] {
			come = append(come, CreateLocalNetworkOp{*w})
			continue
		}
		for _, h := range n.Hosts {
			if to, ok := w.host(h.Name); !ok || to.Address != h.Address {
				r.do(DeleteLocalHostOp{w.Name, h.Name})
			}
		}
		for _, to := range w.Hosts {
			h, ok := n.host(to.Name)
			if !ok || to.Address != h.Address {
				come = append(come, AddLocalHostOp{w.Name, *to})
				continue
			}
			come = append(come, furnish(to.Name, h.Services, to.Services, h.Boundary, to.Boundary)...)
		}
	}
	r.operations = append(r.operations, come...)
}

// furnish returns the operations that change what listens in a member that stays, and what it may use of the machine.
func furnish(member string, services, wanted []Service, boundary, wantedBoundary emu.Boundary) (all []Operation) {
	if !boundary.Equal(wantedBoundary) {
		all = append(all, SetBoundaryOp{member, wantedBoundary})
	}
	if !reflect.DeepEqual(serviceSettings(services), serviceSettings(wanted)) {
		all = append(all, SetServicesOp{member, wanted})
	}
	return all
}

// sameSite tells whether two sites differ by their hosts at most.
func sameSite(a, b *LocalNetwork) bool {
	return slices.Equal(a.AddressSpace, b.AddressSpace) && a.VPNGatewayAddress == b.VPNGatewayAddress &&
		a.Address == b.Address
}

// sameGateway reports whether two gateways differ by their addresses at most.
func sameGateway(a, b *VPNGateway) bool {
	return slices.Equal(a.Connections, b.Connections) && slices.Equal(a.ClientAddressPool, b.ClientAddressPool) &&
		a.Profile == b.Profile
}

// networks change affinity groups and virtual networks.
func (r *reconciler) networks() {
	for _, n := range r.running.VirtualNetworks {
		if _, ok := r.wanted.virtualNetwork(n.Name); !ok {
			r.do(DeleteVirtualNetworkOp{n.Name})
		}
	}
	for _, g := range r.running.AffinityGroups {
		w, ok := r.wanted.affinityGroup(g.Name)
		switch {
		case !ok:
			r.do(DeleteAffinityGroupOp{g.Name})
		case w.Location != g.Location:
			r.refuse(conflict("The affinity group %s is in %s and can't be moved.", g.Name, g.Location).At(w.Origin))
		}
	}
	for _, g := range r.wanted.AffinityGroups {
		if _, ok := r.running.affinityGroup(g.Name); !ok {
			r.do(CreateAffinityGroupOp{*g})
		}
	}
	for _, n := range r.wanted.VirtualNetworks {
		old, ok := r.running.virtualNetwork(n.Name)
		switch {
		case !ok:
			r.do(CreateVirtualNetworkOp{*n})
		case !reflect.DeepEqual(networkSettings(*old), networkSettings(*n)):
			r.do(UpdateVirtualNetworkOp{*n})
		}
	}
	for _, x := range r.wanted.ReservedIPs {
		if _, ok := r.running.reservedIP(x.Name); !ok {
			r.do(CreateReservedIPOp{ReservedIP{Name: x.Name, Location: x.Location, Origin: x.Origin}})
		}
	}
}

// others change web sites and internet hosts.
func (r *reconciler) others() {
	for _, w := range r.wanted.WebSites {
		s, ok := find(r.running.WebSites, func(o *WebSite) bool { return o.Name == w.Name && o.Location == w.Location })
		if !ok {
			r.do(
				CreateWebSiteOp{
					WebSite{
						Name:     w.Name,
						Location: w.Location,
						Services: w.Services,
						Boundary: w.Boundary,
						Origin:   w.Origin,
					},
				},
			)
			continue
		}
		r.operations = append(r.operations, furnish(w.Name, s.Services, w.Services, s.Boundary, w.Boundary)...)
	}
	for _, w := range r.wanted.InternetHosts {
		h, ok := find(
			r.running.InternetHosts,
			func(o *InternetHost) bool { return o.Name == w.Name && o.Address == w.Address },
		)
		if !ok {
			r.do(CreateInternetHostOp{*w})
			continue
		}
		r.operations = append(r.operations, furnish(w.Name, h.Services, w.Services, h.Boundary, w.Boundary)...)
	}
}
