package csdef

import (
	"regexp"
	"strconv"

	"vnetlab/emu"
	"vnetlab/lab/limits"
	"vnetlab/lab/strictxml"
)

// Read reads a service definition. The error is of type strictxml.Errors and has all problems of the file.
func Read(file string, data []byte) (*Definition, error) {
	doc, err := strictxml.Read(file, data, schema)
	if err != nil {
		return nil, err
	}
	root := doc.Root
	d := &Definition{
		Name:                    root.Get("name"),
		TopologyChangeDiscovery: root.OneOf("topologyChangeDiscovery", "", "Blast", "UpgradeDomainWalk"),
		UpgradeDomainCount:      root.Int("upgradeDomainCount", 1, MaxUpgradeDomains, 5),
		SchemaVersion:           root.Get("schemaVersion"),
		Origin:                  root.Origin,
	}
	for _, e := range root.Child("LoadBalancerProbes").All("LoadBalancerProbe") {
		d.LoadBalancerProbes = append(d.LoadBalancerProbes, readProbe(e))
	}
	for _, e := range root.Children {
		if e.Name == string(Web) || e.Name == string(Worker) {
			d.Roles = append(d.Roles, readRole(e))
		}
	}
	for _, rules := range root.All("NetworkTrafficRules") {
		for _, e := range rules.All("OnlyAllowTrafficTo") {
			d.NetworkTrafficRules = append(d.NetworkTrafficRules, readTrafficRule(e))
		}
	}
	d.check(root)
	if err := doc.Err(); err != nil {
		return nil, err
	}
	d.note(root)
	return d, nil
}

// seconds reads a number of seconds in a range of the platform.
func seconds(e *strictxml.Element, attribute string, r limits.Range, otherwise int) int {
	return e.Int(attribute, r.Minimum, r.Maximum, otherwise)
}

func readProbe(e *strictxml.Element) LoadBalancerProbe {
	p := LoadBalancerProbe{
		Name:              e.Get("name"),
		Protocol:          e.OneOf("protocol", "", "http", "tcp"),
		Path:              e.Get("path"),
		Port:              e.Port("port"),
		IntervalInSeconds: seconds(e, "intervalInSeconds", limits.ProbeInterval, limits.DefaultProbeInterval),
		TimeoutInSeconds:  seconds(e, "timeoutInSeconds", limits.ProbeTimeout, limits.DefaultProbeTimeout),
		Origin:            e.Origin,
	}
	switch {
	case p.Protocol == "http" && p.Path == "":
		e.Fail("probe %.60q has the protocol http and needs a path", p.Name)
	case p.Protocol == "tcp" && p.Path != "":
		e.FailAt("path", "probe %.60q has the protocol tcp and can't have a path", p.Name)
	}
	return p
}

func readTrafficRule(e *strictxml.Element) NetworkTrafficRule {
	r := NetworkTrafficRule{AllowAllTraffic: e.Child("AllowAllTraffic") != nil, Origin: e.Origin}
	for _, d := range e.Child("Destinations").All("RoleEndpoint") {
		r.Destinations = append(r.Destinations, RoleEndpoint{
			Role: d.Get("roleName"), Endpoint: d.Get("endpointName"),
			Origin: d.Origin,
		})
	}
	source := e.Child("WhenSource")
	if source != nil {
		source.OneOf("matches", "", "AnyRule")
	}
	r.FromRoles = names(source.All("FromRole"), "roleName")
	if !r.AllowAllTraffic && source == nil {
		e.Fail("<OnlyAllowTrafficTo> needs <AllowAllTraffic> or <WhenSource>")
	}
	return r
}

func names(elements []*strictxml.Element, attribute string) []Named {
	var all []Named
	for _, e := range elements {
		all = append(all, Named{e.Get(attribute), e.Origin})
	}
	return all
}

var vmSize = regexp.MustCompile(`^(ExtraSmall|Small|Medium|Large|ExtraLarge|A[0-9]+|Standard_[A-Za-z0-9_]+)$`)

func readRole(e *strictxml.Element) Role {
	r := Role{
		Kind:                  RoleKind(e.Name),
		Name:                  e.Get("name"),
		VMSize:                e.Get("vmsize"),
		ConfigurationSettings: names(e.Child("ConfigurationSettings").All("Setting"), "name"),
		Certificates:          names(e.Child("Certificates").All("Certificate"), "name"),
		Imports:               names(e.Child("Imports").All("Import"), "moduleName"),
		LocalStorage: names(append(e.Child("LocalResources").All("LocalStorage"), e.All("LocalStorage")...),
			"name"),
		HasSites: e.Child("Sites").Child("Site") != nil,
		Origin:   e.Origin,
	}
	if r.VMSize == "" {
		r.VMSize = "Small"
	} else if !vmSize.MatchString(r.VMSize) {
		e.FailAt("vmsize", "vmsize is %.40q, expected ExtraSmall, Small, Medium, Large, ExtraLarge or a size such "+
			"as A5", r.VMSize)
	}
	e.Bool("enableNativeCodeExecution", true)
	for _, i := range endpointsOf(e, "InputEndpoint") {
		r.InputEndpoints = append(r.InputEndpoints, readInputEndpoint(i))
	}
	for _, i := range endpointsOf(e, "InternalEndpoint") {
		r.InternalEndpoints = append(r.InternalEndpoints, readInternalEndpoint(i))
	}
	for _, i := range endpointsOf(e, "InstanceInputEndpoint") {
		r.InstanceInputEndpoints = append(r.InstanceInputEndpoints, InstanceInputEndpoint{
			Name:        i.Get("name"),
			Protocol:    emu.Protocol(i.OneOf("protocol", "", "tcp", "udp")),
			LocalPort:   readFreePort(i, "localPort"),
			PublicPorts: readPortRange(i.Child("AllocatePublicPortFrom").Child("FixedPortRange")),
			Origin:      i.Origin,
		})
	}
	r.addPlugins()
	readSoftware(e, &r)
	return r
}

