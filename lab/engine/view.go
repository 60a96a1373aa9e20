package engine

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/api"
)

// describer describes a lab as its users see it.
type describer struct {
	*state
	engine   *Engine
	services map[string][]emu.ServiceStatus // by namespace
	health   map[string]*emu.HealthState    // by health probe
}

// api.Summary describes the lab in short.
func (e *Engine) Summary() api.Summary { return e.now().summary(e) }

func (s *state) summary(e *Engine) api.Summary {
	sum := api.Summary{
		Name: s.lab.Name, File: s.file.Path, Real: e.opts.Real, PID: e.opts.PID, Started: e.began,
		Instances: len(s.lab.Instances()), Namespaces: len(s.network().Namespaces), Links: len(s.network().Links),
	}
	for _, m := range s.lab.Members() {
		sum.Services += len(m.Services())
	}
	return sum
}

func (e *Engine) describer() describer {
	d := describer{e.now(), e, map[string][]emu.ServiceStatus{}, map[string]*emu.HealthState{}}
	for _, status := range e.emu.Services() {
		d.services[status.Namespace] = append(d.services[status.Namespace], status)
	}
	for _, h := range e.emu.Health() {
		d.health[h.ID] = &h
	}
	return d
}

func (d describer) empty() api.Lab {
	return api.Lab{
		Summary: d.summary(d.engine), Unbounded: d.engine.emu.Unbounded(),
		AffinityGroups: []api.AffinityGroup{}, ReservedIPs: []api.ReservedIP{}, VirtualNetworks: []api.VirtualNetwork{},
		CloudServices: []api.CloudService{}, WebSites: []api.Host{}, InternetHosts: []api.Host{},
		LocalNetworks: []api.LocalNetwork{},
	}
}

