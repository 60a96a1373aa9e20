package labfile

import "vnetlab/emu"

// File is a lab file as it is written. Its keys and their rules are the tags of these types: the decoder and the
// JSON Schema both come from them. The rules of names belong to the platform, whose operations refuse wrong ones:
// the tag pattern names them only for the schema. The comment of a field describes its key in the schema. A blank
// field lists the keys that the format reserves for later versions.
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
	// Local network sites: networks on the customer's premises that gateways can connect to.
	LocalNetworks []LocalNetwork `yaml:"localNetworks"`
	// Public addresses that belong to the subscription and can be the VIP of a cloud service.
	ReservedIPs []ReservedIP `yaml:"reservedIPs"`
	// Cloud services, created in this order.
	CloudServices []CloudService `yaml:"cloudServices"`
	// Web sites: NAME.azurewebsites.net. They can't join a virtual network.
	WebSites []WebSite `yaml:"webSites"`
	// Machines on the public internet.
	InternetHosts []InternetHost `yaml:"internetHosts"`
	// Connections that must succeed or fail, and how.
	Expect []Expectation `yaml:"expect"`
	// Every port that the rules let the internet through to, with or without a listener. Other ports must not be
	// reachable. NAME:PORT or NAME:FIRST-LAST, with /udp for UDP. NAME is the DNS name of a cloud service,
	// SERVICE.staging, the DNS name of a web site, an instance with a public IP, or a network with a gateway.
	Exposure []Reference `yaml:"exposure" pattern:"exposed"`
	// Commands on the running lab, run in this order, with the expected result of each.
	Steps []StepEntry `yaml:"steps"`
	// Limits for the programs of each instance, host and web site that has no limits itself.
	Limits *Limits `yaml:"limits"`
	// Files and folders of this machine that the programs of all instances, hosts and web sites see.
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
	// Name servers of the network's instances; by default the platform's.
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
	// A label that nothing looks up.
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

// LocalNetwork is an item of localNetworks: a local network site, on the customer's premises.
type LocalNetwork struct {
	Name Text `yaml:"name" jsonschema:"required" pattern:"resource"`
	// Left out for a local network site of the network configuration, to add hosts to it. Hosts are in the first
	// prefix that isn't smaller than a /29.
	AddressSpace []Prefix `yaml:"addressSpace" jsonschema:"minItems=1"`
	// Public address of the site's VPN device; by default the lowest free one. If it isn't in 203.0.113.0/24,
	// 198.51.100.0/24 or 192.0.2.0/24, another address replaces it on the internet of the lab.
	VPNGatewayAddress Address     `yaml:"vpnGatewayAddress"`
	Hosts             []LocalHost `yaml:"hosts"`
	Origin            emu.Origin  `yaml:"-"`
}

// LocalHost is a machine of a local network site.
type LocalHost struct {
	Name Text `yaml:"name" jsonschema:"required" pattern:"machine"`
	// An address in the first prefix of the site; by default the lowest free one.
	Address  Address       `yaml:"address"`
	Services []HostService `yaml:"services"`
	Machine
	Origin emu.Origin `yaml:"-"`
}

// CloudService is an item of cloudServices. It contains virtual machines, or deployments of roles, or nothing.
type CloudService struct {
	// NAME.cloudapp.net resolves to the cloud service's VIP.
	Name Text `yaml:"name" jsonschema:"required" pattern:"dns"`
	// The affinity group of the cloud service, which can't change; or location.
	AffinityGroup Text `yaml:"affinityGroup"`
	// The location of the cloud service, which can't change; or affinityGroup.
	Location Location `yaml:"location"`
	// The network that the instances join. Without one, the cloud service is the boundary.
	VirtualNetwork Text `yaml:"virtualNetwork"`
	// Name of the reserved IP to use as the VIP of the virtual machines or the production deployment.
	ReservedIP Reference `yaml:"reservedIP"`
	// A private VIP for endpoints of the virtual machines. Roles have theirs in the service configuration.
	InternalLoadBalancer *InternalLoadBalancer `yaml:"internalLoadBalancer"`
	// Virtual machines, created in this order.
	VirtualMachines []VirtualMachine `yaml:"virtualMachines"`
	// A package of web and worker roles in the production slot.
	Production *Deployment `yaml:"production"`
	// A package in the staging slot, with its own VIP; deployed after production.
	Staging *Deployment `yaml:"staging"`
	Origin  emu.Origin  `yaml:"-"`
}

