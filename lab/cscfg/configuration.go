// Package cscfg reads a service configuration, ServiceConfiguration.cscfg: how many instances the roles of a
// service definition have and where they are in a virtual network (MSDN "Azure Service Configuration Schema").
// Whether that network exists is left to the platform's operations.
package cscfg

import (
	"net/netip"

	"vnetlab/emu"
	"vnetlab/lab/strictxml"
)

// Namespace is the XML namespace of service configurations.
const Namespace = "http://schemas.microsoft.com/ServiceHosting/2008/10/ServiceConfiguration"

const (
	// MaxRules is how many rules the access control list of an endpoint can have.
	MaxRules = 50
	// MaxInstances is how many instances a role can have: as many as a virtual network has addresses.
	MaxInstances = 4096
)

// Configuration is a service configuration.
type Configuration struct {
	ServiceName        string
	Roles              []Role
	AccessControls     []AccessControl
	EndpointACLs       []EndpointACL
	DNSServers         []DNSServer
	VirtualNetworkSite *Named // nil: the service is in no virtual network
	InstanceAddresses  []InstanceAddress
	ReservedIPs        []Named
	LoadBalancers      []LoadBalancer
	Origin             emu.Origin

	withoutEffect []strictxml.Note
	unsupported   strictxml.Errors
	places        places
}

// WithoutEffect lists what was accepted but has no effect on the network, or another than on the platform, in
// file order.
func (c *Configuration) WithoutEffect() []strictxml.Note { return c.withoutEffect }

// Unsupported lists what is right for the platform but can't be built by this version of vnetlab, in file
// order. A lab must not go on without it.
func (c *Configuration) Unsupported() strictxml.Errors { return c.unsupported }

// Role finds a role by its name.
func (c *Configuration) Role(name string) (*Role, bool) {
	for i := range c.Roles {
		if c.Roles[i].Name == name {
			return &c.Roles[i], true
		}
	}
	return nil, false
}

// InstanceAddress finds where a role's instances are.
func (c *Configuration) InstanceAddress(role string) (*InstanceAddress, bool) {
	for i := range c.InstanceAddresses {
		if c.InstanceAddresses[i].Role == role {
			return &c.InstanceAddresses[i], true
		}
	}
	return nil, false
}

// EndpointACL gives the rules for an endpoint of a role, in ascending order; none when it has no access control.
func (c *Configuration) EndpointACL(role, endpoint string) []Rule {
	for _, b := range c.EndpointACLs {
		if b.Role == role && b.Endpoint == endpoint {
			for _, a := range c.AccessControls {
				if a.Name == b.AccessControl {
					return a.Rules
				}
			}
		}
	}
	return nil
}

// Role says how many instances a role has.
type Role struct {
	Name string
	// VMName starts the host names of the instances, at most 10 characters; empty: the platform makes them up.
	VMName        string
	InstanceCount int
	Settings      []Setting
	Origin        emu.Origin
}

// Setting finds a setting by its name.
func (r *Role) Setting(name string) (Setting, bool) {
	for _, s := range r.Settings {
		if s.Name == name {
			return s, true
		}
	}
	return Setting{}, false
}

// Setting is a value that the programs of a role, or the plug-ins that it imports, ask for.
type Setting struct {
	Name, Value string
	Origin      emu.Origin
}

// AccessControl is a list of rules that endpoints can be bound to.
type AccessControl struct {
	Name   string
	Rules  []Rule // in ascending order
	Origin emu.Origin
}

// Rule permits or denies remote addresses.
type Rule struct {
	Order        int
	Permit       bool
	RemoteSubnet netip.Prefix
	Description  string
	Origin       emu.Origin
}

// EndpointACL binds an input endpoint, or an instance input endpoint, to an access control.
type EndpointACL struct {
	Role, Endpoint, AccessControl string
	Origin                        emu.Origin
}

// DNSServer is a name server of the deployment. Its name is a label only.
type DNSServer struct {
	Name    string
	Address netip.Addr
	Origin  emu.Origin
}

// InstanceAddress says which subnets a role's instances are in.
type InstanceAddress struct {
	Role      string
	Subnets   []Named
	PublicIPs []PublicIP
	Origin    emu.Origin
}

// PublicIP is a public address of each instance's own.
type PublicIP struct {
	Name            string
	DomainNameLabel string // of its DNS name; empty: it has none
	Origin          emu.Origin
}

// LoadBalancer is an internal load balancer.
type LoadBalancer struct {
	Name          string
	Subnet        string
	StaticAddress netip.Addr
	Origin        emu.Origin
}

// Named is an element of which only the name matters.
type Named struct {
	Name   string
	Origin emu.Origin
}
