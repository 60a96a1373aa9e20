package probe

import (
	"net/netip"
	"slices"

	"vnetlab/emu"
)

// path is one path that a connection may take, according to the network. There are several where routers choose by
// the source port: a member of a load-balanced set, or the address that they translate the source to.
type path struct {
	end   end    // where it arrives; without a namespace: at none of the network
	steps []step // the choices by source port that lead here
	// router is the last one that translates the destination, source and to are what it saw before; empty: none does.
	router string
	source netip.Addr
	to     netip.AddrPort
	chosen bool // the router had others to choose from
	// guessed: it is unknown which connections take this path, only that some do.
	guessed bool
	// translations are those of the source before that.
	translations []sourceTranslation
	// after are the namespaces that the connection passes after that.
	after []string
}

// sourceTranslation is how a router translates the source of packets for one destination.
type sourceTranslation struct {
	router     string
	of, source netip.Addr
	to         netip.AddrPort
}

// choice is the point where a router chooses one of several by a hash.
type choice struct {
	by       emu.Distribution
	source   netip.Addr
	to       netip.AddrPort
	protocol emu.Protocol
	n        int
}

func (c choice) of(port uint16) int {
	return c.by.Choose(netip.AddrPortFrom(c.source, port), c.to, c.protocol, c.n)
}

// step is a choice and its result.
type step struct {
	choice
	index int
}

// maxPaths is how many paths of one connection are all tried: those to a set of 250 members from the four
// addresses of a location's web sites. If there are more, each member is tried from only one address, and each
// address with some members.
const maxPaths = 1000

// paths lists the paths of a connection from any source port, in the order of the choices. It reports false if it
// can't predict the effect of a rule on them.
func (t *topology) paths(
	from string, source netip.Addr, protocol emu.Protocol, to netip.AddrPort,
) (all []path, ok bool) {
	for script := []int{}; ; {
		var steps []step
		w, ok := t.follow(from, source, protocol, to, func(c choice) int {
			if !c.by.ByPort() {
				return c.of(0)
			}
			s := step{choice: c}
			if len(steps) < len(script) {
				s.index = script[len(steps)]
			}
			steps = append(steps, s)
			return s.index
		})
		if !ok {
			return nil, false
		}
		w.steps = steps
		all = append(all, w)
		last := len(steps) - 1
		for last >= 0 && steps[last].index == steps[last].n-1 {
			last--
		}
		if last < 0 {
			return thinned(all), true
		}
		script = script[:0]
		for _, s := range steps[:last+1] {
			script = append(script, s.index)
		}
		script[last]++
	}
}

// thinned leaves out combinations of choices if there are too many.
func thinned(all []path) []path {
	if len(all) <= maxPaths {
		return all
	}
	return slices.DeleteFunc(all, func(w path) bool {
		for i := 1; i < len(w.steps); i++ {
			if a, b := w.steps[i-1], w.steps[i]; a.index != b.index%a.n && b.index != a.index%b.n {
				return true
			}
		}
		return false
	})
}

// fork is a tree of choices: where paths part.
type fork struct {
	choice
	next map[int]*fork
	path int // index of the path that ends here; -1: none
}

// forkOf returns the tree of the choices of paths.
func forkOf(paths []path) *fork {
	root := &fork{path: -1}
	for i, w := range paths {
		at := root
		for _, s := range w.steps {
			if at.next == nil {
				at.choice, at.next = s.choice, map[int]*fork{}
			}
			if at.next[s.index] == nil {
				at.next[s.index] = &fork{path: -1}
			}
			at = at.next[s.index]
		}
		at.path = i
	}
	return root
}

// of returns the index of the path that a source port takes; -1: none of them.
func (f *fork) of(port uint16) int {
	for f.next != nil {
		if f = f.next[f.choice.of(port)]; f == nil {
			return -1
		}
	}
	return f.path
}

// mayDiffer reports, at the cost of a look-up, whether connections from a namespace may take several paths.
func (t *topology) mayDiffer(from string, protocol emu.Protocol, to netip.AddrPort) bool {
	for router := range t.sourceChoosers {
		if t.neighbors[from][router] > 0 {
			return true
		}
	}
	for _, c := range t.dispatched[socket{to.Addr(), protocol, to.Port()}] {
		if slices.ContainsFunc(
			t.statements(c, map[string]bool{}),
			func(s emu.Statement) bool { h, ok := s.(emu.DNATByHash); return ok && len(h.To) > 1 },
		) {
			return true
		}
	}
	return false
}

// maxHops is more than any path has: a longer one is a loop.
const maxHops = 32

