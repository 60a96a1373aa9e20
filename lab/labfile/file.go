package labfile

import "vnetlab/emu"

// File is a lab file as it is written. Its keys and their rules are the tags of these types: the decoder and
// the JSON Schema both come from them. The rules of names belong to the platform, whose operations refuse them:
// the tag pattern names them for the schema alone. A blank field lists the keys that the format reserves for
// later versions.
type File struct {
	// Name of the lab: a lowercase letter, then up to 30 lowercase letters, digits and hyphens.
	Lab Reference `yaml:"lab" jsonschema:"required" pattern:"lab"`
	// Shell command that 'lab up --real' runs on the host, in the lab file's folder, before anything is built.
	Prepare Text `yaml:"prepare"`
	// Placement scopes, each in a location.
	AffinityGroups []AffinityGroup `yaml:"affinityGroups"`
	// Path of a network configuration file (.netcfg), relative to this file.
	NetworkConfiguration Reference `yaml:"networkConfiguration"`
	// Virtual networks, created before the cloud services.
	VirtualNetworks []VirtualNetwork `yaml:"virtualNetworks"`
	// On-premises sites that gateways of virtual networks can connect to.
	LocalNetworks []LocalNetwork `yaml:"localNetworks"`
	// Public addresses that stay with the subscription, for cloud services to use.
	ReservedIPs []ReservedIP `yaml:"reservedIPs"`
	// Cloud services, created in this order.
	CloudServices []CloudService `yaml:"cloudServices"`
	// Web sites: NAME.azurewebsites.net. They can't join a virtual network.
	WebSites []WebSite `yaml:"webSites"`
	// Machines on the public internet.
	InternetHosts []InternetHost `yaml:"internetHosts"`
	// Who is expected to reach whom, and who not.
	Expect []Expectation `yaml:"expect"`
	// Every port that the rules let somebody on the internet through to, whether or not anybody listens; no other
	// may be. NAME:PORT or NAME:FIRST-LAST, with /udp for UDP. NAME is the DNS name of a cloud service,
	// SERVICE.staging, the DNS name of a web site, an instance with a public IP, or a network with a gateway.
	Exposure []Reference `yaml:"exposure" pattern:"exposed"`
	// Commands on the running lab, one after the other, and what must come of each.
	Steps []StepEntry `yaml:"steps"`
	// What the programs of each instance, host and site may use, unless it has limits of its own.
	Limits *Limits `yaml:"limits"`
	// Files and folders of this machine that the programs of all instances, hosts and sites see.
	Mounts []Mount    `yaml:"mounts"`
	Origin emu.Origin `yaml:"-"`
}

// ReservedIP is an item of reservedIPs. The platform chooses the address.
type ReservedIP struct {
	Name     Text       `yaml:"name" jsonschema:"required" pattern:"resource"`
	Location Location   `yaml:"location" jsonschema:"required"`
	Origin   emu.Origin `yaml:"-"`
}

// AffinityGroup is an item of affinityGroups.
type AffinityGroup struct {
	Name     Text       `yaml:"name" jsonschema:"required" pattern:"resource"`
	Location Location   `yaml:"location" jsonschema:"required"`
	Origin   emu.Origin `yaml:"-"`
}

// VirtualNetwork is an item of virtualNetworks.
type VirtualNetwork struct {
	Name Text `yaml:"name" jsonschema:"required" pattern:"resource"`
	// The affinity group the network is bound to; or location.
	AffinityGroup Text `yaml:"affinityGroup"`
	// The location the network is bound to; or affinityGroup.
	Location     Location `yaml:"location"`
	AddressSpace []Prefix `yaml:"addressSpace" jsonschema:"required,minItems=1"`
	Subnets      []Subnet `yaml:"subnets" jsonschema:"required,minItems=1"`
	// Name servers of the network's instances; none means the platform's own.
	DNSServers []DNSServer `yaml:"dnsServers"`
	// Joins the network to others. It needs a subnet named GatewaySubnet.
	Gateway *Gateway   `yaml:"gateway"`
	Origin  emu.Origin `yaml:"-"`
}

// Subnet is a part of a virtual network.
type Subnet struct {
	Name Text `yaml:"name" jsonschema:"required" pattern:"resource"`
	// At least a /29: the platform keeps the first four addresses and the last one.
	AddressPrefix Prefix     `yaml:"addressPrefix" jsonschema:"required"`
	Origin        emu.Origin `yaml:"-"`
}

