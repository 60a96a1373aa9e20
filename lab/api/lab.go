package api

import (
	"net/netip"
	"time"

	"vnetlab/emu"
	"vnetlab/lab"
)

// Summary is what `lab ls` shows about a running lab.
type Summary struct {
	// NotAnswering says that the supervisor doesn't answer, and since when; all but name and process is unknown then.
	NotAnswering string    `json:"notAnswering,omitempty"`
	Name         string    `json:"name"`
	File         string    `json:"file"` // absolute path of the lab file
	Real         bool      `json:"real"` // started with --real
	PID          int       `json:"pid"`  // of the supervisor
	Started      time.Time `json:"started"`
	Instances    int       `json:"instances"`
	Services     int       `json:"services"`
	// Namespaces and Links are what the kernel made of it.
	Namespaces int `json:"namespaces"`
	Links      int `json:"links"`
}

// Lab is what a running lab consists of, as its users see it.
type Lab struct {
	Summary
	// Unbounded names the limits that this machine can't hold instances to, for want of control groups: pids, memory.
	Unbounded       []string         `json:"unbounded,omitempty"`
	AffinityGroups  []AffinityGroup  `json:"affinityGroups"`
	ReservedIPs     []ReservedIP     `json:"reservedIPs"`
	VirtualNetworks []VirtualNetwork `json:"virtualNetworks"`
	CloudServices   []CloudService   `json:"cloudServices"`
	WebSites        []Host           `json:"webSites"`
	InternetHosts   []Host           `json:"internetHosts"`
	LocalNetworks   []LocalNetwork   `json:"localNetworks"`
	// Fabric names the namespaces that carry packets between the others.
	Fabric []string `json:"fabric"`
}

// AffinityGroup is an affinity group.
type AffinityGroup struct {
	Name     string `json:"name"`
	Location string `json:"location"`
}

// ReservedIP is a public address that stays with the lab.
type ReservedIP struct {
	Name         string     `json:"name"`
	Location     string     `json:"location"`
	Address      netip.Addr `json:"address"`
	CloudService string     `json:"cloudService,omitempty"` // that uses it, with
	Deployment   string     `json:"deployment,omitempty"`
}

// VirtualNetwork is a virtual network with its subnets.
type VirtualNetwork struct {
	Name          string         `json:"name"`
	AffinityGroup string         `json:"affinityGroup,omitempty"`
	Location      string         `json:"location"`
	AddressSpace  []netip.Prefix `json:"addressSpace"`
	Subnets       []Subnet       `json:"subnets"`
	DNSServers    []netip.Addr   `json:"dnsServers"`
	// DNSServerNames are the names of the DNSServers, in the same order.
	DNSServerNames []string `json:"dnsServerNames,omitempty"`
	Gateway        *Gateway `json:"gateway,omitempty"`
}

// Gateway joins a virtual network to sites and other networks.
type Gateway struct {
	Address     netip.Addr `json:"address"`     // public
	Connections []string   `json:"connections"` // names of local network sites and virtual networks
	// Peers are the connections with what they lead to.
	Peers             []Peer         `json:"peers"`
	ClientAddressPool []netip.Prefix `json:"clientAddressPool,omitempty"` // of point-to-site clients, which a lab doesn't have
	Profile           string         `json:"profile,omitempty"`
}

// Peer is what a gateway leads to.
type Peer struct {
	Name      string          `json:"name"`
	Kind      lab.NetworkKind `json:"kind"`
	Dedicated bool            `json:"dedicated,omitempty"` // a circuit, which a lab doesn't have
}

// LocalNetwork is an on-premises site.
type LocalNetwork struct {
	Name              string         `json:"name"`
	AddressSpace      []netip.Prefix `json:"addressSpace"`
	VPNGatewayAddress netip.Addr     `json:"vpnGatewayAddress,omitzero"` // as it was asked for
	Address           netip.Addr     `json:"address"`                    // of the VPN device, on the internet of the lab
	Hosts             []Host         `json:"hosts"`
}

// Subnet is a subnet of a virtual network.
type Subnet struct {
	Name          string       `json:"name"`
	AddressPrefix netip.Prefix `json:"addressPrefix"`
}

// CloudService is a cloud service with its deployments. Kind, VIP, Endpoints and Instances are those of production.
type CloudService struct {
	Name           string       `json:"name"`
	DNSName        string       `json:"dnsName"`
	Description    string       `json:"description,omitempty"`
	VIP            netip.Addr   `json:"vip,omitzero"` // none while the service is empty
	AffinityGroup  string       `json:"affinityGroup,omitempty"`
	Location       string       `json:"location"`
	Kind           string       `json:"kind,omitempty"` // "virtual machines" or "roles"
	VirtualNetwork string       `json:"virtualNetwork,omitempty"`
	Endpoints      []Endpoint   `json:"endpoints"`
	Instances      []Host       `json:"instances"`
	Deployments    []Deployment `json:"deployments"` // production first
}

// Deployment is what runs in a slot of a cloud service.
type Deployment struct {
	Slot           lab.Slot   `json:"slot"`
	Name           string     `json:"name"`
	PrivateID      string     `json:"privateId"`
	DNSName        string     `json:"dnsName"`
	Kind           string     `json:"kind"` // "virtual machines" or "roles"
	VIP            netip.Addr `json:"vip,omitzero"`
	ReservedIP     string     `json:"reservedIP,omitempty"`
	VirtualNetwork string     `json:"virtualNetwork,omitempty"`
	// InternalLoadBalancer is a private VIP in the virtual network.
	InternalLoadBalancer *InternalLoadBalancer `json:"internalLoadBalancer,omitempty"`
	Roles                []Role                `json:"roles"`
	Endpoints            []Endpoint            `json:"endpoints"`
	Instances            []Host                `json:"instances"`
}

