package compile

import (
	"fmt"
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
)

// edgeRules are the load balancer, the address translation and the boundary of an isolation domain.
//
// A packet to a VIP is dispatched by address, protocol and port to the chain of its endpoint, which applies the access control list,
// chooses a member and translates the destination. The source stays, unless the packet leaves the domain or comes back into it by
// a VIP: then the source is its own service's VIP.
func edgeRules(d domain) *emu.Ruleset {
	t := &emu.Ruleset{Table: "edge"}
	var vips, dips []netip.Prefix
	self := emu.PairSet{Name: "self"}
	sources := emu.AddressMap{Name: "vip-of"}
	for _, i := range d.instances() {
		dips = append(dips, single(i.DIP))
	}
	for _, s := range d.services {
		vips = append(vips, single(s.Production.VIP))
		for _, i := range s.Production.Instances {
			sources.Elements = append(sources.Elements, emu.AddressMapElement{Key: i.DIP, Value: s.Production.VIP})
			if len(i.Endpoints) > 0 {
				self.Elements = append(self.Elements, [2]netip.Addr{i.DIP, i.DIP})
			}
		}
	}
	sortPrefixes(vips)
	t.Prefixes = []emu.PrefixSet{
		{Name: "vips", Elements: vips},
		{Name: "instances", Elements: dips},
		{Name: "space", Elements: d.space},
		{Name: "private", Elements: lab.PrivateSpace()},
	}
	t.Pairs = []emu.PairSet{self}
	t.Addresses = []emu.AddressMap{sources}

	endpoints := emu.SocketMap{Name: "endpoints"}
	for _, s := range d.services {
		for _, f := range s.Production.Frontends() {
			e := endpointChains(d, s, f)
			if len(f.ACL) > 0 {
				t.Prefixes = append(t.Prefixes, e.clients...)
			}
			t.Chains = append(t.Chains, e.chains...)
			endpoints.Elements = append(endpoints.Elements, emu.SocketMapElement{
				Address: s.Production.VIP, Protocol: f.Protocol, Port: f.PublicPort, Chain: e.chains[len(e.chains)-1].Name,
			})
		}
	}
	t.Sockets = []emu.SocketMap{endpoints}
	t.Chains = append(t.Chains,
		emu.Chain{Name: "prerouting", Hook: emu.DNATHook, Rules: []emu.Rule{
			{Statements: []emu.Statement{emu.Dispatch{Map: endpoints.Name}}},
		}},
		emu.Chain{Name: "input", Hook: emu.InputHook, Rules: slices.Concat(
			[]emu.Rule{accept(emu.MatchEstablished{})}, dnsRules(), platformPort(),
		)},
		emu.Chain{Name: "forward", Hook: emu.ForwardHook, Rules: forwardRules(d)},
		emu.Chain{Name: "postrouting", Hook: emu.SNATHook, Rules: []emu.Rule{
			{Comment: "outbound connections come from the service's VIP", Statements: []emu.Statement{emu.MatchOutput{Device: uplink}, emu.SNATByMap{Map: sources.Name}}},
			{Comment: "so do those that come back by a VIP", Statements: []emu.Statement{emu.MatchDNATed{}, emu.SNATByMap{Map: sources.Name}}},
		}},
	)
	return t
}

func forwardRules(d domain) []emu.Rule {
	boundary := "outside " + d.name + ": private addresses have no route"
	return slices.Concat(
		[]emu.Rule{accept(emu.MatchEstablished{})},
		emu.DropRules(NoEndpoint, "no endpoint on this port of the VIP", d.origin, emu.MatchPrefixSet{Of: emu.Destination, Set: "vips"}),
		[]emu.Rule{accept(emu.MatchInput{Device: uplink}, emu.MatchDNATed{})},
		emu.DropRules(NoEndpoint, "only endpoints lead in", d.origin, emu.MatchInput{Device: uplink}),
		emu.DropRules(HairpinToSelf, "the load balancer chose the caller itself", d.origin, emu.MatchPairSet{Set: "self"}),
		[]emu.Rule{accept(emu.MatchPrefixSet{Of: emu.Destination, Set: "instances"})},
		emu.DropRules(NoInstance, "no instance has this address", d.origin, emu.MatchPrefixSet{Of: emu.Destination, Set: "space"}),
		emu.DropRules(PrivateAddress, boundary, d.origin, emu.MatchPrefixSet{Of: emu.Destination, Set: "private"}),
		leave(),
	)
}

