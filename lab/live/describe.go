package live

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/emu/process"
	"vnetlab/lab"
)

// describer puts a lab in words.
type describer struct {
	*state
	services map[string][]emu.ServiceStatus // by namespace
	health   map[string]*emu.HealthState    // by probe
}

// summary describes the lab in short.
func (s *server) summary() Summary {
	now := s.now()
	sum := Summary{
		Name: now.lab.Name, File: now.file.Path, Real: s.start.Real, PID: s.start.HostPID, Started: s.began,
		Instances: len(now.lab.Instances()), Namespaces: len(now.network().Namespaces), Links: len(now.network().Links),
	}
	for _, m := range now.lab.Members() {
		sum.Services += len(m.Services())
	}
	return sum
}

func (s *server) describer() describer {
	d := describer{s.now(), map[string][]emu.ServiceStatus{}, map[string]*emu.HealthState{}}
	for _, status := range s.emu.Services() {
		d.services[status.Namespace] = append(d.services[status.Namespace], status)
	}
	for _, h := range s.emu.Health() {
		d.health[h.ID] = &h
	}
	return d
}

func (s *server) emptyInfo() Info {
	return Info{
		Summary: s.summary(), Unbounded: process.Unbounded(), AffinityGroups: []AffinityGroupInfo{}, ReservedIPs: []ReservedIPInfo{},
		VirtualNetworks: []VirtualNetworkInfo{}, CloudServices: []CloudServiceInfo{}, WebSites: []HostInfo{}, InternetHosts: []HostInfo{},
		LocalNetworks: []LocalNetworkInfo{},
	}
}

// about describes the cloud services that a name may be of, or of a part of: those of that name, and those with an instance of that name.
func (s *server) about(name string) Info {
	d, info := s.describer(), s.emptyInfo()
	m, known := d.lab.Find(name)
	outsider := known && m.Instance == nil // whose name means it alone
	for _, c := range d.lab.CloudServices {
		of := c.Name == name || c.DNSName() == name || strings.HasPrefix(name, c.Name+".")
		for _, deployment := range c.Deployments() {
			of = of || slices.ContainsFunc(deployment.Instances, func(i *lab.Instance) bool {
				return !outsider && lab.GoesBy(name, c.Name, c.SlotOf(deployment), i.Name)
			})
		}
		if of {
			info.CloudServices = append(info.CloudServices, d.cloudService(c))
		}
	}
	return info
}

// info describes the lab in full.
func (s *server) info() Info {
	d, info := s.describer(), s.emptyInfo()
	for _, g := range d.lab.AffinityGroups {
		info.AffinityGroups = append(info.AffinityGroups, AffinityGroupInfo{g.Name, g.Location})
	}
	for _, r := range d.lab.ReservedIPs {
		reserved := ReservedIPInfo{Name: r.Name, Location: r.Location, Address: r.Address}
		if user := d.lab.UsedBy(r); user != nil {
			reserved.CloudService, reserved.Deployment = user.Service, user.Name
		}
		info.ReservedIPs = append(info.ReservedIPs, reserved)
	}
	for _, v := range d.lab.VirtualNetworks {
		n := VirtualNetworkInfo{
			Name: v.Name, AffinityGroup: v.AffinityGroup, Location: d.lab.LocationOf(v.AffinityGroup, v.Location), AddressSpace: v.AddressSpace,
			Subnets: []SubnetInfo{}, DNSServers: []netip.Addr{},
		}
		for _, s := range v.DNSServers {
			n.DNSServers, n.DNSServerNames = append(n.DNSServers, s.Address), append(n.DNSServerNames, s.Name)
		}
		if g := v.Gateway; g != nil {
			n.Gateway = &GatewayInfo{g.Address, g.Names(), []PeerInfo{}, g.ClientAddressPool, g.Profile}
			for _, c := range g.Connections {
				n.Gateway.Peers = append(n.Gateway.Peers, PeerInfo{c.Name, c.To, c.Dedicated})
			}
		}
		for _, sub := range v.Subnets {
			n.Subnets = append(n.Subnets, SubnetInfo{sub.Name, sub.AddressPrefix})
		}
		info.VirtualNetworks = append(info.VirtualNetworks, n)
	}
	for _, c := range d.lab.CloudServices {
		info.CloudServices = append(info.CloudServices, d.cloudService(c))
	}
	for _, site := range d.lab.WebSites {
		h := d.host(lab.Member{WebSite: site})
		h.DNSName, h.Location = site.DNSName(), site.Location
		info.WebSites = append(info.WebSites, h)
	}
	for _, h := range d.lab.Internet() {
		info.InternetHosts = append(info.InternetHosts, d.host(lab.Member{InternetHost: h}))
	}
	for _, n := range d.lab.LocalNetworks {
		site := LocalNetworkInfo{n.Name, n.AddressSpace, n.VPNGatewayAddress, n.Address, []HostInfo{}}
		for _, h := range n.Hosts {
			site.Hosts = append(site.Hosts, d.host(lab.Member{LocalHost: h}))
		}
		info.LocalNetworks = append(info.LocalNetworks, site)
	}
	for _, n := range d.network().Namespaces {
		if n.Kind == emu.Router {
			info.Fabric = append(info.Fabric, n.Name)
		}
	}
	slices.Sort(info.Fabric)
	return info
}

