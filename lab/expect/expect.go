// Package expect judges what was observed in a lab against what was expected of it and against what the oracle predicted.
//
// It is pure: observations and predictions are handed in, with namespaces called as the lab calls what is in them (lab.Lab.NamespaceName). A case passes when the packets did what the lab file says and the model agrees, verdict and rule
// alike; where model and packets differ, that is a defect of the product, and no case passes over it.
package expect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/oracle"
)

// Case is one expectation with what came of it.
type Case struct {
	Name   string `json:"name"`
	Passed bool   `json:"passed"`
	// Expected is a verdict, or Exposed or NotExposed.
	Expected string             `json:"expected"`
	Verdict  emu.Verdict        `json:"verdict"`
	By       *emu.RuleReference `json:"by"` // of a verdict that a rule decided
	// AnsweredBy and SeenAs are what was expected of an open connection beyond that.
	AnsweredBy []string `json:"answeredBy,omitempty"`
	SeenAs     string   `json:"seenAs,omitempty"`
	// Exposed, of a case about the exposure, lists what of it the rules let the internet through to, as a list of exposed ports names it.
	// Answers says whether somebody answers there.
	Exposed []string `json:"exposed,omitempty"`
	Answers string   `json:"answers,omitempty"`
	// Message says why the case failed; empty for a case that passed.
	Message string `json:"message"`
	// Differences are where the running lab is not the one that was to be tested, or the kernel not as the lab wants it.
	Differences []string   `json:"differences,omitempty"`
	Origin      emu.Origin `json:"origin,omitzero"` // of the expectation
}

// Result is what came of all expectations of a lab.
type Result struct {
	Lab    string `json:"lab"`
	Passed int    `json:"passed"`
	Failed int    `json:"failed"`
	Cases  []Case `json:"cases"`
	// Notes are what whoever reads the result should know, and what no case is about.
	Notes []string `json:"notes,omitempty"`
}

// Add counts a case.
func (r *Result) Add(c Case) {
	r.Cases = append(r.Cases, c)
	if c.Passed {
		r.Passed++
	} else {
		r.Failed++
	}
}

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

// Satisfied says whether each of those who must answer has done so, or nobody in particular must: then there is nothing to gain
// from another probe.
func Satisfied(l *lab.Lab, e lab.Expectation, seen []emu.Observation) bool {
	return len(missing(l, e, seen)) == 0
}

func missing(l *lab.Lab, e lab.Expectation, seen []emu.Observation) []string {
	var all []string
	for _, name := range e.AnsweredBy {
		called, ok := l.CanonicalName(name)
		if !ok || !slices.ContainsFunc(seen, func(o emu.Observation) bool { return o.AnsweredBy == called }) {
			all = append(all, name)
		}
	}
	return all
}

// Judge compares the observations of one expectation, at least one, with what is expected and with what the model predicts.
func Judge(l *lab.Lab, e lab.Expectation, p oracle.Prediction, seen []emu.Observation) Case {
	c := Case{Name: Name(e), Expected: string(e.Verdict), AnsweredBy: e.AnsweredBy, SeenAs: e.SeenAs, Origin: e.Origin}
	for _, o := range seen {
		c.Verdict, c.By = o.Verdict, o.By
		if c.Message = problem(l, e, p, o); c.Message != "" {
			return c
		}
	}
	if late := missing(l, e, seen); len(late) > 0 {
		c.Message = fmt.Sprintf("%s did not answer any of %d connections", strings.Join(late, ", "), len(seen))
		return c
	}
	c.Passed = true
	return c
}

// Acceptable says whether one observation alone is as expected and as predicted.
func Acceptable(l *lab.Lab, e lab.Expectation, p oracle.Prediction, o emu.Observation) bool {
	return problem(l, e, p, o) == ""
}

// problem says what is wrong with one observation; nothing when all is as it should be.
func problem(l *lab.Lab, e lab.Expectation, p oracle.Prediction, o emu.Observation) string {
	if d := Difference(p, o); d != "" {
		return d
	}
	if o.Verdict != e.Verdict {
		return fmt.Sprintf("expected %s, but it is %s", e.Verdict, Describe(o))
	}
	if e.SeenAs != "" {
		switch want := Addresses(l, e.SeenAs); {
		case !o.SeenAs.IsValid():
			return fmt.Sprintf("nobody says which source address was seen, so it can't be compared with %s: only built-in listeners tell", e.SeenAs)
		case !slices.Contains(want, o.SeenAs):
			return fmt.Sprintf("seen as %s, not as %s%s", l.NameOf(o.AnsweredBy, o.SeenAs), e.SeenAs, addressList(want))
		}
	}
	if len(e.AnsweredBy) > 0 {
		if o.AnsweredBy == "" {
			return "nobody says who answered: only built-in listeners tell"
		}
		if !slices.ContainsFunc(e.AnsweredBy, func(name string) bool { called, ok := l.CanonicalName(name); return ok && called == o.AnsweredBy }) {
			return fmt.Sprintf("%s answered, who is not one of %s", o.AnsweredBy, strings.Join(e.AnsweredBy, ", "))
		}
	}
	return ""
}

// Difference says where model and packets differ; nothing when they agree.
func Difference(p oracle.Prediction, o emu.Observation) string {
	if p.Agrees(o) {
		return ""
	}
	packets := Describe(o)
	if o.AnsweredBy != "" {
		packets += " by " + o.AnsweredBy
	}
	if o.SeenAs.IsValid() {
		packets += ", seen as " + o.SeenAs.String()
	}
	return fmt.Sprintf("model and packets differ: the model says %s, the packets say %s", p, packets)
}

// Describe gives verdict, rule and detail of an observation in one line.
func Describe(o emu.Observation) string {
	text := string(o.Verdict)
	if o.By != nil {
		text += " by " + DescribeRule(*o.By)
	}
	if o.Detail != "" {
		text += " (" + o.Detail + ")"
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

// Addresses are the source addresses by which a name may be seen: a member's own, the VIP of a cloud service by its DNS name, and
// all that the web sites of a location share for their outbound connections.
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
