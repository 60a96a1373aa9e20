// Package limits has the numbers that the classic platform allowed, each stated once: the operations of package lab
// refuse by them, and the readers of lab files and of the platform's own files check by them.
package limits

import (
	"fmt"
	"math"
)

// Range is the numbers from Minimum to Maximum.
type Range struct{ Minimum, Maximum int }

// Unlimited is the maximum of a range for which the platform documented none.
const Unlimited = math.MaxInt32

// Contains reports whether a number is in the range.
func (r Range) Contains(n int) bool { return r.Minimum <= n && n <= r.Maximum }

// String returns the range for messages.
func (r Range) String() string {
	if r.Maximum == Unlimited {
		return fmt.Sprintf("at least %d", r.Minimum)
	}
	return fmt.Sprintf("from %d to %d", r.Minimum, r.Maximum)
}

// Of the load balancer.
var (
	// IdleTimeout is in minutes ("Change TCP idle timeout settings for your load balancer").
	IdleTimeout = Range{4, 30}
	// ProbeInterval and ProbeTimeout are in seconds ("LoadBalancerProbe Schema").
	ProbeInterval = Range{5, Unlimited}
	ProbeTimeout  = Range{11, Unlimited}
	// ACLOrder is the order of a rule in an access control list.
	ACLOrder = Range{0, Unlimited}
)

// The platform's defaults, in minutes and in seconds.
const (
	DefaultIdleTimeout   = 4
	DefaultProbeInterval = 15
	DefaultProbeTimeout  = 31
)

// Counts ("Azure subscription and service limits").
const (
	VirtualMachines = 50  // of a cloud service
	InputEndpoints  = 150 // of a cloud service with virtual machines
	ACLRules        = 50  // of an endpoint
	ReservedIPs     = 20  // of a subscription
	PublicIPs       = 5   // instance-level ones, of a subscription ("Instance-Level Public IP")
	Connections     = 10  // of a gateway ("Configure a VNet to VNet connection")
	// RoleInstances is how many instances a role can have: as many as a virtual network has addresses.
	RoleInstances = 4096
)

// Subnets ("Virtual Network FAQ").
const (
	SmallestSubnet = 29 // length of the prefix
	LargestSubnet  = 8
)

// Ports that the platform picks.
const (
	// FirstPublicPort is where the search for a public port begins that an endpoint leaves to the platform.
	FirstPublicPort = 49152
	// FirstRolePort is where the search for a port inside role instances begins that a service definition leaves to
	// the platform.
	FirstRolePort = 20000
)