func (d describer) cloudService(c *lab.CloudService) CloudServiceInfo {
	info := CloudServiceInfo{
		Name: c.Name, DNSName: c.DNSName(), Description: c.Description, AffinityGroup: c.AffinityGroup,
		Location: d.lab.LocationOf(c.AffinityGroup, c.Location), VirtualNetwork: c.VirtualNetwork,
		Endpoints: []EndpointInfo{}, Instances: []HostInfo{}, Deployments: []DeploymentInfo{},
	}
	for _, deployment := range c.Deployments() {
		one := d.deployment(c, deployment)
		info.Deployments = append(info.Deployments, one)
		if deployment == c.Production {
			info.VIP, info.Kind, info.VirtualNetwork = one.VIP, one.Kind, one.VirtualNetwork
			info.Endpoints, info.Instances = one.Endpoints, one.Instances
		}
	}
	return info
}

func (d describer) deployment(c *lab.CloudService, of *lab.Deployment) DeploymentInfo {
	info := DeploymentInfo{
		Slot: c.SlotOf(of), Name: of.Name, PrivateID: of.PrivateID, DNSName: c.NameOf(of), Kind: string(of.Kind), VIP: of.VIP,
		ReservedIP: of.ReservedIP, VirtualNetwork: of.VirtualNetwork, Roles: []RoleInfo{}, Endpoints: []EndpointInfo{}, Instances: []HostInfo{},
	}
	if b := of.InternalLoadBalancer; b != nil {
		info.InternalLoadBalancer = &InternalLoadBalancerInfo{b.Name, b.Subnet, b.Address}
	}
	for _, r := range of.Roles {
		role := RoleInfo{Name: r.Name, InternalEndpoints: []InternalEndpointInfo{}}
		for _, i := range of.Instances {
			if i.Role == r.Name {
				role.Instances++
			}
		}
		for _, e := range r.InternalEndpoints {
			role.InternalEndpoints = append(role.InternalEndpoints, InternalEndpointInfo{
				e.Name, cmp.Or(e.Protocol, "any"), e.Ports.First, e.Ports.Last, e.FromRoles,
			})
		}
		info.Roles = append(info.Roles, role)
	}
	for _, f := range frontends(of) {
		info.Endpoints = append(info.Endpoints, d.endpoint(f))
	}
	for _, i := range of.Instances {
		h := d.host(lab.Member{Instance: i})
		h.Deployment, h.Slot, h.DNSName = of.Name, info.Slot, c.PublicNameOf(of, i)
		info.Instances = append(info.Instances, h)
	}
	return info
}

// frontends lists the public ports of a deployment, also while nothing of it is allocated: then they are there, without an address.
func frontends(of *lab.Deployment) []lab.Frontend {
	if of.VIP.IsValid() {
		return of.Frontends()
	}
	allocated := *of
	allocated.VIP = netip.IPv4Unspecified()
	all := allocated.Frontends()
	for i := range all {
		if !all[i].Internal() {
			all[i].Address = netip.Addr{}
		}
	}
	return all
}

func (d describer) endpoint(f lab.Frontend) EndpointInfo {
	e := EndpointInfo{
		Name: f.Name, Protocol: f.Protocol, Address: f.Address, Internal: f.Internal(), PublicPort: f.PublicPort, Instances: []string{},
		Members: []MemberInfo{}, Distribution: f.Distribution, IdleTimeoutInMinutes: f.IdleTimeoutInMinutes, DirectServerReturn: f.DirectServerReturn,
		ACL: []ACLRuleInfo{},
	}
	for _, b := range f.Members {
		e.LocalPort = b.LocalPort
		name := d.lab.InstanceName(b.Instance)
		e.Instances = append(e.Instances, name)
		e.Members = append(e.Members, MemberInfo{name, b.LocalPort, b.Serving, d.health[b.ProbeID]})
	}
	if p := f.Probe; p != nil {
		e.Probe = &ProbeInfo{p.Protocol, p.Port, p.Path, p.IntervalInSeconds, p.TimeoutInSeconds}
	}
	for _, r := range f.ACL {
		action := "deny"
		if r.Permit {
			action = "permit"
		}
		e.ACL = append(e.ACL, ACLRuleInfo{r.Order, action, r.RemoteSubnet, r.Description})
	}
	return e
}

func (d describer) host(m lab.Member) HostInfo {
	h := HostInfo{Name: d.lab.MemberName(m), Address: m.Address(), Services: []emu.ServiceStatus{}}
	for _, s := range d.services[m.ID()] {
		s.Namespace = h.Name
		h.Services = append(h.Services, s)
	}
	h.Boundary = m.Boundary()
	h.Boundary.Limits = process.EffectiveLimits(h.Boundary.Limits)
	i := m.Instance
	if i == nil {
		return h
	}
	h.CloudService, h.HostName, h.Role, h.OS, h.Subnet = i.Service, i.Name, i.Role, i.OS, i.Subnet
	h.Static, h.PublicIP, h.State, h.FirewallOff = i.StaticAddress, i.PublicIP, i.State, i.FirewallOff
	for _, r := range d.lab.FirewallRules(i) {
		added := slices.ContainsFunc(i.Firewall, func(own lab.GuestFirewallRule) bool { return own.Name == r.Name && own.Text == r.Text })
		h.Firewall = append(h.Firewall, FirewallRuleInfo{r.Name, r.Text, r.String(), r.Inactive, r.Note, added})
	}
	for _, e := range i.Endpoints {
		h.Endpoints = append(h.Endpoints, InstanceEndpointInfo{e.Name, e.Protocol, e.PublicPort, e.LocalPort, e.LoadBalancedSet})
	}
	return h
}
