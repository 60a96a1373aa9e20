package labfile

import (
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/cscfg"
	"vnetlab/lab/csdef"
	"vnetlab/lab/limits"
)

// endpoints sets the endpoints of a role: as defined, with the access control lists of the configuration, and with
// ports where the definition leaves them to the platform. These ports differ, so that a program can listen on all
// of them.
func endpoints(
	role *lab.Role, definition *csdef.Definition, configuration *cscfg.Configuration, defined csdef.Role,
	services []Service,
) {
	free := freePorts(defined, services)
	for _, e := range defined.InputEndpoints {
		request := lab.InputEndpoint{
			Name: e.Name, Protocol: e.Transport(), Port: e.Port, LocalPort: e.LocalPort,
			Balancing: lab.Balancing{
				Distribution:         lab.Distribution(e.LoadBalancerDistribution),
				IdleTimeoutInMinutes: e.IdleTimeoutInMinutes, InternalLoadBalancer: e.LoadBalancer,
			},
			Origin: e.Origin,
		}
		if e.AutomaticLocalPort {
			request.LocalPort = free()
		}
		// An endpoint without a health probe has the platform's, which follows the state of the instance.
		if p, ok := definition.Probe(e.LoadBalancerProbe); ok {
			request.Probe = &lab.Probe{
				Protocol: p.Protocol, Port: p.Port, Path: p.Path, IntervalInSeconds: p.IntervalInSeconds,
				TimeoutInSeconds: p.TimeoutInSeconds,
			}
		}
		request.ACL = accessControl(configuration.EndpointACL(defined.Name, e.Name))
		role.InputEndpoints = append(role.InputEndpoints, request)
	}
	for _, e := range defined.InstanceInputEndpoints {
		request := lab.InstanceInputEndpoint{
			Name: e.Name, Protocol: e.Protocol, LocalPort: e.LocalPort, Public: e.PublicPorts,
			ACL: accessControl(configuration.EndpointACL(defined.Name, e.Name)), Origin: e.Origin,
		}
		if request.LocalPort == 0 {
			request.LocalPort = free()
		}
		role.InstanceInputEndpoints = append(role.InstanceInputEndpoints, request)
	}
	for _, e := range defined.InternalEndpoints {
		request := lab.InternalEndpoint{Name: e.Name, Protocol: e.Transport(), Ports: e.Ports(), Origin: e.Origin}
		if request.Ports.First == 0 && request.Protocol != "" {
			port := free()
			request.Ports = emu.PortRange{First: port, Last: port}
		}
		request.FromRoles, request.Restricted = definition.TrafficFrom(defined.Name, e.Name)
		role.InternalEndpoints = append(role.InternalEndpoints, request)
	}
}

func accessControl(rules []cscfg.Rule) (all []lab.ACLRule) {
	for _, r := range rules {
		all = append(all, lab.ACLRule(r))
	}
	return all
}

// freePorts returns a function that returns the next port that no endpoint and no listener of a role has. If ranges
// cover all ports, it returns the first one.
func freePorts(role csdef.Role, services []Service) func() uint16 {
	var taken []emu.PortRange
	for _, s := range services {
		taken = append(taken, emu.PortRange{First: uint16(s.Port), Last: uint16(s.Port)})
	}
	for _, e := range role.InputEndpoints {
		taken = append(taken, emu.PortRange{First: e.LocalPort, Last: e.LocalPort})
	}
	for _, e := range role.InstanceInputEndpoints {
		taken = append(taken, emu.PortRange{First: e.LocalPort, Last: e.LocalPort})
	}
	for _, e := range role.InternalEndpoints {
		taken = append(taken, e.Ports())
	}
	next := uint16(limits.FirstRolePort)
	return func() uint16 {
		for range 1 << 16 {
			port := next
			if next++; next == 0 {
				next = 1
			}
			if !within(port, taken) {
				return port
			}
		}
		return limits.FirstRolePort
	}
}

func within(port uint16, ranges []emu.PortRange) bool {
	for _, r := range ranges {
		if r.First <= port && port <= r.Last {
			return true
		}
	}
	return false
}

// ReadDeployment reads what is deployed to a slot of a cloud service: a service definition (.csdef) and its
// configuration (.cscfg). There is no package: a built-in listener replaces the program behind each endpoint. The
// notes are about settings that have no effect, or a different one than in the files. The error is an Errors with
// all problems of the files by themselves.
func ReadDeployment(service, definition, configuration string, slot lab.Slot) (request lab.PackageDeployment,
	notes []Note, err error,
) {
	l := &loader{sources: sources{}}
	request, _ = l.packageOf(&Deployment{
		Definition:    Reference{Text: definition},
		Configuration: Reference{Text: configuration},
	})
	if err = l.err(); err != nil {
		return lab.PackageDeployment{}, nil, err
	}
	request.Slot = slot
	if slot != lab.Staging {
		request.Name = service
	}
	return request, l.notes, nil
}

// listenEverywhere adds a built-in listener for each endpoint of a role, on the first port of a range. Endpoints of
// plug-ins have the listeners of the plug-ins.
func listenEverywhere(role *lab.Role, brought []string) {
	seen := map[listener]bool{}
	for _, s := range role.Services {
		seen[listener{s.Protocol, s.Port}] = true
	}
	add := func(name string, at listener, origin emu.Origin) {
		if !seen[at] && at.port != 0 && !slices.Contains(brought, name) {
			seen[at] = true
			role.Services = append(role.Services, lab.Service{Port: at.port, Protocol: at.protocol, Origin: origin})
		}
	}
	for _, e := range role.InputEndpoints {
		add(e.Name, listener{e.Protocol, e.LocalPort}, e.Origin)
	}
	for _, e := range role.InstanceInputEndpoints {
		add(e.Name, listener{e.Protocol, e.LocalPort}, e.Origin)
	}
	for _, e := range role.InternalEndpoints {
		add(e.Name, listener{protocol(Protocol(e.Protocol)), e.Ports.First}, e.Origin)
	}
}
