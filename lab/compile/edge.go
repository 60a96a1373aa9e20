package compile

import (
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/limits"
	"vnetlab/lab/rules"
)

// byVIP marks the first packet of a connection to a VIP: if it comes from inside the domain, its source becomes a VIP
// too.
const byVIP = 1

// idleTimeout is how many seconds an edge remembers an idle TCP connection, through an endpoint that says nothing
// else or outbound.
const idleTimeout = 60 * limits.DefaultIdleTimeout

// edgeShare is all that the edge of a domain has of a deployment.
type edgeShare struct {
	subnets                   []subnet     // its own, outside a virtual network
	names                     emu.NameView // without clients: none
	neighbors                 []emu.Neighbor
	routes                    []emu.Route // to those that answer as a VIP
	stations                  []station
	vips, internal, instances []netip.Prefix
	public                    []netip.Addr // VIP and instances' own
	probes                    []emu.HealthProbe
	sources                   []emu.AddressMapElement // the VIP of each instance
	self                      [][2]netip.Addr         // who could be balanced to itself
	endpoints                 []emu.SocketMapElement
	translations              []emu.Translation
	behind                    []emu.PortAddress // the ports
	chains                    []*emu.Chain
	own                       []emu.PrefixSet // the instances, where an endpoint asks for them
	timeouts                  []emu.TimeoutPolicy
	lists                     bool       // there are access control lists
	direct                    []emu.Rule // let what direct server return leaves untranslated pass
	// Translation of instances' own public addresses: towards them, and of what they send, which passes.
	toOwn, fromOwn, passOwn []emu.Rule
}

// station is a host on a leaf bridge.
type station struct {
	bridge string // the subnet's
	leaf   int
	mac    emu.MAC
}

func newEdgeShare(d *lab.Deployment, frontends []lab.Frontend, hosts []host) *edgeShare {
	s := &edgeShare{probes: healthProbes(frontends), names: hostNames(d)}
	if d.VirtualNetwork == "" {
		s.subnets = []subnet{newSubnet(d.Name, d.Block)}
	}
	for _, h := range hosts {
		address, bridge := h.instance.DIP, h.subnet.bridge
		s.neighbors = append(s.neighbors, emu.Neighbor{Device: bridge, Address: address, MAC: emu.MACOf(address)})
		s.behind = append(s.behind, behindPort(address))
		if h.direct.IsValid() {
			s.behind = append(s.behind, emu.PortAddress{Device: address.String(), Address: h.direct})
			s.routes = append(s.routes, emu.Route{Destination: single(h.direct), Gateway: address, Device: bridge})
		}
		if h.leaf > 0 {
			s.stations = append(s.stations, station{bridge, h.leaf, emu.MACOf(address)})
		}
	}
	if d.VIP.IsValid() {
		s.vips, s.public = []netip.Prefix{single(d.VIP)}, []netip.Addr{d.VIP}
		// A swap leaves the VIP to the service.
		s.translations = append(s.translations, emu.Translation{Of: d.Service, Address: d.VIP})
	}
	if ilb := d.InternalLoadBalancer; ilb != nil {
		s.internal = []netip.Prefix{single(ilb.Address)}
	}
	member := map[*lab.Instance]bool{}
	for _, f := range frontends {
		s.endpoint(d, f)
		s.translations = append(s.translations, translations(d, f)...)
		for _, m := range f.Members {
			member[m.Instance] = true
		}
	}
	for _, i := range d.Running() {
		s.instances = append(s.instances, single(i.DIP))
		if d.VIP.IsValid() {
			s.sources = append(s.sources, emu.AddressMapElement{Key: i.DIP, Value: d.VIP})
		}
		if member[i] || i.PublicIP.IsValid() {
			s.self = append(s.self, [2]netip.Addr{i.DIP, i.DIP})
		}
		if i.PublicIP.IsValid() {
			s.publicIP(i)
		}
	}
	return s
}

