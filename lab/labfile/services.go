package labfile

import (
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
)

func (l *loader) cloudService(s CloudService) {
	if l.broken[s.Origin] {
		l.gone.anyMember = true
		return
	}
	_, networkExists := l.lab.VirtualNetwork(string(s.VirtualNetwork))
	hidden := l.gone.networks.has(string(s.VirtualNetwork)) || l.gone.anyNetwork && s.VirtualNetwork != "" &&
		!networkExists
	if hidden || l.gone.affinityGroups.has(string(s.AffinityGroup)) ||
		!l.accept(s.Origin, l.lab.CreateHostedService(lab.HostedService{
			Name: string(s.Name), AffinityGroup: string(s.AffinityGroup), Location: string(s.Location),
			VirtualNetwork: string(s.VirtualNetwork), Origin: s.Origin,
		})) {
		l.withoutService(s)
		return
	}
	l.withoutUse(s)
	l.virtualMachines(s)
	if s.Production != nil && !l.deployment(s, s.Production, lab.Production) {
		l.withoutRoles(s)
	}
	if s.Staging != nil && !l.deployment(s, s.Staging, lab.Staging) {
		l.gone.anyMember = true // its instances' names are in the definition, which may not be readable
	}
}

// withoutUse refuses settings for a deployment that a cloud service doesn't have.
func (l *loader) withoutUse(s CloudService) {
	if s.ReservedIP.Text != "" && len(s.VirtualMachines) == 0 && s.Production == nil {
		l.problems = append(l.problems, invalid(s.ReservedIP.Origin,
			"the cloud service %s has no deployment to give the reserved IP to", s.Name).
			hint("It needs virtualMachines or production."))
	}
	if b := s.InternalLoadBalancer; b != nil && len(s.VirtualMachines) == 0 {
		l.problems = append(l.problems,
			invalid(b.Origin, "the cloud service %s has no virtual machines to give the internal load balancer to",
				s.Name).
				hint("Roles have theirs in the service configuration."))
	}
}

// reservation returns the reserved IP of a cloud service. It is empty if its creation has failed with an error.
func (l *loader) reservation(s CloudService) string {
	if l.gone.reservedIPs.has(s.ReservedIP.Text) {
		return ""
	}
	return s.ReservedIP.Text
}

func (l *loader) withoutService(s CloudService) {
	for _, vm := range s.VirtualMachines {
		l.machine(vm) // it may be wrong on its own
		l.withoutMachine(s, vm)
	}
	for _, d := range []*Deployment{s.Production, s.Staging} {
		if d != nil {
			l.packageOf(d) // so may they
			l.withoutRoles(s)
		}
	}
	l.gone.members.add(string(s.Name) + ".cloudapp.net")
}

func (l *loader) withoutMachine(s CloudService, vm VirtualMachine) {
	l.gone.members.add(string(vm.Name))
	l.gone.members.add(string(s.Name + "." + vm.Name))
	// Without an instance the service may be without a VIP.
	l.gone.members.add(string(s.Name) + ".cloudapp.net")
}

// withoutRoles marks role instances as missing. Their names are in the definition, which may not be readable.
func (l *loader) withoutRoles(s CloudService) {
	l.gone.anyMember = true
	l.gone.members.add(string(s.Name) + ".cloudapp.net")
}

// virtualMachines adds the virtual machines of a cloud service. The first one creates the deployment, with the
// deployment's settings.
func (l *loader) virtualMachines(s CloudService) {
	reservedIP, balancer, lost := l.reservation(s), internalLoadBalancer(s.InternalLoadBalancer), false
	for _, vm := range s.VirtualMachines {
		request, ok := l.machine(vm)
		if !ok || lost && slices.ContainsFunc(request.Endpoints,
			func(e lab.Endpoint) bool { return e.InternalLoadBalancer != "" }) {
			l.withoutMachine(s, vm)
			continue
		}
		request.ReservedIP, request.InternalLoadBalancer = reservedIP, balancer
		before := len(l.problems)
		if !l.accept(vm.Origin, l.lab.AddVirtualMachine(string(s.Name), request)) {
			l.withoutMachine(s, vm)
			if l.deploymentRefused(s, request, l.problems[before:]) {
				reservedIP, balancer, lost = "", nil, balancer != nil
			}
		}
		if service, _ := l.lab.CloudService(string(s.Name)); service.Production != nil {
			reservedIP, balancer = "", nil
		}
	}
}

