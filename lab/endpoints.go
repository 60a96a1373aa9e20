package lab

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"vnetlab/emu"
)

// portInUse is the platform's own text for a public port that another endpoint has.
func portInUse(port uint16) *Error {
	return badRequest("Port %d is already in use by one of the endpoints in this deployment. Ensure that the port numbers are unique across endpoints within a deployment.", port)
}

// newEndpoint makes an endpoint that is asked for, checked against those of the machine and of its deployment. The machine may be one that
// isn't in the deployment yet.
func newEndpoint(d *Deployment, i *Instance, request VMEndpoint) (e Endpoint, errs []error) {
	refuse := func(err *Error) { errs = append(errs, err.At(request.Origin)) }
	e, errs = buildEndpoint(d, request)
	count := len(i.Endpoints) + 1
	for _, other := range d.Instances {
		if other != i {
			count += len(other.Endpoints)
		}
	}
	if count > maxInputEndpoints {
		refuse(badRequest("The cloud service would have %d input endpoints; the most is %d.", count, maxInputEndpoints))
	}
	for _, own := range i.Endpoints {
		if own.Name == e.Name {
			refuse(conflict("The virtual machine %s has an endpoint %s already.", i.Name, e.Name))
		}
		if own.Protocol == e.Protocol && own.LocalPort == e.LocalPort && own.InternalLoadBalancer == e.InternalLoadBalancer {
			// The platform's own text.
			refuse(badRequest("Local Port %d for endpoint %s is already in use by one of the other endpoints in this role. Ensure that the local port numbers are unique across endpoints within a role.", e.LocalPort, e.Name))
		}
	}
	if e.PublicPort == 0 {
		e.PublicPort = automaticPort(d, i, e)
	}
	if e.DirectServerReturn && e.PublicPort != e.LocalPort {
		refuse(badRequest("With direct server return the public port of %s (%d) must be its local port (%d).", e.Name, e.PublicPort, e.LocalPort))
	}
	if err := checkPublicPort(d, i, e); err != nil {
		refuse(err)
	}
	return e, errs
}

// buildEndpoint checks what an endpoint says of itself.
func buildEndpoint(d *Deployment, request VMEndpoint) (e Endpoint, errs []error) {
	refuse := func(err *Error) { errs = append(errs, err.At(request.Origin)) }
	e = Endpoint{
		Name: request.Name, Protocol: orDefault(request.Protocol, emu.TCP), PublicPort: request.PublicPort, LocalPort: request.LocalPort,
		LoadBalancedSet: request.LoadBalancedSet, Distribution: orDefault(request.Distribution, DistributeNone), Probe: request.Probe.complete(),
		IdleTimeoutInMinutes: request.IdleTimeoutInMinutes, InternalLoadBalancer: request.InternalLoadBalancer,
		DirectServerReturn: request.DirectServerReturn, Origin: request.Origin,
	}
	if err := checkName("endpoint", e.Name, endpointNames); err != nil {
		refuse(err)
	}
	if e.LocalPort == 0 {
		refuse(badRequest("The endpoint %s has no local port.", e.Name))
	}
	if e.LoadBalancedSet == "" && e.Distribution != DistributeNone {
		refuse(badRequest("The endpoint %s has a distribution mode but no load-balanced set.", e.Name).WithHint("Give it a loadBalancedSet."))
	}
	if err := checkBalancing(d, e.Probe, e.IdleTimeoutInMinutes, e.InternalLoadBalancer); err != nil {
		refuse(err)
	}
	acl, aclErrs := checkACL(request.ACL)
	e.ACL = acl
	return e, append(errs, aclErrs...)
}

// checkBalancing holds the limits of probes and timeouts ("LoadBalancerProbe Schema", "TCP idle timeout settings for Azure Load Balancer").
func checkBalancing(d *Deployment, p *Probe, idle int, balancer string) *Error {
	if balancer != "" && (d.InternalLoadBalancer == nil || d.InternalLoadBalancer.Name != balancer) {
		var known []string
		if d.InternalLoadBalancer != nil {
			known = []string{d.InternalLoadBalancer.Name}
		}
		return didYouMean(badRequest("The deployment has no internal load balancer named %s.", balancer), balancer, known)
	}
	if idle != 0 && (idle < 4 || idle > 30) {
		return badRequest("The idle timeout is %d minutes; it can be from 4 to 30.", idle)
	}
	if p == nil {
		return nil
	}
	switch {
	case p.Protocol != "http" && p.Protocol != "tcp":
		return badRequest("The protocol of a probe is http or tcp, not %s.", shorten(p.Protocol))
	case p.Protocol == "http" && p.Path == "":
		return badRequest("An http probe needs a path.")
	case p.Protocol == "tcp" && p.Path != "":
		return badRequest("A tcp probe has no path.")
	case p.IntervalInSeconds < 5:
		return badRequest("The interval of a probe is %d seconds; the least is 5.", p.IntervalInSeconds)
	case p.TimeoutInSeconds < 11:
		return badRequest("The timeout of a probe is %d seconds; the least is 11.", p.TimeoutInSeconds)
	}
	return nil
}

