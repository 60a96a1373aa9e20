package labfile

import "vnetlab/emu"

// File is a lab file as it is written. Its keys and their rules are the tags of these types: the decoder and the JSON Schema both
// come from them. The rules of names belong to the platform, whose operations refuse them: the tag pattern names them for the schema
// alone. A blank field lists the keys that the format reserves for later versions.
type File struct {
	Lab                  Reference        `yaml:"lab" jsonschema:"required" pattern:"lab" doc:"Name of the lab: a lowercase letter, then up to 30 lowercase letters, digits and hyphens."`
	Prepare              Text             `yaml:"prepare" doc:"Shell command that 'lab up --real' runs on the host, in the lab file's folder, before anything is built."`
	AffinityGroups       []AffinityGroup  `yaml:"affinityGroups" doc:"Placement scopes, each in a location."`
	NetworkConfiguration Reference        `yaml:"networkConfiguration" doc:"Path of a network configuration file (.netcfg), relative to this file."`
	VirtualNetworks      []VirtualNetwork `yaml:"virtualNetworks" doc:"Virtual networks, created before the cloud services."`
	LocalNetworks        []LocalNetwork   `yaml:"localNetworks" doc:"On-premises sites that gateways of virtual networks can connect to."`
	ReservedIPs          []ReservedIP     `yaml:"reservedIPs" doc:"Public addresses that stay with the subscription, for cloud services to use."`
	CloudServices        []CloudService   `yaml:"cloudServices" doc:"Cloud services, created in this order."`
	WebSites             []WebSite        `yaml:"webSites" doc:"Web sites: NAME.azurewebsites.net. They can't join a virtual network."`
	InternetHosts        []InternetHost   `yaml:"internetHosts" doc:"Machines on the public internet."`
	Expect               []Expectation    `yaml:"expect" doc:"Who is expected to reach whom, and who not."`
	Exposure             []Reference      `yaml:"exposure" pattern:"exposed" doc:"Every port that the rules let somebody on the internet through to, whether or not anybody listens; no other may be. NAME:PORT or NAME:FIRST-LAST, with /udp for UDP. NAME is the DNS name of a cloud service, SERVICE.staging, the DNS name of a web site, an instance with a public IP, or a network with a gateway."`
	Steps                []StepEntry      `yaml:"steps" doc:"Commands on the running lab, one after the other, and what must come of each."`
	Limits               *Limits          `yaml:"limits" doc:"What the programs of each instance, host and site may use, unless it has limits of its own."`
	Mounts               []Mount          `yaml:"mounts" doc:"Files and folders of this machine that the programs of all instances, hosts and sites see."`
	Origin               emu.Origin       `yaml:"-"`
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
	Name          Text        `yaml:"name" jsonschema:"required" pattern:"resource"`
	AffinityGroup Text        `yaml:"affinityGroup" doc:"The affinity group the network is bound to; or location."`
	Location      Location    `yaml:"location" doc:"The location the network is bound to; or affinityGroup."`
	AddressSpace  []Prefix    `yaml:"addressSpace" jsonschema:"required,minItems=1"`
	Subnets       []Subnet    `yaml:"subnets" jsonschema:"required,minItems=1"`
	DNSServers    []DNSServer `yaml:"dnsServers" doc:"Name servers of the network's instances; none means the platform's own."`
	Gateway       *Gateway    `yaml:"gateway" doc:"Joins the network to others. It needs a subnet named GatewaySubnet."`
	Origin        emu.Origin  `yaml:"-"`
}

// Subnet is a part of a virtual network.
type Subnet struct {
	Name          Text       `yaml:"name" jsonschema:"required" pattern:"resource"`
	AddressPrefix Prefix     `yaml:"addressPrefix" jsonschema:"required" doc:"At least a /29: the platform keeps the first four addresses and the last one."`
	Origin        emu.Origin `yaml:"-"`
}

// DNSServer names a name server.
type DNSServer struct {
	Name    Text       `yaml:"name" jsonschema:"required" doc:"A label; nothing looks it up."`
	Address Address    `yaml:"address" jsonschema:"required"`
	Origin  emu.Origin `yaml:"-"`
}

