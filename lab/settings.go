package lab

import (
	"net/netip"
	"slices"

	"vnetlab/emu"
)

// What follows gives resources without the places they were written at, to compare them, and as the requests that would create them.

func networkSettings(n VirtualNetwork) VirtualNetwork {
	n.Origin, n.Gateway = Origin{}, nil
	n.Subnets = slices.Clone(n.Subnets)
	for i := range n.Subnets {
		n.Subnets[i].Origin = Origin{}
	}
	if len(n.DNSServers) == 0 {
		n.DNSServers = nil
	}
	return n
}

func endpointSettings(e Endpoint) Endpoint {
	e.Origin = Origin{}
	e.ACL = aclSettings(e.ACL)
	return e
}

func aclSettings(rules []ACLRule) []ACLRule {
	var all []ACLRule
	for _, r := range rules {
		r.Origin = Origin{}
		all = append(all, r)
	}
	return all
}

func serviceSettings(services []Service) []Service {
	var all []Service
	for _, s := range services {
		s.Origin = Origin{}
		all = append(all, s)
	}
	return all
}

func ruleTexts(rules []GuestFirewallRule) []string {
	all := []string{}
	for _, r := range rules {
		all = append(all, r.Text)
	}
	return all
}

// roleSettings are all of the roles but how many instances they have.
func roleSettings(roles []Role) []Role {
	var all []Role
	for _, r := range roles {
		r.Origin, r.FirewallOrigin, r.InstanceCount = Origin{}, Origin{}, 0
		r.Services = serviceSettings(r.Services)
		var inputs []InputEndpoint
		for _, e := range r.InputEndpoints {
			e.Origin, e.ACL = Origin{}, aclSettings(e.ACL)
			inputs = append(inputs, e)
		}
		var instanceInputs []InstanceInputEndpoint
		for _, e := range r.InstanceInputEndpoints {
			e.Origin, e.ACL = Origin{}, aclSettings(e.ACL)
			instanceInputs = append(instanceInputs, e)
		}
		var internal []InternalEndpoint
		for _, e := range r.InternalEndpoints {
			e.Origin = Origin{}
			internal = append(internal, e)
		}
		var firewall []GuestFirewallRule
		for _, f := range r.Firewall {
			f.Origin = Origin{}
			firewall = append(firewall, f)
		}
		r.InputEndpoints, r.InstanceInputEndpoints, r.InternalEndpoints, r.Firewall = inputs, instanceInputs, internal, firewall
		all = append(all, r)
	}
	return all
}

// machineRequest asks for a virtual machine like this one.
func machineRequest(i *Instance) VirtualMachine {
	vm := VirtualMachine{
		Name: i.Name, OS: i.OS, Subnet: i.Subnet, PublicIPName: i.PublicIPName, Firewall: i.Firewall, FirewallOff: i.FirewallOff,
		FirewallOrigin: i.FirewallOrigin, Services: i.Services, Boundary: i.Boundary, Origin: i.Origin,
	}
	if i.StaticAddress {
		vm.StaticAddress = i.DIP
	}
	for _, e := range i.Endpoints {
		vm.Endpoints = append(vm.Endpoints, endpointRequest(e))
	}
	return vm
}

func endpointRequest(e Endpoint) VMEndpoint {
	return VMEndpoint(e)
}

// SetFirewall replaces the added rules of an instance's guest firewall, or turns it off.
func (l *Lab) SetFirewall(instance string, off bool, rules []GuestFirewallRule) error {
	d, i, err := l.instance(instance)
	if err != nil {
		return err
	}
	now := i.copy()
	now.FirewallOff, now.Firewall = off, rules
	l.replaceInstance(d, i, now)
	return nil
}

// SwitchFirewall turns an instance's guest firewall off or on. Its rules stay, and count again when it is on.
func (l *Lab) SwitchFirewall(instance string, off bool) error {
	d, i, err := l.instance(instance)
	if err != nil {
		return err
	}
	now := i.copy()
	now.FirewallOff = off
	l.replaceInstance(d, i, now)
	return nil
}

// SetServices replaces what listens in a member of the lab.
func (l *Lab) SetServices(member string, services []Service) error {
	m, err := l.member(member)
	if err != nil {
		return err
	}
	for _, err := range checkServices(services) {
		return err
	}
	l.changeMember(m, func(now *[]Service, _ *emu.Boundary) { *now = services })
	return nil
}

// UpgradeDeployment replaces the roles of a deployment in place: the VIP stays, and an instance whose role stays keeps its address (MSDN
// "Upgrade Deployment").
func (l *Lab) UpgradeDeployment(service string, p PackageDeployment) error {
	s, d, err := l.deployment(service, p.Slot)
	if err != nil {
		return err.At(p.Origin)
	}
	if d.Kind != PaaS {
		return slotOccupied(orDefault(p.Slot, Production)).WithHint("%s holds virtual machines.", s.Name).At(p.Origin)
	}
	if p.VirtualNetwork != d.VirtualNetwork {
		return badRequest("The deployment of %s is in %s; an upgrade can't move it to %s.", s.Name, networkName(d.VirtualNetwork), networkName(p.VirtualNetwork)).At(p.Origin)
	}
	without := l.Clone()
	without.replaceDeployment(d, nil)
	p.Name, p.ReservedIP, p.InternalLoadBalancer = orDefault(p.Name, d.Name), "", nil
	if err := without.CreateDeployment(service, p); err != nil {
		return err
	}
	made, _ := without.cloudService(service)
	now := made.In(orDefault(p.Slot, Production)).copy()
	for n, i := range now.Instances {
		now.Instances[n] = i.copy()
	}
	if now.VirtualNetwork == "" {
		for _, i := range now.Instances {
			i.DIP = Nth(d.Block, Offset(now.Block, i.DIP))
		}
	}
	now.VIP, now.ReservedIP, now.PrivateID, now.Block, now.InternalLoadBalancer = d.VIP, d.ReservedIP, d.PrivateID, d.Block, d.InternalLoadBalancer
	for _, i := range now.Instances {
		i.ID = ""
	}
	keepInstances(d, now)
	without.giveIDs(now, orDefault(p.Slot, Production))
	l.allocatePublicIPs(now, now.Instances...)
	l.created = without.created
	l.replaceDeployment(d, now)
	return nil
}

// keepInstances gives the instances that were in the deployment before their ids and addresses back, and the answers to their health probes. Whoever
// has one of the addresses takes the other's.
func keepInstances(before, now *Deployment) {
	for _, i := range now.Instances {
		i.PublicIP = netip.Addr{}
		old := before.machine(i.Name)
		if old == nil {
			continue
		}
		i.ID, i.healthy = old.ID, old.healthy
		if i.PublicIPName != "" {
			i.PublicIP = old.PublicIP
		}
		if old.Subnet != i.Subnet || old.DIP == i.DIP {
			continue
		}
		for _, other := range now.Instances {
			if other.DIP == old.DIP {
				other.DIP = i.DIP
			}
		}
		i.DIP = old.DIP
	}
}
