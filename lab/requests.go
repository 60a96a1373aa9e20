package lab

import (
	"net/netip"

	"vnetlab/emu"
)

// HostedService is the body of Create Hosted Service.
type HostedService struct {
	Name          string
	AffinityGroup string // or Location
	Location      string
	// VirtualNetwork is what the service's deployments will join; empty: none.
	VirtualNetwork string
	Origin         Origin
}

// VirtualMachine is the body of Create Virtual Machine Deployment (the first of a service) and of Add Role (each later one).
type VirtualMachine struct {
	Name          string
	OS            OS     // empty: Windows
	Subnet        string // required in a virtual network, refused outside
	StaticAddress netip.Addr
	Endpoints     []VMEndpoint
	Firewall      []GuestFirewallRule
	FirewallOff   bool
	// FirewallOrigin is the place of the firewall's settings, or of the virtual machine when it has none.
	FirewallOrigin Origin
	Services       []Service
	Origin         Origin
}

// VMEndpoint is an input endpoint of a virtual machine as it is asked for.
type VMEndpoint struct {
	Name            string
	Protocol        emu.Protocol // empty: tcp
	PublicPort      uint16       // 0: the platform picks one
	LocalPort       uint16
	LoadBalancedSet string
	Distribution    Distribution // empty: none
	ACL             []ACLRule
	Origin          Origin
}

// PackageDeployment is the body of Create Deployment: what the service definition and configuration say, and what the
// package would have contained.
type PackageDeployment struct {
	Name           string
	VirtualNetwork string // of the configuration's VirtualNetworkSite
	DNSServers     []netip.Addr
	Roles          []Role
	Origin         Origin
}

// Role is a web or worker role.
type Role struct {
	Name           string
	InstanceCount  int
	Subnet         string
	InputEndpoints []InputEndpoint
	Firewall       []GuestFirewallRule // beyond what the platform opens for the endpoints
	FirewallOff    bool
	FirewallOrigin Origin
	Services       []Service
	Origin         Origin
}

// InputEndpoint is a load-balanced public port of a role.
type InputEndpoint struct {
	Name         string
	Protocol     emu.Protocol // http and https are tcp
	Port         uint16       // public
	LocalPort    uint16       // 0: the same as Port
	Distribution Distribution // empty: none
	ACL          []ACLRule
	Origin       Origin
}
