// Package lab is the platform: its resources, the operations that change them and the rules they obey.
//
// It is pure: no kernel, no root, no clock. Operations are named after the Service Management API and refuse what the platform
// refused, in its own words where they are known. lab/labfile turns a file into operations, lab/compile turns the
// resources into an emu.Network, lab/oracle predicts what should happen to a packet.
package lab

import (
	"net/netip"

	"vnetlab/emu"
	"vnetlab/lab/guestfirewall"
)

// Lab is one emulated world: a subscription's resources, the internet around them, and what is expected of both.
// Change it by its operations alone; resources are kept in the order of their creation.
type Lab struct {
	Name            string
	AffinityGroups  []*AffinityGroup
	VirtualNetworks []*VirtualNetwork
	CloudServices   []*CloudService
	WebSites        []*WebSite
	InternetHosts   []*InternetHost
	Expectations    []Expectation
	// Exposure lists every VIP port that the internet is meant to reach; nil when the lab says nothing about it.
	Exposure []ExposedPort
}

// AffinityGroup is a placement scope in a location.
type AffinityGroup struct {
	Name     string
	Location string
	Origin   Origin
}

// VirtualNetwork is bound to an affinity group or a location, exactly one of the two.
type VirtualNetwork struct {
	Name          string
	AffinityGroup string
	Location      string
	AddressSpace  []netip.Prefix
	Subnets       []Subnet
	DNSServers    []netip.Addr // none: the platform's own resolver
	Origin        Origin
}

// Subnet is a part of a virtual network's address space.
type Subnet struct {
	Name          string
	AddressPrefix netip.Prefix
	Origin        Origin
}

// CloudService is a container for one deployment, bound for life to a location or an affinity group. It is the boundary of its
// instances unless its deployment is in a virtual network.
type CloudService struct {
	Name          string
	AffinityGroup string
	Location      string
	// VirtualNetwork is what the deployments of this service join.
	VirtualNetwork string
	Production     *Deployment // nil while the service is empty
	Origin         Origin
}

// DNSName is where clients find the service's VIP.
func (s *CloudService) DNSName() string { return s.Name + ".cloudapp.net" }

// DeploymentKind tells virtual machines from roles: a service holds one or the other.
type DeploymentKind string

const (
	IaaS DeploymentKind = "virtual machines"
	PaaS DeploymentKind = "roles"
)

// Deployment is what runs in a slot of a cloud service, behind one VIP.
type Deployment struct {
	Name           string
	Kind           DeploymentKind
	VirtualNetwork string // empty: the deployment is its own boundary
	VIP            netip.Addr
	// Block is where the addresses of instances outside a virtual network come from.
	Block      netip.Prefix
	DNSServers []netip.Addr // override the virtual network's
	Instances  []*Instance
	Origin     Origin
}

// OS decides the defaults of the guest firewall.
type OS string

const (
	Windows OS = "windows"
	Linux   OS = "linux"
)

// Instance is a virtual machine or a role instance.
type Instance struct {
	// ID names the instance in the lab: its name, or service.name when an older instance has that name.
	ID      string
	Name    string // host name in its cloud service
	Service string // the cloud service
	Role    string // of a role instance; empty for a virtual machine
	OS      OS
	Subnet  string // in a virtual network
	DIP     netip.Addr
	// StaticAddress says that the DIP was asked for.
	StaticAddress bool
	Endpoints     []Endpoint
	// Firewall holds the guest firewall's rules, the defaults of the OS first; nil when the firewall is off.
	Firewall       []GuestFirewallRule
	FirewallOff    bool
	FirewallOrigin Origin
	Services       []Service
	Origin         Origin
}

// Endpoint is a public port of an instance: of a virtual machine, or a role's input endpoint.
type Endpoint struct {
	Name            string
	Protocol        emu.Protocol
	PublicPort      uint16
	LocalPort       uint16
	LoadBalancedSet string // with it, members share the public port. Instances of a role share theirs always
	Distribution    Distribution
	ACL             []ACLRule
	Origin          Origin
}

// Distribution is how the load balancer chooses a member for a new connection ("Load Balancer distribution mode", October 2014).
type Distribution string

const (
	DistributeNone             Distribution = "none" // 5-tuple: addresses, ports, protocol
	DistributeSourceIP         Distribution = "sourceIP"
	DistributeSourceIPProtocol Distribution = "sourceIPProtocol"
)

// ACLRule permits or denies remote addresses on an endpoint. Rules are tried in ascending order; when at least one rule permits,
// everything else is denied, when all deny, everything else is permitted.
type ACLRule struct {
	Order        int
	Permit       bool
	RemoteSubnet netip.Prefix
	Description  string
	Origin       Origin
}

// GuestFirewallRule is a rule with its place.
type GuestFirewallRule struct {
	guestfirewall.Rule
	Origin Origin
}

// Service is something that listens in an instance, a web site or an internet host.
type Service struct {
	Port     uint16
	Protocol emu.Protocol
	Command  string // empty: the built-in listener
	Dir      string // where the command runs
	Origin   Origin
}

// WebSite is a site in the multi-tenant platform: SITE.azurewebsites.net. It can't join a virtual network.
type WebSite struct {
	Name     string
	Location string
	Address  netip.Addr // inside the platform's scale unit; unreachable from elsewhere
	Services []Service
	Origin   Origin
}

// DNSName is the site's host name.
func (s *WebSite) DNSName() string { return s.Name + ".azurewebsites.net" }

// InternetHost is a machine on the public internet that belongs to nobody here.
type InternetHost struct {
	Name     string
	Address  netip.Addr
	Services []Service
	Origin   Origin
}

// Expectation is one question and the answer that is expected.
type Expectation struct {
	Name       string // in results; may be empty
	From       string
	To         Target
	Verdict    emu.Verdict
	SeenAs     string   // an instance, internet host, web site or DNS name; empty: not asked
	AnsweredBy []string // each must answer at least once; empty: not asked
	HTTP       *HTTPExpectation
	Real       *bool // checked only when the lab runs its real programs (true), or only when it doesn't (false); nil: always
	Origin     Origin
}

// HTTPExpectation is what a GET of a path must give.
type HTTPExpectation struct {
	Path     string
	Status   int
	Contains string
}

// Target is name:port[/protocol]; the name is an instance, an internet host, a web site, a DNS name or an address.
type Target struct {
	Name     string
	Port     uint16
	Protocol emu.Protocol
}

// ExposedPort is a VIP port that the internet is meant to reach.
type ExposedPort struct {
	Target
	Origin Origin
}
