package lab

import (
	"reflect"
	"slices"
)

// services change cloud services and what is in them.
func (r *reconciler) services() {
	for _, w := range r.wanted.CloudServices {
		s, ok := r.running.cloudService(w.Name)
		if !ok {
			r.createService(w)
			s = &CloudService{Name: w.Name}
		} else if s.AffinityGroup != w.AffinityGroup || s.Location != w.Location {
			r.refuse(
				conflict(
					"The cloud service %s is bound to %s for life.",
					s.Name,
					orDefault(s.AffinityGroup, s.Location),
				).
					WithHint("Delete the cloud service and create it anew.").
					At(w.Origin),
			)
			continue
		}
		if ok && len(s.Deployments())+len(w.Deployments()) == 0 && s.VirtualNetwork != w.VirtualNetwork {
			r.do(DeleteHostedServiceOp{w.Name})
			r.createService(w)
		}
		for to := range w.deployments() {
			slot := w.SlotOf(to)
			d := s.In(slot)
			if d != nil && d.Kind != to.Kind {
				d = nil // removed before
			}
			if d != nil && d.VirtualNetwork != to.VirtualNetwork {
				// No operation of the platform moves a deployment ("Virtual Network FAQ").
				r.refuse(
					badRequest(
						"The deployment of %s is in %s; an existing deployment can't be moved to %s.",
						s.Name,
						networkName(d.VirtualNetwork),
						networkName(to.VirtualNetwork),
					).
						WithHint("Delete the deployment and create it anew.").
						At(to.Origin),
				)
				continue
			}
			if d != nil && !stays(d, to) {
				d = nil // likewise
			}
			if d != nil && !sameBalancer(d.InternalLoadBalancer, to.InternalLoadBalancer) {
				r.refuse(
					conflict("The internal load balancer of %s can't be changed while the deployment exists.", s.Name).
						WithHint("Delete the deployment and create it anew.").At(to.Origin),
				)
				continue
			}
			if to.Kind == PaaS {
				r.roles(w.Name, slot, d, to)
			} else {
				r.machines(w.Name, d, to)
			}
			if to.ReservedIP != "" && d != nil && d.ReservedIP != to.ReservedIP {
				r.do(AssociateReservedIPOp{to.ReservedIP, w.Name, slot})
			}
		}
	}
}

func (r *reconciler) createService(w *CloudService) {
	r.do(CreateHostedServiceOp{
		HostedService{
			Name:           w.Name,
			AffinityGroup:  w.AffinityGroup,
			Location:       w.Location,
			VirtualNetwork: w.VirtualNetwork,
			Description:    w.Description,
			Origin:         w.Origin,
		},
	})
}

// sameBalancer reports whether two internal load balancers are asked for alike: an address may be the platform's
// choice.
func sameBalancer(a, b *InternalLoadBalancer) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Name == b.Name && a.Subnet == b.Subnet
}

// roles deploy, upgrade or scale.
func (r *reconciler) roles(service string, slot Slot, d, to *Deployment) {
	request := PackageDeployment{
		Name:                 to.Name,
		Slot:                 slot,
		VirtualNetwork:       to.VirtualNetwork,
		DNSServers:           to.DNSServers,
		ReservedIP:           to.ReservedIP,
		InternalLoadBalancer: to.InternalLoadBalancer,
		Roles:                to.Roles,
		Origin:               to.Origin,
	}
	if d == nil {
		r.do(CreateDeploymentOp{service, request})
		return
	}
	if !reflect.DeepEqual(roleSettings(d.Roles), roleSettings(to.Roles)) || !slices.Equal(d.DNSServers, to.DNSServers) {
		r.do(UpgradeDeploymentOp{service, request})
		return
	}
	for n, role := range to.Roles {
		if d.Roles[n].InstanceCount != role.InstanceCount {
			r.do(ScaleRoleOp{service, slot, role.Name, role.InstanceCount})
		}
	}
	r.roleInstances(service, slot, d, to)
}

// roleInstances takes back what was changed in single instances.
func (r *reconciler) roleInstances(service string, slot Slot, d, to *Deployment) {
	sets := map[string]bool{} // whose access control list is set already
	for _, w := range to.Instances {
		i := d.machine(w.Name)
		if i == nil {
			continue // comes with scaling
		}
		r.guest(i, w)
		for n, e := range w.Endpoints {
			if n >= len(i.Endpoints) || sets[e.LoadBalancedSet] {
				continue
			}
			if !reflect.DeepEqual(aclSettings(i.Endpoints[n].ACL), aclSettings(e.ACL)) {
				r.do(SetEndpointACLOp{service, w.Name, e.Name, slot, e.ACL})
				sets[e.LoadBalancedSet] = e.LoadBalancedSet != ""
			}
		}
	}
}

// guest changes what is inside an instance.
func (r *reconciler) guest(i, w *Instance) {
	if i.FirewallOff != w.FirewallOff || !reflect.DeepEqual(ruleTexts(i.Firewall), ruleTexts(w.Firewall)) {
		r.do(SetFirewallOp{r.wanted.InstanceName(w), w.FirewallOff, w.Firewall})
	}
	name := r.wanted.InstanceName(w)
	r.operations = append(r.operations, furnish(name, i.Services, w.Services, i.Boundary, w.Boundary)...)
}

// state starts or stops a virtual machine.
func (r *reconciler) state(service string, i, w *Instance) {
	if i.State == w.State {
		return
	}
	if i.State == StoppedDeallocated || w.State == Running {
		r.do(StartRoleOp{service, w.Name})
	}
	if w.State != Running {
		r.do(ShutdownRoleOp{Service: service, Name: w.Name, StayProvisioned: w.State == Stopped})
	}
}

// machines create virtual machines and change those that are there.
func (r *reconciler) machines(service string, d, to *Deployment) {
	for n, w := range to.Instances {
		var i *Instance
		if d != nil {
			i = d.machine(w.Name)
		}
		if i == nil {
			vm := machineRequest(w)
			if d == nil && n == 0 {
				vm.VirtualNetwork, vm.ReservedIP, vm.InternalLoadBalancer = to.VirtualNetwork, to.ReservedIP, to.InternalLoadBalancer
			}
			r.do(AddRoleOp{Service: service, VirtualMachine: vm})
			r.state(service, &Instance{State: Running}, w)
			continue
		}
		if i.OS != w.OS || i.Subnet != w.Subnet || w.StaticAddress && i.DIP != w.DIP ||
			i.StaticAddress != w.StaticAddress ||
			i.PublicIPName != w.PublicIPName {
			r.refuse(
				conflict(
					"Operating system, subnet and addresses of the virtual machine %s can't be changed while it exists.",
					w.Name,
				).
					WithHint("Delete it and create it anew: lab vm delete %s", r.running.InstanceName(i)).
					At(w.Origin),
			)
			continue
		}
		r.endpoints(service, i, w)
		r.guest(i, w)
		r.state(service, i, w)
	}
}

func (r *reconciler) endpoints(service string, i, w *Instance) {
	for _, e := range w.Endpoints {
		n := slices.IndexFunc(i.Endpoints, func(o Endpoint) bool { return o.Name == e.Name })
		switch {
		case n < 0:
			r.do(AddEndpointOp{service, i.Name, e})
		case !reflect.DeepEqual(endpointSettings(i.Endpoints[n]), endpointSettings(e)):
			r.do(UpdateEndpointOp{service, i.Name, e.Name, e})
		}
	}
}
