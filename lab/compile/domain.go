package compile

import (
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
)

// domain is an isolation domain: a virtual network, or a cloud service with deployments outside any.
type domain struct {
	name        string // lab.Deployment.Domain
	port        string // of the datacenter
	location    string
	origin      emu.Origin
	network     *lab.VirtualNetwork // nil: none
	deployments []*deploymentPart
	peers       []string // what the virtual network's gateway joins it to
}

func (d domain) equal(o domain) bool {
	return d.name == o.name && d.port == o.port && d.location == o.location && d.origin == o.origin && d.network == o.network &&
		slices.Equal(d.deployments, o.deployments) && slices.Equal(d.peers, o.peers)
}

// space is what is inside.
func (d domain) space() []netip.Prefix {
	if d.network != nil {
		return d.network.AddressSpace
	}
	var all []netip.Prefix
	for _, p := range d.deployments {
		all = append(all, p.deployment.Block)
	}
	return all
}

// subnets lists the subnets of all deployments.
func (d domain) subnets() []subnet {
	if d.network != nil {
		return subnetsOf(d.network, nil)
	}
	var all []subnet
	for _, p := range d.deployments {
		all = append(all, subnetsOf(nil, p.deployment)...)
	}
	return all
}

// gateway is the public address of the virtual network's gateway; zero: none.
func (d domain) gateway() netip.Addr {
	if d.network == nil || d.network.Gateway == nil {
		return netip.Addr{}
	}
	return d.network.Gateway.Address
}

// domainPart is a domain with its edge: the bridges, the load balancer and the boundary.
type domainPart struct {
	domain

	outside   *outside
	edge      *emu.Namespace
	neighbors []emu.Neighbor // of the edge, on its bridges
	links     []*emu.Link    // but for those of the instances
}

// rules of the edge.
func (p *domainPart) rules() *emu.Ruleset { return p.edge.Ruleset }

// domains makes the isolation domains with all that is in them: virtual networks first, each in the order of creation.
func (b *builder) domains() []*domainPart {
	l := b.lab
	networks := make([]domain, len(l.VirtualNetworks))
	at := make(map[string]int, len(networks))
	for i, n := range l.VirtualNetworks {
		networks[i] = domain{name: n.Name, port: n.Name, location: l.LocationOf(n.AffinityGroup, n.Location), origin: n.Origin, network: n, peers: b.peers(n.Name)}
		at[n.Name] = i
	}
	var services []domain
	for _, s := range l.CloudServices {
		own := domain{port: "s." + s.Name, location: l.LocationOf(s.AffinityGroup, s.Location), origin: s.Origin}
		for _, d := range []*lab.Deployment{s.Production, s.Staging} {
			switch {
			case d == nil:
			case d.VirtualNetwork != "":
				in := &networks[at[d.VirtualNetwork]]
				in.deployments = append(in.deployments, b.deployment(d, in.network))
			default:
				own.name = d.Domain()
				own.deployments = append(own.deployments, b.deployment(d, nil))
			}
		}
		if len(own.deployments) > 0 {
			// A swap is no other order.
			slices.SortFunc(own.deployments, func(a, b *deploymentPart) int { return a.deployment.Block.Addr().Compare(b.deployment.Block.Addr()) })
			services = append(services, own)
		}
	}
	all := make([]*domainPart, 0, len(networks)+len(services))
	for _, d := range slices.Concat(networks, services) {
		p := b.previous.domains[d.name]
		if p == nil || !p.equal(d) {
			p = newDomainPart(d, p)
		}
		b.next.domains[d.name] = p
		all = append(all, p)
	}
	return all
}

func newDomainPart(d domain, old *domainPart) *domainPart {
	edge := &emu.Namespace{
		Name: EdgeName(d.name), Kind: emu.Router, Origin: d.origin, Loopback: []netip.Addr{lab.PlatformResolver},
		DNS: &emu.NameServer{Addresses: []netip.Addr{lab.PlatformResolver}},
	}
	p := &domainPart{domain: d, edge: edge, outside: &outside{port: d.port, edge: edge.Name}}
	p.neighbors = join(d, old, func(p *deploymentPart) []emu.Neighbor { return p.neighbors }, func(o *domainPart) []emu.Neighbor { return o.neighbors })
	edge.Neighbors = slices.Clip(p.neighbors)
	if gateway := d.gateway(); gateway.IsValid() {
		edge.Loopback = append(edge.Loopback, gateway)
		p.outside.public = append(p.outside.public, gateway)
	}
	leaves := map[string]map[int][]emu.MAC{} // the stations behind each leaf bridge, by the subnet's bridge
	for _, deployment := range d.deployments {
		p.outside.public = append(p.outside.public, deployment.edge.public...)
		edge.HealthProbes = append(edge.HealthProbes, deployment.edge.probes...)
		if deployment.names != nil {
			edge.DNS.Views = append(edge.DNS.Views, deployment.names)
		}
		for _, h := range deployment.hosts {
			bridge, address := h.subnet.bridge, h.instance.DIP
			if h.direct.IsValid() {
				edge.Routes = append(edge.Routes, emu.Route{Destination: single(h.direct), Gateway: address, Device: bridge})
			}
			if h.leaf > 0 {
				if leaves[bridge] == nil {
					leaves[bridge] = map[int][]emu.MAC{}
				}
				leaves[bridge][h.leaf] = append(leaves[bridge][h.leaf], emu.MACOf(address))
			}
		}
	}
	for _, s := range d.subnets() {
		var balancers []netip.Prefix // their addresses are on the bridge, so that the edge answers for them
		for _, deployment := range d.deployments {
			if ilb := deployment.deployment.InternalLoadBalancer; ilb != nil && s.prefix.Contains(ilb.Address) {
				balancers = append(balancers, single(ilb.Address))
			}
		}
		p.links = append(p.links, s.join(edge, balancers, leaves[s.bridge])...)
	}
	edge.Ruleset = edgeRules(d, old)
	if old != nil && old.outside.equal(p.outside) {
		p.outside = old.outside
	}
	p.links = append(p.links, p.outside.connect(d.location, edge))
	return p
}