// publicIP translates an instance's own public address in both directions, all protocols and ports.
func (s *edgeShare) publicIP(i *lab.Instance) {
	comment := "public IP of " + i.Name
	s.public = append(s.public, i.PublicIP)
	s.translations = append(s.translations, emu.Translation{Of: i.ID, Address: i.PublicIP})
	s.toOwn = append(s.toOwn, emu.Rule{Comment: comment, Origin: i.Origin, Statements: []emu.Statement{
		emu.MatchPrefix{
			Of:     emu.Destination,
			Prefix: single(i.PublicIP),
		},
		emu.SetMark{Mark: byVIP},
		emu.DNAT{To: netip.AddrPortFrom(i.DIP, 0)},
	}})
	s.fromOwn = append(s.fromOwn, emu.Rule{Comment: comment, Origin: i.Origin, Statements: []emu.Statement{
		emu.MatchPrefix{
			Of:     emu.Source,
			Prefix: single(i.DIP),
		},
		emu.MatchOutput{Device: uplink},
		emu.SNAT{To: i.PublicIP},
	}})
	s.passOwn = append(
		s.passOwn,
		accept(emu.MatchPrefix{Of: emu.Source, Prefix: single(i.DIP)}, emu.MatchOutput{Device: uplink}),
	)
}

// healthProbes are the questions that the load balancer asks the running members of endpoints.
func healthProbes(frontends []lab.Frontend) (all []emu.HealthProbe) {
	for _, f := range frontends {
		for _, m := range f.Members {
			if f.Probe == nil || m.Instance.State != lab.Running {
				continue
			}
			port := f.Probe.Port
			if port == 0 {
				port = m.LocalPort
			}
			all = append(all, emu.HealthProbe{
				ID:       m.ProbeID,
				Source:   lab.PlatformResolver,
				Target:   netip.AddrPortFrom(m.Instance.DIP, port),
				Protocol: f.Probe.Protocol,
				Path:     f.Probe.Path,
				Interval: f.Probe.IntervalInSeconds,
				Timeout:  f.Probe.TimeoutInSeconds,
			})
		}
	}
	return all
}

// keep takes over the lists that are no others.
func (s *edgeShare) keep(old *edgeShare) {
	keep(&s.neighbors, old.neighbors)
	keep(&s.stations, old.stations)
	keep(&s.instances, old.instances)
	keep(&s.sources, old.sources)
	keep(&s.self, old.self)
	keep(&s.endpoints, old.endpoints)
	keep(&s.translations, old.translations)
	keep(&s.behind, old.behind)
}

func keep[E comparable](list *[]E, old []E) {
	if slices.Equal(*list, old) {
		*list = old
	}
}

// edgeLists are what the deployments of a domain have, put together: the lists that grow with the instances.
type edgeLists struct {
	neighbors    []emu.Neighbor
	instances    []netip.Prefix
	sources      []emu.AddressMapElement
	self         [][2]netip.Addr
	endpoints    []emu.SocketMapElement
	translations []emu.Translation
	behind       []emu.PortAddress
}

func newEdgeLists(d domain, old *domainPart) edgeLists {
	var was edgeLists
	if old != nil {
		was = old.lists
	}
	return edgeLists{
		neighbors: join(d, old, was.neighbors, func(s *edgeShare) []emu.Neighbor { return s.neighbors }),
		instances: join(d, old, was.instances, func(s *edgeShare) []netip.Prefix { return s.instances }),
		sources:   join(d, old, was.sources, func(s *edgeShare) []emu.AddressMapElement { return s.sources }),
		self:      join(d, old, was.self, func(s *edgeShare) [][2]netip.Addr { return s.self }),
		endpoints: join(d, old, was.endpoints, func(s *edgeShare) []emu.SocketMapElement { return s.endpoints }),

		behind:       join(d, old, was.behind, func(s *edgeShare) []emu.PortAddress { return s.behind }),
		translations: join(d, old, was.translations, func(s *edgeShare) []emu.Translation { return s.translations }),
	}
}