// About describes only the cloud services that a name may belong to: those of that name, and those with an instance of
// that name.
func (e *Engine) About(name string) api.Lab {
	d := e.describer()
	info := d.empty()
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

// View describes the lab in full.
func (e *Engine) View() api.Lab {
	d := e.describer()
	info := d.empty()
	for _, g := range d.lab.AffinityGroups {
		info.AffinityGroups = append(info.AffinityGroups, api.AffinityGroup{Name: g.Name, Location: g.Location})
	}
	for _, r := range d.lab.ReservedIPs {
		reserved := api.ReservedIP{Name: r.Name, Location: r.Location, Address: r.Address}
		if user := d.lab.UsedBy(r); user != nil {
			reserved.CloudService, reserved.Deployment = user.Service, user.Name
		}
		info.ReservedIPs = append(info.ReservedIPs, reserved)
	}
	for _, v := range d.lab.VirtualNetworks {
		n := api.VirtualNetwork{
			Name: v.Name, AffinityGroup: v.AffinityGroup, Location: d.lab.LocationOf(v.AffinityGroup, v.Location),
			AddressSpace: v.AddressSpace, Subnets: []api.Subnet{}, DNSServers: []netip.Addr{},
		}
		for _, s := range v.DNSServers {
			n.DNSServers, n.DNSServerNames = append(n.DNSServers, s.Address), append(n.DNSServerNames, s.Name)
		}
		if g := v.Gateway; g != nil {
			n.Gateway = &api.Gateway{
				Address: g.Address, Connections: g.Names(), Peers: []api.Peer{},
				ClientAddressPool: g.ClientAddressPool, Profile: g.Profile,
			}
			for _, c := range g.Connections {
				n.Gateway.Peers = append(n.Gateway.Peers, api.Peer{Name: c.Name, Kind: c.To, Dedicated: c.Dedicated})
			}
		}
		for _, sub := range v.Subnets {
			n.Subnets = append(n.Subnets, api.Subnet{Name: sub.Name, AddressPrefix: sub.AddressPrefix})
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
		site := api.LocalNetwork{
			Name: n.Name, AddressSpace: n.AddressSpace, VPNGatewayAddress: n.VPNGatewayAddress, Address: n.Address,
			Hosts: []api.Host{},
		}
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

func (d describer) cloudService(c *lab.CloudService) api.CloudService {
	info := api.CloudService{
		Name: c.Name, DNSName: c.DNSName(), Description: c.Description, AffinityGroup: c.AffinityGroup,
		Location: d.lab.LocationOf(c.AffinityGroup, c.Location), VirtualNetwork: c.VirtualNetwork,
		Endpoints: []api.Endpoint{}, Instances: []api.Host{}, Deployments: []api.Deployment{},
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

func (d describer) deployment(c *lab.CloudService, of *lab.Deployment) api.Deployment {
	info := api.Deployment{
		Slot: c.SlotOf(
			of,
		),
		Name:           of.Name,
		PrivateID:      of.PrivateID,
		DNSName:        c.NameOf(of),
		Kind:           string(of.Kind),
		VIP:            of.VIP,
		ReservedIP:     of.ReservedIP,
		VirtualNetwork: of.VirtualNetwork,
		Roles:          []api.Role{},
		Endpoints:      []api.Endpoint{},
		Instances:      []api.Host{},
	}
	if b := of.InternalLoadBalancer; b != nil {
		info.InternalLoadBalancer = &api.InternalLoadBalancer{Name: b.Name, Subnet: b.Subnet, Address: b.Address}
	}
	for _, r := range of.Roles {
		role := api.Role{Name: r.Name, InternalEndpoints: []api.InternalEndpoint{}}
		for _, i := range of.Instances {
			if i.Role == r.Name {
				role.Instances++
			}
		}
		for _, e := range r.InternalEndpoints {
			role.InternalEndpoints = append(role.InternalEndpoints, api.InternalEndpoint{
				Name: e.Name, Protocol: cmp.Or(e.Protocol, "any"), FirstPort: e.Ports.First, LastPort: e.Ports.Last,
				FromRoles: e.FromRoles,
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

// frontends lists the public ports of a deployment, also while nothing of it is allocated: then they are there,
// without an address.
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

func (d describer) endpoint(f lab.Frontend) api.Endpoint {
	e := api.Endpoint{
		Name:                 f.Name,
		Protocol:             f.Protocol,
		Address:              f.Address,
		Internal:             f.Internal(),
		PublicPort:           f.PublicPort,
		Instances:            []string{},
		Members:              []api.Member{},
		Distribution:         f.Distribution,
		IdleTimeoutInMinutes: f.IdleTimeoutInMinutes,
		DirectServerReturn:   f.DirectServerReturn,
		ACL:                  []api.ACLRule{},
	}
	for _, b := range f.Members {
		e.LocalPort = b.LocalPort
		name := d.lab.InstanceName(b.Instance)
		e.Instances = append(e.Instances, name)
		e.Members = append(e.Members, api.Member{
			Instance: name, LocalPort: b.LocalPort, Serving: b.Serving, Health: d.health[b.ProbeID],
		})
	}
	if p := f.Probe; p != nil {
		e.Probe = &api.HealthProbe{
			Protocol: p.Protocol, Port: p.Port, Path: p.Path,
			IntervalInSeconds: p.IntervalInSeconds, TimeoutInSeconds: p.TimeoutInSeconds,
		}
	}
	for _, r := range f.ACL {
		action := "deny"
		if r.Permit {
			action = "permit"
		}
		e.ACL = append(e.ACL, api.ACLRule{
			Order: r.Order, Action: action, RemoteSubnet: r.RemoteSubnet, Description: r.Description,
		})
	}
	return e
}

func (d describer) host(m lab.Member) api.Host {
	h := api.Host{Name: d.lab.MemberName(m), Address: m.Address(), Services: []emu.ServiceStatus{}}
	for _, s := range d.services[m.ID()] {
		s.Namespace = h.Name
		h.Services = append(h.Services, s)
	}
	h.Boundary = m.Boundary()
	h.Boundary.Limits = d.engine.emu.Limits(h.Boundary.Limits)
	i := m.Instance
	if i == nil {
		return h
	}
	h.CloudService, h.HostName, h.Role, h.OS, h.Subnet = i.Service, i.Name, i.Role, i.OS, i.Subnet
	h.Static, h.PublicIP, h.State, h.FirewallOff = i.StaticAddress, i.PublicIP, i.State, i.FirewallOff
	for _, r := range d.lab.FirewallRules(i) {
		added := slices.ContainsFunc(
			i.Firewall,
			func(own lab.GuestFirewallRule) bool { return own.Name == r.Name && own.Text == r.Text },
		)
		h.Firewall = append(h.Firewall, api.FirewallRule{
			Name: r.Name, Text: r.Text, Rule: r.String(), Inactive: r.Inactive, Note: r.Note, Added: added,
		})
	}
	for _, e := range i.Endpoints {
		h.Endpoints = append(h.Endpoints, api.InstanceEndpoint{
			Name: e.Name, Protocol: e.Protocol, PublicPort: e.PublicPort, LocalPort: e.LocalPort,
			LoadBalancedSet: e.LoadBalancedSet,
		})
	}
	return h
}
