package compile

import (
	"fmt"
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
)

// byVIP marks the first packet of a connection to a VIP: if it comes from inside the domain, its source becomes a VIP too.
const byVIP = 1

// edgeRules are the load balancer, the address translation and the boundary of an isolation domain.
//
// A packet to a VIP is dispatched by address, protocol and port to the chain of its endpoint, which applies the access control list,
// chooses a member and translates the destination. The source stays, unless the packet leaves the domain or comes back into it by
// a VIP: then the source is its own service's VIP.
func (b *builder) edgeRules(d domain) *emu.Ruleset {
	t := &emu.Ruleset{Table: "edge"}
	var vips, dips, internal []netip.Prefix
	self := emu.PairSet{Name: "self"}
	sources := emu.AddressMap{Name: "vip-of"}
	member := map[*lab.Instance]bool{}
	var own []emu.Rule // translation of instances' own public addresses, towards them
	var ownSource []emu.Rule
	endpoints := emu.SocketMap{Name: "endpoints"}
	timeouts := map[int]bool{}
	for _, deployment := range d.deployments {
		if deployment.VIP.IsValid() {
			vips = append(vips, single(deployment.VIP))
		}
		if ilb := deployment.InternalLoadBalancer; ilb != nil {
			internal = append(internal, single(ilb.Address))
		}
		for _, f := range deployment.Frontends() {
			e := b.endpointChains(d, deployment, f)
			t.Prefixes = append(t.Prefixes, e.clients...)
			t.Chains = append(t.Chains, e.chains...)
			t.Timeouts = append(t.Timeouts, timeoutPolicies(f, timeouts)...)
			endpoints.Elements = append(endpoints.Elements, emu.SocketMapElement{
				Address: f.Address, Protocol: f.Protocol, Port: f.PublicPort, Chain: e.chains[len(e.chains)-1].Name,
			})
			for _, m := range f.Members {
				member[m.Instance] = true
			}
		}
	}
	for _, i := range d.running {
		dips = append(dips, single(i.DIP))
		if vip := b.lab.Deployment(i).VIP; vip.IsValid() {
			sources.Elements = append(sources.Elements, emu.AddressMapElement{Key: i.DIP, Value: vip})
		}
		if member[i] || i.PublicIP.IsValid() {
			self.Elements = append(self.Elements, [2]netip.Addr{i.DIP, i.DIP})
		}
		if i.PublicIP.IsValid() {
			to, source := publicIPRules(i)
			own, ownSource = append(own, to), append(ownSource, source)
		}
	}
	sortPrefixes(vips)
	t.Prefixes = append([]emu.PrefixSet{
		{Name: "vips", Elements: vips},
		{Name: "instances", Elements: dips},
		{Name: "space", Elements: d.space},
		{Name: "private", Elements: lab.PrivateSpace()},
		{Name: "internal-load-balancers", Elements: internal},
	}, t.Prefixes...)
	t.Pairs = []emu.PairSet{self}
	t.Addresses = []emu.AddressMap{sources}
	t.Sockets = []emu.SocketMap{endpoints}
	t.Chains = append(t.Chains,
		emu.Chain{Name: "prerouting", Hook: emu.DNATHook, Rules: append([]emu.Rule{
			{Statements: []emu.Statement{emu.Dispatch{Map: endpoints.Name}}},
		}, own...)},
		emu.Chain{Name: "input", Hook: emu.InputHook, Rules: slices.Concat(
			[]emu.Rule{accept(emu.MatchEstablished{})}, dnsRules(), tunnelInput(d.gateway, d.peers),
			emu.DropRules(NoEndpoint, "no endpoint on this port of the internal load balancer", d.origin,
				emu.MatchPrefixSet{Of: emu.Destination, Set: "internal-load-balancers"}),
			platformPort(),
		)},
		emu.Chain{Name: "forward", Hook: emu.ForwardHook, Rules: b.forwardRules(d)},
		emu.Chain{Name: "postrouting", Hook: emu.SNATHook, Rules: slices.Concat(ownSource, []emu.Rule{
			{Comment: "outbound connections come from the service's VIP", Statements: []emu.Statement{emu.MatchOutput{Device: uplink}, emu.SNATByMap{Map: sources.Name}}},
			{Comment: "so do those that come back by a VIP", Statements: []emu.Statement{emu.MatchMark{Mark: byVIP}, emu.SNATByMap{Map: sources.Name}}},
		})},
	)
	return t
}

