package lab

import "slices"

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
	e.Balancing = e.settings()
	return e
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
			e.Origin, e.Balancing = Origin{}, e.settings()
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
		Name:           i.Name,
		OS:             i.OS,
		Subnet:         i.Subnet,
		PublicIPName:   i.PublicIPName,
		Firewall:       i.Firewall,
		FirewallOff:    i.FirewallOff,
		FirewallOrigin: i.FirewallOrigin,
		Services:       i.Services,
		Boundary:       i.Boundary,
		Origin:         i.Origin,
	}
	if i.StaticAddress {
		vm.StaticAddress = i.DIP
	}
	vm.Endpoints = append(vm.Endpoints, i.Endpoints...)
	return vm
}
