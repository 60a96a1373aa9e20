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
	Description    string
	Origin         Origin
}

// VirtualMachine is the body of Create Virtual Machine Deployment (the first of a service) and of Add Role (each later one).
type VirtualMachine struct {
	Name string
	OS   OS // empty: Windows
	// VirtualNetwork is for a service that has no deployment yet; empty: what the service says.
	VirtualNetwork string
	Subnet         string // required in a virtual network, refused outside
	StaticAddress  netip.Addr
	// ReservedIP is for the first machine of a service: the deployment's VIP.
	ReservedIP string
	// PublicIPName asks for a public address of the instance's own; empty: none.
	PublicIPName string
	// InternalLoadBalancer is for the first machine of a service.
	InternalLoadBalancer *InternalLoadBalancer
	Endpoints            []VMEndpoint
	Firewall             []GuestFirewallRule
	FirewallOff          bool
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
	Probe           *Probe
	// IdleTimeoutInMinutes is from 4 to 30; 0: the default.
	IdleTimeoutInMinutes int
	InternalLoadBalancer string
	DirectServerReturn   bool
	Origin               Origin
}

// PackageDeployment is the body of Create Deployment: what the service definition and configuration say, and what the
// package would have contained.
type PackageDeployment struct {
	Name                 string // empty: of the service in production, "staging" in staging
	Slot                 Slot   // empty: production
	VirtualNetwork       string // of the configuration's VirtualNetworkSite
	DNSServers           []netip.Addr
	ReservedIP           string
	InternalLoadBalancer *InternalLoadBalancer
	Roles                []Role
	Origin               Origin
}

// Role is a web or worker role.
type Role struct {
	Name                   string
	InstanceCount          int
	Subnet                 string
	InputEndpoints         []InputEndpoint
	InstanceInputEndpoints []InstanceInputEndpoint
	InternalEndpoints      []InternalEndpoint  // with Ports zero, the platform picks one port
	PublicIPName           string              // of each instance's own public address; empty: none
	PublicIPLabel          string              // of its DNS name, LABEL.NUMBER.SERVICE.cloudapp.net; empty: it has none
	Firewall               []GuestFirewallRule // beyond what the platform opens for the endpoints
	FirewallOff            bool
	FirewallOrigin         Origin
	Services               []Service
	Origin                 Origin
}

// InputEndpoint is a load-balanced public port of a role.
type InputEndpoint struct {
	Name                 string
	Protocol             emu.Protocol // http and https are tcp
	Port                 uint16       // public
	LocalPort            uint16       // 0: the same as Port
	Distribution         Distribution // empty: none
	ACL                  []ACLRule
	Probe                *Probe
	IdleTimeoutInMinutes int
	InternalLoadBalancer string
	Origin               Origin
}

// InstanceInputEndpoint gives each instance of a role a public port of its own, from a range and in order.
type InstanceInputEndpoint struct {
	Name      string
	Protocol  emu.Protocol
	LocalPort uint16
	Public    emu.PortRange
	ACL       []ACLRule
	Origin    Origin
}
