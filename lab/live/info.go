package live

import (
	"net/netip"
	"time"

	"vnetlab/emu"
	"vnetlab/lab"
)

// Summary is what `lab ls` says about a running lab.
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

// Info is what a running lab consists of, as its users see it.
type Info struct {
	Summary
	// Unbounded names the limits that this machine can't hold instances to, for want of control groups: pids, memory.
	Unbounded       []string             `json:"unbounded,omitempty"`
	AffinityGroups  []AffinityGroupInfo  `json:"affinityGroups"`
	ReservedIPs     []ReservedIPInfo     `json:"reservedIPs"`
	VirtualNetworks []VirtualNetworkInfo `json:"virtualNetworks"`
	CloudServices   []CloudServiceInfo   `json:"cloudServices"`
	WebSites        []HostInfo           `json:"webSites"`
	InternetHosts   []HostInfo           `json:"internetHosts"`
	LocalNetworks   []LocalNetworkInfo   `json:"localNetworks"`
	// Fabric names the namespaces that carry packets between the others.
	Fabric []string `json:"fabric"`
}

// AffinityGroupInfo is an affinity group.
type AffinityGroupInfo struct {
	Name     string `json:"name"`
	Location string `json:"location"`
}

// ReservedIPInfo is a public address that stays with the lab.
type ReservedIPInfo struct {
	Name         string     `json:"name"`
	Location     string     `json:"location"`
	Address      netip.Addr `json:"address"`
	CloudService string     `json:"cloudService,omitempty"` // that uses it, with
	Deployment   string     `json:"deployment,omitempty"`
}

// VirtualNetworkInfo is a virtual network with its subnets.
type VirtualNetworkInfo struct {
	Name          string         `json:"name"`
	AffinityGroup string         `json:"affinityGroup,omitempty"`
	Location      string         `json:"location"`
	AddressSpace  []netip.Prefix `json:"addressSpace"`
	Subnets       []SubnetInfo   `json:"subnets"`
	DNSServers    []netip.Addr   `json:"dnsServers"`
	// DNSServerNames are the names of the DNSServers, in the same order.
	DNSServerNames []string     `json:"dnsServerNames,omitempty"`
	Gateway        *GatewayInfo `json:"gateway,omitempty"`
}

// GatewayInfo joins a virtual network to sites and other networks.
type GatewayInfo struct {
	Address     netip.Addr `json:"address"`     // public
	Connections []string   `json:"connections"` // names of local network sites and virtual networks
	// Peers are the connections with what they lead to.
	Peers             []PeerInfo     `json:"peers"`
	ClientAddressPool []netip.Prefix `json:"clientAddressPool,omitempty"` // of point-to-site clients, which a lab doesn't have
	Profile           string         `json:"profile,omitempty"`
}

// PeerInfo is what a gateway leads to.
type PeerInfo struct {
	Name      string          `json:"name"`
	Kind      lab.NetworkKind `json:"kind"`
	Dedicated bool            `json:"dedicated,omitempty"` // a circuit, which a lab doesn't have
}

// LocalNetworkInfo is an on-premises site.
type LocalNetworkInfo struct {
	Name              string         `json:"name"`
	AddressSpace      []netip.Prefix `json:"addressSpace"`
	VPNGatewayAddress netip.Addr     `json:"vpnGatewayAddress,omitzero"` // as it was asked for
	Address           netip.Addr     `json:"address"`                    // of the VPN device, on the internet of the lab
	Hosts             []HostInfo     `json:"hosts"`
}

// SubnetInfo is a subnet of a virtual network.
type SubnetInfo struct {
	Name          string       `json:"name"`
	AddressPrefix netip.Prefix `json:"addressPrefix"`
}

// CloudServiceInfo is a cloud service with its deployments. Kind, VIP, Endpoints and Instances are those of production.
type CloudServiceInfo struct {
	Name           string           `json:"name"`
	DNSName        string           `json:"dnsName"`
	Description    string           `json:"description,omitempty"`
	VIP            netip.Addr       `json:"vip,omitzero"` // none while the service is empty
	AffinityGroup  string           `json:"affinityGroup,omitempty"`
	Location       string           `json:"location"`
	Kind           string           `json:"kind,omitempty"` // "virtual machines" or "roles"
	VirtualNetwork string           `json:"virtualNetwork,omitempty"`
	Endpoints      []EndpointInfo   `json:"endpoints"`
	Instances      []HostInfo       `json:"instances"`
	Deployments    []DeploymentInfo `json:"deployments"` // production first
}

// DeploymentInfo is what runs in a slot of a cloud service.
type DeploymentInfo struct {
	Slot           lab.Slot   `json:"slot"`
	Name           string     `json:"name"`
	PrivateID      string     `json:"privateId"`
	DNSName        string     `json:"dnsName"`
	Kind           string     `json:"kind"` // "virtual machines" or "roles"
	VIP            netip.Addr `json:"vip,omitzero"`
	ReservedIP     string     `json:"reservedIP,omitempty"`
	VirtualNetwork string     `json:"virtualNetwork,omitempty"`
	// InternalLoadBalancer is a private VIP in the virtual network.
	InternalLoadBalancer *InternalLoadBalancerInfo `json:"internalLoadBalancer,omitempty"`
	Roles                []RoleInfo                `json:"roles"`
	Endpoints            []EndpointInfo            `json:"endpoints"`
	Instances            []HostInfo                `json:"instances"`
}

