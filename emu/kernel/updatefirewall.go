package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-iptables/iptables"
	"github.com/google/nftables"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/text"
)

const (
	filterTable = "filter"
	input       = "INPUT"
)

// iptablesProgram finds iptables at the first guest firewall that changes.
func (s *State) iptablesProgram() (_ *iptables.IPTables, err error) {
	if s.iptables == nil {
		s.iptables, err = newIptables()
	}
	if err != nil {
		return nil, fmt.Errorf("guest firewalls need iptables: %w", err)
	}
	return s.iptables, nil
}

// firewallLoader finds iptables-restore at the first namespace with a guest firewall.
func (s *State) firewallLoader() (_ *firewallLoader, err error) {
	if s.firewalls == nil {
		s.firewalls, err = newFirewallLoader()
	}
	return s.firewalls, err
}

// firewallEditor changes the guest firewall of a namespace.
type firewallEditor struct {
	*Namespace
	program *iptables.IPTables
	done    func(undo func(context.Context) error)
}

// change changes one firewall into another; nil: there is none.
func (e *firewallEditor) change(ctx context.Context, from, to *emu.Firewall) error {
	switch {
	case to == nil:
		e.done(func(ctx context.Context) error { return e.load(ctx, from) })
		return e.clear()
	case from == nil:
		e.done(func(context.Context) error { return e.clear() })
		return e.load(ctx, to)
	}
	return e.edit(ctx, from.Lines(), to.Lines())
}

func (e *firewallEditor) load(ctx context.Context, f *emu.Firewall) error {
	r, err := newRestorer()
	if err != nil {
		return err
	}
	return r.load(ctx, e.Namespace, text.IPTables(f))
}

// clear ends the firewall. Of the iptables that works by nftables no table is left, and so no trace; of the older one
// an empty table.
func (e *firewallEditor) clear() error {
	return e.Do(func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		tables, err := c.ListTablesOfFamily(nftables.TableFamilyIPv4)
		if err != nil {
			return err
		}
		for _, t := range tables {
			if t.Name == filterTable {
				c.DelTable(t)
				return c.Flush()
			}
		}
		older, err := os.ReadFile("/proc/thread-self/net/ip_tables_names")
		if errors.Is(err, fs.ErrNotExist) || err == nil &&
			!slices.Contains(strings.Fields(string(older)), filterTable) {
			return nil // asking iptables would make the table
		}
		if err != nil {
			return err
		}
		if err := e.program.ChangePolicy(filterTable, input, "ACCEPT"); err != nil {
			return err
		}
		return e.program.ClearChain(filterTable, input)
	})
}

// edit inserts the new rules and then deletes the old ones, one by one, so that what stays is never without its rule.
// Foreign rules between them stay where they are, and missing ones are ignored.
func (e *firewallEditor) edit(ctx context.Context, from, to []string) error {
	actual, err := e.actual(from)
	if err != nil {
		return err
	}
	inserts, deletes := edits(from, to, actual)
	for _, i := range inserts {
		if err := e.insert(ctx, i.position, i.line); err != nil {
			return err
		}
	}
	for _, d := range deletes {
		if err := e.remove(ctx, d.position, d.line); err != nil {
			return err
		}
	}
	return nil
}

// actual returns the rules that the kernel has. Starting iptables takes longer than all else: if there are as many
// rules as there should be, they are taken for those.
func (e *firewallEditor) actual(wanted []string) ([]string, error) {
	var c *nftables.Conn
	if err := e.Do(func() (err error) {
		c, err = nftables.New(nftables.AsLasting())
		return err
	}); err != nil {
		return nil, err
	}
	defer c.CloseLasting() //nolint:errcheck // only read from
	filter := &nftables.Table{Name: filterTable, Family: nftables.TableFamilyIPv4}
	if rules, err := c.GetRules(filter, &nftables.Chain{Name: input, Table: filter}); err == nil &&
		len(rules) == len(wanted) {
		return wanted, nil
	}
	var lines []string
	err := e.Do(func() (err error) {
		lines, err = e.program.List(filterTable, input)
		return err
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(lines, func(l string) bool { return !strings.HasPrefix(l, "-A ") }), nil
}

// positioned is a rule with its position, counted from 1.
type positioned struct {
	position int
	line     string
}

// edits returns the rules to insert and those to delete, each with its position at that moment, so that a chain which
// has the rules of from, and perhaps others, has those of to and the same others.
func edits(from, to, actual []string) (inserts, deletes []positioned) {
	at := make([]int, len(from)) // positions in actual, from 0; -1: the rule is missing
	for i := range at {
		at[i] = -1
	}
	for _, s := range diff.Lines(from, actual) {
		if s.Old >= 0 && s.New >= 0 {
			at[s.Old] = s.New
		}
	}
	next := 0                           // position in actual behind the rule before
	shift := make([]int, len(actual)+1) // how many are inserted before each position of actual
	for _, s := range diff.Lines(from, to) {
		if s.Old >= 0 {
			next = max(next, at[s.Old]+1)
			continue
		}
		inserts = append(inserts, positioned{next + len(inserts) + 1, to[s.New]})
		for p := next; p < len(shift); p++ {
			shift[p]++
		}
	}
	for _, s := range slices.Backward(diff.Lines(from, to)) {
		if s.New < 0 && at[s.Old] >= 0 {
			deletes = append(deletes, positioned{at[s.Old] + shift[at[s.Old]] + 1, from[s.Old]})
		}
	}
	return inserts, deletes
}

func (e *firewallEditor) insert(ctx context.Context, position int, line string) error {
	if err := e.run(ctx, position, line, true); err != nil {
		return err
	}
	e.done(func(ctx context.Context) error { return e.run(ctx, position, line, false) })
	return nil
}

func (e *firewallEditor) remove(ctx context.Context, position int, line string) error {
	if err := e.run(ctx, position, line, false); err != nil {
		return err
	}
	e.done(func(ctx context.Context) error { return e.run(ctx, position, line, true) })
	return nil
}

// run inserts or deletes a rule at a position, counted from 1.
func (e *firewallEditor) run(ctx context.Context, position int, line string, insert bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := e.Do(func() error {
		if insert {
			return e.program.Insert(filterTable, input, position, arguments(strings.TrimPrefix(line, "-A INPUT "))...)
		}
		return e.program.DeleteById(filterTable, input, position)
	})
	if err != nil {
		return fmt.Errorf("rule %d, %q: %s", position, line, oneLine(err.Error()))
	}
	return nil
}

// arguments splits a line of iptables-save, with its quotes.
func arguments(line string) []string {
	var all []string
	var word strings.Builder
	quoted, escaped, started := false, false, false
	for _, c := range line {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case c == ' ' && !quoted:
			if started {
				all = append(all, word.String())
			}
			word.Reset()
			started = false
			continue
		default:
			word.WriteRune(c)
		}
		started = true
	}
	if started {
		all = append(all, word.String())
	}
	return all
}