// Gateway is the VPN gateway of a virtual network. The platform chooses its address.
type Gateway struct {
	Connections []Text     `yaml:"connections" doc:"Local networks and other virtual networks; of a name that both have, the local network. Two virtual networks are joined when each names the other."`
	Origin      emu.Origin `yaml:"-"`
}

// LocalNetwork is an item of localNetworks: a site on the customer's premises.
type LocalNetwork struct {
	Name              Text        `yaml:"name" jsonschema:"required" pattern:"resource"`
	AddressSpace      []Prefix    `yaml:"addressSpace" jsonschema:"minItems=1" doc:"Left out for a site of the network configuration, which has one: then the hosts are added to it. Hosts are in the first prefix that isn't smaller than a /29."`
	VPNGatewayAddress Address     `yaml:"vpnGatewayAddress" doc:"Public address of the site's VPN device. On the internet of the lab it has another where this one isn't in 203.0.113.0/24 or its kin; without it the lowest free one."`
	Hosts             []LocalHost `yaml:"hosts"`
	Origin            emu.Origin  `yaml:"-"`
}

// LocalHost is a machine of an on-premises site.
type LocalHost struct {
	Name     Text          `yaml:"name" jsonschema:"required" pattern:"machine"`
	Address  Address       `yaml:"address" doc:"In the first prefix of the site; without it the lowest free one."`
	Services []HostService `yaml:"services"`
	Machine
	Origin emu.Origin `yaml:"-"`
}

// CloudService is an item of cloudServices: it holds virtual machines, or deployments of roles, or nothing.
type CloudService struct {
	Name                 Text                  `yaml:"name" jsonschema:"required" pattern:"dns" doc:"NAME.cloudapp.net finds the service's VIP."`
	AffinityGroup        Text                  `yaml:"affinityGroup" doc:"The affinity group the service is bound to for life; or location."`
	Location             Location              `yaml:"location" doc:"The location the service is bound to for life; or affinityGroup."`
	VirtualNetwork       Text                  `yaml:"virtualNetwork" doc:"The network that the service's instances join. Without one the service is its own boundary."`
	ReservedIP           Reference             `yaml:"reservedIP" doc:"Reserved IP that is the VIP of the virtual machines or of the production deployment."`
	InternalLoadBalancer *InternalLoadBalancer `yaml:"internalLoadBalancer" doc:"A private VIP for endpoints of the virtual machines. That of roles stands in their service configuration."`
	VirtualMachines      []VirtualMachine      `yaml:"virtualMachines" doc:"Virtual machines, created in this order."`
	Production           *Deployment           `yaml:"production" doc:"A package of web and worker roles in the production slot."`
	Staging              *Deployment           `yaml:"staging" doc:"A package in the staging slot, with a VIP of its own; deployed after production."`
	Origin               emu.Origin            `yaml:"-"`
}

// InternalLoadBalancer is a private VIP in the network of a cloud service.
type InternalLoadBalancer struct {
	Name          Text       `yaml:"name" jsonschema:"required" doc:"What endpoints call it."`
	Subnet        Text       `yaml:"subnet" doc:"Subnet of the virtual network; nothing outside one."`
	StaticAddress Address    `yaml:"staticAddress" doc:"The address to take in the subnet; without it the lowest free one."`
	Origin        emu.Origin `yaml:"-"`
}

// VirtualMachine is an item of virtualMachines.
type VirtualMachine struct {
	_ struct{} `later:"networkSecurityGroup"`

	Name          Text       `yaml:"name" jsonschema:"required" pattern:"machine"`
	OS            OS         `yaml:"os" doc:"Decides the defaults of the guest firewall: windows allows RDP, linux allows SSH."`
	Subnet        Text       `yaml:"subnet" doc:"Subnet of the service's virtual network."`
	StaticAddress Address    `yaml:"staticAddress" doc:"The address to take in the subnet; without it the lowest free one."`
	PublicIP      Text       `yaml:"publicIP" doc:"Name of a public address of the machine's own. All ports of it lead to the machine; endpoints aren't needed."`
	Endpoints     []Endpoint `yaml:"endpoints"`
	Firewall      *Firewall  `yaml:"firewall"`
	Services      []Service  `yaml:"services"`
	Machine
	Origin emu.Origin `yaml:"-"`
}

