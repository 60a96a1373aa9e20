package lab

import (
	"reflect"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab/limits"
)

// Balancing is what belongs to a public port rather than to one of the instances behind it. The members of a
// load-balanced set have it in common.
type Balancing struct {
	Distribution Distribution // empty in a request: none
	ACL          []ACLRule    // in the order of evaluation
	Probe        *Probe       // nil: a member serves while it runs
	// IdleTimeoutInMinutes is how long an idle connection is remembered, within [limits.IdleTimeout]; 0:
	// [limits.DefaultIdleTimeout].
	IdleTimeoutInMinutes int
	// InternalLoadBalancer names the deployment's internal load balancer; then the port is on its private address.
	InternalLoadBalancer string
	// DirectServerReturn leaves the destination address as it is: the guest answers as the VIP.
	DirectServerReturn bool
}

// Internal reports whether the port is on the internal load balancer.
func (b Balancing) Internal() bool { return b.InternalLoadBalancer != "" }

// Distribution is how the load balancer chooses a member for a new connection ("Load Balancer distribution mode",
// October 2014).
type Distribution string

const (
	DistributeNone             Distribution = "none" // 5-tuple: addresses, ports, protocol
	DistributeSourceIP         Distribution = "sourceIP"
	DistributeSourceIPProtocol Distribution = "sourceIPProtocol"
)

// Distributions are the distribution modes.
var Distributions = []Distribution{DistributeNone, DistributeSourceIP, DistributeSourceIPProtocol}

// Hash returns which parts of a new connection decide which member gets it.
func (d Distribution) Hash() emu.Distribution {
	switch d {
	case DistributeNone:
	case DistributeSourceIP:
		return emu.AddressPair
	case DistributeSourceIPProtocol:
		return emu.AddressesAndProtocol
	}
	return emu.FiveTuple
}

// Probe is how the load balancer finds out whether a member serves ("LoadBalancerProbe Schema").
type Probe struct {
	Protocol          string // http or tcp
	Port              uint16 // 0: the endpoint's local port
	Path              string // of http
	IntervalInSeconds int    // 0 in a request: [limits.DefaultProbeInterval]
	TimeoutInSeconds  int    // 0 in a request: [limits.DefaultProbeTimeout]
}

// withDefaults returns the probe with the platform's defaults for what isn't set.
func (p *Probe) withDefaults() *Probe {
	if p == nil {
		return nil
	}
	c := *p
	c.IntervalInSeconds = orDefault(p.IntervalInSeconds, limits.DefaultProbeInterval)
	c.TimeoutInSeconds = orDefault(p.TimeoutInSeconds, limits.DefaultProbeTimeout)
	return &c
}

// balancing checks the settings that an endpoint of the deployment asks for, and returns them with the platform's
// defaults and with the access control list in the order of evaluation.
func (d *Deployment) balancing(b Balancing, origin Origin) (Balancing, []error) {
	acl, errs := checkACL(b.ACL)
	b.Distribution = orDefault(b.Distribution, DistributeNone)
	b.ACL, b.Probe = acl, b.Probe.withDefaults()
	for _, err := range []*Error{d.checkBalancer(b.InternalLoadBalancer), b.check(), b.Probe.check()} {
		if err != nil {
			errs = append(errs, err.At(origin))
		}
	}
	return b, errs
}

func (d *Deployment) checkBalancer(name string) *Error {
	var known []string
	if d.InternalLoadBalancer != nil {
		known = []string{d.InternalLoadBalancer.Name}
	}
	if name == "" || slices.Contains(known, name) {
		return nil
	}
	return didYouMean(badRequest("The deployment has no internal load balancer named %s.", name), name, known)
}

func (b Balancing) check() *Error {
	if !slices.Contains(Distributions, b.Distribution) {
		return badRequest("%s is not a distribution mode.", shorten(string(b.Distribution))).
			WithHint("The modes are none, sourceIP and sourceIPProtocol.")
	}
	if n := b.IdleTimeoutInMinutes; n != 0 && !limits.IdleTimeout.Contains(n) {
		return badRequest("The idle timeout is %d minutes; it can be %s.", n, limits.IdleTimeout)
	}
	return nil
}

// check applies the limits of health probes ("LoadBalancerProbe Schema").
func (p *Probe) check() *Error {
	switch {
	case p == nil:
		return nil
	case p.Protocol != "http" && p.Protocol != "tcp":
		return badRequest("The protocol of a health probe is http or tcp, not %s.", shorten(p.Protocol))
	case p.Protocol == "http" && p.Path == "":
		return badRequest("An http health probe needs a path.")
	case p.Protocol == "tcp" && p.Path != "":
		return badRequest("A tcp health probe has no path.")
	case !limits.ProbeInterval.Contains(p.IntervalInSeconds):
		return badRequest(
			"The interval of a health probe is %d seconds; it must be %s.",
			p.IntervalInSeconds,
			limits.ProbeInterval,
		)
	case !limits.ProbeTimeout.Contains(p.TimeoutInSeconds):
		return badRequest(
			"The timeout of a health probe is %d seconds; it must be %s.",
			p.TimeoutInSeconds,
			limits.ProbeTimeout,
		)
	}
	return nil
}

// settings returns b without the places where its rules are written, to compare it.
func (b Balancing) settings() Balancing {
	b.ACL = aclSettings(b.ACL)
	return b
}

// same reports whether two endpoints ask for the same, wherever that is written.
func (b Balancing) same(o Balancing) bool { return reflect.DeepEqual(b.settings(), o.settings()) }
