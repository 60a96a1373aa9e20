package lab

import (
	"cmp"
	"fmt"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab/guestfirewall"
)

// portInUse is the platform's own text for a public port that another endpoint has.
func portInUse(port uint16) *Error {
	return badRequest("Port %d is already in use by one of the endpoints in this deployment. Ensure that the port numbers are unique across endpoints within a deployment.", port)
}

// buildEndpoints checks the endpoints that a virtual machine asks for against those of its deployment and of itself.
func buildEndpoints(d *Deployment, vm VirtualMachine) (built []Endpoint, errs []error) {
	count := len(vm.Endpoints)
	for _, i := range d.Instances {
		count += len(i.Endpoints)
	}
	if count > maxInputEndpoints {
		errs = append(errs, badRequest("The cloud service would have %d input endpoints; the most is %d.", count, maxInputEndpoints).At(vm.Origin))
	}
	for _, request := range vm.Endpoints {
		refuse := func(err *Error) { errs = append(errs, err.At(request.Origin)) }
		e := Endpoint{
			Name: request.Name, Protocol: orDefault(request.Protocol, emu.TCP), PublicPort: request.PublicPort, LocalPort: request.LocalPort,
			LoadBalancedSet: request.LoadBalancedSet, Distribution: orDefault(request.Distribution, DistributeNone), Origin: request.Origin,
		}
		if err := checkName("endpoint", e.Name, endpointName, "a letter, then up to 29 letters, digits, spaces, hyphens and underscores"); err != nil {
			refuse(err)
		}
		if e.LocalPort == 0 {
			refuse(badRequest("The endpoint %s has no local port.", e.Name))
		}
		if e.LoadBalancedSet == "" && request.Distribution != "" && request.Distribution != DistributeNone {
			refuse(badRequest("The endpoint %s has a distribution mode but no load-balanced set.", e.Name).WithHint("Give it a loadBalancedSet."))
		}
		acl, aclErrs := checkACL(request.ACL)
		e.ACL = acl
		errs = append(errs, aclErrs...)
		for _, own := range built {
			if own.Name == e.Name {
				refuse(badRequest("The virtual machine %s has an endpoint %s already.", vm.Name, e.Name))
			}
			if own.Protocol == e.Protocol && own.LocalPort == e.LocalPort {
				// The platform's own text.
				refuse(badRequest("Local Port %d for endpoint %s is already in use by one of the other endpoints in this role. Ensure that the local port numbers are unique across endpoints within a role.", e.LocalPort, e.Name))
			}
		}
		if e.PublicPort == 0 {
			e.PublicPort = automaticPort(d, built, e)
		} else if err := checkPublicPort(d, built, e); err != nil {
			refuse(err)
		}
		built = append(built, e)
	}
	return built, errs
}

// checkPublicPort refuses a public port that another endpoint of the deployment has, unless both are members of one load-balanced
// set: then they share protocol, port, access control list and distribution mode.
func checkPublicPort(d *Deployment, own []Endpoint, e Endpoint) *Error {
	for _, other := range own {
		if other.Protocol == e.Protocol && other.PublicPort == e.PublicPort {
			return portInUse(e.PublicPort)
		}
	}
	for _, i := range d.Instances {
		for _, other := range i.Endpoints {
			sameSet := e.LoadBalancedSet != "" && e.LoadBalancedSet == other.LoadBalancedSet
			sameSocket := other.Protocol == e.Protocol && other.PublicPort == e.PublicPort
			switch {
			case sameSet && !sameSocket:
				return badRequest("The members of the load-balanced set %s have the public port %d/%s; the endpoint %s has %d/%s.", e.LoadBalancedSet, other.PublicPort, other.Protocol, e.Name, e.PublicPort, e.Protocol)
			case sameSocket && !sameSet:
				return portInUse(e.PublicPort).WithHint("%s has it. To share it, give both endpoints the same loadBalancedSet.", i.Name)
			case sameSet && other.Distribution != e.Distribution:
				return badRequest("The distribution mode belongs to the load-balanced set %s: it is %s.", e.LoadBalancedSet, other.Distribution)
			case sameSet && !sameACL(other.ACL, e.ACL):
				return badRequest("The access control list belongs to the load-balanced set %s: all its members must have the same.", e.LoadBalancedSet)
			}
		}
	}
	return nil
}