// Endpoint is a public port of a virtual machine.
type Endpoint struct {
	Name                 Text         `yaml:"name" jsonschema:"required" pattern:"endpoint"`
	Protocol             Protocol     `yaml:"protocol"`
	PublicPort           Port         `yaml:"publicPort" doc:"Port of the VIP; without it the platform picks one."`
	LocalPort            Port         `yaml:"localPort" jsonschema:"required" doc:"Port of the virtual machine."`
	LoadBalancedSet      Text         `yaml:"loadBalancedSet" doc:"Endpoints of one set share their public port."`
	Distribution         Distribution `yaml:"distribution" doc:"What decides which member of the set takes a connection: none is the 5-tuple."`
	ACL                  []ACLRule    `yaml:"acl" doc:"Remote addresses that may or may not use the endpoint."`
	Probe                *Probe       `yaml:"probe" doc:"How the load balancer finds out whether the machine serves; without it, it serves while it runs."`
	IdleTimeoutInMinutes IdleTimeout  `yaml:"idleTimeoutInMinutes" doc:"How long the load balancer remembers an idle connection; 4 unless given."`
	InternalLoadBalancer Text         `yaml:"internalLoadBalancer" doc:"Name of the service's internal load balancer: the port is on its address, not on the VIP."`
	DirectServerReturn   bool         `yaml:"directServerReturn" doc:"The destination address stays the VIP, and the machine answers as the VIP."`
	Origin               emu.Origin   `yaml:"-"`
}

// Probe is a health probe of the load balancer.
type Probe struct {
	Protocol          ProbeProtocol `yaml:"protocol" jsonschema:"required" doc:"http: the answer to a GET must be 200; tcp: the connection must open."`
	Port              Port          `yaml:"port" doc:"Without it, the endpoint's local port."`
	Path              HTTPPath      `yaml:"path" doc:"Path of an http probe."`
	IntervalInSeconds ProbeInterval `yaml:"intervalInSeconds" doc:"15 unless given."`
	TimeoutInSeconds  ProbeTimeout  `yaml:"timeoutInSeconds" doc:"How long good answers may fail to come; 31 unless given."`
	Origin            emu.Origin    `yaml:"-"`
}

// ACLRule is a rule of an endpoint's access control list.
type ACLRule struct {
	Order        Order      `yaml:"order" jsonschema:"required" doc:"Rules are tried in ascending order."`
	Action       Action     `yaml:"action" jsonschema:"required"`
	RemoteSubnet Prefix     `yaml:"remoteSubnet" jsonschema:"required"`
	Description  Text       `yaml:"description"`
	Origin       emu.Origin `yaml:"-"`
}

// Service is something that listens in an instance. Without real and run it is a listener that says who it is.
type Service struct {
	Port     Port       `yaml:"port" doc:"Port to listen on; or endpoint."`
	Endpoint Reference  `yaml:"endpoint" doc:"Endpoint whose local port to listen on; or port."`
	Protocol Protocol   `yaml:"protocol" doc:"Without it: tcp, or that of the endpoint."`
	Real     Text       `yaml:"real" doc:"Shell command that listens on the port when the lab is started with --real."`
	Run      Text       `yaml:"run" doc:"Shell command that always listens on the port."`
	Origin   emu.Origin `yaml:"-"`
}

// HostService is something that listens in a web site, an internet host or an on-premises host, which have no endpoints.
type HostService struct {
	Port     Port       `yaml:"port" jsonschema:"required"`
	Protocol Protocol   `yaml:"protocol"`
	Real     Text       `yaml:"real" doc:"Shell command that listens on the port when the lab is started with --real."`
	Run      Text       `yaml:"run" doc:"Shell command that always listens on the port."`
	Origin   emu.Origin `yaml:"-"`
}

// Deployment is a package of roles in a slot of a cloud service.
type Deployment struct {
	Name          DeploymentName  `yaml:"name" doc:"Without it the service's name, or staging in the staging slot."`
	Definition    Reference       `yaml:"definition" jsonschema:"required" doc:"Path of the service definition (.csdef), relative to this file."`
	Configuration Reference       `yaml:"configuration" jsonschema:"required" doc:"Path of the service configuration (.cscfg), relative to this file."`
	Roles         map[string]Role `yaml:"roles" doc:"What the package would have contained, by the name of the role."`
	Origin        emu.Origin      `yaml:"-"`
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
	Name     Text          `yaml:"name" jsonschema:"required" pattern:"dns"`
	Location Location      `yaml:"location" jsonschema:"required"`
	Services []HostService `yaml:"services" doc:"Without any, a listener on port 80."`
	Machine
	Origin emu.Origin `yaml:"-"`
}

