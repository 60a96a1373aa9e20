package probe

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	"vnetlab/emu"
)

// topology is what a network says about where a connection may arrive: the addresses of its namespaces and the translations
// of its routers. It only ever helps to find out who answered and where to listen for reports; a verdict comes from packets.
type topology struct {
	network    *emu.Network
	namespaces map[string]*emu.Namespace
	owners     map[netip.Addr][]string
	neighbours map[string]map[string]bool // by links
	interfaces map[string][]networkInterface
	translated map[socket][]translation
	reporters  []string // namespaces that report drops
	rules      sync.Map // ruleKey -> emu.RuleReference: Network.Rule searches, a sweep asks again and again
}

type socket struct {
	address  netip.Addr
	protocol emu.Protocol
	port     uint16
}

type translation struct {
	router string
	to     netip.AddrPort
}

type networkInterface struct {
	device string
	prefix netip.Prefix // with the interface's own address
}

type ruleKey struct{ namespace, id string }

// end is a socket address in a namespace at which a connection may arrive.
type end struct {
	namespace string
	at        netip.AddrPort
}

func newTopology(n *emu.Network) *topology {
	t := &topology{
		network:    n,
		namespaces: make(map[string]*emu.Namespace, len(n.Namespaces)),
		owners:     make(map[netip.Addr][]string, len(n.Namespaces)),
		neighbours: make(map[string]map[string]bool, len(n.Namespaces)),
		interfaces: make(map[string][]networkInterface, len(n.Namespaces)),
		translated: make(map[socket][]translation),
	}
	for i := range n.Namespaces {
		s := n.Namespaces[i]
		t.namespaces[s.Name] = s
		for _, a := range s.Loopback {
			t.own(a, s.Name)
		}
		for _, b := range s.Bridges {
			for _, a := range b.Addresses {
				t.own(a.Addr(), s.Name)
			}
		}
		if s.Ruleset != nil {
			t.translate(s.Name, s.Ruleset)
		}
		if s.Ruleset != nil || s.Firewall != nil {
			t.reporters = append(t.reporters, s.Name)
		}
	}
	for _, l := range n.Links {
		for _, e := range []emu.LinkEnd{l.A, l.B} {
			for _, a := range e.Addresses {
				t.own(a.Addr(), e.Namespace)
				t.interfaces[e.Namespace] = append(t.interfaces[e.Namespace], networkInterface{e.Name, a})
			}
		}
		t.join(l.A.Namespace, l.B.Namespace)
		t.join(l.B.Namespace, l.A.Namespace)
	}
	return t
}

func (t *topology) own(a netip.Addr, namespace string) {
	if !slices.Contains(t.owners[a], namespace) {
		t.owners[a] = append(t.owners[a], namespace)
	}
}

func (t *topology) join(a, b string) {
	if t.neighbours[a] == nil {
		t.neighbours[a] = make(map[string]bool)
	}
	t.neighbours[a][b] = true
}

// translate records where the socket maps of a router lead.
func (t *topology) translate(router string, rules *emu.Ruleset) {
	chains := make(map[string]*emu.Chain, len(rules.Chains))
	for i := range rules.Chains {
		chains[rules.Chains[i].Name] = rules.Chains[i]
	}
	for _, m := range rules.Sockets {
		for _, e := range m.Elements {
			key := socket{e.Address, e.Protocol, e.Port}
			for _, to := range destinations(chains, e.Chain, map[string]bool{}) {
				t.translated[key] = append(t.translated[key], translation{router, to})
			}
		}
	}
}

// destinations lists where a chain and the chains it leads to translate to.
func destinations(chains map[string]*emu.Chain, name string, seen map[string]bool) []netip.AddrPort {
	c := chains[name]
	if c == nil || seen[name] {
		return nil
	}
	seen[name] = true
	var all []netip.AddrPort
	for _, r := range c.Rules {
		for _, s := range r.Statements {
			switch s := s.(type) {
			case emu.DNAT:
				all = append(all, s.To)
			case emu.Goto:
				all = append(all, destinations(chains, s.Chain, seen)...)
			case emu.Distribute:
				for _, next := range s.Chains {
					all = append(all, destinations(chains, next, seen)...)
				}
			}
		}
	}
	return all
}

