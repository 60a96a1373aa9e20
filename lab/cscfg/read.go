package cscfg

import (
	"cmp"
	"fmt"
	"slices"
	"unicode/utf8"

	"vnetlab/emu"
	"vnetlab/lab/limits"
	"vnetlab/lab/strictxml"
)

// gatewaySubnet is the subnet of a virtual network's gateway, in which no instance can be.
const gatewaySubnet = "GatewaySubnet"

// Read reads a service configuration. The error is of type strictxml.Errors and has all problems of the file by
// itself; Check compares it with the service definition.
func Read(file string, data []byte) (*Configuration, error) {
	doc, err := strictxml.Read(file, data, schema)
	if err != nil {
		return nil, err
	}
	root := doc.Root
	c := &Configuration{ServiceName: root.Get("serviceName"), Origin: root.Origin, positions: positions{}}
	c.positions.keep(root, "serviceName")
	if root.Get("osFamily") != "*" {
		root.Int("osFamily", 1, 100, 1)
	}
	roles := root.All("Role")
	strictxml.Unique(roles, "name", "role")
	for _, e := range roles {
		c.Roles = append(c.Roles, c.readRole(e))
	}
	network := root.Child("NetworkConfiguration")
	if network != nil && root.Children[len(root.Children)-1] != network {
		network.Fail("<NetworkConfiguration> must follow the last <Role>")
	}
	c.readAccess(network)
	c.readAddresses(network)
	if err := doc.Err(); err != nil {
		return nil, err
	}
	c.withoutEffect = doc.Notes
	c.note(root, network)
	return c, nil
}

func (c *Configuration) readRole(e *strictxml.Element) Role {
	c.positions.keep(e, "name")
	r := Role{Name: e.Get("name"), VMName: e.Get("vmName"), Origin: e.Origin}
	if utf8.RuneCountInString(r.VMName) > 10 {
		e.FailAt("vmName", "vmName %.60q is longer than 10 characters", r.VMName)
	}
	if i := e.Child("Instances"); i != nil {
		r.InstanceCount = i.Int("count", 1, limits.RoleInstances, 0)
	}
	settings := e.Child("ConfigurationSettings").All("Setting")
	strictxml.Unique(settings, "name", "setting")
	for _, s := range settings {
		r.Settings = append(r.Settings, Setting{s.Get("name"), s.Get("value"), s.Origin})
	}
	strictxml.Unique(e.Child("Certificates").All("Certificate"), "name", "certificate")
	return r
}

func (c *Configuration) readAccess(network *strictxml.Element) {
	controls := network.Child("AccessControls").All("AccessControl")
	strictxml.Unique(controls, "name", "access control")
	for _, e := range controls {
		a := AccessControl{Name: e.Get("name"), Origin: e.Origin}
		rules := e.All("Rule")
		if len(rules) > limits.ACLRules {
			rules[limits.ACLRules].Fail(
				"access control %.60q has %d rules, an endpoint can have %d",
				a.Name,
				len(rules),
				limits.ACLRules,
			)
		}
		strictxml.Unique(rules, "order", "order")
		for _, r := range rules {
			a.Rules = append(a.Rules, readRule(r))
		}
		slices.SortStableFunc(a.Rules, func(x, y Rule) int { return cmp.Compare(x.Order, y.Order) })
		c.AccessControls = append(c.AccessControls, a)
	}
	bound := map[string]emu.Origin{}
	for _, e := range network.Child("EndpointAcls").All("EndpointAcl") {
		c.positions.keep(e, "role", "endpoint", "accessControl")
		b := EndpointACL{
			Role: e.Get("role"), Endpoint: e.Get("endpoint"), AccessControl: e.Get("accessControl"),
			Origin: e.Origin,
		}
		key := b.Role + "\x00" + b.Endpoint
		if first, ok := bound[key]; ok {
			e.Fail("endpoint %.60q of role %.60q has an access control already", b.Endpoint, b.Role).
				WithHint("the first is at line %d", first.Line)
		} else {
			bound[key] = e.Origin
		}
		c.EndpointACLs = append(c.EndpointACLs, b)
	}
}

func readRule(e *strictxml.Element) Rule {
	r := Rule{
		Order:       e.Int("order", limits.ACLOrder.Minimum, limits.ACLOrder.Maximum, 0),
		Permit:      e.OneOf("action", "", "permit", "deny") == "permit",
		Description: e.Get("description"),
		Origin:      e.Origin,
	}
	if text := e.Get("remoteSubnet"); text != "" {
		var ok bool
		if r.RemoteSubnet, ok = strictxml.ParsePrefix(text); !ok {
			e.FailAt("remoteSubnet", "remoteSubnet is %.60q, expected an IPv4 prefix such as 203.0.113.0/24", text)
			return r
		}
		e.ReadAs(e.At("remoteSubnet"), "remoteSubnet", text, r.RemoteSubnet)
	}
	return r
}

