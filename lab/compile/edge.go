package compile

import (
	"cmp"
	"fmt"
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
	subnets     []subnet
	space       []netip.Prefix // what is inside
	deployments []*lab.Deployment
	running     []*lab.Instance // of all deployments, by their address
	servers     []netip.Addr    // name servers of its own
	gateway     netip.Addr      // public address of the virtual network's gateway; zero: none
	peers       []string        // what the gateway joins it to
	// separate is set where the deployments don't reach each other's instances.
	separate bool
}

type subnet struct {
	name   string
	prefix netip.Prefix
}

// domains lists the isolation domains: virtual networks first, each in the order of creation.
func (b *builder) domains() []domain {
	var all []domain
	l := b.lab
	for _, n := range l.VirtualNetworks {
		d := domain{
			name: n.Name, port: n.Name, location: l.LocationOf(n.AffinityGroup, n.Location), origin: n.Origin,
			space: n.AddressSpace, servers: n.DNSServers,
		}
		if n.Gateway != nil {
			d.gateway, d.peers = n.Gateway.Address, b.peers(n.Name)
		}
		for _, s := range n.Subnets {
			d.subnets = append(d.subnets, subnet{s.Name, s.AddressPrefix})
		}
		for _, deployment := range l.Deployments() {
			if deployment.VirtualNetwork == n.Name {
				d.deployments = append(d.deployments, deployment)
			}
		}
		all = append(all, d)
	}
	for _, s := range l.CloudServices {
		d := domain{port: "s." + s.Name, location: l.LocationOf(s.AffinityGroup, s.Location), origin: s.Origin, separate: true}
		for _, deployment := range s.Deployments() {
			if deployment.VirtualNetwork != "" {
				continue
			}
			d.name = deployment.Domain()
			d.deployments = append(d.deployments, deployment)
			d.subnets = append(d.subnets, subnet{deployment.Name, deployment.Block})
			d.space = append(d.space, deployment.Block)
		}
		if len(d.deployments) > 0 {
			slices.SortFunc(d.deployments, func(a, b *lab.Deployment) int { return a.Block.Addr().Compare(b.Block.Addr()) })
			all = append(all, d)
		}
	}
	for i := range all {
		all[i].running = running(all[i].deployments)
	}
	return all
}

// running lists the running instances of deployments by their address.
func running(deployments []*lab.Deployment) []*lab.Instance {
	var all []*lab.Instance
	for _, deployment := range deployments {
		all = append(all, deployment.Running()...)
	}
	slices.SortFunc(all, func(a, b *lab.Instance) int { return cmp.Or(a.DIP.Compare(b.DIP), cmp.Compare(a.ID, b.ID)) })
	return all
}

// edge makes the namespace of an isolation domain with its bridges, its load balancer and its instances.
func (b *builder) edge(d domain) {
	edge := &emu.Namespace{
		Name: EdgeName(d.name), Kind: emu.Router, Origin: d.origin, Loopback: []netip.Addr{lab.PlatformResolver},
		DNS: &emu.NameServer{Addresses: []netip.Addr{lab.PlatformResolver}},
	}
	var public []netip.Addr
	if d.gateway.IsValid() {
		edge.Loopback = append(edge.Loopback, d.gateway)
		public = append(public, d.gateway)
	}
	for _, deployment := range d.deployments {
		if deployment.VIP.IsValid() {
			public = append(public, deployment.VIP)
		}
		for _, i := range deployment.Running() {
			if i.PublicIP.IsValid() {
				public = append(public, i.PublicIP)
			}
		}
		if view := hostNames(deployment); len(view.Clients) > 0 {
			edge.DNS.Views = append(edge.DNS.Views, view)
		}
	}
	direct, balanced := b.directReturn(d), internallyBalanced(d)
	for _, sub := range d.subnets {
		b.subnet(edge, d, sub, direct, balanced)
	}
	edge.Ruleset = b.edgeRules(d)
	edge.HealthProbes = b.healthProbes(d)
	b.connect(edge, d.location, d.port, public)
	b.add(edge)
}

// hostNames are the names that the instances of a deployment have for each other. Instances of other services can't look them up,
// not even in the same virtual network ("Name Resolution for VMs and Role Instances").
func hostNames(d *lab.Deployment) *emu.NameView {
	view := &emu.NameView{Domain: internalDomain(d.Service)}
	for _, i := range d.Running() {
		view.Clients = append(view.Clients, i.DIP)
		view.Records = append(view.Records, emu.NameRecord{Name: i.Name + "." + view.Domain, Address: i.DIP})
	}
	return view
}

func internalDomain(service string) string { return service + ".internal.cloudapp.net" }

// leafSize is the number of addresses that one bridge carries: adding a port to a bridge costs time for each port it has, and the
// kernel refuses the 1,024th. The first addresses of a subnet are ports of its own bridge; each further block has a leaf bridge
// joined to it, made when the first instance needs it.
const leafSize = 256