// publicIPRules translate an instance's own public address in both directions, all protocols and ports.
func publicIPRules(i *lab.Instance) (to, source emu.Rule) {
	comment := "public IP of " + i.Name
	to = emu.Rule{Comment: comment, Origin: i.Origin, Statements: []emu.Statement{
		emu.MatchPrefix{Of: emu.Destination, Prefix: single(i.PublicIP)}, emu.SetMark{Mark: byVIP}, emu.DNAT{To: netip.AddrPortFrom(i.DIP, 0)},
	}}
	source = emu.Rule{Comment: comment, Origin: i.Origin, Statements: []emu.Statement{
		emu.MatchPrefix{Of: emu.Source, Prefix: single(i.DIP)}, emu.MatchOutput{Device: uplink}, emu.SNAT{To: i.PublicIP},
	}}
	return to, source
}

func (b *builder) forwardRules(d domain) []emu.Rule {
	boundary := "outside " + d.name + ": private addresses have no route"
	rules := []emu.Rule{accept(emu.MatchEstablished{})}
	direct := b.directReturn(d)
	for _, i := range d.running {
		vip, ok := direct[i]
		if !ok {
			continue
		}
		for _, f := range b.lab.Deployment(i).Frontends() {
			if f.DirectServerReturn && f.Address == vip {
				rules = append(rules, accept(emu.MatchPrefix{Of: emu.Destination, Prefix: single(vip)}, emu.MatchProtocol{Protocol: string(f.Protocol)}, emu.MatchPort{Port: f.PublicPort}))
			}
		}
	}
	rules = append(rules, slices.Concat(
		emu.DropRules(NoEndpoint, "no endpoint on this port of the VIP", d.origin, emu.MatchPrefixSet{Of: emu.Destination, Set: "vips"}),
		[]emu.Rule{accept(emu.MatchInput{Device: uplink}, emu.MatchDNATed{})},
		emu.DropRules(NoEndpoint, "only endpoints lead in", d.origin, emu.MatchInput{Device: uplink}),
		emu.DropRules(HairpinToSelf, "the load balancer chose the caller itself", d.origin, emu.MatchPairSet{Set: "self"}),
		[]emu.Rule{accept(emu.MatchDNATed{})},
	)...)
	if d.separate {
		for _, from := range d.deployments {
			for _, to := range d.deployments {
				if from != to {
					rules = append(rules, emu.DropRules(OtherDeployment, "deployments of a service reach each other by their VIPs alone", d.origin,
						emu.MatchPrefix{Of: emu.Source, Prefix: from.Block}, emu.MatchPrefix{Of: emu.Destination, Prefix: to.Block})...)
				}
			}
		}
	}
	rules = append(rules, slices.Concat(
		[]emu.Rule{accept(emu.MatchPrefixSet{Of: emu.Destination, Set: "instances"})},
		intoTunnels(d.peers),
		emu.DropRules(NoInstance, "no instance has this address", d.origin, emu.MatchPrefixSet{Of: emu.Destination, Set: "space"}),
		emu.DropRules(PrivateAddress, boundary, d.origin, emu.MatchPrefixSet{Of: emu.Destination, Set: "private"}),
	)...)
	for _, i := range d.running {
		if i.PublicIP.IsValid() {
			rules = append(rules, accept(emu.MatchPrefix{Of: emu.Source, Prefix: single(i.DIP)}, emu.MatchOutput{Device: uplink}))
		}
	}
	return append(rules, leave()...)
}

// endpoint is what one public port needs: its chain comes last.
type endpoint struct {
	clients []emu.PrefixSet
	chains  []emu.Chain
}

