package diff

import (
	"net/netip"
	"slices"

	"vnetlab/emu"
)

// RulesetChange is a ruleset that differs.
type RulesetChange struct {
	From, To *emu.Ruleset // nil: there is none
	// Chains that come and go, and those of which the hook or a rule differs. (Rules may differ in a timeout policy
	// that has the same name.)
	Chains    []ChainChange
	Ports     []SetChange[emu.PortAddress]
	Prefixes  []SetChange[netip.Prefix]
	Pairs     []SetChange[[2]netip.Addr]
	Addresses []SetChange[emu.AddressMapElement]
	Marks     []SetChange[emu.MarkMapElement]
	Sockets   []SetChange[emu.SocketMapElement]
	// A policy with other seconds is removed and added.
	RemovedTimeouts, AddedTimeouts []emu.TimeoutPolicy
}

// ChainChange is a chain that differs; nil: there is none.
type ChainChange struct{ From, To *emu.Chain }

// SetChange is a set or a map that differs.
type SetChange[E comparable] struct {
	Name string
	// Made and Gone report that the set itself is added or removed, with its elements, if any.
	Made, Gone bool
	// An element of a map with another value is removed and added.
	Removed, Added []E
}

// Rulesets returns the change that turns one ruleset into the other, nil if they are equal. A ruleset may be nil.
func Rulesets(from, to *emu.Ruleset) *RulesetChange {
	if from == to {
		return nil
	}
	was, is := emu.Ruleset{}, emu.Ruleset{}
	if from != nil {
		was = *from
	}
	if to != nil {
		is = *to
	}
	c := &RulesetChange{
		From:   from,
		To:     to,
		Chains: chainChanges(was.Chains, is.Chains),
		Ports:  setChanges(was.Ports, is.Ports, portSetParts),
		Prefixes: setChanges(
			was.Prefixes,
			is.Prefixes,
			func(s emu.PrefixSet) (string, []netip.Prefix) { return s.Name, s.Elements },
		),
		Pairs: setChanges(
			was.Pairs,
			is.Pairs,
			func(s emu.PairSet) (string, [][2]netip.Addr) { return s.Name, s.Elements },
		),
		Addresses: setChanges(
			was.Addresses,
			is.Addresses,
			func(m emu.AddressMap) (string, []emu.AddressMapElement) { return m.Name, m.Elements },
		),
		Marks: setChanges(
			was.Marks,
			is.Marks,
			func(m emu.MarkMap) (string, []emu.MarkMapElement) { return m.Name, m.Elements },
		),
		Sockets: setChanges(
			was.Sockets,
			is.Sockets,
			func(m emu.SocketMap) (string, []emu.SocketMapElement) { return m.Name, m.Elements },
		),
	}
	c.RemovedTimeouts, c.AddedTimeouts = difference(was.Timeouts, is.Timeouts)
	same := (from == nil) == (to == nil) && was.Family == is.Family && was.Table == is.Table &&
		len(c.Chains) == 0 && len(c.Ports) == 0 && len(c.Prefixes) == 0 && len(c.Pairs) == 0 &&
		len(
			c.Addresses,
		) == 0 && len(c.Marks) == 0 && len(c.Sockets) == 0 && len(c.RemovedTimeouts) == 0 && len(c.AddedTimeouts) == 0
	if same {
		return nil
	}
	return c
}

func portSetParts(s emu.PortSet) (name string, elements []emu.PortAddress) { return s.Name, s.Elements }

func chainChanges(from, to []*emu.Chain) (changes []ChainChange) {
	from, to = unshared(from, to, EqualChains)
	old := make(map[string]*emu.Chain, len(from))
	for _, c := range from {
		old[c.Name] = c
	}
	for _, c := range to {
		was := old[c.Name]
		delete(old, c.Name)
		if was == nil || !EqualChains(was, c) {
			changes = append(changes, ChainChange{was, c})
		}
	}
	for _, c := range from {
		if old[c.Name] != nil {
			changes = append(changes, ChainChange{From: c})
		}
	}
	return changes
}

// EqualChains reports whether two chains have the same name, hook and rules ([EqualRules]).
func EqualChains(a, b *emu.Chain) bool {
	return a == b || a.Name == b.Name && a.Hook == b.Hook && slices.EqualFunc(a.Rules, b.Rules, EqualRules)
}

// EqualRules reports whether two rules do the same and have the same comment. Their origins may differ.
func EqualRules(a, b emu.Rule) bool {
	return a.Comment == b.Comment && slices.EqualFunc(a.Statements, b.Statements, emu.EqualStatements)
}

func setChanges[S any, E comparable](from, to []S, parts func(S) (name string, elements []E)) (changes []SetChange[E]) {
	from, to = unshared(from, to, func(a, b S) bool {
		name, elements := parts(a)
		other, others := parts(b)
		return name == other && equal(elements, others)
	})
	old := make(map[string][]E, len(from))
	for _, s := range from {
		name, elements := parts(s)
		old[name] = elements
	}
	for _, s := range to {
		name, elements := parts(s)
		was, ok := old[name]
		delete(old, name)
		removed, added := difference(was, elements)
		if !ok || len(removed)+len(added) > 0 {
			changes = append(changes, SetChange[E]{Name: name, Made: !ok, Removed: removed, Added: added})
		}
	}
	for _, s := range from {
		name, elements := parts(s)
		if _, gone := old[name]; gone {
			changes = append(changes, SetChange[E]{Name: name, Gone: true, Removed: elements})
		}
	}
	return changes
}

// Rulesets lists the changes of the namespace's tables.
func (c *NamespaceChange) Rulesets() (all []*RulesetChange) {
	for _, r := range []*RulesetChange{c.Ruleset, c.Switch} {
		if r != nil {
			all = append(all, r)
		}
	}
	return all
}