// join puts a list together. That of the domain before, which may be nil, is taken over where all of what it was put
// together from is.
func join[E any](d domain, old *domainPart, joined []E, of func(*edgeShare) []E) []E {
	if old != nil &&
		slices.EqualFunc(d.shares, old.shares, func(a, b *edgeShare) bool { return a == b || oneList(of(a), of(b)) }) {
		return joined
	}
	n := 0
	for _, s := range d.shares {
		n += len(of(s))
	}
	all := make([]E, 0, n)
	for _, s := range d.shares {
		all = append(all, of(s)...)
	}
	return all
}

func oneList[E any](a, b []E) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// gather is join for lists that are short.
func gather[E any](d domain, of func(*edgeShare) []E) []E {
	all := []E{}
	for _, s := range d.shares {
		all = append(all, of(s)...)
	}
	return all
}

// edgeRules are the load balancer, the address translation and the boundary of an isolation domain.
//
// A packet to a VIP is dispatched by address, protocol and port to the chain of its endpoint, which applies the
// access control list, chooses a member and translates the destination. The source stays, unless the packet leaves
// the domain or comes back into it by a VIP: then the source is its own service's VIP.
func edgeRules(d domain, all edgeLists) *emu.Ruleset {
	const endpoints, vipOf = "endpoints", "vip-of"
	t := &emu.Ruleset{
		Table: "edge",
		Prefixes: append([]emu.PrefixSet{
			{Name: instancesSet, Elements: all.instances},
			{Name: "vips", Elements: gather(d, func(s *edgeShare) []netip.Prefix { return s.vips })},
			{Name: "space", Elements: d.space()},
			{Name: "private", Elements: lab.PrivateSpace()},
			{
				Name:     "internal-load-balancers",
				Elements: gather(d, func(s *edgeShare) []netip.Prefix { return s.internal }),
			},
		}, gather(d, func(s *edgeShare) []emu.PrefixSet { return s.own })...),
		Pairs:     []emu.PairSet{{Name: "self", Elements: all.self}},
		Addresses: []emu.AddressMap{{Name: vipOf, Elements: all.sources}},
		Sockets:   []emu.SocketMap{{Name: endpoints, Elements: all.endpoints}},
		Chains:    gather(d, func(s *edgeShare) []*emu.Chain { return s.chains }),
	}
	for _, p := range gather(d, func(s *edgeShare) []emu.TimeoutPolicy { return s.timeouts }) {
		if !slices.Contains(t.Timeouts, p) {
			t.Timeouts = append(t.Timeouts, p)
		}
	}
	if slices.ContainsFunc(d.shares, func(s *edgeShare) bool { return s.lists }) {
		t.Marks = []emu.MarkMap{callers(all.sources)}
	}
	t.Chains = append(
		t.Chains,
		&emu.Chain{Name: "prerouting", Hook: emu.DNATHook, Rules: append([]emu.Rule{
			{Statements: []emu.Statement{emu.Dispatch{Map: endpoints}}},
		}, gather(d, func(s *edgeShare) []emu.Rule { return s.toOwn })...)},
		&emu.Chain{Name: "input", Hook: emu.InputHook, Rules: slices.Concat(
			[]emu.Rule{accept(emu.MatchEstablished{})}, dnsRules(), tunnelInput(d.gateway(), d.peers),
			emu.DropRules(rules.NoInternalEndpoint, "no endpoint on this port of the internal load balancer", d.origin,
				emu.MatchPrefixSet{Of: emu.Destination, Set: "internal-load-balancers"}),
			platformPort(),
		)},
		&emu.Chain{Name: "forward", Hook: emu.ForwardHook, Rules: forwardRules(d)},
		&emu.Chain{
			Name: "postrouting",
			Hook: emu.SNATHook,
			Rules: append(gather(d, func(s *edgeShare) []emu.Rule { return s.fromOwn }), []emu.Rule{
				{
					Comment:    "outbound connections come from the service's VIP",
					Statements: []emu.Statement{emu.MatchOutput{Device: uplink}, emu.SNATByMap{Map: vipOf}},
				},
				{
					Comment:    "so do those that come back by a VIP",
					Statements: []emu.Statement{emu.MatchMark{Mark: byVIP}, emu.SNATByMap{Map: vipOf}},
				},
			}...),
		},
	)
	return t
}

