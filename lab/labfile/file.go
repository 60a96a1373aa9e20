package labfile

import "vnetlab/emu"

// File is a lab file as it is written. Its keys and their rules are the tags of these types: the decoder and the JSON Schema both
// come from them. The rules of names belong to the platform, whose operations refuse them: the tag pattern names them for the schema
// alone. A blank field lists the keys that the format reserves for later versions.
type File struct {
	_ struct{} `later:"reservedIPs,localNetworks,steps"`

	Lab                  Reference        `yaml:"lab" jsonschema:"required" pattern:"lab" doc:"Name of the lab: a lowercase letter, then up to 30 lowercase letters, digits and hyphens."`
	Prepare              Text             `yaml:"prepare" doc:"Shell command that 'lab up --real' runs on the host, in the lab file's folder, before anything is built."`
	AffinityGroups       []AffinityGroup  `yaml:"affinityGroups" doc:"Placement scopes, each in a location."`
	NetworkConfiguration Reference        `yaml:"networkConfiguration" doc:"Path of a network configuration file (.netcfg), relative to this file."`
	VirtualNetworks      []VirtualNetwork `yaml:"virtualNetworks" doc:"Virtual networks, created before the cloud services."`
	CloudServices        []CloudService   `yaml:"cloudServices" doc:"Cloud services, created in this order."`
	WebSites             []WebSite        `yaml:"webSites" doc:"Web sites: NAME.azurewebsites.net. They can't join a virtual network."`
	InternetHosts        []InternetHost   `yaml:"internetHosts" doc:"Machines on the public internet."`
	Expect               []Expectation    `yaml:"expect" doc:"Who is expected to reach whom, and who not."`
	Exposure             []Reference      `yaml:"exposure" doc:"Every VIP port that the internet can open, as DNSNAME:PORT[/tcp]; no other may be open."`
	Origin               emu.Origin       `yaml:"-"`
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

// CloudService is an item of cloudServices: it holds virtual machines, or a production deployment of roles, or nothing.
type CloudService struct {
	_ struct{} `later:"reservedIP,staging"`

	Name            Text             `yaml:"name" jsonschema:"required" pattern:"dns" doc:"NAME.cloudapp.net finds the service's VIP."`
	AffinityGroup   Text             `yaml:"affinityGroup" doc:"The affinity group the service is bound to for life; or location."`
	Location        Location         `yaml:"location" doc:"The location the service is bound to for life; or affinityGroup."`
	VirtualNetwork  Text             `yaml:"virtualNetwork" doc:"The network that the service's instances join. Without one the service is its own boundary."`
	VirtualMachines []VirtualMachine `yaml:"virtualMachines" doc:"Virtual machines, created in this order."`
	Production      *Deployment      `yaml:"production" doc:"A package of web and worker roles in the production slot."`
	Origin          emu.Origin       `yaml:"-"`
}

// VirtualMachine is an item of virtualMachines.
type VirtualMachine struct {
	_ struct{} `later:"publicIPs,instanceLevelPublicIP,networkSecurityGroup"`

	Name          Text       `yaml:"name" jsonschema:"required" pattern:"machine"`
	OS            OS         `yaml:"os" doc:"Decides the defaults of the guest firewall: windows allows RDP, linux allows SSH."`
	Subnet        Text       `yaml:"subnet" doc:"Subnet of the service's virtual network."`
	StaticAddress Address    `yaml:"staticAddress" doc:"The address to take in the subnet; without it the lowest free one."`
	Endpoints     []Endpoint `yaml:"endpoints"`
	Firewall      *Firewall  `yaml:"firewall"`
	Services      []Service  `yaml:"services"`
	Origin        emu.Origin `yaml:"-"`
}

// Endpoint is a public port of a virtual machine.
type Endpoint struct {
	_ struct{} `later:"probe,idleTimeoutInMinutes"`

	Name            Text         `yaml:"name" jsonschema:"required" pattern:"endpoint"`
	Protocol        Protocol     `yaml:"protocol"`
	PublicPort      Port         `yaml:"publicPort" doc:"Port of the VIP; without it the platform picks one."`
	LocalPort       Port         `yaml:"localPort" jsonschema:"required" doc:"Port of the virtual machine."`
	LoadBalancedSet Text         `yaml:"loadBalancedSet" doc:"Endpoints of one set share their public port."`
	Distribution    Distribution `yaml:"distribution" doc:"What decides which member of the set takes a connection: none is the 5-tuple."`
	ACL             []ACLRule    `yaml:"acl" doc:"Remote addresses that may or may not use the endpoint."`
	Origin          emu.Origin   `yaml:"-"`
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

// HostService is something that listens in a web site or an internet host, which have no endpoints.
type HostService struct {
	Port     Port       `yaml:"port" jsonschema:"required"`
	Protocol Protocol   `yaml:"protocol"`
	Real     Text       `yaml:"real" doc:"Shell command that listens on the port when the lab is started with --real."`
	Run      Text       `yaml:"run" doc:"Shell command that always listens on the port."`
	Origin   emu.Origin `yaml:"-"`
}

// Deployment is a package of roles in a slot of a cloud service.
type Deployment struct {
	Definition    Reference       `yaml:"definition" jsonschema:"required" doc:"Path of the service definition (.csdef), relative to this file."`
	Configuration Reference       `yaml:"configuration" jsonschema:"required" doc:"Path of the service configuration (.cscfg), relative to this file."`
	Roles         map[string]Role `yaml:"roles" doc:"What the package would have contained, by the name of the role."`
	Origin        emu.Origin      `yaml:"-"`
}

// Role is what the package contains for a role: the definition and the configuration don't say it.
type Role struct {
	Firewall *Firewall  `yaml:"firewall"`
	Services []Service  `yaml:"services"`
	Origin   emu.Origin `yaml:"-"`
}

// WebSite is an item of webSites.
type WebSite struct {
	Name     Text          `yaml:"name" jsonschema:"required" pattern:"dns"`
	Location Location      `yaml:"location" jsonschema:"required"`
	Services []HostService `yaml:"services" doc:"Without any, a listener on port 80."`
	Origin   emu.Origin    `yaml:"-"`
}

// InternetHost is an item of internetHosts.
type InternetHost struct {
	Name     Text          `yaml:"name" jsonschema:"required" pattern:"machine"`
	Address  Address       `yaml:"address" doc:"In 203.0.113.0/24 or its kin; without it the lowest free one."`
	Services []HostService `yaml:"services"`
	Origin   emu.Origin    `yaml:"-"`
}

// Expectation is an item of expect. At least one of verdict, seenAs, answeredBy and http says what is expected; the last three
// expect the verdict open.
type Expectation struct {
	Name       Text       `yaml:"name" doc:"What the expectation is called in results."`
	From       Text       `yaml:"from" jsonschema:"required" doc:"Instance, internet host or web site where the connection starts."`
	To         Reference  `yaml:"to" jsonschema:"required" doc:"NAME:PORT, with /udp for UDP. NAME is an instance, an internet host, a web site, a DNS name or an address."`
	Verdict    Verdict    `yaml:"verdict"`
	SeenAs     Text       `yaml:"seenAs" doc:"Whose address the other side sees: an instance, internet host or web site, or a DNS name for its VIP."`
	AnsweredBy []Text     `yaml:"answeredBy" jsonschema:"minItems=1" doc:"Each of these must answer at least once."`
	HTTP       *HTTP      `yaml:"http"`
	Real       *bool      `yaml:"real" doc:"true: checked with --real only; false: without it only."`
	Origin     emu.Origin `yaml:"-"`
}

// HTTP is what an HTTP GET must give.
type HTTP struct {
	Path     HTTPPath   `yaml:"path"`
	Status   HTTPStatus `yaml:"status"`
	Contains Text       `yaml:"contains" doc:"Text that must be in the body."`
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