// InternetHost is an item of internetHosts.
type InternetHost struct {
	Name     Text          `yaml:"name" jsonschema:"required" pattern:"machine"`
	Address  Address       `yaml:"address" doc:"In 203.0.113.0/24 or its kin; without it the lowest free one."`
	Services []HostService `yaml:"services"`
	Machine
	Origin emu.Origin `yaml:"-"`
}

// Expectation is an item of expect. At least one of verdict, seenAs, answeredBy and http says what is expected; the last three
// expect the verdict open.
type Expectation struct {
	Name       Text       `yaml:"name" doc:"What the expectation is called in results."`
	From       Text       `yaml:"from" jsonschema:"required" doc:"Instance, internet host, on-premises host or web site where the connection starts."`
	To         Reference  `yaml:"to" jsonschema:"required" pattern:"target" doc:"NAME:PORT, with /udp for UDP. NAME is an instance, a host, a web site, a DNS name or an address."`
	Verdict    Verdict    `yaml:"verdict"`
	SeenAs     Text       `yaml:"seenAs" doc:"Whose address the other side sees: an instance, host or web site, or a DNS name for its VIP."`
	AnsweredBy []Text     `yaml:"answeredBy" jsonschema:"minItems=1" doc:"Each of these must answer at least once."`
	HTTP       *HTTP      `yaml:"http"`
	Real       *bool      `yaml:"real" doc:"true: checked with --real only; false: without it only."`
	Origin     emu.Origin `yaml:"-"`
}

// StepEntry is an item of steps: a command on the running lab and what must come of it. Without fails, it must succeed.
type StepEntry struct {
	Run      Command       `yaml:"run" jsonschema:"required" doc:"A command line of lab. The lab is that of the file."`
	Fails    ErrorCode     `yaml:"fails" doc:"The code of the error with which the command must fail, such as BadRequest."`
	Message  Text          `yaml:"message" doc:"Text that must be in the error's message."`
	Expect   []Expectation `yaml:"expect" doc:"What is expected after the command."`
	Exposure []Reference   `yaml:"exposure" pattern:"exposed" doc:"Every port that the internet reaches after the command, as in the exposure of the file."`
	Origin   emu.Origin    `yaml:"-"`
}

// HTTP is what an HTTP GET must give.
type HTTP struct {
	Path     HTTPPath   `yaml:"path"`
	Status   HTTPStatus `yaml:"status"`
	Contains Text       `yaml:"contains" doc:"Text that must be in the body."`
	Origin   emu.Origin `yaml:"-"`
}

// Machine is what the programs of an instance, a host or a site may use of the machine that carries the lab.
type Machine struct {
	Privileged bool    `yaml:"privileged" doc:"All capabilities, the devices and the sysctls of this machine: programs can harm it."`
	Limits     *Limits `yaml:"limits" doc:"What the programs here may use together; the lab's limits where it says nothing."`
	Mounts     []Mount `yaml:"mounts" doc:"Files and folders of this machine that the programs here see, beyond the lab's."`
}

// Limits bound what programs use.
type Limits struct {
	PIDs   PIDLimit   `yaml:"pids" doc:"Processes and threads; 1024 unless given."`
	Memory Size       `yaml:"memory" doc:"Memory, with the files that are written; half of this machine's unless given, at least 256MiB, at most 2GiB."`
	Disk   Size       `yaml:"disk" doc:"Files that are written anywhere but in /tmp, /run and /dev/shm; half of the memory unless given."`
	Tmp    Size       `yaml:"tmp" doc:"Files in each of /tmp, /run and /dev/shm; an eighth of the memory unless given."`
	Origin emu.Origin `yaml:"-"`
}

// Mount is a file or folder of this machine.
type Mount struct {
	Path     Reference  `yaml:"path" jsonschema:"required" doc:"Relative to this file. Programs see it at its own path."`
	Writable bool       `yaml:"writable" doc:"What programs write there changes this machine's files. The folder of this file is there without being named, read-only."`
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