// DNSServer names a name server.
type DNSServer struct {
	// A label; nothing looks it up.
	Name    Text       `yaml:"name" jsonschema:"required"`
	Address Address    `yaml:"address" jsonschema:"required"`
	Origin  emu.Origin `yaml:"-"`
}

// Gateway is the VPN gateway of a virtual network. The platform chooses its address.
type Gateway struct {
	// Local networks and other virtual networks; of a name that both have, the local network. Two virtual networks
	// are joined when each names the other.
	Connections []Text     `yaml:"connections"`
	Origin      emu.Origin `yaml:"-"`
}

// LocalNetwork is an item of localNetworks: a site on the customer's premises.
type LocalNetwork struct {
	Name Text `yaml:"name" jsonschema:"required" pattern:"resource"`
	// Left out for a site of the network configuration, which has one: then the hosts are added to it. Hosts are
	// in the first prefix that isn't smaller than a /29.
	AddressSpace []Prefix `yaml:"addressSpace" jsonschema:"minItems=1"`
	// Public address of the site's VPN device. On the internet of the lab it has another where this one isn't in
	// 203.0.113.0/24 or its kin; without it the lowest free one.
	VPNGatewayAddress Address     `yaml:"vpnGatewayAddress"`
	Hosts             []LocalHost `yaml:"hosts"`
	Origin            emu.Origin  `yaml:"-"`
}

// LocalHost is a machine of an on-premises site.
type LocalHost struct {
	Name Text `yaml:"name" jsonschema:"required" pattern:"machine"`
	// In the first prefix of the site; without it the lowest free one.
	Address  Address       `yaml:"address"`
	Services []HostService `yaml:"services"`
	Machine
	Origin emu.Origin `yaml:"-"`
}

// CloudService is an item of cloudServices: it holds virtual machines, or deployments of roles, or nothing.
type CloudService struct {
	// NAME.cloudapp.net finds the service's VIP.
	Name Text `yaml:"name" jsonschema:"required" pattern:"dns"`
	// The affinity group the service is bound to for life; or location.
	AffinityGroup Text `yaml:"affinityGroup"`
	// The location the service is bound to for life; or affinityGroup.
	Location Location `yaml:"location"`
	// The network that the service's instances join. Without one the service is its own boundary.
	VirtualNetwork Text `yaml:"virtualNetwork"`
	// Reserved IP that is the VIP of the virtual machines or of the production deployment.
	ReservedIP Reference `yaml:"reservedIP"`
	// A private VIP for endpoints of the virtual machines. That of roles stands in their service configuration.
	InternalLoadBalancer *InternalLoadBalancer `yaml:"internalLoadBalancer"`
	// Virtual machines, created in this order.
	VirtualMachines []VirtualMachine `yaml:"virtualMachines"`
	// A package of web and worker roles in the production slot.
	Production *Deployment `yaml:"production"`
	// A package in the staging slot, with a VIP of its own; deployed after production.
	Staging *Deployment `yaml:"staging"`
	Origin  emu.Origin  `yaml:"-"`
}

// InternalLoadBalancer is a private VIP in the network of a cloud service.
type InternalLoadBalancer struct {
	// What endpoints call it.
	Name Text `yaml:"name" jsonschema:"required"`
	// Subnet of the virtual network; nothing outside one.
	Subnet Text `yaml:"subnet"`
	// The address to take in the subnet; without it the lowest free one.
	StaticAddress Address    `yaml:"staticAddress"`
	Origin        emu.Origin `yaml:"-"`
}

// VirtualMachine is an item of virtualMachines.
type VirtualMachine struct {
	_ struct{} `later:"networkSecurityGroup"`

	Name Text `yaml:"name" jsonschema:"required" pattern:"machine"`
	// Decides the defaults of the guest firewall: windows allows RDP, linux allows SSH.
	OS OS `yaml:"os"`
	// Subnet of the service's virtual network.
	Subnet Text `yaml:"subnet"`
	// The address to take in the subnet; without it the lowest free one.
	StaticAddress Address `yaml:"staticAddress"`
	// Name of a public address of the machine's own. All ports of it lead to the machine; endpoints aren't needed.
	PublicIP  Text       `yaml:"publicIP"`
	Endpoints []Endpoint `yaml:"endpoints"`
	Firewall  *Firewall  `yaml:"firewall"`
	Services  []Service  `yaml:"services"`
	Machine
	Origin emu.Origin `yaml:"-"`
}

