// Package rules has the ids of all rules that can decide what becomes of a packet, and the names of the namespaces they
// are in. Both together name a rule: lab/compile makes it, the kernel reports it, and lab/oracle predicts it.
//
// An id is the rule's own in its namespace, and stays with the rule: it carries what the rule is about, never its place
// in a list. A rule of a deployment has the deployment's name and not its slot, since a swap of the VIPs moves neither
// rules nor machines.
package rules

import (
	"fmt"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/guestfirewall"
)

// Ids of the rules that drop.
const (
	NoEndpoint         = "no-endpoint"          // edge, site, web sites: no endpoint on the port of a VIP
	NoInternalEndpoint = "no-internal-endpoint" // edge: an internal load balancer without an endpoint on the port
	FromOutside        = "from-outside"         // edge, site: what comes from the internet for no public address
	HairpinToSelf      = "hairpin-to-self"      // edge: the load balancer chose the caller itself
	NoInstance         = "no-instance"          // edge, site: an address of the network that nobody has
	PrivateAddress     = "private-address"      // edge, internet: a private address from outside its network
	OutboundICMP       = "outbound-icmp"        // edge: ICMP doesn't leave through a VIP
	PlatformPort       = "platform-port"        // edge: the platform's own addresses answer DNS and nothing else
	// SpoofedSource: a packet from an address that isn't its machine's. At the port of the machine: edge, site, web
	// sites, internet.
	SpoofedSource = "spoofed-source"
	SpoofedARP    = "spoofed-arp"   // edge, site: ARP from an address that isn't its machine's
	NotIPv4       = "not-ipv4"      // edge, site: neither IPv4 nor ARP of the machine's own address
	NoDeployment  = "no-deployment" // datacenter: a public address that no deployment has
	NobodyThere   = "no-route"      // internet: an address that nobody has
)

// OtherDeploymentID names the drop of what production and staging of a service outside a virtual network send to each
// other's own addresses; to is the name of the deployment that it is sent to.
func OtherDeploymentID(to string) string { return shortID("other-deployment:" + to) }

// Inside says whether a client of an endpoint is in the same isolation domain: the edge sees it by its own address and
// has a copy of the access control list for it, about the client's VIP.
type Inside bool

// ACLRuleID names a rule of an endpoint's access control list.
func ACLRuleID(d *lab.Deployment, f lab.Frontend, inside Inside, r lab.ACLRule) string {
	return shortID(fmt.Sprintf("acl:%s:%d", frontend(d, f, inside), r.Order))
}

// ACLDefaultID names the denial of what no rule of an endpoint's access control list permits.
func ACLDefaultID(d *lab.Deployment, f lab.Frontend, inside Inside) string {
	return shortID(fmt.Sprintf("acl:%s:default", frontend(d, f, inside)))
}

// NoBackendID names the drop of what an endpoint has nobody for.
func NoBackendID(d *lab.Deployment, f lab.Frontend) string {
	return shortID(emu.NoBackendPrefix + frontend(d, f, false))
}

// DirectReturnID names the drop of what an endpoint with direct server return is asked by its own cloud service.
func DirectReturnID(d *lab.Deployment, f lab.Frontend) string {
	return shortID("direct-return-from-inside:" + frontend(d, f, false))
}

// frontend names a public port, or a port of an internal load balancer: SERVICE/OWNER:tcp/80, or
// SERVICE/DEPLOYMENT/OWNER:tcp/80 where the deployment has a name of its own. Endpoints of different machines and roles
// may have one name, a port of a deployment is there once.
func frontend(d *lab.Deployment, f lab.Frontend, inside Inside) string {
	name := d.Service
	if d.Name != d.Service {
		name += "/" + d.Name
	}
	name += fmt.Sprintf("/%s:%s/%d", f.Owner, f.Protocol, f.PublicPort)
	if f.Internal() {
		name += ".internal"
	}
	if inside {
		name += ".inside"
	}
	return name
}

// FirewallRuleID names a rule of a guest firewall by what it says, so that it stays the rule's while others come and
// go. A rule that was not written in the short form has a hash of its text beside it. Rules with the same text are one.
func FirewallRuleID(r guestfirewall.Rule) string {
	short := r.String()
	id := "firewall:" + short
	if r.Text != short {
		id += "-" + hash(r.Text)
	}
	return fit(id, maxFirewallID)
}
