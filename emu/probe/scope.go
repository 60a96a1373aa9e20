package probe

import (
	"cmp"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/diff"
)

// packet is what a report contains of a dropped packet.
type packet struct {
	protocol            emu.Protocol
	source, destination netip.AddrPort
	sequence            uint32 // of a SYN
	nonce               uint64 // of a datagram
}

// scope is where reports about the packets of a probe may come from, and with which addresses.
type scope struct {
	from         string
	ends         []end
	destinations []netip.AddrPort // the target, and what routers may translate it to
	aim          *end             // the one of the ends at which it should arrive; nil: any
}

// scope returns the scope of a probe.
func (t *topology) scope(from string, protocol emu.Protocol, to netip.AddrPort) *scope {
	c := &scope{from: from}
	c.ends, c.destinations = t.arrivals(from, protocol, to)
	return c
}

// meets reports whether a packet of the probe may be dropped in a namespace, with this destination.
// [attempt.matches] checks its ports and numbers, [Prober.sent] its source.
func (t *topology) meets(c *scope, namespace string, destination netip.AddrPort) bool {
	return slices.Contains(c.destinations, destination) && t.passes(c, namespace)
}

// sent reports whether a packet with this source address may come from a probe's socket: it is an address of the
// namespace, what a router translates one to, or the socket's own, which may have been added to the namespace by
// hand.
func (p *Prober) sent(file *os.File, c *scope, source netip.Addr) bool {
	if read(p, func(t *topology) bool { return t.sends(c.from, source) }) {
		return true
	}
	own := false
	if raw, err := file.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { //nolint:errcheck // closed: no wait to end
			name, err := unix.Getsockname(int(fd))
			if a, ok := name.(*unix.SockaddrInet4); err == nil && ok {
				own = netip.AddrFrom4(a.Addr) == source
			}
		})
	}
	return own
}

// passes reports whether the packets of a probe may pass a namespace: where they start, where they may arrive, any
// router.
func (t *topology) passes(c *scope, namespace string) bool {
	if namespace == c.from || slices.ContainsFunc(c.ends, func(e end) bool { return e.namespace == namespace }) {
		return true
	}
	s := t.namespaces[namespace]
	return s != nil && s.Kind == emu.Router
}

// sends reports whether packets from a namespace may have a source address: its own, or what a router translates
// that to.
func (t *topology) sends(from string, source netip.Addr) bool {
	if slices.Contains(t.owners[source], from) || slices.Contains(t.sources[netip.Addr{}], source) {
		return true
	}
	for _, i := range t.interfaces[from] {
		if slices.Contains(t.sources[i.prefix.Addr()], source) {
			return true
		}
	}
	return false
}

// deciders lists the namespaces that decide the verdict of a connection: where it starts, where it may arrive, and
// the routers between.
func (t *topology) deciders(c *scope) []string {
	all := []string{c.from}
	add := func(name string) {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	ends := c.ends
	if c.aim != nil && c.aim.namespace != "" {
		ends = []end{*c.aim}
	}
	for _, e := range ends {
		for _, name := range t.routersBetween(c.from, e.namespace) {
			add(name)
		}
		add(e.namespace)
	}
	// If no namespace has the address, the router that drops the packet is where the routes end.
	for _, name := range t.routed(c.from, c.destinations[0].Addr()) {
		add(name)
	}
	return all
}

// routed lists the routers that a packet to an address passes if none translates its destination.
func (t *topology) routed(from string, to netip.Addr) (all []string) {
	for at := from; len(all) < maxHops; {
		s := t.namespaces[at]
		if s == nil || slices.Contains(t.owners[to], at) {
			return all
		}
		device, hop, ok := t.route(s, to)
		if !ok {
			return all
		}
		at = t.behind(at, device, hop)
		if s := t.namespaces[at]; s == nil || s.Kind != emu.Router || slices.Contains(all, at) {
			return all
		}
		all = append(all, at)
	}
	return all
}

// routersBetween lists the routers on a shortest path along the links between two namespaces.
func (t *topology) routersBetween(from, to string) []string {
	if from == to || t.neighbors[from][to] > 0 {
		return nil
	}
	type leg struct {
		name string
		back *leg
	}
	seen := map[string]bool{from: true}
	for legs := []*leg{{name: from}}; len(legs) > 0; legs = legs[1:] {
		at := legs[0]
		if t.neighbors[at.name][to] > 0 {
			var routers []string
			for ; at.back != nil; at = at.back {
				routers = append(routers, at.name)
			}
			return routers
		}
		for next := range t.neighbors[at.name] {
			if s := t.namespaces[next]; !seen[next] && s != nil && s.Kind == emu.Router {
				seen[next] = true
				legs = append(legs, &leg{next, at})
			}
		}
	}
	return nil
}

// translatesSources notes what a base chain translates source addresses to.
func (t *topology) translatesSources(c *emu.Chain, n change) {
	if c == nil || c.Hook != emu.SNATHook {
		return
	}
	for _, r := range c.Rules {
		var of netip.Addr // zero: any
		var to []netip.Addr
		for _, s := range r.Statements {
			switch s := s.(type) {
			case emu.MatchPrefix:
				if s.Of == emu.Source && s.Prefix.IsSingleIP() {
					of = s.Prefix.Addr()
				}
			case emu.SNAT:
				to = []netip.Addr{s.To}
			case emu.SNATByHash:
				to = s.To
			}
		}
		for _, a := range to {
			note(t.sources, of, a, netip.Addr.Compare, n)
		}
	}
}

// translatesByMaps notes what the address maps of a router translate source addresses to.
func (t *topology) translatesByMaps(maps []diff.SetChange[emu.AddressMapElement]) {
	for _, m := range maps {
		for _, e := range m.Removed {
			note(t.sources, e.Key, e.Value, netip.Addr.Compare, remove)
		}
		for _, e := range m.Added {
			note(t.sources, e.Key, e.Value, netip.Addr.Compare, add)
		}
	}
}

// arrivals lists where a connection or datagram that starts in a namespace may arrive, and the destinations that
// its packets may have.
func (t *topology) arrivals(
	from string, protocol emu.Protocol, to netip.AddrPort,
) (found []end, destinations []netip.AddrPort) {
	type leg struct {
		to   netip.AddrPort
		near func() []string
	}
	seen := map[translation]bool{}
	for legs := []leg{{to, func() []string { return t.near(from) }}}; len(legs) > 0; legs = legs[1:] {
		l := legs[0]
		if !slices.Contains(destinations, l.to) {
			destinations = append(destinations, l.to)
		}
		for _, tr := range t.translations(socket{l.to.Addr(), protocol, l.to.Port()}) {
			if !seen[tr] && tr.to != to {
				seen[tr] = true
				legs = append(legs, leg{tr.to, func() []string { return []string{tr.router} }})
			}
		}
		for _, owner := range t.ownersNear(l.to.Addr(), l.near) {
			if e := (end{owner, l.to}); !slices.Contains(found, e) {
				found = append(found, e)
			}
		}
	}
	return found, destinations
}

// matches reports whether a packet has the port and the number that only this attempt uses.
func (a *attempt) matches(p packet) bool {
	if p.protocol == emu.UDP {
		return a.nonce != 0 && a.nonce == p.nonce
	}
	return a.nonce == 0 && a.port == p.source.Port() && (a.sequence == 0 || a.sequence == p.sequence)
}

// port returns the source port that the probe of a packet had. Routers may have changed that of a datagram, but
// its nonce has it, too.
func (p packet) port() uint16 {
	return cmp.Or(uint16(p.nonce>>48), p.source.Port())
}