// InternalLoadBalancer is a private VIP.
type InternalLoadBalancer struct {
	Name    string     `json:"name"`
	Subnet  string     `json:"subnet,omitempty"`
	Address netip.Addr `json:"address"`
}

// Role is a role of a deployment.
type Role struct {
	Name              string             `json:"name"`
	Instances         int                `json:"instances"`
	InternalEndpoints []InternalEndpoint `json:"internalEndpoints"`
}

// InternalEndpoint is a port, or a range of ports, of a role's instances for the instances of the same deployment.
type InternalEndpoint struct {
	Name      string   `json:"name"`
	Protocol  string   `json:"protocol"` // tcp, udp or any
	FirstPort uint16   `json:"firstPort,omitempty"`
	LastPort  uint16   `json:"lastPort,omitempty"`
	FromRoles []string `json:"fromRoles,omitempty"` // the only ones that may connect, by a network traffic rule
}

// Endpoint is a public port of a deployment, or a port of its internal load balancer.
type Endpoint struct {
	Name       string       `json:"name"` // of the endpoint, or of the load-balanced set
	Protocol   emu.Protocol `json:"protocol"`
	Address    netip.Addr   `json:"address,omitzero"` // none while nothing of the deployment is allocated
	Internal   bool         `json:"internal,omitempty"`
	PublicPort uint16       `json:"publicPort"`
	LocalPort  uint16       `json:"localPort"`
	Instances  []string     `json:"instances"` // behind it
	Members    []Member     `json:"members"`   // likewise
	// Distribution is none, sourceIP or sourceIPProtocol.
	Distribution         lab.Distribution `json:"distribution"`
	Probe                *HealthProbe     `json:"probe,omitempty"`
	IdleTimeoutInMinutes int              `json:"idleTimeoutInMinutes"`
	DirectServerReturn   bool             `json:"directServerReturn,omitempty"`
	ACL                  []ACLRule        `json:"acl"`
}

// Member is an instance behind an endpoint.
type Member struct {
	Instance  string `json:"instance"`
	LocalPort uint16 `json:"localPort"`
	// Serving says that it gets new connections: it runs, and its health probe, if it has one, is answered.
	Serving bool `json:"serving"`
	// Health is what the health probe found out; nil where there is none, or the instance doesn't run.
	Health *emu.HealthState `json:"health,omitempty"`
}

// HealthProbe is how the load balancer finds out whether members serve.
type HealthProbe struct {
	Protocol          string `json:"protocol"`
	Port              uint16 `json:"port,omitempty"` // 0: the local port
	Path              string `json:"path,omitempty"`
	IntervalInSeconds int    `json:"intervalInSeconds"`
	TimeoutInSeconds  int    `json:"timeoutInSeconds"`
}

// ACLRule is a rule of an endpoint's access control list.
type ACLRule struct {
	Order        int          `json:"order"`
	Action       string       `json:"action"` // permit or deny
	RemoteSubnet netip.Prefix `json:"remoteSubnet"`
	Description  string       `json:"description,omitempty"`
}

// FirewallRule is a rule of a guest firewall.
type FirewallRule struct {
	Name     string `json:"name,omitempty"`
	Text     string `json:"text"`               // as it was written
	Rule     string `json:"rule"`               // in the short form
	Inactive string `json:"inactive,omitempty"` // why it never matches
	Note     string `json:"note,omitempty"`     // what it does on Windows and not in a lab
	Added    bool   `json:"added"`              // not by the platform
}

// Host is an instance, a web site or an internet host.
type Host struct {
	Name         string            `json:"name"`
	DNSName      string            `json:"dnsName,omitempty"` // of a web site, or of an instance's own public address
	Location     string            `json:"location,omitempty"`
	Address      netip.Addr        `json:"address,omitzero"` // of an instance: its DIP, none while it is deallocated
	Static       bool              `json:"static,omitempty"` // the DIP was asked for
	PublicIP     netip.Addr        `json:"publicIP,omitzero"`
	CloudService string            `json:"cloudService,omitempty"`
	Deployment   string            `json:"deployment,omitempty"`
	Slot         lab.Slot          `json:"slot,omitempty"`
	HostName     string            `json:"hostName,omitempty"` // of an instance, in its cloud service
	Role         string            `json:"role,omitempty"`
	OS           lab.OS            `json:"os,omitempty"`
	Subnet       string            `json:"subnet,omitempty"`
	State        lab.InstanceState `json:"state,omitempty"`
	// Firewall are the rules of an instance; none while FirewallOff.
	Firewall    []FirewallRule      `json:"firewall,omitempty"`
	FirewallOff bool                `json:"firewallOff,omitempty"`
	Endpoints   []InstanceEndpoint  `json:"endpoints,omitempty"`
	Services    []emu.ServiceStatus `json:"services"`
	// Boundary is what programs here may use of the machine, with all limits; sizes are in bytes.
	Boundary emu.Boundary `json:"boundary"`
}

// InstanceEndpoint is an endpoint by the name that the instance has for it.
type InstanceEndpoint struct {
	Name            string       `json:"name"`
	Protocol        emu.Protocol `json:"protocol"`
	PublicPort      uint16       `json:"publicPort"`
	LocalPort       uint16       `json:"localPort"`
	LoadBalancedSet string       `json:"loadBalancedSet,omitempty"`
}