// endpoint is what one public port needs: its chain comes last.
type endpoint struct {
	clients []emu.PrefixSet
	chains  []emu.Chain
}

func endpointChains(d domain, s *lab.CloudService, f lab.Frontend) (e endpoint) {
	name := fmt.Sprintf("%s-%s-%d", s.Name, f.Protocol, f.PublicPort)
	members := emu.Chain{Name: name}
	switch len(f.Members) {
	case 0:
		members.Rules = emu.DropRules(shortID(emu.NoBackendPrefix+name), "no instance stands behind the endpoint "+f.Name, f.Origin)
	case 1:
		members.Rules = []emu.Rule{translate(f, f.Members[0])}
	default:
		pick := emu.Distribute{By: distributions[f.Distribution]}
		for _, m := range f.Members {
			chain := emu.Chain{Name: name + "-" + m.Instance.Name, Rules: []emu.Rule{translate(f, m)}}
			e.chains = append(e.chains, chain)
			pick.Chains = append(pick.Chains, chain.Name)
		}
		members.Rules = []emu.Rule{{Origin: f.Origin, Comment: "load-balanced: " + f.Name, Statements: []emu.Statement{pick}}}
	}
	if len(f.ACL) == 0 {
		e.chains = append(e.chains, members)
		return e
	}
	members.Name = name + "-members"
	e.chains = append(e.chains, members)
	list := emu.Chain{Name: name}
	// An instance of the same domain is seen here by its own address, but the list is about its service's VIP.
	for _, client := range d.services {
		set := emu.PrefixSet{Name: name + "-" + client.Name}
		for _, i := range client.Production.Instances {
			set.Elements = append(set.Elements, single(i.DIP))
		}
		sortPrefixes(set.Elements)
		e.clients = append(e.clients, set)
		permitted, rule := f.Permits(client.Production.VIP)
		list.Rules = append(list.Rules, aclRules(s, f, rule, permitted, members.Name, emu.MatchPrefixSet{Of: emu.Source, Set: set.Name})...)
	}
	for _, r := range f.ACL {
		list.Rules = append(list.Rules, aclRules(s, f, &r, r.Permit, members.Name, emu.MatchPrefix{Of: emu.Source, Prefix: r.RemoteSubnet})...)
	}
	list.Rules = append(list.Rules, aclRules(s, f, nil, f.PermitsByDefault(), members.Name)...)
	e.chains = append(e.chains, list)
	return e
}

// aclRules permit or deny what matches; a nil rule is the default of the list.
func aclRules(s *lab.CloudService, f lab.Frontend, rule *lab.ACLRule, permit bool, members string, matches ...emu.Statement) []emu.Rule {
	id, text, origin := ACLDefaultID(s.Name, f), fmt.Sprintf("access control list of %s: what isn't permitted is denied", f.Name), f.Origin
	if rule != nil {
		id, origin = ACLRuleID(s.Name, f, *rule), rule.Origin
		text = fmt.Sprintf("access control list of %s: %d deny %s", f.Name, rule.Order, rule.RemoteSubnet)
	}
	if permit {
		return []emu.Rule{{ID: id, Origin: origin, Statements: append(matches, emu.Goto{Chain: members})}}
	}
	return emu.DropRules(id, text, origin, matches...)
}

func translate(f lab.Frontend, m lab.Backend) emu.Rule {
	return emu.Rule{Origin: f.Origin, Statements: []emu.Statement{
		emu.MatchProtocol{Protocol: string(f.Protocol)},
		emu.DNAT{To: netip.AddrPortFrom(m.Instance.DIP, m.LocalPort)},
	}}
}

var distributions = map[lab.Distribution]emu.Distribution{
	lab.DistributeNone:             emu.FiveTuple,
	lab.DistributeSourceIP:         emu.AddressPair,
	lab.DistributeSourceIPProtocol: emu.AddressesAndProtocol,
}
