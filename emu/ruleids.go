package emu

import (
	"fmt"
	"slices"
)

// What a report of a drop holds of an id, in bytes: the kernel's, for rules of nftables and of iptables.
const (
	maxReportPrefix         = 127
	maxFirewallReportPrefix = 63
)

// CheckRules returns an error where the ids of a network's rules don't name rules: a report of a drop has nothing but
// the namespace and the id of the rule that decided. It names the namespace and the id.
func CheckRules(n *Network) error {
	for _, s := range n.Namespaces {
		if err := s.CheckRules(); err != nil {
			return err
		}
	}
	return nil
}

// CheckRules returns an error where two rules of the namespace have one id and aren't a report with its drop, where a
// report isn't directly followed by the drop of the same packets, or where an id doesn't fit into a report.
func (s *Namespace) CheckRules() error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("rules of namespace %s: %s", s.Name, fmt.Sprintf(format, args...))
	}
	taken := map[string]string{} // by whom
	take := func(id, where string) error {
		if by, ok := taken[id]; ok {
			return fail("%q is the id of a rule of %s and of another one of %s", id, by, where)
		}
		taken[id] = where
		return nil
	}
	for _, t := range s.Rulesets() {
		for _, c := range t.Chains {
			for rest := c.Rules; len(rest) > 0; {
				r, n := rest[0], 1
				if prefix, reports := r.reports(); reports {
					switch {
					case prefix != r.ID:
						return fail("%q reports as %q", r.ID, prefix)
					case len(prefix) > maxReportPrefix:
						return fail("the id %q has more than %d bytes", r.ID, maxReportPrefix)
					case len(rest) < 2 || !r.reportsWhatDrops(rest[1]):
						return fail("the report %q is not followed by its drop", r.ID)
					}
					n = 2
				}
				if r.ID != "" {
					if err := take(r.ID, "chain "+c.Name); err != nil {
						return err
					}
				}
				rest = rest[n:]
			}
		}
	}
	if s.Firewall == nil {
		return nil
	}
	const where = "the guest firewall"
	if err := take(FirewallDefault, where); err != nil {
		return err
	}
	for rest := s.Firewall.Rules; len(rest) > 0; {
		r := rest[0]
		parts := 1
		for parts < len(rest) && r.ID != "" && r.sameDecision(rest[parts]) {
			parts++
		}
		switch {
		case len(r.ID) > maxFirewallReportPrefix:
			return fail("the id %q has more than %d bytes", r.ID, maxFirewallReportPrefix)
		case r.ID == "" && r.Drop:
			return fail("a rule of %s that drops has no id", where)
		case r.ID != "":
			if err := take(r.ID, where); err != nil {
				return err
			}
		}
		rest = rest[parts:]
	}
	return nil
}

// reports returns the id under which a rule reports.
func (r Rule) reports() (id string, ok bool) {
	for _, s := range r.Statements {
		if l, is := s.(Log); is {
			return l.Prefix, true
		}
	}
	return "", false
}

// reportsWhatDrops reports whether two rules are what [DropRules] makes.
func (r Rule) reportsWhatDrops(drop Rule) bool {
	n := len(r.Statements) - 2
	if n < 0 || len(drop.Statements) != n+2 || r.ID != drop.ID || r.Comment != drop.Comment || r.Origin != drop.Origin {
		return false
	}
	_, probe := r.Statements[n].(MatchProbe)
	_, counts := drop.Statements[n].(Counter)
	_, drops := drop.Statements[n+1].(Drop)
	return probe && counts && drops && slices.EqualFunc(r.Statements[:n], drop.Statements[:n], EqualStatements)
}

// sameDecision reports whether two rules are parts of one: a rule for more addresses or ports than iptables matches at
// once.
func (r FirewallRule) sameDecision(o FirewallRule) bool {
	return r.ID == o.ID && r.Comment == o.Comment && r.Origin == o.Origin &&
		r.Drop == o.Drop && r.Protocol == o.Protocol
}
