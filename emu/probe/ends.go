package probe

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
)

// end is a socket address in a namespace at which a connection may arrive.
type end struct {
	namespace string
	at        netip.AddrPort
}

// translation is a router's translation of a destination.
type translation struct {
	router string
	to     netip.AddrPort
}

// addressTranslation is a rule of a router's base chain that translates what is sent to one address.
type addressTranslation struct {
	router   string
	protocol string         // empty: any
	port     uint16         // 0: all
	to       netip.AddrPort // with port 0 the port stays
}

// translationIn returns what a rule of a base chain matches, one destination address, protocol and port, and how
// it translates that.
func translationIn(r emu.Rule) (address netip.Addr, tr addressTranslation, ok bool) {
	for _, s := range r.Statements {
		switch s := s.(type) {
		case emu.MatchPrefix:
			if s.Of == emu.Destination && s.Prefix.IsSingleIP() {
				address = s.Prefix.Addr()
			}
		case emu.MatchProtocol:
			tr.protocol = s.Protocol
		case emu.MatchPort:
			tr.port = s.Port
		case emu.DNAT:
			tr.to, ok = s.To, address.IsValid()
		}
	}
	return address, tr, ok
}

func compareTranslations(a, b addressTranslation) int {
	return cmp.Or(
		strings.Compare(a.router, b.router),
		strings.Compare(a.protocol, b.protocol),
		cmp.Compare(a.port, b.port),
		a.to.Compare(b.to),
	)
}

// translations lists how the routers translate a destination.
func (t *topology) translations(of socket) (all []translation) {
	keepPort := func(to netip.AddrPort) netip.AddrPort {
		return netip.AddrPortFrom(to.Addr(), cmp.Or(to.Port(), of.port))
	}
	for _, c := range t.dispatched[of] {
		for _, to := range t.destinations(c) {
			all = append(all, translation{c.router, keepPort(to)})
		}
	}
	for _, tr := range t.translated[of.address] {
		if (tr.protocol == "" || tr.protocol == string(of.protocol)) && (tr.port == 0 || tr.port == of.port) {
			all = append(all, translation{tr.router, keepPort(tr.to)})
		}
	}
	return all
}

// destinations lists where a chain, and those it jumps to, translate to.
func (t *topology) destinations(c chain) (all []netip.AddrPort) {
	for _, s := range t.statements(c, map[string]bool{}) {
		switch s := s.(type) {
		case emu.DNAT:
			all = append(all, s.To)
		case emu.DNATByHash:
			all = append(all, s.To...)
		}
	}
	return all
}

// statements lists those that translate destinations in a chain, and in those it jumps to.
func (t *topology) statements(c chain, seen map[string]bool) (all []emu.Statement) {
	rules := t.chains[c]
	if rules == nil || seen[c.name] {
		return nil
	}
	seen[c.name] = true
	for _, r := range rules.Rules {
		for _, s := range r.Statements {
			switch s := s.(type) {
			case emu.DNAT, emu.DNATByHash:
				all = append(all, s)
			case emu.Goto:
				all = append(all, t.statements(chain{c.router, s.Chain}, seen)...)
			}
		}
	}
	return all
}

// ends lists where a connection or datagram that starts in a namespace may arrive. If several namespaces have an
// address, because networks overlap, only those count that are linked to the same router as the start of the
// connection, or to the router that translated it; if none is, all of them.
func (t *topology) ends(from string, protocol emu.Protocol, to netip.AddrPort) []end {
	found, _ := t.arrivals(from, protocol, to)
	return found
}

// near lists a namespace and those it is linked to.
func (t *topology) near(from string) []string {
	near := []string{from}
	for n := range t.neighbors[from] {
		near = append(near, n)
	}
	return near
}

// ownersNear lists the namespaces that have an address. If there are several, only those count that are among those
// near or linked to one of them; if none is, all of them. Near is only called if it matters: a probe asks this, and
// networks seldom overlap.
func (t *topology) ownersNear(a netip.Addr, near func() []string) []string {
	if owners := t.owners[a]; len(owners) < 2 {
		return owners
	}
	all := slices.Compact(slices.Clone(t.owners[a]))
	if len(all) < 2 {
		return all
	}
	var some []string
	places := near()
	for _, o := range all {
		if slices.ContainsFunc(places, func(n string) bool { return n == o || t.neighbors[n][o] > 0 }) {
			some = append(some, o)
		}
	}
	if len(some) == 0 {
		return all
	}
	return some
}

// builtIn reports whether only built-in listeners can receive what is sent to the ends: over TCP, an HTTP request
// for the host.
func (t *topology) builtIn(ends []end, protocol emu.Protocol, host string) bool {
	for _, e := range ends {
		s := t.namespaces[e.namespace]
		if s == nil {
			return false // it was removed during the probe
		}
		if p := proxyAt(s, e.at); p != nil && protocol == emu.TCP {
			if !t.builtInBehind(s.Name, p, host) {
				return false
			}
			continue
		}
		i := slices.IndexFunc(
			s.Services, func(v emu.Service) bool { return v.Protocol == protocol && v.Port == e.at.Port() },
		)
		if i < 0 || !s.Services[i].BuiltIn() {
			return false
		}
	}
	return len(ends) > 0
}

func (t *topology) builtInBehind(namespace string, p *emu.HTTPProxy, host string) bool {
	backend, ok := routeOf(p, host)
	if !ok {
		return false
	}
	behind := t.ends(namespace, emu.TCP, backend)
	for _, e := range behind {
		if s := t.namespaces[e.namespace]; s != nil && proxyAt(s, e.at) != nil {
			return false // a proxy behind a proxy could be this one
		}
	}
	return t.builtIn(behind, emu.TCP, host)
}

// routeOf returns where a proxy forwards requests for a host.
func routeOf(p *emu.HTTPProxy, host string) (backend netip.AddrPort, ok bool) {
	i := slices.IndexFunc(
		p.Routes, func(r emu.HTTPProxyRoute) bool { return strings.EqualFold(r.Host, strings.TrimSuffix(host, ".")) },
	)
	if i < 0 {
		return backend, false
	}
	return p.Routes[i].Backend, true
}

// proxyAt returns the proxy that listens at an address of the namespace; nil: none does.
func proxyAt(s *emu.Namespace, at netip.AddrPort) *emu.HTTPProxy {
	for i, p := range s.Proxies {
		if p.Listen.Port() == at.Port() && (p.Listen.Addr() == at.Addr() || p.Listen.Addr().IsUnspecified()) {
			return &s.Proxies[i]
		}
	}
	return nil
}

// reporters lists the namespaces that report drops.
func (t *topology) reporters() (names []string) {
	for name, s := range t.namespaces {
		if canDrop(s) {
			names = append(names, name)
		}
	}
	return names
}

func canDrop(s *emu.Namespace) bool { return s.Ruleset != nil || s.Firewall != nil }

// allUnheard returns the namespaces with a ruleset whose reports no socket receives yet.
func (t *topology) allUnheard() map[string]int {
	if len(t.unheard) == 0 {
		return nil
	}
	return maps.Clone(t.unheard)
}

// heard notes that a socket receives the reports of a namespace, if that is still the same one.
func (t *topology) heard(name string, since int) {
	if t.unheard[name] == since {
		delete(t.unheard, name)
	}
}
