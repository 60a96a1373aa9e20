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
	positions     positions
}

// WithoutEffect returns notes on what has no effect on the network, or a different one than on the platform, in
// file order.
func (c *Configuration) WithoutEffect() []strictxml.Note { return c.withoutEffect }

// Unsupported returns errors for what the platform accepts but this version of vnetlab can't build, in file order.
// A lab without it would be misleading.
func (c *Configuration) Unsupported() strictxml.Errors { return c.unsupported }

// Role returns the role of a name.
func (c *Configuration) Role(name string) (*Role, bool) {
	for i := range c.Roles {
		if c.Roles[i].Name == name {
			return &c.Roles[i], true
		}
	}
	return nil, false
}

// InstanceAddress returns the subnets and public addresses of a role's instances.
func (c *Configuration) InstanceAddress(role string) (*InstanceAddress, bool) {
	for i := range c.InstanceAddresses {
		if c.InstanceAddresses[i].Role == role {
			return &c.InstanceAddresses[i], true
		}
	}
	return nil, false
}

// EndpointACL returns the rules for an endpoint of a role, in ascending order; none if it has no access control.
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

// Role is the number of instances of a role, with its settings.
type Role struct {
	Name string
	// VMName is the prefix of the instances' host names, at most 10 characters; if empty, the platform generates
	// them.
	VMName        string
	InstanceCount int
	Settings      []Setting
	Origin        emu.Origin
}

// Setting returns the setting of a name.
func (r *Role) Setting(name string) (Setting, bool) {
	for _, s := range r.Settings {
		if s.Name == name {
			return s, true
		}
	}
	return Setting{}, false
}

// Setting is a value for the programs of a role, or for its plug-ins.
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

// InstanceAddress holds the subnets and public addresses of a role's instances.
type InstanceAddress struct {
	Role      string
	Subnets   []Named
	PublicIPs []PublicIP
	Origin    emu.Origin
}

// PublicIP is a public address of each instance.
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
