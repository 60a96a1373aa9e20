package kernel

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"

	"vnetlab/emu"
)

// updateRuleset changes one ruleset into another in one transaction, which happens wholly or not at all; nil: there is none.
func (n *Namespace) updateRuleset(from, to *emu.Ruleset) error {
	t, err := newTransaction()
	if err != nil {
		return err
	}
	if from != nil && to != nil && from.Table == to.Table {
		err = n.changeRuleset(t.Conn, from, to)
	} else {
		if from != nil {
			t.DelTable(tableOf(from))
		}
		if to != nil {
			err = addRuleset(t.Conn, to)
		}
	}
	if err == nil {
		err = t.commit(n)
	}
	switch {
	case err == nil:
		return nil
	case to == nil:
		return fmt.Errorf("namespace %s: delete the nftables table %s: %w", n.Name, from.Table, err)
	}
	return fmt.Errorf("namespace %s: change the nftables table %s: %w", n.Name, to.Table, explainTimeouts(to, err))
}

// rulesetChange queues the difference of two rulesets of the same table. Everything that goes is queued before everything that
// comes: names can be used again at once, and nobody sees the time between.
type rulesetChange struct {
	*nftables.Conn
	table    *nftables.Table
	from, to *emu.Ruleset
	// renewed are the timeout policies of the same name that differ. The kernel can't change one; so the rules that set it are renewed too.
	renewed map[string]bool
	gone    []*nftables.Chain
	handles func(chain string) ([]uint64, error) // of its rules
}

func (n *Namespace) changeRuleset(c *nftables.Conn, from, to *emu.Ruleset) (err error) {
	var reader *nftables.Conn
	if err := n.Do(func() error {
		reader, err = nftables.New(nftables.AsLasting())
		return err
	}); err != nil {
		return err
	}
	defer reader.CloseLasting() //nolint:errcheck // only read from
	r := &rulesetChange{Conn: c, table: tableOf(to), from: from, to: to, renewed: map[string]bool{}}
	r.handles = func(chain string) ([]uint64, error) {
		found, err := reader.GetRules(r.table, &nftables.Chain{Name: chain})
		if err != nil {
			return nil, fmt.Errorf("chain %s: %w", chain, err)
		}
		handles := make([]uint64, len(found))
		for i, f := range found {
			handles[i] = f.Handle
		}
		return handles, nil
	}
	add, err := r.chains()
	if err != nil {
		return err
	}
	return r.sets(add)
}

// additions are what is queued after all that goes.
type additions struct {
	chains []*emu.Chain
	rules  []func() error
}

// chains queues the rules that go, and gives what comes.
func (r *rulesetChange) chains() (additions, error) {
	var add additions
	for _, p := range r.from.Timeouts {
		r.renewed[p.Name] = slices.ContainsFunc(r.to.Timeouts, func(q emu.TimeoutPolicy) bool { return p.Name == q.Name && p != q })
	}
	old := map[string]*emu.Chain{}
	for _, c := range r.from.Chains {
		old[c.Name] = c
	}
	for _, c := range r.to.Chains {
		was, ok := old[c.Name]
		if !ok || was.Hook != c.Hook {
			add.chains = append(add.chains, c)
			add.rules = append(add.rules, func() error { return addRules(r.Conn, r.table, c) })
			continue
		}
		delete(old, c.Name)
		if emu.EqualChains(was, c) && !r.setsRenewed(c) {
			continue
		}
		if err := r.edit(was, c, &add); err != nil {
			return add, err
		}
	}
	for _, c := range r.from.Chains {
		if _, gone := old[c.Name]; gone {
			chain := &nftables.Chain{Table: r.table, Name: c.Name}
			r.FlushChain(chain)
			r.gone = append(r.gone, chain)
		}
	}
	return add, nil
}

// setsRenewed says whether a rule of the chain sets a timeout policy that differs.
func (r *rulesetChange) setsRenewed(c *emu.Chain) bool { return slices.ContainsFunc(c.Rules, r.renews) }

func (r *rulesetChange) renews(rule emu.Rule) bool {
	return slices.ContainsFunc(rule.Statements, func(s emu.Statement) bool {
		t, ok := s.(emu.SetTimeout)
		return ok && r.renewed[t.Policy]
	})
}

// texts gives the rules as they are compared. The mark keeps rules that must be renewed from being equal.
func (r *rulesetChange) texts(c *emu.Chain, mark string) []string {
	all := make([]string, len(c.Rules))
	for i, rule := range c.Rules {
		all[i] = rule.String()
		if r.renews(rule) {
			all[i] += mark
		}
	}
	return all
}

// edit replaces the rules of a chain that differ. The others are not touched, nor what they counted.
func (r *rulesetChange) edit(was, now *emu.Chain, add *additions) error {
	handles, err := r.handles(was.Name)
	if err != nil {
		return err
	}
	if len(handles) != len(was.Rules) {
		return fmt.Errorf("chain %s has %d rules instead of %d: somebody else changed it", was.Name, len(handles), len(was.Rules))
	}
	chain := &nftables.Chain{Table: r.table, Name: now.Name}
	var before []emu.Rule // rules that come before the next that stays
	insert := func(rules []emu.Rule, handle uint64) {
		for _, rule := range rules {
			add.rules = append(add.rules, func() error { return addRule(r.Conn, chain, rule, handle) })
		}
	}
	for _, e := range emu.EditScript(r.texts(was, " old"), r.texts(now, " new")) {
		switch {
		case e.New < 0:
			if err := r.DelRule(&nftables.Rule{Table: r.table, Chain: chain, Handle: handles[e.Old]}); err != nil {
				return err
			}
		case e.Old < 0:
			before = append(before, now.Rules[e.New])
		default:
			insert(before, handles[e.Old])
			before = nil
		}
	}
	insert(before, 0)
	return nil
}