// instancesSet has the addresses of the running instances.
const instancesSet = "instances"

func forwardRules(d domain) []emu.Rule {
	forward := slices.Concat(
		[]emu.Rule{accept(emu.MatchEstablished{})},
		gather(d, func(s *edgeShare) []emu.Rule { return s.direct }),
		emu.DropRules(
			rules.NoEndpoint,
			"no endpoint on this port of the VIP",
			d.origin,
			emu.MatchPrefixSet{Of: emu.Destination, Set: "vips"},
		),
		[]emu.Rule{accept(emu.MatchInput{Device: uplink}, emu.MatchDNATed{})},
		emu.DropRules(rules.FromOutside, "only endpoints lead in", d.origin, emu.MatchInput{Device: uplink}),
		emu.DropRules(
			rules.HairpinToSelf,
			"the load balancer chose the caller itself",
			d.origin,
			emu.MatchPairSet{Set: "self"},
		),
		[]emu.Rule{accept(emu.MatchDNATed{})},
	)
	if d.network == nil {
		for _, from := range d.subnets() {
			for _, to := range d.subnets() {
				if from != to {
					forward = append(
						forward,
						emu.DropRules(
							rules.OtherDeploymentID(to.name),
							"deployments of a service reach each other by their VIPs alone",
							d.origin,
							emu.MatchPrefix{
								Of:     emu.Source,
								Prefix: from.prefix,
							},
							emu.MatchPrefix{Of: emu.Destination, Prefix: to.prefix},
						)...)
				}
			}
		}
	}
	return slices.Concat(
		forward,
		[]emu.Rule{accept(emu.MatchPrefixSet{Of: emu.Destination, Set: instancesSet})},
		intoTunnels(d.peers),
		emu.DropRules(
			rules.NoInstance,
			"no instance has this address",
			d.origin,
			emu.MatchPrefixSet{Of: emu.Destination, Set: "space"},
		),
		emu.DropRules(
			rules.PrivateAddress,
			"outside "+truncate(d.of.String(), maxShownName)+": private addresses have no route",
			d.origin,
			emu.MatchPrefixSet{Of: emu.Destination, Set: "private"},
		),
		[]emu.Rule{untranslated()},
		gather(d, func(s *edgeShare) []emu.Rule { return s.passOwn }),
		leave(),
	)
}

func accept(matches ...emu.Statement) emu.Rule {
	return emu.Rule{Statements: append(matches, emu.Accept{})}
}

// dnsRules let the platform's name server be asked.
func dnsRules() []emu.Rule {
	at := emu.MatchPrefix{Of: emu.Destination, Prefix: single(lab.PlatformResolver)}
	return []emu.Rule{
		accept(at, emu.MatchProtocol{Protocol: "udp"}, emu.MatchPort{Port: 53}),
		accept(at, emu.MatchProtocol{Protocol: "tcp"}, emu.MatchPort{Port: 53}),
	}
}

func platformPort() []emu.Rule {
	return emu.DropRules(rules.PlatformPort, "the platform's own addresses answer DNS alone", emu.Origin{})
}

// leave lets connections out to the internet, but for ICMP: a VIP translates TCP and UDP alone.
func leave() []emu.Rule {
	return append(
		emu.DropRules(
			rules.OutboundICMP,
			"ICMP doesn't leave through a VIP",
			emu.Origin{},
			emu.MatchOutput{Device: uplink},
			emu.MatchProtocol{Protocol: "icmp"},
		),
		accept(emu.MatchOutput{Device: uplink}),
	)
}
