// Package rules has the ids of all rules that can decide what becomes of a packet, and the names of the namespaces they are in. Both
// together name a rule: lab/compile makes it, the kernel reports it, and lab/oracle predicts it.
package rules

import (
	"fmt"
	"strconv"

	"vnetlab/emu"
	"vnetlab/lab"
)

// Ids of the rules that drop.
const (
	NoEndpoint      = "no-endpoint"      // edge: a VIP without an endpoint on the port
	HairpinToSelf   = "hairpin-to-self"  // edge: the load balancer chose the caller itself
	NoInstance      = "no-instance"      // edge: an address of the network that no instance has
	PrivateAddress  = "private-address"  // edge, internet: a private address from outside its network
	OutboundICMP    = "outbound-icmp"    // edge: ICMP doesn't leave through a VIP
	PlatformPort    = "platform-port"    // edge: the platform's own addresses answer DNS and nothing else
	OtherDeployment = "other-deployment" // edge: production and staging of a service outside a virtual network
	// DirectReturnFromInside: an endpoint with direct server return, asked by its own cloud service.
	DirectReturnFromInside = "direct-return-from-inside"
	NoDeployment           = "no-deployment" // datacenter: a public address that no deployment has
	NobodyThere            = "no-route"      // internet: an address that nobody has
)

// ACLRuleID names a rule of an endpoint's access control list.
func ACLRuleID(d *lab.Deployment, f lab.Frontend, r lab.ACLRule) string {
	return shortID(fmt.Sprintf("acl:%s:%s:%d", d.Service, f.Name, r.Order))
}

// ACLDefaultID names the denial of what no rule of an endpoint's access control list permits.
func ACLDefaultID(d *lab.Deployment, f lab.Frontend) string {
	return shortID(fmt.Sprintf("acl:%s:%s:default", d.Service, f.Name))
}

// NoBackendID names the drop of what an endpoint has nobody for.
func NoBackendID(d *lab.Deployment, f lab.Frontend) string {
	return shortID(fmt.Sprintf("%s%s:%s:%s", emu.NoBackendPrefix, d.Service, d.Name, f.Name))
}

// FirewallRuleID names the nth rule of an instance's guest firewall, from 0.
func FirewallRuleID(n int) string { return "firewall-" + strconv.Itoa(n+1) }