// readSoftware reads the programs and web sites of a role.
func readSoftware(e *strictxml.Element, r *Role) {
	for _, s := range e.Child("Sites").All("Site") {
		site := Site{Name: s.Get("name"), Origin: s.Origin}
		for _, b := range s.Child("Bindings").All("Binding") {
			site.Bindings = append(site.Bindings, Binding{
				b.Get("name"), b.Get("endpointName"), b.Get("hostHeader"),
				b.Origin,
			})
		}
		r.Sites = append(r.Sites, site)
	}
	for _, t := range e.Child("Startup").All("Task") {
		r.StartupTasks = append(r.StartupTasks, Task{
			CommandLine:      t.Get("commandLine"),
			ExecutionContext: t.OneOf("executionContext", "limited", "limited", "elevated"),
			TaskType:         t.OneOf("taskType", "simple", "simple", "foreground", "background"),
			Origin:           t.Origin,
		})
	}
	if runtime := e.Child("Runtime"); runtime != nil {
		runtime.OneOf("executionContext", "limited", "limited", "elevated")
		if program := runtime.Child("EntryPoint").Child("ProgramEntryPoint"); program != nil {
			program.Bool("setReadyOnProcessStart", false)
		}
	}
	for _, l := range append(e.Child("LocalResources").All("LocalStorage"), e.All("LocalStorage")...) {
		l.Bool("cleanOnRoleRecycle", true)
		l.Int("sizeInMB", 1, 1<<30, 100)
	}
	for _, c := range e.Child("Certificates").All("Certificate") {
		c.OneOf("storeLocation", "", "LocalMachine", "CurrentUser")
		c.OneOf("permissionLevel", "", "limitedOrElevated", "elevated")
	}
}

func readInputEndpoint(e *strictxml.Element) InputEndpoint {
	i := InputEndpoint{
		Name:                     e.Get("name"),
		Protocol:                 e.OneOf("protocol", "", "http", "https", "tcp", "udp"),
		Port:                     e.Port("port"),
		Certificate:              e.Get("certificate"),
		IgnoreRoleInstanceStatus: e.Bool("ignoreRoleInstanceStatus", false),
		LoadBalancerProbe:        e.Get("loadBalancerProbe"),
		IdleTimeoutInMinutes: e.Int(
			"idleTimeoutInMinutes",
			limits.IdleTimeout.Minimum,
			limits.IdleTimeout.Maximum,
			0,
		),
		LoadBalancerDistribution: e.OneOf("loadBalancerDistribution", "none", "none", "sourceIP", "sourceIPProtocol"),
		LoadBalancer:             e.Get("loadBalancer"),
		Origin:                   e.Origin,
	}
	switch e.Get("localPort") {
	case "":
		i.LocalPort = i.Port
	case automatic:
		i.AutomaticLocalPort = true
	default:
		i.LocalPort = readFreePort(e, "localPort")
	}
	if i.Protocol == "https" && i.Certificate == "" {
		e.Fail("endpoint %.60q has the protocol https and needs a certificate", i.Name)
	}
	return i
}

// automatic means a port that the platform chooses.
const automatic = "*"

// readFreePort reads a port number; 0 without one, or if the platform chooses it.
func readFreePort(e *strictxml.Element, attribute string) uint16 {
	text := e.Get(attribute)
	if text == "" || text == automatic {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		e.FailAt(attribute, "%s is %.40q, expected a number from 1 to 65535 or %s", attribute, text, automatic)
	}
	return uint16(n)
}

func readInternalEndpoint(e *strictxml.Element) InternalEndpoint {
	i := InternalEndpoint{
		Name:     e.Get("name"),
		Protocol: e.OneOf("protocol", "", "http", "tcp", "udp", "any"),
		Port:     readFreePort(e, "port"),
		Origin:   e.Origin,
	}
	fixed, ports := e.Child("FixedPort"), e.Child("FixedPortRange")
	switch {
	case fixed != nil && ports != nil:
		ports.Fail("endpoint %.60q has both <FixedPort> and <FixedPortRange>", i.Name)
	case fixed != nil:
		port := fixed.Port("port")
		i.FixedPorts = emu.PortRange{First: port, Last: port}
	case ports != nil:
		i.FixedPorts = readPortRange(ports)
	}
	return i
}

func readPortRange(e *strictxml.Element) emu.PortRange {
	if e == nil {
		return emu.PortRange{}
	}
	r := emu.PortRange{First: e.Port("min"), Last: e.Port("max")}
	if r.First > r.Last && r.Last != 0 {
		e.FailAt("max", "the range of ports from %d to %d is reversed", r.First, r.Last)
	}
	return r
}