// complete gives the probe with the platform's defaults for what isn't said.
func (p *Probe) complete() *Probe {
	if p == nil {
		return nil
	}
	c := *p
	c.IntervalInSeconds = orDefault(p.IntervalInSeconds, DefaultProbeInterval)
	c.TimeoutInSeconds = orDefault(p.TimeoutInSeconds, DefaultProbeTimeout)
	return &c
}

// checkPublicPort refuses a public port that another endpoint of the deployment has, unless both are members of one load-balanced
// set: then they share everything but the local port.
func checkPublicPort(d *Deployment, i *Instance, e Endpoint) *Error {
	sameSocket := func(other Endpoint) bool {
		return other.Protocol == e.Protocol && other.PublicPort == e.PublicPort && other.InternalLoadBalancer == e.InternalLoadBalancer
	}
	if slices.ContainsFunc(i.Endpoints, sameSocket) {
		return portInUse(e.PublicPort)
	}
	for _, machine := range d.Instances {
		if machine == i {
			continue
		}
		for _, other := range machine.Endpoints {
			sameSet := e.LoadBalancedSet != "" && e.LoadBalancedSet == other.LoadBalancedSet
			switch {
			case sameSet && !sameSocket(other):
				return badRequest("The members of the load-balanced set %s have the public port %d/%s; the endpoint %s has %d/%s.", e.LoadBalancedSet, other.PublicPort, other.Protocol, e.Name, e.PublicPort, e.Protocol)
			case sameSocket(other) && !sameSet:
				return portInUse(e.PublicPort).WithHint("%s has it. To share it, give both endpoints the same loadBalancedSet.", machine.Name)
			case sameSet && !sameACL(other.ACL, e.ACL):
				return differentACL(other, e)
			case sameSet && !sameBalancing(other, e):
				return badRequest("Probe, distribution mode, idle timeout and direct server return belong to the load-balanced set %s: all its members must have the same.", e.LoadBalancedSet)
			}
		}
	}
	return nil
}

// differentACL refuses a member of a load-balanced set whose access control list isn't the set's. The platform's
// texts are those on lists where there was none and on the numbers of rules (azure-xplat-cli issues 2717 and 1522).
func differentACL(member, e Endpoint) *Error {
	switch set := e.LoadBalancedSet; {
	case len(member.ACL) == 0:
		return badRequest("Existing endpoints in LB set '%s' do not contain ACL.", set)
	case len(member.ACL) != len(e.ACL):
		return badRequest("ACL rules do not match for endpoint in '%s'. Mismatch in rule count. Specified '%d'. Existing '%d'.", set, len(e.ACL), len(member.ACL))
	default:
		return badRequest("The access control list belongs to the load-balanced set %s: all its members must have the same.", set)
	}
}

// sameBalancing compares what belongs to a load-balanced set rather than to a member.
func sameBalancing(a, b Endpoint) bool {
	sameProbe := a.Probe == nil && b.Probe == nil || a.Probe != nil && b.Probe != nil && *a.Probe == *b.Probe
	return sameProbe && sameACL(a.ACL, b.ACL) && a.Distribution == b.Distribution && a.IdleTimeoutInMinutes == b.IdleTimeoutInMinutes &&
		a.DirectServerReturn == b.DirectServerReturn
}

// AddEndpoint adds an endpoint to a virtual machine.
func (l *Lab) AddEndpoint(service, machine string, e VMEndpoint) error {
	d, i, err := l.machine(service, machine)
	if err != nil {
		return err
	}
	made, errs := newEndpoint(d, i, e)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	now := i.copy()
	now.Endpoints = append(now.Endpoints, made)
	l.replaceInstance(d, i, now)
	return nil
}

// DeleteEndpoint removes an endpoint of a virtual machine.
func (l *Lab) DeleteEndpoint(service, machine, name string) error {
	d, i, n, err := l.endpoint(service, machine, name)
	if err != nil {
		return err
	}
	now := i.copy()
	now.Endpoints = slices.Delete(now.Endpoints, n, n+1)
	l.replaceInstance(d, i, now)
	return nil
}

