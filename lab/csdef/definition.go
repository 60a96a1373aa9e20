// Package csdef reads a service definition, ServiceDefinition.csdef: the roles of a cloud service and their
// endpoints (MSDN "Azure Service Definition Schema"). Joining it with a service configuration is left to
// package cscfg and the lab file.
package csdef

import (
	"slices"

	"vnetlab/emu"
	"vnetlab/lab/strictxml"
)

// Namespace is the XML namespace of service definitions.
const Namespace = "http://schemas.microsoft.com/ServiceHosting/2008/10/ServiceDefinition"

const (
	// MaxRoles is how many roles a deployment can have, MaxEndpoints how many endpoints of each kind (MSDN
	// "Azure Service Limits").
	MaxRoles     = 25
	MaxEndpoints = 25
	// MaxUpgradeDomains is the largest upgradeDomainCount.
	MaxUpgradeDomains = 20
)

// Definition is a service definition.
type Definition struct {
	Name                    string
	TopologyChangeDiscovery string // Blast or UpgradeDomainWalk; empty: not given
	UpgradeDomainCount      int
	SchemaVersion           string
	Roles                   []Role // web and worker roles, in file order
	LoadBalancerProbes      []LoadBalancerProbe
	NetworkTrafficRules     []NetworkTrafficRule
	Origin                  emu.Origin

	withoutEffect []strictxml.Note
}

// WithoutEffect returns notes on what has no effect on the network, or a different one than on the platform, in
// file order.
func (d *Definition) WithoutEffect() []strictxml.Note { return d.withoutEffect }

// Role returns the role of a name.
func (d *Definition) Role(name string) (*Role, bool) {
	for i := range d.Roles {
		if d.Roles[i].Name == name {
			return &d.Roles[i], true
		}
	}
	return nil, false
}

// Probe returns the health probe of a name.
func (d *Definition) Probe(name string) (*LoadBalancerProbe, bool) {
	for i := range d.LoadBalancerProbes {
		if d.LoadBalancerProbes[i].Name == name {
			return &d.LoadBalancerProbes[i], true
		}
	}
	return nil, false
}

// TrafficFrom returns the roles that may use an internal endpoint. It is restricted to them if some of the
// NetworkTrafficRules name it; several rules allow what each of them allows (MSDN "NetworkTrafficRules Schema").
// Microsoft's examples have AllowAllTraffic and WhenSource in one rule and mean the latter.
func (d *Definition) TrafficFrom(role, endpoint string) (roles []string, restricted bool) {
	for _, rule := range d.NetworkTrafficRules {
		for _, to := range rule.Destinations {
			if to.Role != role || to.Endpoint != endpoint {
				continue
			}
			if len(rule.FromRoles) == 0 {
				return nil, false
			}
			for _, from := range rule.FromRoles {
				if !slices.Contains(roles, from.Name) {
					roles = append(roles, from.Name)
				}
			}
		}
	}
	return roles, len(roles) > 0
}

// RoleKind is web or worker.
type RoleKind string

const (
	Web    RoleKind = "WebRole"
	Worker RoleKind = "WorkerRole"
)

// Role is a web or worker role.
type Role struct {
	Kind                   RoleKind
	Name                   string
	VMSize                 string // Small when not given
	InputEndpoints         []InputEndpoint
	InternalEndpoints      []InternalEndpoint
	InstanceInputEndpoints []InstanceInputEndpoint
	Sites                  []Site
	StartupTasks           []Task
	Imports                []Named
	ConfigurationSettings  []Named
	LocalStorage           []Named
	Certificates           []Named
	HasSites               bool
	Origin                 emu.Origin
}

// InputEndpoint returns the input endpoint of a name.
func (r *Role) InputEndpoint(name string) (*InputEndpoint, bool) {
	for i := range r.InputEndpoints {
		if r.InputEndpoints[i].Name == name {
			return &r.InputEndpoints[i], true
		}
	}
	return nil, false
}

// Named is an element whose name is all that matters here.
type Named struct {
	Name   string
	Origin emu.Origin
}

// InputEndpoint is a load-balanced public port of a role.
type InputEndpoint struct {
	Name     string
	Protocol string // http, https, tcp, udp
	Port     uint16 // public
	// LocalPort is the port in the instances. It is 0 if the platform chooses one, and then AutomaticLocalPort is
	// set.
	LocalPort                uint16
	AutomaticLocalPort       bool
	Certificate              string
	IgnoreRoleInstanceStatus bool
	LoadBalancerProbe        string
	IdleTimeoutInMinutes     int    // 0 when not given
	LoadBalancerDistribution string // none when not given, sourceIP, sourceIPProtocol
	LoadBalancer             string // of the service configuration: an internal one
	Plugin                   bool   // an import brings it
	Origin                   emu.Origin
}

// Transport returns the protocol that the load balancer sees.
func (e InputEndpoint) Transport() emu.Protocol {
	if e.Protocol == "udp" {
		return emu.UDP
	}
	return emu.TCP
}

// InternalEndpoint is reachable only by the instances of its deployment.
type InternalEndpoint struct {
	Name     string
	Protocol string // http, tcp, udp, any
	Port     uint16 // the older way to fix a port; 0: not given, or left to the platform
	// FixedPorts are open on each instance; the zero range when there is neither <FixedPort> nor <FixedPortRange>.
	FixedPorts emu.PortRange
	Plugin     bool // an import brings it
	Origin     emu.Origin
}

// Ports returns the endpoint's ports in the definition; the zero range if the platform chooses one.
func (e InternalEndpoint) Ports() emu.PortRange {
	if e.FixedPorts.First != 0 {
		return e.FixedPorts
	}
	return emu.PortRange{First: e.Port, Last: e.Port}
}

// Transport returns the protocol of the endpoint's packets; empty: any.
func (e InternalEndpoint) Transport() string {
	switch e.Protocol {
	case "any":
		return ""
	case "http":
		return string(emu.TCP)
	}
	return e.Protocol
}

// InstanceInputEndpoint has one public port per instance.
type InstanceInputEndpoint struct {
	Name        string
	Protocol    emu.Protocol
	LocalPort   uint16 // 0 when the platform is to choose one
	PublicPorts emu.PortRange
	Origin      emu.Origin
}

// LoadBalancerProbe is a health probe of the load balancer.
type LoadBalancerProbe struct {
	Name              string
	Protocol          string // http, tcp
	Path              string // of http
	Port              uint16 // 0: the endpoint's
	IntervalInSeconds int    // 15 when not given
	TimeoutInSeconds  int    // 31 when not given
	Origin            emu.Origin
}

// NetworkTrafficRule is one OnlyAllowTrafficTo: who may use some internal endpoints.
type NetworkTrafficRule struct {
	Destinations    []RoleEndpoint
	AllowAllTraffic bool
	FromRoles       []Named // WhenSource
	Origin          emu.Origin
}

// RoleEndpoint names an internal endpoint.
type RoleEndpoint struct {
	Role, Endpoint string
	Origin         emu.Origin
}

// Site is a web site of a web role.
type Site struct {
	Name     string
	Bindings []Binding
	Origin   emu.Origin
}

// Binding joins a site to an endpoint.
type Binding struct {
	Name, EndpointName, HostHeader string
	Origin                         emu.Origin
}

// Task is a program that runs when a role starts.
type Task struct {
	CommandLine      string
	ExecutionContext string // limited, elevated
	TaskType         string // simple, foreground, background
	Origin           emu.Origin
}
