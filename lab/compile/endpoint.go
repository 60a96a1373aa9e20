package compile

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/rules"
)

// endpoint makes the chains of a public port, or of a port of an internal load balancer: SERVICE-tcp-80, or
// SERVICE/DEPLOYMENT-tcp-80, with what it leads to behind a dot, so that no names of services and deployments give
// one chain twice.
func (s *edgeShare) endpoint(d *lab.Deployment, f lab.Frontend) {
	name := d.Service
	if d.Name != d.Service {
		name += "/" + d.Name
	}
	own := "own-" + name
	name += fmt.Sprintf("-%s-%d", f.Protocol, f.PublicPort)
	if f.Internal() {
		name += ".internal"
	}
	s.endpoints = append(
		s.endpoints,
		emu.SocketMapElement{Address: f.Address, Protocol: f.Protocol, Port: f.PublicPort, Chain: name},
	)
	s.timeoutPolicy(f)
	members := &emu.Chain{Name: name}
	serving := f.Serving()
	switch {
	case len(serving) == 0:
		members.Rules = emu.DropRules(
			rules.NoBackendID(d, f),
			said("nobody serves behind the endpoint %s", described(f)),
			f.Origin,
		)
	case f.DirectServerReturn:
		s.ownSet(own, d)
		members.Rules = directReturnRules(d, f, serving[0], own)
		if !f.Internal() {
			s.direct = append(
				s.direct,
				accept(
					emu.MatchPrefix{Of: emu.Destination, Prefix: single(f.Address)},
					emu.MatchProtocol{Protocol: string(f.Protocol)},
					emu.MatchPort{Port: f.PublicPort},
				),
			)
		}
	default:
		members.Rules = []emu.Rule{translate(f, serving)}
	}
	if len(f.ACL) > 0 {
		s.lists = s.lists || !f.Internal()
		members.Name = name + ".members"
		s.chains = append(s.chains, members)
		s.chains = append(s.chains, accessControl(d, f, name, members.Name)...)
		return
	}
	s.chains = append(s.chains, members)
}

// accessControl gives the chains of an endpoint's access control list, the one that comes first last. An instance of
// the same domain is seen here by its own address, but the list of a public endpoint is about its deployment's VIP:
// that is its mark. Clients of an internal load balancer keep their own addresses, and its lists are about those.
func accessControl(d *lab.Deployment, f lab.Frontend, name, members string) []*emu.Chain {
	list := &emu.Chain{Name: name}
	if f.Internal() {
		fillList(list, d, f, false, members, from)
		return []*emu.Chain{list}
	}
	inside := &emu.Chain{Name: name + ".inside"}
	list.Rules = []emu.Rule{
		{
			Comment:    "from inside",
			Statements: []emu.Statement{emu.SetMarkByMap{Map: callersMap}, emu.Goto{Chain: inside.Name}},
		},
	}
	fillList(inside, d, f, true, members, callerIn)
	fillList(list, d, f, false, members, from)
	return []*emu.Chain{inside, list}
}

// fillList appends the rules of an access control list and its default; match tells clients in a prefix.
func fillList(
	c *emu.Chain,
	d *lab.Deployment,
	f lab.Frontend,
	inside rules.Inside,
	members string,
	match func(netip.Prefix) []emu.Statement,
) {
	for _, r := range f.ACL {
		text := fmt.Sprintf("%d %s %s", r.Order, action(r.Permit), r.RemoteSubnet)
		c.Rules = append(
			c.Rules,
			aclRules(
				f,
				rules.ACLRuleID(d, f, inside, r),
				text,
				r.Origin,
				r.Permit,
				members,
				match(r.RemoteSubnet)...)...)
	}
	text := "what isn't permitted is denied"
	if f.PermitsByDefault() {
		text = "what no rule matches is permitted"
	}
	c.Rules = append(
		c.Rules,
		aclRules(f, rules.ACLDefaultID(d, f, inside), text, f.Origin, f.PermitsByDefault(), members)...)
}

// described names an endpoint for people. Endpoints of different machines and roles may have one name.
func described(f lab.Frontend) string {
	if f.Owner == f.Name {
		return fmt.Sprintf("%s (%s %d)", f.Name, f.Protocol, f.PublicPort)
	}
	return fmt.Sprintf("%s of %s (%s %d)", f.Name, f.Owner, f.Protocol, f.PublicPort)
}

// said is a comment of a rule.
func said(format string, args ...any) string {
	return truncate(fmt.Sprintf(format, args...), maxComment)
}

// maxComment is how many bytes nft reads of a comment.
const maxComment = 127

// from matches packets whose source is in a prefix.
func from(p netip.Prefix) []emu.Statement {
	return []emu.Statement{emu.MatchPrefix{Of: emu.Source, Prefix: p}}
}