func (b *builder) endpointChains(d domain, deployment *lab.Deployment, f lab.Frontend) (e endpoint) {
	name := deployment.Service
	if deployment.Name != deployment.Service {
		name += "-" + deployment.Name
	}
	name += fmt.Sprintf("-%s-%d", f.Protocol, f.PublicPort)
	if f.Internal {
		name += "-internal"
	}
	members := emu.Chain{Name: name}
	serving := f.Serving()
	switch {
	case len(serving) == 0:
		members.Rules = emu.DropRules(NoBackendID(deployment, f), "nobody serves behind the endpoint "+f.Name, f.Origin)
	case f.DirectServerReturn:
		own := instanceSet("own-"+name, deployment)
		e.clients = append(e.clients, own)
		members.Rules = directReturnRules(f, own.Name)
	case len(serving) == 1:
		members.Rules = []emu.Rule{translate(f, serving[0])}
	default:
		pick := emu.Distribute{By: distributions[f.Distribution]}
		for _, m := range serving {
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
	e.chains = append(e.chains, accessControl(d, deployment, f, name, members.Name, &e))
	return e
}

// accessControl is the chain of an endpoint's access control list. An instance of the same domain is seen here by its own address, but
// the list is about its deployment's VIP.
func accessControl(d domain, deployment *lab.Deployment, f lab.Frontend, name, members string, e *endpoint) emu.Chain {
	list := emu.Chain{Name: name}
	for _, client := range d.deployments {
		if !client.VIP.IsValid() {
			continue
		}
		set := instanceSet(name+"-"+client.Service+"-"+client.Name, client)
		e.clients = append(e.clients, set)
		permitted, rule := f.Permits(client.VIP)
		list.Rules = append(list.Rules, aclRules(deployment, f, rule, permitted, members, emu.MatchPrefixSet{Of: emu.Source, Set: set.Name})...)
	}
	for _, r := range f.ACL {
		list.Rules = append(list.Rules, aclRules(deployment, f, &r, r.Permit, members, emu.MatchPrefix{Of: emu.Source, Prefix: r.RemoteSubnet})...)
	}
	list.Rules = append(list.Rules, aclRules(deployment, f, nil, f.PermitsByDefault(), members)...)
	return list
}

// instanceSet has the addresses of the running instances of a deployment.
func instanceSet(name string, d *lab.Deployment) emu.PrefixSet {
	set := emu.PrefixSet{Name: name}
	for _, i := range d.Running() {
		set.Elements = append(set.Elements, single(i.DIP))
	}
	sortPrefixes(set.Elements)
	return set
}

// aclRules permit or deny what matches; a nil rule is the default of the list.
func aclRules(d *lab.Deployment, f lab.Frontend, rule *lab.ACLRule, permit bool, members string, matches ...emu.Statement) []emu.Rule {
	id, text, origin := ACLDefaultID(d, f), fmt.Sprintf("access control list of %s: what isn't permitted is denied", f.Name), f.Origin
	if rule != nil {
		id, origin = ACLRuleID(d, f, *rule), rule.Origin
		text = fmt.Sprintf("access control list of %s: %d deny %s", f.Name, rule.Order, rule.RemoteSubnet)
	}
	if permit {
		return []emu.Rule{{ID: id, Origin: origin, Statements: append(matches, emu.Goto{Chain: members})}}
	}
	return emu.DropRules(id, text, origin, matches...)
}

// translate leads a new connection to a member.
func translate(f lab.Frontend, m lab.Backend) emu.Rule {
	statements := []emu.Statement{emu.MatchProtocol{Protocol: string(f.Protocol)}}
	if f.IdleTimeout != 0 {
		statements = append(statements, emu.SetTimeout{Policy: timeoutPolicy(f)})
	}
	if !f.Internal {
		statements = append(statements, emu.SetMark{Mark: byVIP})
	}
	return emu.Rule{Origin: f.Origin, Statements: append(statements, emu.DNAT{To: netip.AddrPortFrom(m.Instance.DIP, m.LocalPort)})}
}

// directReturnRules let a connection through as it is: the edge routes the VIP to the member, which answers as the VIP.
// The platform doesn't do that for clients in the same cloud service ("Configure an ILB listener for AlwaysOn Availability Groups").
func directReturnRules(f lab.Frontend, own string) []emu.Rule {
	return append(
		emu.DropRules(DirectReturnFromInside, "direct server return doesn't serve the same cloud service", f.Origin, emu.MatchPrefixSet{Of: emu.Source, Set: own}),
		emu.Rule{Origin: f.Origin, Comment: "direct server return: " + f.Name, Statements: []emu.Statement{emu.SetMark{Mark: byVIP}, emu.Accept{}}},
	)
}

func timeoutPolicy(f lab.Frontend) string {
	return fmt.Sprintf("idle-%s-%d", f.Protocol, f.IdleTimeout)
}

// timeoutPolicies are the policies that an endpoint needs and none before it did.
func timeoutPolicies(f lab.Frontend, made map[int]bool) []emu.TimeoutPolicy {
	key := f.IdleTimeout
	if f.Protocol == emu.UDP {
		key = -key
	}
	if f.IdleTimeout == 0 || made[key] {
		return nil
	}
	made[key] = true
	return []emu.TimeoutPolicy{{Name: timeoutPolicy(f), Protocol: f.Protocol, Seconds: 60 * f.IdleTimeout}}
}

var distributions = map[lab.Distribution]emu.Distribution{
	lab.DistributeNone:             emu.FiveTuple,
	lab.DistributeSourceIP:         emu.AddressPair,
	lab.DistributeSourceIPProtocol: emu.AddressesAndProtocol,
}
