package probe

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"vnetlab/emu"
	"vnetlab/emu/diff"
)

// topology is an index of a network: where connections may arrive, by the addresses of its namespaces and the
// translations of its routers. It only helps to find out who answered and where to listen for reports; a verdict
// comes from packets.
//
// It follows changes of the network in place, at a cost that depends only on the change. What is noted several
// times, such as an address of both a link and a bridge, must be removed as often.
type topology struct {
	network    *emu.Network
	namespaces map[string]*emu.Namespace
	owners     map[netip.Addr][]string
	neighbors  map[string]map[string]int // by how many links
	interfaces map[string][]networkInterface
	dispatched map[socket][]chain
	chains     map[chain]*emu.Chain
	translated map[netip.Addr][]addressTranslation
	cables     map[device]emu.LinkEnd // the other end of each link
	// sourceChains are the chains of a router that translate sources; sourceChoosers those routers that choose one
	// of several.
	sourceChains   map[string][]*emu.Chain
	sourceChoosers map[string]int              // by how many chains
	sources        map[netip.Addr][]netip.Addr // what routers translate a source address to; the zero address: any
	// unheard are the namespaces with a ruleset whose reports no socket receives yet, with the number of the
	// change that made them so.
	unheard map[string]int
	changes int
	specs   *sync.Map // name -> *emu.Namespace: the search of Network.Namespace is too slow for every probe
}

type socket struct {
	address  netip.Addr
	protocol emu.Protocol
	port     uint16
}

// chain is the place of a chain.
type chain struct{ router, name string }

// device is the place of a link's end.
type device struct{ namespace, name string }

type networkInterface struct {
	device string
	prefix netip.Prefix // with the interface's own address
}

func newTopology(n *emu.Network) *topology {
	t := &topology{
		namespaces: make(map[string]*emu.Namespace, len(n.Namespaces)),
		owners:     make(map[netip.Addr][]string, len(n.Namespaces)),
		neighbors:  make(map[string]map[string]int, len(n.Namespaces)),
		interfaces: make(map[string][]networkInterface, len(n.Namespaces)),
		dispatched: make(map[socket][]chain),
		chains:     make(map[chain]*emu.Chain),
		translated: make(map[netip.Addr][]addressTranslation),
		sources:    make(map[netip.Addr][]netip.Addr),
		cables: make(
			map[device]emu.LinkEnd, 2*len(n.Links),
		), sourceChains: make(map[string][]*emu.Chain), sourceChoosers: make(map[string]int),
		unheard: make(map[string]int),
	}
	t.update(&diff.Change{To: n, Added: n.Namespaces, AddedLinks: n.Links})
	return t
}

// update applies a change of the network.
func (t *topology) update(c *diff.Change) {
	t.network, t.specs = c.To, new(sync.Map)
	t.changes++
	for _, l := range c.RemovedLinks {
		t.link(l, remove)
	}
	for _, s := range c.Removed {
		t.addresses(s.Name, s.Loopback, s.Bridges, remove)
		t.ruleset(s.Name, diff.Rulesets(s.Ruleset, nil))
		delete(t.namespaces, s.Name)
		delete(t.unheard, s.Name)
	}
	for _, s := range c.Changed {
		t.changeNamespace(s)
	}
	for _, s := range c.Added {
		t.addresses(s.Name, s.Loopback, s.Bridges, add)
		t.ruleset(s.Name, diff.Rulesets(nil, s.Ruleset))
		t.namespaces[s.Name] = s
		if s.Ruleset != nil {
			t.unheard[s.Name] = t.changes
		}
	}
	for _, l := range c.AddedLinks {
		t.link(l, add)
	}
}

func (t *topology) changeNamespace(c diff.NamespaceChange) {
	name := c.To.Name
	t.namespaces[name] = c.To
	t.addresses(name, c.RemovedLoopback, c.RemovedBridges, remove)
	t.addresses(name, c.AddedLoopback, c.AddedBridges, add)
	for _, b := range c.ChangedBridges {
		t.addresses(name, nil, []emu.Bridge{b.From}, remove)
		t.addresses(name, nil, []emu.Bridge{b.To}, add)
	}
	t.ruleset(name, c.Ruleset)
	switch {
	case c.To.Ruleset == nil:
		delete(t.unheard, name)
	case c.From.Ruleset == nil:
		t.unheard[name] = t.changes
	}
}

// spec returns a namespace of the network with its current origins, since a line that moved is no change of a
// namespace. nil: there is none.
func (t *topology) spec(name string) *emu.Namespace {
	if known, ok := t.specs.Load(name); ok {
		return known.(*emu.Namespace)
	}
	s, ok := t.network.Namespace(name)
	if ok {
		t.specs.Store(name, s)
	}
	return s
}

