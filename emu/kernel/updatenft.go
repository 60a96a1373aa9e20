package kernel

import (
	"fmt"
	"slices"

	"github.com/google/nftables"

	"vnetlab/emu"
	"vnetlab/emu/diff"
)

// updateRulesets changes the tables of the namespace in one atomic transaction. A new table may be one that the kernel
// has no kind for.
func (n *Namespace) updateRulesets(all []*diff.RulesetChange) error {
	err := n.changeRulesets(all)
	if err != nil && lacksSwitches(comingOf(all)) {
		return n.changeRulesets(all)
	}
	return err
}

func (n *Namespace) changeRulesets(all []*diff.RulesetChange) error {
	all = slices.DeleteFunc(slices.Clone(all), func(c *diff.RulesetChange) bool {
		return noSwitches.Load() && (isSwitch(c.From) || isSwitch(c.To))
	})
	t, err := newTransaction()
	if err != nil {
		return err
	}
	for _, c := range all {
		if err = n.queueChange(t.Conn, c); err != nil {
			break
		}
	}
	if err == nil {
		err = t.commit(n)
	}
	if err == nil {
		return nil
	}
	from, to := all[0].From, all[0].To
	if to == nil {
		return fmt.Errorf("namespace %s: delete the nftables table %s: %w", n.Name, from.Table, err)
	}
	return fmt.Errorf("namespace %s: change the nftables table %s: %w", n.Name, to.Table, explainTimeouts(to, err))
}

func (n *Namespace) queueChange(conn *nftables.Conn, c *diff.RulesetChange) error {
	if c.From != nil && c.To != nil && c.From.Table == c.To.Table {
		return n.changeRuleset(conn, c)
	}
	if c.From != nil {
		conn.DelTable(tableOf(c.From))
	}
	if c.To != nil {
		return addRuleset(conn, c.To)
	}
	return nil
}

// comingOf are the tables that there are afterwards.
func comingOf(all []*diff.RulesetChange) (coming []*emu.Ruleset) {
	for _, c := range all {
		if c.To != nil {
			coming = append(coming, c.To)
		}
	}
	return coming
}

// rulesetChange queues the difference of two rulesets of the same table. Everything that goes is queued before
// everything that comes: names can be used again at once, and no packet meets the state between.
type rulesetChange struct {
	*nftables.Conn
	*diff.RulesetChange
	table *nftables.Table
	// renewed are the timeout policies of the same name that differ. The kernel can't change one; so the rules that
	// set it are renewed too.
	renewed map[string]bool
	gone    []*nftables.Chain
	reader  func() (*nftables.Conn, error)
}

func (n *Namespace) changeRuleset(c *nftables.Conn, change *diff.RulesetChange) error {
	var reader *nftables.Conn
	r := &rulesetChange{Conn: c, RulesetChange: change, table: tableOf(change.To)}
	r.reader = func() (*nftables.Conn, error) {
		if reader != nil {
			return reader, nil
		}
		err := n.Do(func() (err error) {
			reader, err = nftables.New(nftables.AsLasting())
			return err
		})
		return reader, err
	}
	defer func() {
		if reader != nil {
			_ = reader.CloseLasting() // only read from
		}
	}()
	add, err := r.chains()
	if err != nil {
		return err
	}
	return r.sets(add)
}

