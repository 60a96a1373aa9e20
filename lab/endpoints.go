package lab

import (
	"errors"
	"fmt"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab/limits"
)

// Endpoint is a public port of an instance: of a virtual machine, or a role's input endpoint.
type Endpoint struct {
	Name            string
	Protocol        emu.Protocol // empty in a request: tcp
	PublicPort      uint16       // 0 in a request: the platform picks one
	LocalPort       uint16
	LoadBalancedSet string // with it, members share the public port. Instances of a role always share theirs
	Balancing
	Origin Origin
}

// portInUse is the platform's own text for a public port that another endpoint has.
func portInUse(port uint16) *Error {
	return badRequest("Port %d is already in use by one of the endpoints in this deployment. "+
		"Ensure that the port numbers are unique across endpoints within a deployment.", port)
}

// newEndpoint makes a requested endpoint and checks it against those of the machine and of its deployment. The
// machine need not be in the deployment yet.
func newEndpoint(d *Deployment, i *Instance, request Endpoint) (e Endpoint, errs []error) {
	refuse := func(err *Error) { errs = append(errs, err.At(request.Origin)) }
	e, errs = buildEndpoint(d, request)
	count := len(i.Endpoints) + 1
	for _, other := range d.Instances {
		if other != i {
			count += len(other.Endpoints)
		}
	}
	if count > limits.InputEndpoints {
		refuse(
			badRequest(
				"The cloud service would have %d input endpoints; the maximum is %d.",
				count,
				limits.InputEndpoints,
			),
		)
	}
	for _, own := range i.Endpoints {
		if own.Name == e.Name {
			refuse(conflict("The virtual machine %s has an endpoint %s already.", i.Name, e.Name))
		}
		if own.Protocol == e.Protocol && own.LocalPort == e.LocalPort &&
			own.InternalLoadBalancer == e.InternalLoadBalancer {
			// The platform's own text.
			refuse(
				badRequest(
					"Local Port %d for endpoint %s is already in use by one of the other endpoints in this role. "+
						"Ensure that the local port numbers are unique across endpoints within a role.",
					e.LocalPort,
					e.Name,
				),
			)
		}
	}
	if e.PublicPort == 0 {
		e.PublicPort = automaticPort(d, i, e)
	}
	if err := checkDirectReturn(e.Name, e.Balancing, e.PublicPort, e.LocalPort); err != nil {
		refuse(err)
	}
	if err := checkPublicPort(d, i, e); err != nil {
		refuse(err)
	}
	return e, errs
}

// buildEndpoint checks a requested endpoint by itself and returns it with the platform's defaults.
func buildEndpoint(d *Deployment, e Endpoint) (_ Endpoint, errs []error) {
	refuse := func(err *Error) { errs = append(errs, err.At(e.Origin)) }
	e.Protocol = orDefault(e.Protocol, emu.TCP)
	if err := checkName("endpoint", e.Name, endpointNames); err != nil {
		refuse(err)
	}
	if e.LocalPort == 0 {
		refuse(badRequest("The endpoint %s has no local port.", e.Name))
	}
	if e.LoadBalancedSet == "" && e.Distribution != "" && e.Distribution != DistributeNone {
		refuse(badRequest("The endpoint %s has a distribution mode but no load-balanced set.", e.Name).
			WithHint("Give it a loadBalancedSet."))
	}
	balancing, balancingErrs := d.balancing(e.Balancing, e.Origin)
	e.Balancing = balancing
	return e, append(errs, balancingErrs...)
}

// checkDirectReturn refuses a translation of ports where the load balancer leaves the destination as it is.
func checkDirectReturn(endpoint string, b Balancing, public, local uint16) *Error {
	if b.DirectServerReturn && public != local {
		return badRequest("With direct server return the public port of %s (%d) must be its local port (%d).",
			endpoint, public, local)
	}
	return nil
}