// ends lists where a connection or datagram that starts in a namespace may arrive. Where several namespaces have an address, because
// networks overlap, those count that are linked to the same router as the start of the connection, or to the router that
// translated it; if none is, all of them.
func (t *topology) ends(from string, protocol emu.Protocol, to netip.AddrPort) []end {
	type leg struct {
		to   netip.AddrPort
		near []string
	}
	var found []end
	seen := map[netip.AddrPort]bool{to: true}
	for legs := []leg{{to, t.near(from)}}; len(legs) > 0; legs = legs[1:] {
		l := legs[0]
		for _, tr := range t.translated[socket{l.to.Addr(), protocol, l.to.Port()}] {
			if !seen[tr.to] {
				seen[tr.to] = true
				legs = append(legs, leg{tr.to, []string{tr.router}})
			}
		}
		for _, owner := range t.ownersNear(l.to.Addr(), l.near) {
			found = append(found, end{owner, l.to})
		}
	}
	return found
}

// near lists a namespace and those it is linked to.
func (t *topology) near(from string) []string {
	near := []string{from}
	for n := range t.neighbours[from] {
		near = append(near, n)
	}
	return near
}

func (t *topology) ownersNear(a netip.Addr, near []string) []string {
	all := t.owners[a]
	if len(all) < 2 {
		return all
	}
	var some []string
	for _, o := range all {
		if slices.ContainsFunc(near, func(n string) bool { return n == o || t.neighbours[n][o] }) {
			some = append(some, o)
		}
	}
	if len(some) == 0 {
		return all
	}
	return some
}

// builtIn says whether a built-in listener, and nothing else, may get what is sent to one of the ends: over TCP an HTTP request for the
// host.
func (t *topology) builtIn(ends []end, protocol emu.Protocol, host string) bool {
	for _, e := range ends {
		s := t.namespaces[e.namespace]
		if p := proxyAt(s, e.at); p != nil && protocol == emu.TCP {
			if !t.builtInBehind(s.Name, p, host) {
				return false
			}
			continue
		}
		i := slices.IndexFunc(s.Services, func(v emu.Service) bool { return v.Protocol == protocol && v.Port == e.at.Port() })
		if i < 0 || !s.Services[i].BuiltIn() {
			return false
		}
	}
	return len(ends) > 0
}

func (t *topology) builtInBehind(namespace string, p *emu.HTTPProxy, host string) bool {
	i := slices.IndexFunc(p.Routes, func(r emu.HTTPProxyRoute) bool { return strings.EqualFold(r.Host, strings.TrimSuffix(host, ".")) })
	if i < 0 {
		return false
	}
	behind := t.ends(namespace, emu.TCP, p.Routes[i].Backend)
	for _, e := range behind {
		if proxyAt(t.namespaces[e.namespace], e.at) != nil {
			return false // a proxy behind a proxy could be this one
		}
	}
	return t.builtIn(behind, emu.TCP, host)
}

// proxyAt finds the proxy that listens at an address of the namespace.
func proxyAt(s *emu.Namespace, at netip.AddrPort) *emu.HTTPProxy {
	for i, p := range s.Proxies {
		if p.Listen.Port() == at.Port() && (p.Listen.Addr() == at.Addr() || p.Listen.Addr().IsUnspecified()) {
			return &s.Proxies[i]
		}
	}
	return nil
}

// rule names the rule that reported a drop.
func (t *topology) rule(namespace, id string) *emu.RuleReference {
	key := ruleKey{namespace, id}
	known, ok := t.rules.Load(key)
	if !ok {
		ref, _ := t.network.Rule(namespace, id) // without text when the rule is newer than the network
		known, _ = t.rules.LoadOrStore(key, ref)
	}
	ref := known.(emu.RuleReference)
	return &ref
}
