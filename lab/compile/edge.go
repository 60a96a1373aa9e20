package compile

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
)

// domain is an isolation domain: a virtual network, or a deployment outside any.
type domain struct {
	name     string // lab.Lab.Domain
	port     string // of the datacenter
	location string
	origin   emu.Origin
	subnets  []subnet
	space    []netip.Prefix // what is inside
	services []*lab.CloudService
	servers  []netip.Addr // name servers of its own
}

type subnet struct {
	name   string
	prefix netip.Prefix
}

// domains lists the isolation domains: virtual networks first, each in the order of creation.
func domains(l *lab.Lab) []domain {
	var all []domain
	for _, n := range l.VirtualNetworks {
		d := domain{
			name: n.Name, port: n.Name, location: l.LocationOf(n.AffinityGroup, n.Location), origin: n.Origin,
			space: n.AddressSpace, servers: n.DNSServers,
		}
		for _, s := range n.Subnets {
			d.subnets = append(d.subnets, subnet{s.Name, s.AddressPrefix})
		}
		for _, s := range l.CloudServices {
			if s.Production != nil && s.Production.VirtualNetwork == n.Name {
				d.services = append(d.services, s)
			}
		}
		all = append(all, d)
	}
	for _, s := range l.CloudServices {
		if s.Production == nil || s.Production.VirtualNetwork != "" {
			continue
		}
		all = append(all, domain{
			name: l.Domain(s.Production.Instances[0]), port: "s." + s.Name, location: l.LocationOf(s.AffinityGroup, s.Location), origin: s.Origin,
			subnets: []subnet{{"instances", s.Production.Block}}, space: []netip.Prefix{s.Production.Block},
			services: []*lab.CloudService{s},
		})
	}
	return all
}

// edge makes the namespace of an isolation domain with its bridges, its load balancer and its instances.
func (b *builder) edge(d domain) {
	edge := emu.Namespace{
		Name: EdgeName(d.name), Kind: emu.Router, Origin: d.origin, Loopback: []netip.Addr{lab.PlatformResolver},
		DNS: &emu.NameServer{Addresses: []netip.Addr{lab.PlatformResolver}},
	}
	var public []netip.Addr
	for _, s := range d.services {
		public = append(public, s.Production.VIP)
		edge.DNS.Views = append(edge.DNS.Views, hostNames(s))
	}
	for _, sub := range d.subnets {
		b.subnet(&edge, d, sub)
	}
	edge.Ruleset = edgeRules(d)
	b.connect(&edge, d.location, d.port, public)
	b.add(edge)
}

// hostNames are the names that the instances of a cloud service have for each other. Instances of other services can't look them up,
// not even in the same virtual network ("Name Resolution for VMs and Role Instances").
func hostNames(s *lab.CloudService) emu.NameView {
	view := emu.NameView{Domain: internalDomain(s.Name)}
	for _, i := range s.Production.Instances {
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
func (b *builder) subnet(edge *emu.Namespace, d domain, sub subnet) {
	gateway := lab.Gateway(sub.prefix)
	bridge := interfaceName("br-" + sub.name)
	edge.Bridges = append(edge.Bridges, emu.Bridge{
		Name: bridge, MAC: emu.MACOf(gateway), Addresses: []netip.Prefix{netip.PrefixFrom(gateway, sub.prefix.Bits())},
	})
	leaves := map[int][]emu.MAC{} // the stations behind each leaf bridge
	for _, s := range d.services {
		for _, i := range s.Production.Instances {
			if !sub.prefix.Contains(i.DIP) {
				continue
			}
			mac := emu.MACOf(i.DIP)
			edge.Neighbors = append(edge.Neighbors, emu.Neighbor{Device: bridge, Address: i.DIP, MAC: mac})
			port := &emu.BridgePort{Bridge: bridge, Stations: []emu.MAC{mac}, ProxyARP: true}
			if n := lab.Offset(sub.prefix, i.DIP) / leafSize; n > 0 {
				port = &emu.BridgePort{Bridge: leafName(sub, n), Stations: []emu.MAC{mac}}
				leaves[n] = append(leaves[n], mac)
			}
			b.instance(edge, port, gateway, sub.prefix, s, d, i)
		}
	}
	numbers := make([]int, 0, len(leaves))
	for n := range leaves {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		b.leaf(edge, bridge, sub, n, leaves[n])
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

// instance makes the namespace of an instance and its cable. Its port of the bridge has the name of its address.
func (b *builder) instance(edge *emu.Namespace, port *emu.BridgePort, gateway netip.Addr, prefix netip.Prefix, s *lab.CloudService, d domain, i *lab.Instance) {
	servers := s.Production.DNSServers
	if len(servers) == 0 {
		servers = d.servers
	}
	if len(servers) == 0 {
		servers = []netip.Addr{lab.PlatformResolver}
	}
	b.add(emu.Namespace{
		Name: i.ID, Hostname: i.Name, Kind: emu.Host, Origin: i.Origin,
		Routes:   []emu.Route{defaultRoute(gateway, "eth0", false)},
		Hosts:    []emu.NameRecord{{Name: i.Name, Address: i.DIP}},
		Firewall: guestFirewall(i, prefix),
		Resolver: emu.Resolver{Servers: servers, Search: []string{internalDomain(s.Name)}},
		Services: services(i.Services),
	})
	b.link(
		emu.LinkEnd{Namespace: edge.Name, Name: i.DIP.String(), MAC: emu.MACOf(i.DIP).Variant(bridgePort), Port: port},
		emu.LinkEnd{Namespace: i.ID, Name: "eth0", MAC: emu.MACOf(i.DIP), Addresses: []netip.Prefix{netip.PrefixFrom(i.DIP, prefix.Bits())}},
	)
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

// byAddress sorts the instances of a domain.
func (d domain) instances() []*lab.Instance {
	var all []*lab.Instance
	for _, s := range d.services {
		all = append(all, s.Production.Instances...)
	}
	slices.SortFunc(all, func(a, b *lab.Instance) int { return cmp.Or(a.DIP.Compare(b.DIP), cmp.Compare(a.ID, b.ID)) })
	return all
}