// subnet makes a bridge with the instances of the domain that are in the subnet.
func (b *builder) subnet(edge *emu.Namespace, d domain, sub subnet, direct map[*lab.Instance]netip.Addr, balanced map[*lab.Instance]bool) {
	gateway := lab.Gateway(sub.prefix)
	bridge := emu.Bridge{
		Name: interfaceName("br-" + sub.name), MAC: emu.MACOf(gateway), Addresses: []netip.Prefix{netip.PrefixFrom(gateway, sub.prefix.Bits())},
	}
	for _, deployment := range d.deployments {
		// An internal load balancer has its address on the bridge, so that the edge answers for it.
		if ilb := deployment.InternalLoadBalancer; ilb != nil && sub.prefix.Contains(ilb.Address) {
			bridge.Addresses = append(bridge.Addresses, single(ilb.Address))
		}
	}
	leaves := map[int][]emu.MAC{} // the stations behind each leaf bridge
	for _, i := range d.running {
		if !sub.prefix.Contains(i.DIP) {
			continue
		}
		mac := emu.MACOf(i.DIP)
		edge.Neighbors = append(edge.Neighbors, emu.Neighbor{Device: bridge.Name, Address: i.DIP, MAC: mac})
		port := &emu.BridgePort{Bridge: bridge.Name, Stations: []emu.MAC{mac}, ProxyARP: true}
		if n := lab.Offset(sub.prefix, i.DIP) / leafSize; n > 0 {
			port = &emu.BridgePort{Bridge: leafName(sub, n), Stations: []emu.MAC{mac}}
			leaves[n] = append(leaves[n], mac)
		}
		host := b.instance(d, i, gateway, sub.prefix)
		if balanced[i] {
			host.Routes = append(host.Routes, throughGateway(sub.prefix, gateway)...)
		}
		if vip, ok := direct[i]; ok {
			host.Loopback = []netip.Addr{vip}
			edge.Routes = append(edge.Routes, emu.Route{Destination: single(vip), Gateway: i.DIP, Device: bridge.Name})
		}
		b.add(host)
		b.link(
			emu.LinkEnd{Namespace: edge.Name, Name: i.DIP.String(), MAC: mac.Variant(bridgePort), Port: port},
			emu.LinkEnd{Namespace: i.ID, Name: "eth0", MAC: mac, Addresses: []netip.Prefix{netip.PrefixFrom(i.DIP, sub.prefix.Bits())}},
		)
	}
	edge.Bridges = append(edge.Bridges, bridge)
	numbers := make([]int, 0, len(leaves))
	for n := range leaves {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		b.leaf(edge, bridge.Name, sub, n, leaves[n])
	}
}

// internallyBalanced has the instances behind internal load balancers.
func internallyBalanced(d domain) map[*lab.Instance]bool {
	all := map[*lab.Instance]bool{}
	for _, deployment := range d.deployments {
		if deployment.InternalLoadBalancer == nil {
			continue
		}
		for _, f := range deployment.Frontends() {
			for _, m := range f.Members {
				if f.Internal {
					all[m.Instance] = true
				}
			}
		}
	}
	return all
}

// throughGateway leads to the instance's own subnet by the gateway: a member of an internal load balancer answers clients next to it
// through the edge, which translated the address they asked for.
func throughGateway(subnet netip.Prefix, gateway netip.Addr) []emu.Route {
	half := subnet.Bits() + 1
	upper := lab.Nth(subnet, 1<<(32-half))
	return []emu.Route{
		{Destination: netip.PrefixFrom(subnet.Masked().Addr(), half), Gateway: gateway, Device: "eth0"},
		{Destination: netip.PrefixFrom(upper, half), Gateway: gateway, Device: "eth0"},
	}
}

func leafName(sub subnet, n int) string { return interfaceName(fmt.Sprintf("br-%s.%d", sub.name, n)) }

// leaf joins a leaf bridge to the bridge of its subnet. The subnet's bridge answers ARP for all; what the leaf doesn't know goes up.
func (b *builder) leaf(edge *emu.Namespace, bridge string, sub subnet, n int, stations []emu.MAC) {
	first := lab.Nth(sub.prefix, n*leafSize)
	edge.Bridges = append(edge.Bridges, emu.Bridge{Name: leafName(sub, n), MAC: emu.MACOf(first).Variant(leafBridge)})
	b.link(
		emu.LinkEnd{
			Namespace: edge.Name, Name: interfaceName(fmt.Sprintf("dn-%s.%d", sub.name, n)), MAC: emu.MACOf(first).Variant(leafDown),
			Port: &emu.BridgePort{Bridge: bridge, Stations: stations, ProxyARP: true},
		},
		emu.LinkEnd{
			Namespace: edge.Name, Name: interfaceName(fmt.Sprintf("up-%s.%d", sub.name, n)), MAC: emu.MACOf(first).Variant(leafUp),
			Port: &emu.BridgePort{Bridge: leafName(sub, n), Uplink: true},
		},
	)
}

// instance makes the namespace of an instance.
func (b *builder) instance(d domain, i *lab.Instance, gateway netip.Addr, prefix netip.Prefix) *emu.Namespace {
	deployment := b.lab.Deployment(i)
	servers := deployment.DNSServers
	if len(servers) == 0 {
		servers = d.servers
	}
	if len(servers) == 0 {
		servers = []netip.Addr{lab.PlatformResolver}
	}
	return &emu.Namespace{
		Name: i.ID, Hostname: i.Name, Kind: emu.Host, Origin: i.Origin,
		Routes:   []emu.Route{defaultRoute(gateway, "eth0", false)},
		Hosts:    []emu.NameRecord{{Name: i.Name, Address: i.DIP}},
		Firewall: guestFirewall(i, b.lab.FirewallRules(i), prefix),
		Resolver: emu.Resolver{Servers: servers, Search: []string{internalDomain(i.Service)}},
		Services: services(i.Services, environment(deployment, i)),
	}
}

// Variants of the MAC address that an IPv4 address gives, for what isn't the station with that address itself: a bridge takes frames
// for the address of one of its own ports as its own.
const (
	bridgePort byte = 1 + iota // the bridge's end of an instance's cable
	leafBridge
	leafDown
	leafUp
)

func serviceName(s lab.Service) string { return fmt.Sprintf("%d-%s", s.Port, s.Protocol) }