// InternalLoadBalancerInfo is a private VIP.
type InternalLoadBalancerInfo struct {
	Name    string     `json:"name"`
	Subnet  string     `json:"subnet,omitempty"`
	Address netip.Addr `json:"address"`
}

// RoleInfo is a role of a deployment.
type RoleInfo struct {
	Name              string                 `json:"name"`
	Instances         int                    `json:"instances"`
	InternalEndpoints []InternalEndpointInfo `json:"internalEndpoints"`
}

// InternalEndpointInfo is a port, or a range of ports, of a role's instances for the instances of the same deployment.
type InternalEndpointInfo struct {
	Name      string   `json:"name"`
	Protocol  string   `json:"protocol"` // tcp, udp or any
	FirstPort uint16   `json:"firstPort,omitempty"`
	LastPort  uint16   `json:"lastPort,omitempty"`
	FromRoles []string `json:"fromRoles,omitempty"` // the only ones that may connect, by a network traffic rule
}

// EndpointInfo is a public port of a deployment, or a port of its internal load balancer.
type EndpointInfo struct {
	Name       string       `json:"name"` // of the endpoint, or of the load-balanced set
	Protocol   emu.Protocol `json:"protocol"`
	Address    netip.Addr   `json:"address,omitzero"` // none while nothing of the deployment is allocated
	Internal   bool         `json:"internal,omitempty"`
	PublicPort uint16       `json:"publicPort"`
	LocalPort  uint16       `json:"localPort"`
	Instances  []string     `json:"instances"` // behind it
	Members    []MemberInfo `json:"members"`   // likewise
	// Distribution is none, sourceIP or sourceIPProtocol.
	Distribution         lab.Distribution `json:"distribution"`
	Probe                *ProbeInfo       `json:"probe,omitempty"`
	IdleTimeoutInMinutes int              `json:"idleTimeoutInMinutes"`
	DirectServerReturn   bool             `json:"directServerReturn,omitempty"`
	ACL                  []ACLRuleInfo    `json:"acl"`
}

// MemberInfo is an instance behind an endpoint.
type MemberInfo struct {
	Instance  string `json:"instance"`
	LocalPort uint16 `json:"localPort"`
	// Serving says that it gets new connections: it runs, and its health probe, if it has one, is answered.
	Serving bool `json:"serving"`
	// Health is what the health probe found out; nil where there is none, or the instance doesn't run.
	Health *emu.HealthState `json:"health,omitempty"`
}

// ProbeInfo is how the load balancer finds out whether members serve.
type ProbeInfo struct {
	Protocol          string `json:"protocol"`
	Port              uint16 `json:"port,omitempty"` // 0: the local port
	Path              string `json:"path,omitempty"`
	IntervalInSeconds int    `json:"intervalInSeconds"`
	TimeoutInSeconds  int    `json:"timeoutInSeconds"`
}

// ACLRuleInfo is a rule of an endpoint's access control list.
type ACLRuleInfo struct {
	Order        int          `json:"order"`
	Action       string       `json:"action"` // permit or deny
	RemoteSubnet netip.Prefix `json:"remoteSubnet"`
	Description  string       `json:"description,omitempty"`
}

// FirewallRuleInfo is a rule of a guest firewall.
type FirewallRuleInfo struct {
	Name     string `json:"name,omitempty"`
	Text     string `json:"text"`               // as it was written
	Rule     string `json:"rule"`               // in the short form
	Inactive string `json:"inactive,omitempty"` // why it never matches
	Note     string `json:"note,omitempty"`     // what it does on Windows and not in a lab
	Added    bool   `json:"added"`              // not by the platform
}

// HostInfo is an instance, a web site or an internet host.
type HostInfo struct {
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
	Firewall    []FirewallRuleInfo     `json:"firewall,omitempty"`
	FirewallOff bool                   `json:"firewallOff,omitempty"`
	Endpoints   []InstanceEndpointInfo `json:"endpoints,omitempty"`
	Services    []emu.ServiceStatus    `json:"services"`
	// Boundary is what programs here may use of the machine, with all limits; sizes are in bytes.
	Boundary emu.Boundary `json:"boundary"`
}

// InstanceEndpointInfo is an endpoint by the name that the instance has for it.
type InstanceEndpointInfo struct {
	Name            string       `json:"name"`
	Protocol        emu.Protocol `json:"protocol"`
	PublicPort      uint16       `json:"publicPort"`
	LocalPort       uint16       `json:"localPort"`
	LoadBalancedSet string       `json:"loadBalancedSet,omitempty"`
}