// InternalLoadBalancer is a private VIP in the network of a cloud service.
type InternalLoadBalancer struct {
	// The name that endpoints refer to.
	Name Text `yaml:"name" jsonschema:"required"`
	// Subnet of the virtual network. Leave it out outside a virtual network.
	Subnet Text `yaml:"subnet"`
	// The address in the subnet; by default the lowest free one.
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
	// The address in the subnet; by default the lowest free one.
	StaticAddress Address `yaml:"staticAddress"`
	// Name of a public address for this machine. All its ports reach the machine without endpoints.
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
	// Port of the VIP; by default the platform picks one.
	PublicPort Port `yaml:"publicPort"`
	// Port of the virtual machine.
	LocalPort Port `yaml:"localPort" jsonschema:"required"`
	// Endpoints of one set share their public port.
	LoadBalancedSet Text `yaml:"loadBalancedSet"`
	// What the load balancer hashes to choose a member of the set: none is the 5-tuple.
	Distribution Distribution `yaml:"distribution"`
	// Rules that permit or deny remote addresses.
	ACL []ACLRule `yaml:"acl"`
	// Health probe of the load balancer. Without one, the machine gets connections while it runs.
	Probe *Probe `yaml:"probe"`
	// How long the load balancer remembers an idle connection; 4 by default.
	IdleTimeoutInMinutes IdleTimeout `yaml:"idleTimeoutInMinutes"`
	// Name of the cloud service's internal load balancer: the port is on its address, not on the VIP.
	InternalLoadBalancer Text `yaml:"internalLoadBalancer"`
	// The destination address stays the VIP, and the machine answers as the VIP.
	DirectServerReturn bool       `yaml:"directServerReturn"`
	Origin             emu.Origin `yaml:"-"`
}

// Probe is a health probe of the load balancer.
type Probe struct {
	// http: the answer to a GET must be 200; tcp: the connection must open.
	Protocol ProbeProtocol `yaml:"protocol" jsonschema:"required"`
	// The endpoint's local port by default.
	Port Port `yaml:"port"`
	// Path of an http probe.
	Path HTTPPath `yaml:"path"`
	// 15 by default.
	IntervalInSeconds ProbeInterval `yaml:"intervalInSeconds"`
	// How long a member may be without a good answer; 31 by default.
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

// Service is a listener in an instance. Without real and run it is a built-in one that answers with the name of the
// instance.
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

// HostService is a listener in a web site, an internet host or a site host, which have no endpoints.
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
	// By default the cloud service's name, or staging in the staging slot.
	Name DeploymentName `yaml:"name"`
	// Path of the service definition (.csdef), relative to this file.
	Definition Reference `yaml:"definition" jsonschema:"required"`
	// Path of the service configuration (.cscfg), relative to this file.
	Configuration Reference `yaml:"configuration" jsonschema:"required"`
	// What the package would contain, by the name of the role.
	Roles  map[string]Role `yaml:"roles"`
	Origin emu.Origin      `yaml:"-"`
}

// Role holds what the package contains for a role and neither the definition nor the configuration has.
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
	// By default a listener on port 80.
	Services []HostService `yaml:"services"`
	Machine
	Origin emu.Origin `yaml:"-"`
}

// InternetHost is an item of internetHosts.
type InternetHost struct {
	Name Text `yaml:"name" jsonschema:"required" pattern:"machine"`
	// An address in 203.0.113.0/24, 198.51.100.0/24 or 192.0.2.0/24; by default the lowest free one.
	Address  Address       `yaml:"address"`
	Services []HostService `yaml:"services"`
	Machine
	Origin emu.Origin `yaml:"-"`
}