// change is whether something is added or removed.
type change int

const (
	add    change = 1
	remove change = -1
)

func (t *topology) addresses(namespace string, loopback []netip.Addr, bridges []emu.Bridge, n change) {
	for _, a := range loopback {
		note(t.owners, a, namespace, strings.Compare, n)
	}
	for _, b := range bridges {
		for _, a := range b.Addresses {
			note(t.owners, a.Addr(), namespace, strings.Compare, n)
		}
	}
}

func (t *topology) link(l *emu.Link, n change) {
	for _, e := range []emu.LinkEnd{l.A, l.B} {
		for _, a := range e.Addresses {
			note(t.owners, a.Addr(), e.Namespace, strings.Compare, n)
			note(t.interfaces, e.Namespace, networkInterface{e.Name, a}, compareInterfaces, n)
		}
	}
	t.join(l.A.Namespace, l.B.Namespace, n)
	t.join(l.B.Namespace, l.A.Namespace, n)
	a, b := device{l.A.Namespace, l.A.Name}, device{l.B.Namespace, l.B.Name}
	if n == add {
		t.cables[a], t.cables[b] = l.B, l.A
	} else {
		delete(t.cables, a)
		delete(t.cables, b)
	}
}

func (t *topology) join(a, b string, n change) {
	if t.neighbors[a] == nil {
		t.neighbors[a] = make(map[string]int)
	}
	if t.neighbors[a][b] += int(n); t.neighbors[a][b] == 0 {
		delete(t.neighbors[a], b)
	}
	if len(t.neighbors[a]) == 0 {
		delete(t.neighbors, a)
	}
}

// ruleset notes a change of the socket maps and chains of a router.
func (t *topology) ruleset(router string, c *diff.RulesetChange) {
	if c == nil {
		return
	}
	t.translatesByMaps(c.Addresses)
	for _, m := range c.Sockets {
		for _, e := range m.Removed {
			note(t.dispatched, socket{e.Address, e.Protocol, e.Port}, chain{router, e.Chain}, compareChains, remove)
		}
		for _, e := range m.Added {
			note(t.dispatched, socket{e.Address, e.Protocol, e.Port}, chain{router, e.Chain}, compareChains, add)
		}
	}
	for _, d := range c.Chains {
		t.translates(router, d.From, remove)
		t.translates(router, d.To, add)
		t.translatesSources(d.From, remove)
		t.translatesSources(d.To, add)
		if d.To == nil {
			delete(t.chains, chain{router, d.From.Name})
		} else {
			t.chains[chain{router, d.To.Name}] = d.To
		}
	}
}

// translates notes the addresses that a base chain translates without a socket map, and the chains that translate
// sources.
func (t *topology) translates(router string, c *emu.Chain, n change) {
	if c != nil && c.Hook == emu.SNATHook {
		note(t.sourceChains, router, c, func(a, b *emu.Chain) int { return strings.Compare(a.Name, b.Name) }, n)
		if chooses(c) {
			if t.sourceChoosers[router] += int(n); t.sourceChoosers[router] == 0 {
				delete(t.sourceChoosers, router)
			}
		}
	}
	if c == nil || c.Hook != emu.DNATHook {
		return
	}
	for _, r := range c.Rules {
		if address, tr, ok := translationIn(r); ok {
			tr.router = router
			note(t.translated, address, tr, compareTranslations, n)
		}
	}
}

// chooses reports whether a chain translates sources to one of several.
func chooses(c *emu.Chain) bool {
	return slices.ContainsFunc(c.Rules, func(r emu.Rule) bool {
		return slices.ContainsFunc(
			r.Statements, func(s emu.Statement) bool { h, ok := s.(emu.SNATByHash); return ok && len(h.To) > 1 },
		)
	})
}

// note adds a value to the sorted ones of a key, or removes it once.
func note[K comparable, V any](all map[K][]V, key K, value V, compare func(a, b V) int, n change) {
	of := all[key]
	i, there := slices.BinarySearchFunc(of, value, compare)
	switch {
	case n == add:
		all[key] = slices.Insert(of, i, value)
	case there && len(of) == 1:
		delete(all, key)
	case there:
		all[key] = slices.Delete(of, i, i+1)
	}
}

func compareInterfaces(a, b networkInterface) int {
	return cmp.Or(
		cmp.Compare(a.device, b.device),
		a.prefix.Addr().Compare(b.prefix.Addr()),
		cmp.Compare(a.prefix.Bits(), b.prefix.Bits()),
	)
}

func compareChains(a, b chain) int {
	return cmp.Or(cmp.Compare(a.router, b.router), cmp.Compare(a.name, b.name))
}