// Endpoint is a public port of a virtual machine.
type Endpoint struct {
	Name     Text     `yaml:"name" jsonschema:"required" pattern:"endpoint"`
	Protocol Protocol `yaml:"protocol"`
	// Port of the VIP; without it the platform picks one.
	PublicPort Port `yaml:"publicPort"`
	// Port of the virtual machine.
	LocalPort Port `yaml:"localPort" jsonschema:"required"`
	// Endpoints of one set share their public port.
	LoadBalancedSet Text `yaml:"loadBalancedSet"`
	// What decides which member of the set takes a connection: none is the 5-tuple.
	Distribution Distribution `yaml:"distribution"`
	// Remote addresses that may or may not use the endpoint.
	ACL []ACLRule `yaml:"acl"`
	// How the load balancer finds out whether the machine serves; without it, it serves while it runs.
	Probe *Probe `yaml:"probe"`
	// How long the load balancer remembers an idle connection; 4 unless given.
	IdleTimeoutInMinutes IdleTimeout `yaml:"idleTimeoutInMinutes"`
	// Name of the service's internal load balancer: the port is on its address, not on the VIP.
	InternalLoadBalancer Text `yaml:"internalLoadBalancer"`
	// The destination address stays the VIP, and the machine answers as the VIP.
	DirectServerReturn bool       `yaml:"directServerReturn"`
	Origin             emu.Origin `yaml:"-"`
}

// Probe is a health probe of the load balancer.
type Probe struct {
	// http: the answer to a GET must be 200; tcp: the connection must open.
	Protocol ProbeProtocol `yaml:"protocol" jsonschema:"required"`
	// Without it, the endpoint's local port.
	Port Port `yaml:"port"`
	// Path of an http probe.
	Path HTTPPath `yaml:"path"`
	// 15 unless given.
	IntervalInSeconds ProbeInterval `yaml:"intervalInSeconds"`
	// How long good answers may fail to come; 31 unless given.
	TimeoutInSeconds ProbeTimeout `yaml:"timeoutInSeconds"`
	Origin           emu.Origin   `yaml:"-"`
}

// ACLRule is a rule of an endpoint's access control list.
type ACLRule struct {
	// Rules are tried in ascending order.
	Order        Order      `yaml:"order" jsonschema:"required"`
	Action       Action     `yaml:"action" jsonschema:"required"`
	RemoteSubnet Prefix     `yaml:"remoteSubnet" jsonschema:"required"`
	Description  Text       `yaml:"description"`
	Origin       emu.Origin `yaml:"-"`
}

// Service is something that listens in an instance. Without real and run it is a listener that says who it is.
type Service struct {
	// Port to listen on; or endpoint.
	Port Port `yaml:"port"`
	// Endpoint whose local port to listen on; or port.
	Endpoint Reference `yaml:"endpoint"`
	// Without it: tcp, or that of the endpoint.
	Protocol Protocol `yaml:"protocol"`
	// Shell command that listens on the port when the lab is started with --real.
	Real Text `yaml:"real"`
	// Shell command that always listens on the port.
	Run    Text       `yaml:"run"`
	Origin emu.Origin `yaml:"-"`
}

// HostService is something that listens in a web site, an internet host or an on-premises host, which have no
// endpoints.
type HostService struct {
	Port     Port     `yaml:"port" jsonschema:"required"`
	Protocol Protocol `yaml:"protocol"`
	// Shell command that listens on the port when the lab is started with --real.
	Real Text `yaml:"real"`
	// Shell command that always listens on the port.
	Run    Text       `yaml:"run"`
	Origin emu.Origin `yaml:"-"`
}

// Deployment is a package of roles in a slot of a cloud service.
type Deployment struct {
	// Without it the service's name, or staging in the staging slot.
	Name DeploymentName `yaml:"name"`
	// Path of the service definition (.csdef), relative to this file.
	Definition Reference `yaml:"definition" jsonschema:"required"`
	// Path of the service configuration (.cscfg), relative to this file.
	Configuration Reference `yaml:"configuration" jsonschema:"required"`
	// What the package would have contained, by the name of the role.
	Roles  map[string]Role `yaml:"roles"`
	Origin emu.Origin      `yaml:"-"`
}

// Role is what the package contains for a role: the definition and the configuration don't say it.
type Role struct {
	Firewall *Firewall `yaml:"firewall"`
	Services []Service `yaml:"services"`
	Machine
	Origin emu.Origin `yaml:"-"`
}