// Expectation is an item of expect. It needs at least one of verdict, seenAs, answeredBy and http. The last three
// expect the verdict open.
type Expectation struct {
	// Name of the expectation in results.
	Name Text `yaml:"name"`
	// Instance, internet host, on-premises host or web site where the connection starts.
	From Text `yaml:"from" jsonschema:"required"`
	// NAME:PORT, with /udp for UDP. NAME is an instance, a host, a web site, a DNS name or an address.
	To      Reference `yaml:"to" jsonschema:"required" pattern:"target"`
	Verdict Verdict   `yaml:"verdict"`
	// The source address that the other side sees, by name: an instance, host or web site, or a DNS name for its
	// VIP.
	SeenAs Text `yaml:"seenAs"`
	// Instances that must each answer at least once.
	AnsweredBy []Text `yaml:"answeredBy" jsonschema:"minItems=1"`
	HTTP       *HTTP  `yaml:"http"`
	// true: checked only with --real; false: only without it.
	Real   *bool      `yaml:"real"`
	Origin emu.Origin `yaml:"-"`
}

// StepEntry is an item of steps: a command on the running lab and its expected result. Without fails, it must
// succeed.
type StepEntry struct {
	// A command line of lab. The lab is that of the file.
	Run Command `yaml:"run" jsonschema:"required"`
	// The code of the error with which the command must fail, such as BadRequest.
	Fails ErrorCode `yaml:"fails"`
	// Text that the error's message must contain.
	Message Text `yaml:"message"`
	// Expectations after the command.
	Expect []Expectation `yaml:"expect"`
	// Every port that the internet reaches after the command, as in the exposure of the file.
	Exposure []Reference `yaml:"exposure" pattern:"exposed"`
	Origin   emu.Origin  `yaml:"-"`
}

// HTTP is the expected response to an HTTP GET.
type HTTP struct {
	Path   HTTPPath   `yaml:"path"`
	Status HTTPStatus `yaml:"status"`
	// Text that the body must contain.
	Contains Text       `yaml:"contains"`
	Origin   emu.Origin `yaml:"-"`
}

// Machine holds what the programs of an instance, a host or a web site may use of the machine that runs the lab.
type Machine struct {
	// All capabilities, the devices and the sysctls of this machine: programs can harm it.
	Privileged bool `yaml:"privileged"`
	// What the programs here may use together. Limits that are left out are the lab's.
	Limits *Limits `yaml:"limits"`
	// Files and folders of this machine that the programs here see, beyond the lab's.
	Mounts []Mount `yaml:"mounts"`
}

// Limits are the most that programs can use.
type Limits struct {
	// Processes and threads; 1024 by default.
	PIDs PIDLimit `yaml:"pids"`
	// Memory, including files that are written; by default half of this machine's, at least 256MiB and at most
	// 2GiB.
	Memory Size `yaml:"memory"`
	// Files that are written outside /tmp, /run and /dev/shm; by default half of the memory.
	Disk Size `yaml:"disk"`
	// Files in each of /tmp, /run and /dev/shm; by default an eighth of the memory.
	Tmp    Size       `yaml:"tmp"`
	Origin emu.Origin `yaml:"-"`
}

// Mount is a file or folder of this machine.
type Mount struct {
	// Relative to this file. Programs see it at the same path.
	Path Reference `yaml:"path" jsonschema:"required"`
	// Programs may change the files of this machine there. The folder of the lab file is always mounted, read-only.
	Writable bool       `yaml:"writable"`
	Origin   emu.Origin `yaml:"-"`
}

// Firewall is the guest firewall of an instance: rules beyond the defaults of its OS, or `off`.
type Firewall struct {
	Off    bool
	Rules  []Reference
	Origin emu.Origin
}

// Reference is a text that is parsed later, and so keeps its position.
type Reference struct {
	Text   string
	Origin emu.Origin
}