// handles returns the handles of the rules of a chain.
func (r *rulesetChange) handles(chain string) ([]uint64, error) {
	reader, err := r.reader()
	if err != nil {
		return nil, err
	}
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

// additions are what is queued after all that goes.
type additions struct {
	chains []*emu.Chain
	rules  []func() error
}

// chains queues the rules that go, and returns what comes.
func (r *rulesetChange) chains() (additions, error) {
	var add additions
	changed := map[string]bool{}
	for _, c := range r.Chains {
		was, now := c.From, c.To
		if was != nil && now != nil && was.Hook == now.Hook {
			changed[now.Name] = true
			continue
		}
		if was != nil {
			chain := &nftables.Chain{Table: r.table, Name: was.Name}
			r.FlushChain(chain)
			r.gone = append(r.gone, chain)
		}
		if now != nil {
			changed[now.Name] = true
			add.chains = append(add.chains, now)
			add.rules = append(add.rules, func() error { return addRules(r.Conn, r.table, now) })
		}
	}
	r.findRenewed()
	for _, c := range r.Chains {
		if c.From != nil && c.To != nil && c.From.Hook == c.To.Hook {
			if err := r.edit(c.From, c.To, &add); err != nil {
				return add, err
			}
		}
	}
	if len(r.renewed) == 0 {
		return add, nil
	}
	for _, c := range r.To.Chains {
		if !changed[c.Name] && slices.ContainsFunc(c.Rules, r.renews) {
			if err := r.edit(c, c, &add); err != nil {
				return add, err
			}
		}
	}
	return add, nil
}

func (r *rulesetChange) findRenewed() {
	r.renewed = map[string]bool{}
	for _, p := range r.AddedTimeouts {
		if slices.ContainsFunc(r.RemovedTimeouts, func(q emu.TimeoutPolicy) bool { return p.Name == q.Name }) {
			r.renewed[p.Name] = true
		}
	}
}

// renews reports whether a rule sets a timeout policy that differs.
func (r *rulesetChange) renews(rule emu.Rule) bool {
	return slices.ContainsFunc(rule.Statements, func(s emu.Statement) bool {
		t, ok := s.(emu.SetTimeout)
		return ok && r.renewed[t.Policy]
	})
}

// texts returns rules as they are compared. The mark makes those that must be renewed differ.
func (r *rulesetChange) texts(rules []emu.Rule, mark string) []string {
	all := make([]string, len(rules))
	for i, rule := range rules {
		all[i] = rule.String()
		if r.renews(rule) {
			all[i] += mark
		}
	}
	return all
}

// differing returns where two lists of rules begin to differ, and how many both end with alike.
func (r *rulesetChange) differing(was, now []emu.Rule) (first, last int) {
	same := func(a, b emu.Rule) bool { return diff.EqualRules(a, b) && !r.renews(a) }
	for first < min(len(was), len(now)) && same(was[first], now[first]) {
		first++
	}
	for last < min(len(was), len(now))-first && same(was[len(was)-1-last], now[len(now)-1-last]) {
		last++
	}
	return first, last
}

// edit replaces the rules of a chain that differ. The others are not touched, nor what they counted.
func (r *rulesetChange) edit(was, now *emu.Chain, add *additions) error {
	handles, err := r.handles(was.Name)
	if err != nil {
		return err
	}
	if len(handles) != len(was.Rules) {
		return fmt.Errorf("chain %s has %d rules instead of %d: another program changed it", was.Name, len(handles),
			len(was.Rules))
	}
	chain := &nftables.Chain{Table: r.table, Name: now.Name}
	var before []emu.Rule // rules that come before the next that stays
	insert := func(rules []emu.Rule, handle uint64) {
		for _, rule := range rules {
			add.rules = append(add.rules, func() error { return addRule(r.Conn, chain, rule, handle) })
		}
	}
	first, last := r.differing(was.Rules, now.Rules)
	wasRules, nowRules := was.Rules[first:len(was.Rules)-last], now.Rules[first:len(now.Rules)-last]
	for _, e := range diff.Lines(r.texts(wasRules, " old"), r.texts(nowRules, " new")) {
		switch {
		case e.New < 0:
			if err := r.DelRule(&nftables.Rule{
				Table: r.table, Chain: chain,
				Handle: handles[first+e.Old],
			}); err != nil {
				return err
			}
		case e.Old < 0:
			before = append(before, nowRules[e.New])
		default:
			insert(before, handles[first+e.Old])
			before = nil
		}
	}
	if last > 0 {
		insert(before, handles[len(handles)-last])
	} else {
		insert(before, 0)
	}
	return nil
}

// sets queues the elements, sets, chains and policies that go, and then all that comes.
func (r *rulesetChange) sets(add additions) error {
	changes := setChanges(r.RulesetChange)
	for i := range changes {
		s := &changes[i]
		s.Table = r.table
		if s.gone {
			r.DelSet(&s.Set)
		} else if err := r.elements(r.SetDeleteElements, s.Set, s.removed); err != nil {
			return err
		}
	}
	for _, c := range r.gone {
		r.DelChain(c)
	}
	for _, p := range r.RemovedTimeouts {
		deleteTimeout(r.Conn, r.table, p.Name)
	}

	if err := addChains(r.Conn, r.table, add.chains); err != nil {
		return err
	}
	for _, p := range r.AddedTimeouts {
		if err := addTimeout(r.Conn, r.table, p); err != nil {
			return err
		}
	}
	for _, s := range changes {
		if s.made {
			if err := addSet(r.Conn, &s.Set, s.added); err != nil {
				return fmt.Errorf("set %s: %w", s.Name, err)
			}
		} else if err := r.elements(r.SetAddElements, s.Set, s.added); err != nil {
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

func (r *rulesetChange) elements(queue func(*nftables.Set, []nftables.SetElement) error, s nftables.Set,
	all []nftables.SetElement,
) error {
	for part := range slices.Chunk(all, elementsPerMessage) {
		if err := queue(&s, part); err != nil {
			return fmt.Errorf("set %s: %w", s.Name, err)
		}
	}
	return nil
}