// follow walks from router to router as the kernel would forward the first packet of a connection if no rule
// dropped it. It reports false if it can't predict the path.
func (t *topology) follow(
	from string, source netip.Addr, protocol emu.Protocol, to netip.AddrPort, choose func(choice) int,
) (w path, ok bool) {
	at := from
	for n := range maxHops {
		s := t.namespaces[at]
		if s == nil {
			return w, false
		}
		if n > 0 {
			statement, translates, ok := t.translation(at, protocol, to)
			if !ok || translates && w.router != "" && !source.IsValid() {
				return w, false
			}
			if translates {
				w.router, w.source, w.to, w.after = at, source, to, nil
				to, w.chosen = translate(statement, source, protocol, to, choose)
				source = netip.Addr{} // its later translations are not followed
			}
		}
		if w.router != "" {
			w.after = append(w.after, at)
		}
		if to.Addr().IsLoopback() || slices.Contains(t.owners[to.Addr()], at) {
			w.end = end{at, to}
			return w, true
		}
		device, hop, ok := t.route(s, to.Addr())
		if !ok {
			return w, true
		}
		switch {
		case n == 0 && !source.IsValid():
			if source, ok = t.addressOn(s, device); !ok {
				return w, false
			}
		case n > 0 && source.IsValid():
			was := source
			if source, ok = t.sourceAfter(s, device, was, protocol, to, choose); !ok {
				return w, false
			}
			if source != was {
				w.translations = append(w.translations, sourceTranslation{at, was, source, to})
			}
		}
		if at = t.behind(at, device, hop); at == "" {
			return w, true
		}
	}
	return w, false
}

// translation returns how a router translates a destination. It reports false for ok if that depends on more than
// the destination.
func (t *topology) translation(
	router string, protocol emu.Protocol, to netip.AddrPort,
) (s emu.Statement, translates, ok bool) {
	var all []emu.Statement
	for _, c := range t.dispatched[socket{to.Addr(), protocol, to.Port()}] {
		if c.router == router {
			all = append(all, t.statements(c, map[string]bool{})...)
		}
	}
	for _, tr := range t.translated[to.Addr()] {
		if len(all) == 0 && tr.router == router && (tr.protocol == "" || tr.protocol == string(protocol)) &&
			(tr.port == 0 || tr.port == to.Port()) {
			all = append(all, emu.DNAT{To: tr.to})
		}
	}
	if len(all) == 0 {
		return nil, false, true
	}
	return all[0], true, len(all) == 1
}

// translate returns the new destination, and whether it is one of several.
func translate(
	s emu.Statement, source netip.Addr, protocol emu.Protocol, to netip.AddrPort, choose func(choice) int,
) (netip.AddrPort, bool) {
	switch s := s.(type) {
	case emu.DNATByHash:
		if len(s.To) > 1 {
			return s.To[choose(choice{s.By, source, to, protocol, len(s.To)})], true
		}
		return s.To[0], false
	case emu.DNAT:
		if s.To.Port() == 0 {
			return netip.AddrPortFrom(s.To.Addr(), to.Port()), false
		}
		return s.To, false
	}
	return to, false
}

// sourceAfter returns the source address with which a packet leaves a router. It reports false if that depends on
// what it doesn't know.
func (t *topology) sourceAfter(
	s *emu.Namespace,
	device string,
	source netip.Addr,
	protocol emu.Protocol,
	to netip.AddrPort,
	choose func(choice) int,
) (netip.Addr, bool) {
	for _, c := range t.sourceChains[s.Name] {
	rules:
		for _, r := range c.Rules {
			for _, statement := range r.Statements {
				matches := true
				switch m := statement.(type) {
				case emu.MatchOutput:
					matches = m.Device == device
				case emu.MatchPrefix:
					a := source
					if m.Of == emu.Destination {
						a = to.Addr()
					}
					matches = m.Prefix.Contains(a)
				case emu.MatchProtocol:
					matches = m.Protocol == string(protocol)
				case emu.MatchPort:
					matches = m.Port == to.Port()
				case emu.MatchMark, emu.MatchDNATed:
					matches = false // only of packets translated here, and those aren't followed
				case emu.Counter, emu.Log, emu.MatchProbe:
				case emu.Accept:
					return source, true
				case emu.SNAT:
					return m.To, true
				case emu.SNATByHash:
					return m.To[choose(choice{m.By, source, to, protocol, len(m.To)})], true
				case emu.SNATByMap:
					if value, there := lookUp(s.Ruleset, m.Map, source); there {
						return value, true
					}
					matches = false
				default:
					return netip.Addr{}, false
				}
				if !matches {
					continue rules
				}
			}
		}
	}
	return source, true
}

func lookUp(t *emu.Ruleset, name string, key netip.Addr) (netip.Addr, bool) {
	for _, m := range t.Addresses {
		if m.Name != name {
			continue
		}
		for _, e := range m.Elements {
			if e.Key == key {
				return e.Value, true
			}
		}
	}
	return netip.Addr{}, false
}
