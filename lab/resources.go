// Package lab is the platform: its resources, the operations that change them and the rules they obey.
//
// It is pure: no kernel, no root, no clock. Operations are named after the Service Management API and refuse what the platform
// refused, in its own words where they are known. lab/labfile turns a file into operations, lab/compile turns the
// resources into an emu.Network, lab/oracle predicts what should happen to a packet.
package lab

import (
	"net/netip"
	"sync/atomic"

	"vnetlab/emu"
	"vnetlab/lab/guestfirewall"
)

// Lab is one emulated world: a subscription's resources, the internet around them, and what is expected of both.
// Change it by its operations alone: a resource that is in a lab never changes, another one takes its place. Resources are kept in the order
// of their creation.
type Lab struct {
	Name            string
	AffinityGroups  []*AffinityGroup
	VirtualNetworks []*VirtualNetwork
	ReservedIPs     []*ReservedIP
	CloudServices   []*CloudService
	WebSites        []*WebSite
	InternetHosts   []*InternetHost
	LocalNetworks   []*LocalNetwork
	// Boundary is what members may use of the machine unless they say otherwise.
	Boundary     emu.Boundary
	Expectations []Expectation
	// Exposure lists every port of a public address that the internet is meant to reach; nil when the lab says nothing about it.
	Exposure []ExposedPort

	// created counts the deployments ever made, for identities that don't come back.
	created int
	// places finds instances; nil until somebody asks. See Lab.index.
	places atomic.Pointer[places]
}

// ReservedIP is a public address that stays with the subscription.
type ReservedIP struct {
	Name     string
	Location string
	Address  netip.Addr
	Origin   Origin
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
	DNSServers    []DNSServer // none: the platform's own resolver
	Gateway       *VPNGateway // nil: none. Given by CreateGateway alone
	Origin        Origin
}

// DNSServer is a name server of a virtual network. Its name is a label of network configurations; nothing looks it up.
type DNSServer struct {
	Name    string // empty in a request: made from the address
	Address netip.Addr
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
	Description    string
	Production     *Deployment // nil while the slot is empty
	Staging        *Deployment // of roles alone
	Origin         Origin

	publicNames []emu.NameRecord // see Lab.PublicNames
}

// Slot is one of the two places for a deployment in a cloud service.
type Slot string

const (
	Production Slot = "production"
	Staging    Slot = "staging"
)

// In gives the deployment of a slot; nil when it is empty.
func (s *CloudService) In(slot Slot) *Deployment {
	if slot == Staging {
		return s.Staging
	}
	return s.Production
}

// SlotOf is where a deployment of the service is.
func (s *CloudService) SlotOf(d *Deployment) Slot {
	if d == s.Staging {
		return Staging
	}
	return Production
}

// NameOf is where clients find a deployment of the service: production by the service's DNS name, staging by a name that is
// hard to guess ("What is a cloud service").
func (s *CloudService) NameOf(d *Deployment) string {
	if s.SlotOf(d) == Staging {
		return d.PrivateID + ".cloudapp.net"
	}
	return s.DNSName()
}

// PublicNameOf is where clients find an instance of a deployment by its own public address: LABEL.NUMBER.SERVICE.cloudapp.net ("Instance
// level public IP (Classic) overview"). It is empty for an instance without one.
func (s *CloudService) PublicNameOf(d *Deployment, i *Instance) string {
	if !i.PublicIP.IsValid() || i.PublicIPLabel == "" {
		return ""
	}
	return i.PublicIPLabel + "." + s.NameOf(d)
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
	Service   string
	Name      string
	PrivateID string // 32 hexadecimal digits
	Kind      DeploymentKind
	// VirtualNetwork is what it joined when it was created; empty: the deployment is its own boundary.
	VirtualNetwork string
	// VIP is zero while no instance is allocated.
	VIP        netip.Addr
	ReservedIP string // whose address the VIP is
	// Block is where the addresses of instances outside a virtual network come from.
	Block                netip.Prefix
	DNSServers           []netip.Addr // override the virtual network's
	InternalLoadBalancer *InternalLoadBalancer
	Roles                []Role // as deployed; the instances follow their count
	Instances            []*Instance
	Origin               Origin
}

// InternalLoadBalancer is a private VIP in a subnet of the deployment's virtual network.
type InternalLoadBalancer struct {
	Name    string
	Subnet  string
	Address netip.Addr
	Origin  Origin
}

// OS decides the defaults of the guest firewall.
type OS string

const (
	Windows OS = "windows"
	Linux   OS = "linux"
)