// sets queues the elements, sets, chains and policies that go, and then all that comes.
func (r *rulesetChange) sets(add additions) error {
	from, to := r.differingSets()
	old := map[string]filledSet{}
	for _, s := range from {
		old[s.Name] = s
	}
	var made []filledSet
	type more struct {
		set      nftables.Set
		elements []nftables.SetElement
	}
	var grown []more
	for _, s := range to {
		s.Table = r.table
		was, ok := old[s.Name]
		if !ok || !sameType(&was.Set, &s.Set) {
			made = append(made, s)
			continue
		}
		delete(old, s.Name)
		gone, come := elementChanges(was, s)
		if err := r.elements(r.SetDeleteElements, s.Set, gone); err != nil {
			return err
		}
		grown = append(grown, more{s.Set, come})
	}
	for _, s := range from {
		if _, gone := old[s.Name]; gone {
			s.Table = r.table
			r.DelSet(&s.Set)
		}
	}
	for _, c := range r.gone {
		r.DelChain(c)
	}
	for _, p := range r.from.Timeouts {
		if !slices.Contains(r.to.Timeouts, p) {
			deleteTimeout(r.Conn, r.table, p.Name)
		}
	}

	if err := addChains(r.Conn, r.table, add.chains); err != nil {
		return err
	}
	for _, p := range r.to.Timeouts {
		if !slices.Contains(r.from.Timeouts, p) {
			if err := addTimeout(r.Conn, r.table, p); err != nil {
				return err
			}
		}
	}
	for _, s := range made {
		if err := addSet(r.Conn, &s.Set, s.elements); err != nil {
			return fmt.Errorf("set %s: %w", s.Name, err)
		}
	}
	for _, g := range grown {
		if err := r.elements(r.SetAddElements, g.set, g.elements); err != nil {
			return err
		}
	}
	for _, rule := range add.rules {
		if err := rule(); err != nil {
			return err
		}
	}
	return nil
}

// differingSets gives the sets of both rulesets but for those that they have alike, which are most of a large one.
func (r *rulesetChange) differingSets() (from, to []filledSet) {
	var a, b emu.Ruleset
	a.Prefixes, b.Prefixes = differing(r.from.Prefixes, r.to.Prefixes, func(s emu.PrefixSet) (string, []netip.Prefix) { return s.Name, s.Elements })
	a.Pairs, b.Pairs = differing(r.from.Pairs, r.to.Pairs, func(s emu.PairSet) (string, [][2]netip.Addr) { return s.Name, s.Elements })
	a.Addresses, b.Addresses = differing(r.from.Addresses, r.to.Addresses, func(m emu.AddressMap) (string, []emu.AddressMapElement) { return m.Name, m.Elements })
	a.Sockets, b.Sockets = differing(r.from.Sockets, r.to.Sockets, func(m emu.SocketMap) (string, []emu.SocketMapElement) { return m.Name, m.Elements })
	return setsOf(&a), setsOf(&b)
}

func differing[S any, E comparable](from, to []S, parts func(S) (name string, elements []E)) (a, b []S) {
	had := make(map[string][]E, len(from))
	for _, s := range from {
		name, elements := parts(s)
		had[name] = elements
	}
	same := map[string]bool{}
	for _, s := range to {
		name, elements := parts(s)
		if was, ok := had[name]; ok && slices.Equal(was, elements) {
			same[name] = true
		}
	}
	changed := func(all []S) []S {
		return slices.DeleteFunc(slices.Clone(all), func(s S) bool {
			name, _ := parts(s)
			return same[name]
		})
	}
	return changed(from), changed(to)
}

func sameType(a, b *nftables.Set) bool {
	return a.Interval == b.Interval && a.IsMap == b.IsMap && a.KeyType == b.KeyType && a.DataType == b.DataType
}

func (r *rulesetChange) elements(queue func(*nftables.Set, []nftables.SetElement) error, s nftables.Set, all []nftables.SetElement) error {
	for part := range slices.Chunk(all, elementsPerMessage) {
		if err := queue(&s, part); err != nil {
			return fmt.Errorf("set %s: %w", s.Name, err)
		}
	}
	return nil
}

// elementChanges gives the elements that only the old or the new set has. One that leads elsewhere is both.
func elementChanges(from, to filledSet) (gone, come []nftables.SetElement) {
	old := make(map[string]nftables.SetElement, len(from.elements))
	for _, e := range from.elements {
		old[elementKey(e)] = e
	}
	for _, e := range to.elements {
		k := elementKey(e)
		was, ok := old[k]
		delete(old, k)
		if ok && bytes.Equal(was.Val, e.Val) && value(was) == value(e) {
			continue
		}
		if ok {
			gone = append(gone, keyAlone(was))
		}
		come = append(come, e)
	}
	for _, e := range from.elements {
		if _, ok := old[elementKey(e)]; ok {
			gone = append(gone, keyAlone(e))
		}
	}
	return gone, come
}

// elementKey tells the end of an interval from the start of another.
func elementKey(e nftables.SetElement) string {
	if e.IntervalEnd {
		return string(e.Key) + "end"
	}
	return string(e.Key)
}

func keyAlone(e nftables.SetElement) nftables.SetElement {
	return nftables.SetElement{Key: e.Key, IntervalEnd: e.IntervalEnd}
}