// callersMap marks a packet with the VIP of the instance that sent it.
const callersMap = "vip-mark-of"

func callers(sources []emu.AddressMapElement) emu.MarkMap {
	m := emu.MarkMap{Name: callersMap, Elements: make([]emu.MarkMapElement, len(sources))}
	for i, s := range sources {
		m.Elements[i] = emu.MarkMapElement{Key: s.Key, Mark: number(s.Value)}
	}
	return m
}

// callerIn matches packets marked with an address in a prefix.
func callerIn(p netip.Prefix) []emu.Statement {
	if p.Bits() == 0 {
		return nil
	}
	return []emu.Statement{emu.MatchMaskedMark{Mark: number(p.Masked().Addr()), Mask: ^uint32(0) << (32 - p.Bits())}}
}

func number(a netip.Addr) uint32 { return binary.BigEndian.Uint32(a.AsSlice()) }

// aclRules permit or deny what matches, as a rule of an access control list or as its default says.
func aclRules(
	f lab.Frontend,
	id, text string,
	origin emu.Origin,
	permit bool,
	members string,
	matches ...emu.Statement,
) []emu.Rule {
	text = said("access control list of %s: %s", described(f), text)
	if permit {
		return []emu.Rule{
			{ID: id, Comment: text, Origin: origin, Statements: append(matches, emu.Goto{Chain: members})},
		}
	}
	return emu.DropRules(id, text, origin, matches...)
}

func action(permit bool) string {
	if permit {
		return "permit"
	}
	return "deny"
}

// translate leads a new connection to one of the members.
func translate(f lab.Frontend, serving []lab.Backend) emu.Rule {
	statements := []emu.Statement{emu.MatchProtocol{Protocol: string(f.Protocol)}}
	if f.IdleTimeoutInMinutes != 0 {
		statements = append(statements, emu.SetTimeout{Policy: timeoutPolicy(f)})
	}
	if !f.Internal() {
		statements = append(statements, emu.SetMark{Mark: byVIP})
	}
	targets := make([]netip.AddrPort, len(serving))
	for i, m := range serving {
		targets[i] = netip.AddrPortFrom(m.Instance.DIP, m.LocalPort)
	}
	if len(targets) == 1 {
		return emu.Rule{Origin: f.Origin, Statements: append(statements, emu.DNAT{To: targets[0]})}
	}
	return emu.Rule{
		Origin:     f.Origin,
		Comment:    "load-balanced: " + f.Name,
		Statements: append(statements, emu.DNATByHash{By: f.Distribution.Hash(), To: targets}),
	}
}

// directReturnRules let a connection through as it is: the edge routes the VIP to the member, which answers as the
// VIP. The address of an internal load balancer is the edge's for its other ports, so that the edge translates here
// as well; clients see no difference. The platform doesn't do that for clients in the same cloud service ("Configure
// an ILB listener for AlwaysOn Availability Groups").
func directReturnRules(d *lab.Deployment, f lab.Frontend, member lab.Backend, own string) []emu.Rule {
	through := emu.Rule{
		Origin:     f.Origin,
		Comment:    "direct server return: " + f.Name,
		Statements: []emu.Statement{emu.SetMark{Mark: byVIP}, emu.Accept{}},
	}
	if f.Internal() {
		through = translate(f, []lab.Backend{member})
	}
	return append(
		emu.DropRules(
			rules.DirectReturnID(d, f),
			said("direct server return doesn't serve the same cloud service: %s", described(f)),
			f.Origin,
			emu.MatchPrefixSet{Of: emu.Source, Set: own},
		),
		through,
	)
}

// ownSet makes the set of the deployment's running instances, once.
func (s *edgeShare) ownSet(name string, d *lab.Deployment) {
	if slices.ContainsFunc(s.own, func(o emu.PrefixSet) bool { return o.Name == name }) {
		return
	}
	set := emu.PrefixSet{Name: name}
	for _, i := range d.Running() {
		set.Elements = append(set.Elements, single(i.DIP))
	}
	s.own = append(s.own, set)
}

func timeoutPolicy(f lab.Frontend) string {
	return fmt.Sprintf("idle-%s-%d", f.Protocol, f.IdleTimeoutInMinutes)
}

// timeoutPolicy notes the policy that an endpoint needs.
func (s *edgeShare) timeoutPolicy(f lab.Frontend) {
	if f.IdleTimeoutInMinutes != 0 {
		s.timeouts = append(
			s.timeouts,
			emu.TimeoutPolicy{Name: timeoutPolicy(f), Protocol: f.Protocol, Seconds: 60 * f.IdleTimeoutInMinutes},
		)
	}
}