// Instance is a virtual machine or a role instance.
type Instance struct {
	// ID names the instance's namespace and stays the same while the instance exists, whatever slot its deployment is in. It is for
	// programs: people have names for it, which Lab.InstanceName returns and Lab.Find takes.
	ID      string
	Name    string // host name in its cloud service
	Service string // the cloud service
	Role    string // of a role instance; empty for a virtual machine
	OS      OS
	Subnet  string // in a virtual network
	DIP     netip.Addr
	// StaticAddress says that the DIP was asked for; then it stays while the machine is deallocated.
	StaticAddress bool
	State         InstanceState
	// PublicIP is the instance's own public address, all of whose ports lead to it; zero: none.
	PublicIP     netip.Addr
	PublicIPName string
	// PublicIPLabel is what the DNS name of the public address starts with: that of the deployment follows. Empty: it has none.
	PublicIPLabel     string
	Endpoints         []Endpoint
	InternalEndpoints []InternalEndpoint
	// Firewall holds the rules that were added to the guest firewall; FirewallRules has them all.
	Firewall       []GuestFirewallRule
	FirewallOff    bool
	FirewallOrigin Origin
	Services       []Service
	Boundary       emu.Boundary
	Origin         Origin

	// healthy names the ports whose health probe has a good answer of the instance.
	healthy []string
}

// InstanceState is what a virtual machine does, in the platform's words. Role instances run always.
type InstanceState string

const (
	Running            InstanceState = "Running"
	Stopped            InstanceState = "Stopped"               // the guest is shut down; its addresses stay
	StoppedDeallocated InstanceState = "Stopped (Deallocated)" // its dynamic addresses are released
)

// Allocated tells whether the instance holds its place and addresses.
func (i *Instance) Allocated() bool { return i.State != StoppedDeallocated }

// InternalEndpoint is a port, or a range of ports, that only instances of the same deployment reach.
type InternalEndpoint struct {
	Name     string
	Protocol string // tcp, udp; empty: any
	Ports    emu.PortRange
	// FromRoles are the only roles whose instances may connect, when Restricted.
	FromRoles  []string
	Restricted bool
	Origin     Origin
}

// Probe is how the load balancer finds out whether a member serves ("LoadBalancerProbe Schema").
type Probe struct {
	Protocol          string // http or tcp
	Port              uint16 // 0: the endpoint's local port
	Path              string // of http
	IntervalInSeconds int
	TimeoutInSeconds  int
}

// The platform's defaults for probes, in seconds.
const (
	DefaultProbeInterval = 15
	DefaultProbeTimeout  = 31
)

// DefaultIdleTimeoutInMinutes is how long the load balancer remembers an idle TCP connection ("Change TCP idle timeout settings for your load
// balancer").
const DefaultIdleTimeoutInMinutes = 4

// Endpoint is a public port of an instance: of a virtual machine, or a role's input endpoint.
type Endpoint struct {
	Name            string
	Protocol        emu.Protocol
	PublicPort      uint16
	LocalPort       uint16
	LoadBalancedSet string // with it, members share the public port. Instances of a role share theirs always
	Distribution    Distribution
	ACL             []ACLRule
	Probe           *Probe // nil: a member serves while it runs
	// IdleTimeoutInMinutes is how long an idle connection is remembered, 4 to 30; 0: [DefaultIdleTimeoutInMinutes].
	IdleTimeoutInMinutes int
	// InternalLoadBalancer names the deployment's internal load balancer; then the port is on its private address.
	InternalLoadBalancer string
	// DirectServerReturn leaves the destination address as it is: the guest answers as the VIP.
	DirectServerReturn bool
	Origin             Origin
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
	// RemoteDesktop makes the built-in listener stand for the remote desktop of a role instance, or for the forwarder to those of its
	// deployment.
	RemoteDesktop emu.RemoteDesktop
	Origin        Origin
}

// WebSite is a site in the multi-tenant platform: SITE.azurewebsites.net. It can't join a virtual network.
type WebSite struct {
	Name     string
	Location string
	Address  netip.Addr // inside the platform's scale unit; unreachable from elsewhere
	Services []Service
	Boundary emu.Boundary
	Origin   Origin
}

// DNSName is the site's host name.
func (s *WebSite) DNSName() string { return s.Name + ".azurewebsites.net" }

// InternetHost is a machine on the public internet that belongs to nobody here.
type InternetHost struct {
	Name     string
	Address  netip.Addr
	Services []Service
	Boundary emu.Boundary
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
