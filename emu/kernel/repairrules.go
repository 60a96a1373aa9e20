package kernel

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"

	"vnetlab/emu"
	"vnetlab/emu/text"
)

const (
	ofNftables = "nftables "
	ofIptables = "iptables chain "
	ofOlder    = "older iptables "
)

var filterObject = tableObject("ip", filterTable)

// rules deletes foreign tables and replaces the namespace's own if they differ, all in one transaction.
func (r *repairRun) rules(node *repairNode) error {
	guarded, own := node.spec.Firewall != nil, false
	wanted := possible(node.spec.Rulesets())
	var foreign []*nftables.Table
	for _, d := range node.differences {
		if !strings.HasPrefix(d.of, ofNftables) || guarded && d.of == filterObject {
			continue
		}
		table := foreignTable(d.of)
		mine := table == nil || slices.ContainsFunc(wanted,
			func(w *emu.Ruleset) bool { return d.of == tableObject(w.Family.String(), w.Table) })
		switch {
		case mine && len(wanted) > 0:
			own = true
		case table != nil:
			foreign = append(foreign, table)
		}
	}
	if !own && len(foreign) == 0 {
		return nil
	}
	t, err := newTransaction()
	if err != nil {
		return err
	}
	for _, table := range foreign {
		t.DelTable(table)
	}
	for _, w := range wanted {
		if !own {
			break
		}
		missing := node.differs(func(d Difference) bool {
			return d.of == tableObject(w.Family.String(), w.Table) &&
				d.Found == ""
		})
		if !missing {
			t.DelTable(tableOf(w))
		}
		if err := addRuleset(t.Conn, w); err != nil {
			return err
		}
	}
	if err := t.commit(node.Namespace); err != nil {
		return fmt.Errorf("replace the nftables rules: %w", err)
	}
	return nil
}

// foreignTable is the table that an object is; nil where it is no table.
func foreignTable(object string) *nftables.Table {
	rest, ok := strings.CutPrefix(object, ofNftables+"table ")
	if !ok {
		return nil
	}
	family, name, _ := strings.Cut(rest, " ")
	for number, known := range families {
		if known == family {
			return &nftables.Table{Family: number, Name: name}
		}
	}
	return nil
}

// firewall loads the guest firewall again, and empties what the older iptables has beside it.
func (r *repairRun) firewall(ctx context.Context, node *repairNode) error {
	if node.differs(func(d Difference) bool { return strings.HasPrefix(d.of, ofOlder) }) {
		has, err := node.hasFilter()
		if err != nil {
			return err
		}
		if err := clearOlderTables(node.Namespace, node.spec.Firewall != nil && !has); err != nil {
			return err
		}
	}
	asleep := node.differs(func(d Difference) bool { return d.of == filterObject })
	if node.spec.Firewall == nil || !asleep &&
		!node.differs(func(d Difference) bool { return strings.HasPrefix(d.of, ofIptables) }) {
		return nil
	}
	// One load replaces the table at once. What iptables has no words for it doesn't replace; then the table has to go
	// first.
	if asleep || r.round > 0 {
		if err := node.dropFilter(); err != nil {
			return err
		}
	}
	restore, err := newRestorer()
	if err != nil {
		return err
	}
	if err := restore.load(ctx, node.Namespace, text.IPTables(node.spec.Firewall)); err != nil {
		return fmt.Errorf("guest firewall: %w", err)
	}
	return nil
}

// filters lists the filter tables that nftables knows in the namespace: one, or none.
func (s *repairNode) filters(c *nftables.Conn) (all []*nftables.Table, err error) {
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyIPv4)
	for _, t := range tables {
		if t.Name == filterTable {
			all = append(all, t)
		}
	}
	return all, err
}

// hasFilter reports whether nftables has a filter table.
func (s *repairNode) hasFilter() (has bool, err error) {
	err = s.Do(func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		all, err := s.filters(c)
		has = len(all) > 0
		return err
	})
	return has, err
}

// dropFilter deletes the filter table.
func (s *repairNode) dropFilter() error {
	return s.Do(func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		all, err := s.filters(c)
		if err != nil || len(all) == 0 {
			return err
		}
		for _, t := range all {
			c.DelTable(t)
		}
		return c.Flush()
	})
}