// WebSite is an item of webSites.
type WebSite struct {
	Name     Text     `yaml:"name" jsonschema:"required" pattern:"dns"`
	Location Location `yaml:"location" jsonschema:"required"`
	// Without any, a listener on port 80.
	Services []HostService `yaml:"services"`
	Machine
	Origin emu.Origin `yaml:"-"`
}

// InternetHost is an item of internetHosts.
type InternetHost struct {
	Name Text `yaml:"name" jsonschema:"required" pattern:"machine"`
	// In 203.0.113.0/24 or its kin; without it the lowest free one.
	Address  Address       `yaml:"address"`
	Services []HostService `yaml:"services"`
	Machine
	Origin emu.Origin `yaml:"-"`
}

// Expectation is an item of expect. At least one of verdict, seenAs, answeredBy and http says what is expected;
// the last three expect the verdict open.
type Expectation struct {
	// What the expectation is called in results.
	Name Text `yaml:"name"`
	// Instance, internet host, on-premises host or web site where the connection starts.
	From Text `yaml:"from" jsonschema:"required"`
	// NAME:PORT, with /udp for UDP. NAME is an instance, a host, a web site, a DNS name or an address.
	To      Reference `yaml:"to" jsonschema:"required" pattern:"target"`
	Verdict Verdict   `yaml:"verdict"`
	// Whose address the other side sees: an instance, host or web site, or a DNS name for its VIP.
	SeenAs Text `yaml:"seenAs"`
	// Each of these must answer at least once.
	AnsweredBy []Text `yaml:"answeredBy" jsonschema:"minItems=1"`
	HTTP       *HTTP  `yaml:"http"`
	// true: checked with --real only; false: without it only.
	Real   *bool      `yaml:"real"`
	Origin emu.Origin `yaml:"-"`
}

// StepEntry is an item of steps: a command on the running lab and what must come of it. Without fails, it must succeed.
type StepEntry struct {
	// A command line of lab. The lab is that of the file.
	Run Command `yaml:"run" jsonschema:"required"`
	// The code of the error with which the command must fail, such as BadRequest.
	Fails ErrorCode `yaml:"fails"`
	// Text that must be in the error's message.
	Message Text `yaml:"message"`
	// What is expected after the command.
	Expect []Expectation `yaml:"expect"`
	// Every port that the internet reaches after the command, as in the exposure of the file.
	Exposure []Reference `yaml:"exposure" pattern:"exposed"`
	Origin   emu.Origin  `yaml:"-"`
}

// HTTP is what an HTTP GET must give.
type HTTP struct {
	Path   HTTPPath   `yaml:"path"`
	Status HTTPStatus `yaml:"status"`
	// Text that must be in the body.
	Contains Text       `yaml:"contains"`
	Origin   emu.Origin `yaml:"-"`
}

// Machine is what the programs of an instance, a host or a site may use of the machine that carries the lab.
type Machine struct {
	// All capabilities, the devices and the sysctls of this machine: programs can harm it.
	Privileged bool `yaml:"privileged"`
	// What the programs here may use together; the lab's limits where it says nothing.
	Limits *Limits `yaml:"limits"`
	// Files and folders of this machine that the programs here see, beyond the lab's.
	Mounts []Mount `yaml:"mounts"`
}

// Limits bound what programs use.
type Limits struct {
	// Processes and threads; 1024 unless given.
	PIDs PIDLimit `yaml:"pids"`
	// Memory, with the files that are written; half of this machine's unless given, at least 256MiB, at most 2GiB.
	Memory Size `yaml:"memory"`
	// Files that are written anywhere but in /tmp, /run and /dev/shm; half of the memory unless given.
	Disk Size `yaml:"disk"`
	// Files in each of /tmp, /run and /dev/shm; an eighth of the memory unless given.
	Tmp    Size       `yaml:"tmp"`
	Origin emu.Origin `yaml:"-"`
}

// Mount is a file or folder of this machine.
type Mount struct {
	// Relative to this file. Programs see it at its own path.
	Path Reference `yaml:"path" jsonschema:"required"`
	// What programs write there changes this machine's files. The folder of this file is there without being
	// named, read-only.
	Writable bool       `yaml:"writable"`
	Origin   emu.Origin `yaml:"-"`
}

// Firewall is the guest firewall of an instance: rules beyond the defaults of its OS, or `off`.
type Firewall struct {
	Off    bool
	Rules  []Reference
	Origin emu.Origin
}

// Reference is a text that is read further, and so keeps its own place.
type Reference struct {
	Text   string
	Origin emu.Origin
}