// checkPublicPort refuses a public port that another endpoint of the deployment has, unless both are members of one
// load-balanced set: then they share everything but the local port.
func checkPublicPort(d *Deployment, i *Instance, e Endpoint) *Error {
	sameSocket := func(other Endpoint) bool {
		return other.Protocol == e.Protocol && other.PublicPort == e.PublicPort &&
			other.InternalLoadBalancer == e.InternalLoadBalancer
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
				return badRequest(
					"The members of the load-balanced set %s have the public port %d/%s; the endpoint %s has %d/%s.",
					e.LoadBalancedSet,
					other.PublicPort,
					other.Protocol,
					e.Name,
					e.PublicPort,
					e.Protocol,
				)
			case sameSocket(other) && !sameSet:
				return portInUse(e.PublicPort).
					WithHint("%s has it. To share it, give both endpoints the same loadBalancedSet.", machine.Name)
			case sameSet && !sameACL(other.ACL, e.ACL):
				return differentACL(other, e)
			case sameSet && !other.same(e.Balancing):
				return badRequest(
					"Health probe, distribution mode, idle timeout and direct server return belong to the load-balanced "+
						"set %s: all its members must have the same.",
					e.LoadBalancedSet,
				)
			}
		}
	}
	return nil
}

// AddEndpointOp is [Lab.AddEndpoint] as an operation.
type AddEndpointOp struct {
	Service, VirtualMachine string
	Endpoint                Endpoint
}

func (o AddEndpointOp) Do(l *Lab) error {
	return l.AddEndpoint(o.Service, o.VirtualMachine, o.Endpoint)
}

func (o AddEndpointOp) String() string {
	return fmt.Sprintf("add endpoint %s to %s of %s", o.Endpoint.Name, o.VirtualMachine, o.Service)
}

// AddEndpoint adds an endpoint to a virtual machine.
func (l *Lab) AddEndpoint(service, machine string, e Endpoint) error {
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

// DeleteEndpointOp is [Lab.DeleteEndpoint] as an operation.
type DeleteEndpointOp struct{ Service, VirtualMachine, Name string }

func (o DeleteEndpointOp) Do(l *Lab) error {
	return l.DeleteEndpoint(o.Service, o.VirtualMachine, o.Name)
}

func (o DeleteEndpointOp) String() string {
	return fmt.Sprintf("delete endpoint %s of %s of %s", o.Name, o.VirtualMachine, o.Service)
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

// UpdateEndpointOp is [Lab.UpdateEndpoint] as an operation.
type UpdateEndpointOp struct {
	Service, VirtualMachine, Name string
	Endpoint                      Endpoint
}

func (o UpdateEndpointOp) Do(l *Lab) error {
	return l.UpdateEndpoint(o.Service, o.VirtualMachine, o.Name, o.Endpoint)
}

func (o UpdateEndpointOp) String() string {
	return fmt.Sprintf("change endpoint %s of %s of %s", o.Name, o.VirtualMachine, o.Service)
}

// UpdateEndpoint replaces an endpoint of a virtual machine. What belongs to its load-balanced set changes for all
// members.
func (l *Lab) UpdateEndpoint(service, machine, name string, request Endpoint) error {
	d, i, n, err := l.endpoint(service, machine, name)
	if err != nil {
		return err
	}
	e, errs := buildEndpoint(d, request)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	now, old := d.copy(), i.Endpoints[n]
	if set := old.LoadBalancedSet; set != "" && set == e.LoadBalancedSet {
		request.PublicPort = orDefault(request.PublicPort, old.PublicPort)
		if request.PublicPort == old.PublicPort {
			now.changeEndpoints(func(_ *Instance, _ int, other Endpoint) bool { return other.LoadBalancedSet == set },
				func(other *Endpoint) { other.Balancing = e.Balancing })
		}
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

// changeEndpoints changes endpoints of a deployment that isn't in a lab yet. It copies the instances that have them.
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

// endpoint returns an endpoint of a virtual machine with its index, or a refusal.
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

// automaticPort returns the public port that the platform picks: that of the endpoint's set where there is one, else
// the lowest free one of the dynamic range.
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
	port := uint16(limits.FirstPublicPort)
	for used[port] {
		port++
	}
	return port
}

func init() {
	register(
		AddEndpointOp{},
		UpdateEndpointOp{},
		DeleteEndpointOp{},
	)
}