// sameACL compares without regard to where the rules are written.
func sameACL(a, b []ACLRule) bool {
	return slices.EqualFunc(a, b, func(x, y ACLRule) bool {
		x.Origin, y.Origin = Origin{}, Origin{}
		return x == y
	})
}

// automaticPort is the public port the platform picks: of the endpoint's set where there is one, else the lowest free one of the
// dynamic range.
func automaticPort(d *Deployment, own []Endpoint, e Endpoint) uint16 {
	used := map[uint16]bool{}
	for _, other := range own {
		used[other.PublicPort] = true
	}
	for _, i := range d.Instances {
		for _, other := range i.Endpoints {
			if e.LoadBalancedSet != "" && e.LoadBalancedSet == other.LoadBalancedSet {
				return other.PublicPort
			}
			used[other.PublicPort] = true
		}
	}
	port := uint16(firstAutomaticPort)
	for used[port] {
		port++
	}
	return port
}

// checkACL holds the rules of endpoint access control lists ("About Network Access Control Lists") and gives the list in the order
// in which its rules are tried.
func checkACL(rules []ACLRule) (sorted []ACLRule, errs []error) {
	orders := map[int]bool{}
	for _, r := range rules {
		if orders[r.Order] {
			errs = append(errs, badRequest("The access control list has two rules of order %d.", r.Order).At(r.Origin))
		}
		orders[r.Order] = true
		if !r.RemoteSubnet.IsValid() || !r.RemoteSubnet.Addr().Is4() {
			errs = append(errs, badRequest("The rule %d of the access control list has no IPv4 remote subnet.", r.Order).At(r.Origin))
			continue
		}
		r.RemoteSubnet = r.RemoteSubnet.Masked()
		sorted = append(sorted, r)
	}
	if len(rules) > maxACLRules {
		errs = append(errs, badRequest("The access control list has %d rules; the most is %d.", len(rules), maxACLRules).At(rules[maxACLRules].Origin))
	}
	slices.SortFunc(sorted, func(a, b ACLRule) int { return cmp.Compare(a.Order, b.Order) })
	return sorted, errs
}

func checkServices(services []Service) (errs []error) {
	type at struct {
		protocol emu.Protocol
		port     uint16
	}
	seen := map[at]bool{}
	for _, s := range services {
		if seen[at{s.Protocol, s.Port}] {
			errs = append(errs, badRequest("Two services listen on port %d/%s.", s.Port, s.Protocol).At(s.Origin))
		}
		seen[at{s.Protocol, s.Port}] = true
	}
	return errs
}

// osFirewall are the rules a virtual machine's guest firewall starts with: the platform opens remote administration and nothing
// else ("How to Set Up Endpoints to a Virtual Machine").
func osFirewall(os OS) []GuestFirewallRule {
	if os == Linux {
		return []GuestFirewallRule{
			defaultRule("SSH", "tcp", 22),
			{Rule: guestfirewall.Rule{Name: "ICMP", Allow: true, Protocol: "icmp", Text: "default: allow icmp"}},
		}
	}
	return []GuestFirewallRule{defaultRule("RemoteDesktop", "tcp", 3389), defaultRule("PowerShell", "tcp", 5986)}
}

// endpointFirewall is what the platform opens in a role instance for an input endpoint.
func endpointFirewall(e Endpoint) GuestFirewallRule {
	r := defaultRule("endpoint "+e.Name, string(e.Protocol), e.LocalPort)
	r.Origin = e.Origin
	return r
}

func defaultRule(name, protocol string, port uint16) GuestFirewallRule {
	return GuestFirewallRule{Rule: guestfirewall.Rule{
		Name: name, Allow: true, Protocol: protocol, LocalPorts: []emu.PortRange{{First: port, Last: port}},
		Text: fmt.Sprintf("default %s: allow %s %d", name, protocol, port),
	}}
}