// UpdateEndpoint replaces an endpoint of a virtual machine. What belongs to its load-balanced set changes for all members.
func (l *Lab) UpdateEndpoint(service, machine, name string, request VMEndpoint) error {
	d, i, n, err := l.endpoint(service, machine, name)
	if err != nil {
		return err
	}
	e, errs := buildEndpoint(d, request)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	now := d.copy()
	if set := i.Endpoints[n].LoadBalancedSet; set != "" && set == e.LoadBalancedSet && e.PublicPort == i.Endpoints[n].PublicPort {
		now.changeEndpoints(func(_ *Instance, _ int, other Endpoint) bool { return other.LoadBalancedSet == set }, func(other *Endpoint) {
			other.Probe, other.ACL, other.Distribution = e.Probe, e.ACL, e.Distribution
			other.IdleTimeoutInMinutes, other.DirectServerReturn = e.IdleTimeoutInMinutes, e.DirectServerReturn
		})
	}
	before := now.machine(machine)
	own := before.copy()
	own.Endpoints = slices.Delete(own.Endpoints, n, n+1)
	replace(now.Instances, before, own)
	made, errs := newEndpoint(now, own, request)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	own.Endpoints = append(own.Endpoints, made)
	l.replaceDeployment(d, now)
	return nil
}

// changeEndpoints changes endpoints of a deployment that isn't in a lab yet, in copies of the instances that have them.
func (d *Deployment) changeEndpoints(which func(i *Instance, n int, e Endpoint) bool, change func(*Endpoint)) {
	for at, i := range d.Instances {
		var now *Instance
		for n, e := range i.Endpoints {
			if !which(i, n, e) {
				continue
			}
			if now == nil {
				now = i.copy()
				d.Instances[at] = now
			}
			change(&now.Endpoints[n])
		}
	}
}

// SetEndpointACL replaces the access control list of an endpoint, of its whole load-balanced set where it is in one. Without an instance,
// which goes by its host name, it is the endpoint of that name that the deployment in the slot has, which must be one or one set.
func (l *Lab) SetEndpointACL(service string, slot Slot, instance, name string, rules []ACLRule) error {
	_, d, err := l.deployment(service, slot)
	if err != nil {
		return err
	}
	acl, errs := checkACL(rules)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for _, i := range d.Instances {
		n := slices.IndexFunc(i.Endpoints, func(e Endpoint) bool { return e.Name == name })
		if instance != "" && i.Name != instance || n < 0 {
			continue
		}
		set := i.Endpoints[n].LoadBalancedSet
		if owners := d.owners(name, set); instance == "" && len(owners) > 1 {
			return conflict("The cloud service %s has several endpoints %s: of %s.", service, name, strings.Join(owners, ", ")).
				WithHint("Name one of them instead of the cloud service.")
		}
		now := d.copy()
		now.changeEndpoints(func(m *Instance, k int, e Endpoint) bool {
			return m == i && k == n || set != "" && e.LoadBalancedSet == set
		}, func(e *Endpoint) { e.ACL = acl })
		l.replaceDeployment(d, now)
		return nil
	}
	if instance == "" {
		return notFound("The cloud service %s has no endpoint %s.", service+inStaging(slot), name)
	}
	return notFound("The cloud service %s has no instance %s with an endpoint %s.", service+inStaging(slot), instance, name)
}

// owners names the instances with an endpoint of a name. Those of a load-balanced set count as one.
func (d *Deployment) owners(endpoint, set string) (all []string) {
	inSet := false
	for _, i := range d.Instances {
		for _, e := range i.Endpoints {
			member := set != "" && e.LoadBalancedSet == set
			if e.Name != endpoint || member && inSet {
				continue
			}
			all, inSet = append(all, i.Name), inSet || member
		}
	}
	return all
}

// endpoint finds an endpoint of a virtual machine, or refuses.
func (l *Lab) endpoint(service, machine, name string) (*Deployment, *Instance, int, *Error) {
	d, i, err := l.machine(service, machine)
	if err != nil {
		return nil, nil, 0, err
	}
	var all []string
	for n, e := range i.Endpoints {
		if e.Name == name {
			return d, i, n, nil
		}
		all = append(all, e.Name)
	}
	return nil, nil, 0, didYouMean(notFound("The virtual machine %s has no endpoint %s.", machine, name), name, all)
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
func automaticPort(d *Deployment, i *Instance, e Endpoint) uint16 {
	used := map[uint16]bool{}
	for _, own := range i.Endpoints {
		used[own.PublicPort] = true
	}
	for _, machine := range d.Instances {
		for _, other := range machine.Endpoints {
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
		if s.RemoteDesktop != "" && (s.Command != "" || s.Protocol != emu.TCP) {
			errs = append(errs, badRequest("Remote desktop is a built-in listener on a TCP port, not on %d/%s.", s.Port, s.Protocol).At(s.Origin))
		}
		seen[at{s.Protocol, s.Port}] = true
	}
	return errs
}
