// Package expect judges what was observed in a lab against what was expected of it and against what the oracle
// predicted.
//
// It is pure: observations and predictions are handed in, with namespaces called as the lab calls what is in them
// (lab.Lab.NamespaceName). A case passes when the packets did what the lab file says and the model agrees, verdict
// and rule alike; where model and packets differ, that is a defect of the product, and no case passes over it.
package expect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/oracle"
)

// Case is one expectation with its outcome, and Result the outcome of all of them.
type (
	Case   = api.Case
	Result = api.TestResult
)

// Name is how the case of an expectation is called.
func Name(e lab.Expectation) string {
	if e.Name != "" {
		return e.Name
	}
	name := e.From + " -> " + e.To.String()
	if e.HTTP != nil {
		name += e.HTTP.Path
	}
	return name
}

// Judge compares what was observed of one expectation with what is expected and with what the model predicts.
func Judge(l *lab.Lab, e lab.Expectation, p oracle.Prediction, o emu.Observation) Case {
	c := Case{
		Name: Name(e), Expected: string(e.Verdict), Verdict: o.Verdict, By: o.By, Members: o.Members,
		AnsweredBy: e.AnsweredBy, SeenAs: e.SeenAs, Origin: e.Origin,
	}
	c.Message = problem(l, e, p, o)
	c.Passed = c.Message == ""
	return c
}

// problem says what is wrong with an observation; nothing when all is as it should be.
func problem(l *lab.Lab, e lab.Expectation, p oracle.Prediction, o emu.Observation) string {
	if d := Difference(p, o); d != "" {
		return d
	}
	if o.Verdict != e.Verdict {
		return fmt.Sprintf("expected %s, but it is %s", e.Verdict, Describe(o))
	}
	all := answers(o)
	for _, a := range all {
		if e.SeenAs == "" {
			break
		}
		switch want := Addresses(l, e.SeenAs); {
		case !a.seenAs.IsValid():
			return fmt.Sprintf(
				"nobody says which source address was seen, so it can't be compared with %s: only built-in listeners tell",
				e.SeenAs,
			)
		case !slices.Contains(want, a.seenAs):
			return fmt.Sprintf("seen as %s, not as %s%s", l.NameOf(a.by, a.seenAs), e.SeenAs, addressList(want))
		}
	}
	return answerProblem(l, e, all)
}

// answerProblem says whether those answered who are expected to: each of them, and nobody else.
func answerProblem(l *lab.Lab, e lab.Expectation, all []answer) string {
	if len(e.AnsweredBy) == 0 {
		return ""
	}
	missing := slices.Clone(e.AnsweredBy)
	for _, a := range all {
		if a.by == "" {
			return "nobody says who answered: only built-in listeners tell"
		}
		is := func(name string) bool { called, ok := l.CanonicalName(name); return ok && called == a.by }
		if !slices.ContainsFunc(e.AnsweredBy, is) {
			return fmt.Sprintf("%s answered, who is not one of %s", a.by, strings.Join(e.AnsweredBy, ", "))
		}
		missing = slices.DeleteFunc(missing, is)
	}
	if len(missing) == 0 {
		return ""
	}
	var others []string
	for _, a := range all {
		if !slices.Contains(others, a.by) {
			others = append(others, a.by)
		}
	}
	return fmt.Sprintf(
		"all connections from %s are given to %s, none to %s",
		e.From,
		strings.Join(others, ", "),
		strings.Join(missing, ", "),
	)
}

// answer is an open connection: who answered, and the source address that it saw, as far as that is known.
type answer struct {
	by     string
	seenAs netip.Addr
}

// answers are those of an observation: of each member of a set.
func answers(o emu.Observation) (all []answer) {
	for _, m := range o.Members {
		if m.Verdict == emu.Open {
			all = append(all, answer{m.Namespace, m.SeenAs})
		}
	}
	if len(o.Members) == 0 && o.Verdict == emu.Open {
		all = append(all, answer{o.AnsweredBy, o.SeenAs})
	}
	return all
}

// Difference says where model and packets differ; nothing when they agree.
func Difference(p oracle.Prediction, o emu.Observation) string {
	if p.Agrees(o) {
		return ""
	}
	packets := Describe(o)
	switch {
	case len(o.Members) == 0:
		if o.AnsweredBy != "" && o.Verdict != emu.WrongHost {
			packets += " by " + o.AnsweredBy
		}
		if o.SeenAs.IsValid() {
			packets += ", seen as " + o.SeenAs.String()
		}
	case o.Verdict != emu.Mixed:
		packets += ": " + DescribeMembers(o.Members)
	}
	return fmt.Sprintf("model and packets differ: the model says %s, the packets say %s", p, packets)
}

// Describe returns verdict, rule and detail of an observation in one line; of one whose members don't agree, those of
// each.
func Describe(o emu.Observation) string {
	switch {
	case o.Verdict == emu.Mixed, o.Verdict == emu.Error && len(o.Members) > 0:
		return string(o.Verdict) + " (" + DescribeMembers(o.Members) + ")"
	case o.Verdict == emu.WrongHost && o.AnsweredBy != "":
		return strings.Replace(
			describe(o.Verdict, o.By, o.Detail),
			string(o.Verdict),
			string(o.Verdict)+" by "+o.AnsweredBy,
			1,
		)
	}
	return describe(o.Verdict, o.By, o.Detail)
}

// DescribeMembers returns what became of each member: web1 open, web2 blocked by a rule.
func DescribeMembers(all []emu.MemberObservation) string {
	texts := make([]string, len(all))
	for i, m := range all {
		texts[i] = m.Namespace + " " + describe(m.Verdict, m.By, m.Detail)
	}
	return strings.Join(texts, ", ")
}

func describe(v emu.Verdict, by *emu.RuleReference, detail string) string {
	text := string(v)
	if by != nil {
		text += " by " + DescribeRule(*by)
	}
	if detail != "" {
		text += " (" + detail + ")"
	}
	return text
}

// DescribeRule gives a rule with its namespace and place.
func DescribeRule(r emu.RuleReference) string {
	text := r.ID
	if r.Text != "" {
		text = r.Text
	}
	text = fmt.Sprintf("%q in %s", text, r.Namespace)
	if !r.Origin.IsZero() {
		text += " (" + r.Origin.String() + ")"
	}
	return text
}

// Addresses are the source addresses by which a name may be seen: a member's own, the VIP of a cloud service by its
// DNS name, and all that the web sites of a location share for their outbound connections.
func Addresses(l *lab.Lab, name string) []netip.Addr {
	for _, s := range l.WebSites {
		if s.Name == name || s.DNSName() == name {
			return lab.WebSitesOutbound(s.Location)
		}
	}
	if m, ok := l.Find(name); ok {
		return []netip.Addr{m.Address()}
	}
	if a, ok := l.AddressNamed(name); ok {
		return []netip.Addr{a}
	}
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a}
	}
	return nil
}

func addressList(all []netip.Addr) string {
	if len(all) == 0 {
		return ""
	}
	texts := make([]string, len(all))
	for i, a := range all {
		texts[i] = a.String()
	}
	return " (" + strings.Join(texts, ", ") + ")"
}
