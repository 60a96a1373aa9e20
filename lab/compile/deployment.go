package compile

import (
	"net/netip"
	"reflect"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/rules"
)

// deploymentPart is what a deployment brings into its isolation domain: its instances, and its part of the edge.
type deploymentPart struct {
	deployment *lab.Deployment
	network    *lab.VirtualNetwork // nil: none

	hosts      []host
	namespaces []*emu.Namespace // of the hosts, in their order
	links      []*emu.Link
	edge       *edgeShare
	remotes    []lab.AddressRange // that its rules name, see [lab.Deployment.RemoteRanges]
}

// host is a running instance.
type host struct {
	instance *lab.Instance
	balanced bool       // by an internal load balancer
	direct   netip.Addr // the VIP, where the instance answers as that itself

	namespace *emu.Namespace
	link      *emu.Link
	subnet    subnet
	leaf      int // of the subnet; 0: its own bridge
}

func newDeploymentPart(d *lab.Deployment, network *lab.VirtualNetwork, old *deploymentPart) *deploymentPart {
	p := &deploymentPart{deployment: d, network: network, remotes: d.RemoteRanges()}
	frontends := d.Frontends()
	balanced := internallyBalanced(frontends)
	subnets := subnetsOf(network, d)
	env := newEnvironment(d)
	var known []host
	if old != nil && p.surroundsLike(old) {
		known = old.hosts
	}
	for _, i := range d.Running() {
		in := subnets[slices.IndexFunc(subnets, func(s subnet) bool { return s.prefix.Contains(i.DIP) })]
		h := host{instance: i, balanced: balanced[i], subnet: in, leaf: lab.Offset(in.prefix, i.DIP) / leafSize}
		h.direct, _ = d.DirectReturnAddress(i)
		at := slices.IndexFunc(known, func(k host) bool { return k.instance == i })
		if at >= 0 && known[at].same(h) {
			h = known[at]
			known = known[at+1:]
		} else {
			p.furnish(&h, env)
		}
		p.hosts = append(p.hosts, h)
		p.namespaces, p.links = append(p.namespaces, h.namespace), append(p.links, h.link)
	}
	p.edge = newEdgeShare(d, frontends, p.hosts)
	if old != nil {
		if reflect.DeepEqual(p.edge, old.edge) {
			p.edge = old.edge
		} else {
			p.edge.keep(old.edge)
		}
	}
	return p
}

// same says whether two hosts with the same surroundings are one.
func (h host) same(o host) bool {
	return h.instance == o.instance && h.balanced == o.balanced && h.direct == o.direct && h.subnet == o.subnet &&
		h.leaf == o.leaf
}

// surroundsLike says whether instances have the same surroundings in another part.
func (p *deploymentPart) surroundsLike(old *deploymentPart) bool {
	internal := func(i *lab.Instance) bool { return len(i.InternalEndpoints) > 0 }
	a, b := p.deployment, old.deployment
	return a.Domain() == b.Domain() && slices.Equal(p.nameServers(), old.nameServers()) &&
		// Internal endpoints are in the guest firewalls and the environments of all.
		(slices.Equal(a.Instances, b.Instances) || !slices.ContainsFunc(a.Instances, internal) && !slices.ContainsFunc(b.Instances, internal))
}

// nameServers are those that instances ask.
func (p *deploymentPart) nameServers() []netip.Addr {
	switch {
	case len(p.deployment.DNSServers) > 0:
		return p.deployment.DNSServers
	case p.network != nil && len(p.network.DNSServers) > 0:
		servers := make([]netip.Addr, len(p.network.DNSServers))
		for i, s := range p.network.DNSServers {
			servers[i] = s.Address
		}
		return servers
	}
	return []netip.Addr{lab.PlatformResolver}
}

// furnish makes the namespace of an instance and its link to the edge.
func (p *deploymentPart) furnish(h *host, env *environment) {
	i, d := h.instance, p.deployment
	gateway, mac := lab.Gateway(h.subnet.prefix), emu.MACOf(i.DIP)
	h.namespace = &emu.Namespace{
		Name: i.ID, Hostname: i.Name, Kind: emu.Host, Origin: i.Origin,
		Routes: []emu.Route{defaultRoute(gateway, "eth0", false)},
		// Whatever address it asks from.
		Neighbors: []emu.Neighbor{{Device: "eth0", Address: gateway, MAC: emu.MACOf(gateway)}},
		Hosts:     []emu.NameRecord{{Name: i.Name, Address: i.DIP}},
		Firewall:  guestFirewall(i, d.FirewallRules(i), h.subnet.prefix),
		Resolver:  emu.Resolver{Servers: p.nameServers(), Search: []string{internalDomain(i.Service)}},
		Services:  env.services(i), Boundary: i.Boundary,
	}
	if h.balanced {
		h.namespace.Routes = append(h.namespace.Routes, throughGateway(h.subnet.prefix, gateway)...)
	}
	if h.direct.IsValid() {
		h.namespace.Loopback = []netip.Addr{h.direct}
	}
	port := &emu.BridgePort{Bridge: h.subnet.bridge, Stations: []emu.MAC{mac}, ProxyARP: true}
	if h.leaf > 0 {
		port = &emu.BridgePort{Bridge: h.subnet.leafName(h.leaf), Stations: []emu.MAC{mac}}
	}
	h.link = &emu.Link{
		A: emu.LinkEnd{
			Namespace: rules.EdgeName(d.Domain()),
			Name:      i.DIP.String(),
			MAC:       mac.Variant(bridgePort),
			Port:      port,
		},
		B: emu.LinkEnd{
			Namespace: i.ID,
			Name:      "eth0",
			MAC:       mac,
			Addresses: []netip.Prefix{netip.PrefixFrom(i.DIP, h.subnet.prefix.Bits())},
		},
	}
}

// hostNames are the names that the instances of a deployment have for each other. Instances of other services can't
// look them up, not even in the same virtual network ("Name Resolution for VMs and Role Instances").
func hostNames(d *lab.Deployment) emu.NameView {
	view := emu.NameView{Domain: internalDomain(d.Service)}
	for _, i := range d.Running() {
		view.Clients = append(view.Clients, i.DIP)
		view.Records = append(view.Records, emu.NameRecord{Name: i.Name + "." + view.Domain, Address: i.DIP})
	}
	return view
}

func internalDomain(service string) string { return service + ".internal.cloudapp.net" }

// internallyBalanced has the instances behind internal load balancers.
func internallyBalanced(frontends []lab.Frontend) map[*lab.Instance]bool {
	all := map[*lab.Instance]bool{}
	for _, f := range frontends {
		if !f.Internal() {
			continue
		}
		for _, m := range f.Members {
			all[m.Instance] = true
		}
	}
	return all
}

// throughGateway leads to the instance's own subnet by the gateway: a member of an internal load balancer answers
// clients next to it through the edge, which translated the address they asked for.
func throughGateway(subnet netip.Prefix, gateway netip.Addr) []emu.Route {
	half := subnet.Bits() + 1
	upper := lab.Nth(subnet, 1<<(32-half))
	return []emu.Route{
		{Destination: netip.PrefixFrom(subnet.Masked().Addr(), half), Gateway: gateway, Device: "eth0"},
		{Destination: netip.PrefixFrom(upper, half), Gateway: gateway, Device: "eth0"},
	}
}