// deploymentRefused reports whether a virtual machine was refused because of its cloud service's settings for the
// deployment: the reserved IP or the internal load balancer. It moves the problems there. The other machines are
// then added without it, as they would be refused for the same reason.
func (l *loader) deploymentRefused(s CloudService, request lab.VirtualMachine, problems []Problem) (moved bool) {
	withoutIt := func(position emu.Origin) {
		err := l.lab.Clone().AddVirtualMachine(string(s.Name), request)
		for i, p := range problems {
			if err == nil || !strings.Contains(err.Error(), p.Message) {
				problems[i].Origin, problems[i].position, moved = position, position, true
			}
		}
	}
	if request.ReservedIP != "" {
		request.ReservedIP = ""
		withoutIt(s.ReservedIP.Origin)
	}
	balancer := request.InternalLoadBalancer
	if balancer == nil || moved || slices.ContainsFunc(request.Endpoints, func(e lab.Endpoint) bool {
		return e.InternalLoadBalancer != "" && e.InternalLoadBalancer != balancer.Name
	}) {
		return moved
	}
	request.InternalLoadBalancer = nil
	for i := range request.Endpoints {
		request.Endpoints[i].InternalLoadBalancer = ""
	}
	withoutIt(s.InternalLoadBalancer.Origin)
	return moved
}

func internalLoadBalancer(b *InternalLoadBalancer) *lab.InternalLoadBalancer {
	if b == nil {
		return nil
	}
	return &lab.InternalLoadBalancer{
		Name: string(b.Name), Subnet: string(b.Subnet), Address: address(b.StaticAddress),
		Origin: b.Origin,
	}
}

// machine returns a virtual machine as a request; false if its part of the file is wrong.
func (l *loader) machine(vm VirtualMachine) (request lab.VirtualMachine, ok bool) {
	request = lab.VirtualMachine{
		Name: string(vm.Name), OS: lab.OS(vm.OS), Subnet: string(vm.Subnet), StaticAddress: address(vm.StaticAddress),
		PublicIPName: string(vm.PublicIP), Boundary: l.boundary(vm.Machine), Origin: vm.Origin,
	}
	request.Firewall, request.FirewallOff, request.FirewallOrigin = l.firewall(vm.Firewall, vm.Origin)
	if l.broken[vm.Origin] {
		return request, false
	}
	listening := map[string]listener{}
	for _, e := range vm.Endpoints {
		request.Endpoints = append(request.Endpoints, lab.Endpoint{
			Name: string(e.Name), Protocol: protocol(e.Protocol), PublicPort: uint16(e.PublicPort),
			LocalPort:       uint16(e.LocalPort),
			LoadBalancedSet: string(e.LoadBalancedSet),
			Balancing: lab.Balancing{
				Distribution: lab.Distribution(e.Distribution), ACL: acl(e.ACL), Probe: probe(e.Probe),
				IdleTimeoutInMinutes: int(e.IdleTimeoutInMinutes),
				InternalLoadBalancer: string(e.InternalLoadBalancer),
				DirectServerReturn:   e.DirectServerReturn,
			},
			Origin: e.Origin,
		})
		listening[string(e.Name)] = listener{protocol(e.Protocol), uint16(e.LocalPort)}
	}
	request.Services = l.services(vm.Services, listening, "virtual machine "+string(vm.Name))
	return request, true
}

func acl(rules []ACLRule) (requested []lab.ACLRule) {
	for _, r := range rules {
		requested = append(requested, lab.ACLRule{
			Order: int(r.Order), Permit: r.Action == "permit", RemoteSubnet: prefix(r.RemoteSubnet),
			Description: string(r.Description), Origin: r.Origin,
		})
	}
	return requested
}

func probe(p *Probe) *lab.Probe {
	if p == nil {
		return nil
	}
	return &lab.Probe{
		Protocol: string(p.Protocol), Port: uint16(p.Port), Path: string(p.Path),
		IntervalInSeconds: int(p.IntervalInSeconds), TimeoutInSeconds: int(p.TimeoutInSeconds),
	}
}