func (c *Configuration) readAddresses(network *strictxml.Element) {
	servers := network.Child("Dns").Child("DnsServers").All("DnsServer")
	strictxml.Unique(servers, "name", "DNS server")
	for _, e := range servers {
		c.DNSServers = append(c.DNSServers, DNSServer{
			Name: e.Get("name"), Address: e.Address("IPAddress"),
			Origin: e.Origin,
		})
	}
	if e := network.Child("VirtualNetworkSite"); e != nil {
		c.VirtualNetworkSite = &Named{e.Get("name"), e.Origin}
	}
	assignments := network.Child("AddressAssignments")
	instances := assignments.All("InstanceAddress")
	strictxml.Unique(instances, "roleName", "the address of role")
	for _, e := range instances {
		c.InstanceAddresses = append(c.InstanceAddresses, c.readInstanceAddress(e))
	}
	c.ReservedIPs = names(assignments.Child("ReservedIPs").All("ReservedIP"))
	balancers := network.Child("LoadBalancers").All("LoadBalancer")
	strictxml.Unique(balancers, "name", "load balancer")
	if len(balancers) > 1 {
		balancers[1].Fail("a deployment can have one internal load balancer only").
			WithHint("the first is at line %d", balancers[0].Origin.Line)
	}
	for _, e := range balancers {
		b := LoadBalancer{Name: e.Get("name"), Origin: e.Origin}
		if f := e.Child("FrontendIPConfiguration"); f != nil {
			f.OneOf("type", "", "private")
			b.Subnet, b.StaticAddress = f.Get("subnet"), f.Address("staticVirtualNetworkIPAddress")
		}
		c.LoadBalancers = append(c.LoadBalancers, b)
	}
}

func (c *Configuration) readInstanceAddress(e *strictxml.Element) InstanceAddress {
	c.positions.keep(e, "roleName")
	a := InstanceAddress{Role: e.Get("roleName"), Origin: e.Origin}
	subnets := e.Child("Subnets")
	strictxml.Unique(subnets.All("Subnet"), "name", "subnet")
	a.Subnets = names(subnets.All("Subnet"))
	for _, s := range subnets.All("Subnet") {
		if s.Get("name") == gatewaySubnet {
			s.FailAt("name", "no instance can be in the subnet %s", gatewaySubnet).
				WithHint("it belongs to the gateway of the virtual network")
		}
	}
	for _, p := range e.Child("PublicIPs").All("PublicIP") {
		p.Int("idleTimeoutInMinutes", limits.IdleTimeout.Minimum, limits.IdleTimeout.Maximum, limits.DefaultIdleTimeout)
		a.PublicIPs = append(a.PublicIPs, PublicIP{p.Get("name"), p.Get("domainNameLabel"), p.Origin})
	}
	switch {
	case len(a.Subnets) > 0 && c.VirtualNetworkSite == nil:
		subnets.Fail("role %.60q has subnets, but the service is in no virtual network", a.Role).
			WithHint(`add <VirtualNetworkSite name="..."/>`)
	case len(a.Subnets) == 0 && c.VirtualNetworkSite != nil:
		e.Fail("the address of role %.60q has no <Subnet>", a.Role)
	}
	return a
}

func names(elements []*strictxml.Element) []Named {
	var all []Named
	for _, e := range elements {
		all = append(all, Named{e.Get("name"), e.Origin})
	}
	return all
}

// note adds notes on what has no effect, or a different one than on the platform, and errors for what can't be
// built.
func (c *Configuration) note(root, network *strictxml.Element) {
	without := func(at emu.Origin, format string, args ...any) {
		c.withoutEffect = append(c.withoutEffect, strictxml.Note{
			Origin: at,
			Text:   fmt.Sprintf(format, args...) + " has no effect on the network",
		})
	}
	differs := func(at emu.Origin, format string, args ...any) {
		c.withoutEffect = append(c.withoutEffect, strictxml.Note{
			Origin: at, Text: fmt.Sprintf(format, args...),
			Differs: true,
		})
	}
	cannotBuild := func(at emu.Origin, what, name, kind string) {
		c.unsupported.Add(at, "%s %.60q: this version of vnetlab can't build %s", what, name, kind).
			WithHint("remove it, and the lab is without it")
	}
	for _, a := range []string{"osFamily", "osVersion"} {
		if _, ok := root.Attribute(a); ok {
			without(root.At(a), "%s", a)
		}
	}
	for _, e := range root.All("Role") {
		if vmName := e.Get("vmName"); vmName != "" {
			differs(e.At("vmName"), "vmName %.60q: the instances keep the host names %.60s_IN_0 and so on", vmName,
				e.Get("name"))
		}
		for _, part := range e.Children {
			if part.Name != "Instances" {
				without(part.Origin, "<%s> of role %.60q", part.Name, e.Get("name"))
			}
		}
	}
	assignments := network.Child("AddressAssignments")
	for _, i := range assignments.All("InstanceAddress") {
		if subnets := i.Child("Subnets").All("Subnet"); len(subnets) > 1 {
			differs(subnets[1].Origin, "subnet %.60q: all instances of role %.60q are in its first subnet, %.60q",
				subnets[1].Get("name"), i.Get("roleName"), subnets[0].Get("name"))
		}
		for n, e := range i.Child("PublicIPs").All("PublicIP") {
			if n > 0 {
				cannotBuild(e.Origin, "public IP", e.Get("name"), "several public addresses of an instance")
			}
			if e.Int("idleTimeoutInMinutes", 4, 30, 4) != 4 {
				differs(e.At("idleTimeoutInMinutes"),
					"idleTimeoutInMinutes of public IP %.60q: it is always 4 minutes", e.Get("name"))
			}
		}
	}
	strictxml.SortNotes(c.withoutEffect)
	c.unsupported.Sort()
}
