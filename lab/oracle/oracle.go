// Package oracle predicts what should happen to a connection, and by which rule, from the resources of a lab alone.
//
// It is the second witness beside the packets: it knows the platform's rules, not the network that lab/compile makes
// of them. The two share the ids of rules (lab/rules), so that they can contradict each other.
package oracle

import (
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
)

// Outcome is what happens to one connection.
type Outcome struct {
	Verdict emu.Verdict
	// By is the rule that drops: its namespace and id, and where the resources tell it why and the place in the lab
	// file.
	By *emu.RuleReference
	// AnsweredBy and SeenAs are the member that answers and the source it sees; SeenAs is zero where a proxy stands
	// between.
	AnsweredBy string
	SeenAs     netip.Addr
	// Given is the namespace of the member that the connection is given to; where it is dropped before one is chosen,
	// the one that drops it.
	Given string
}

// Prediction is what happens to connections from one place to one target.
type Prediction struct {
	Address netip.Addr // zero where the name has none
	Outcome            // without a verdict the oracle can't tell
	// Members are the outcomes of what is given to different members of a load-balanced set, or seen by different
	// addresses. There are none where all connections fare alike.
	Members []Outcome
}

// predict makes a prediction of the ways that connections may go: where they don't agree, it is [emu.Mixed].
func predict(address netip.Addr, ways []Outcome) Prediction {
	p := Prediction{Address: address, Outcome: ways[0]}
	for _, w := range ways {
		if w.Verdict != p.Verdict {
			p.Outcome = Outcome{Verdict: emu.Mixed}
		}
		if !slices.ContainsFunc(p.Members, w.same) {
			p.Members = append(p.Members, w)
		}
	}
	if len(p.Members) == 1 {
		p.Members = nil
	}
	return p
}

// same reports whether two connections are given to one member and fare alike there, whatever their sources.
func (want Outcome) same(o Outcome) bool {
	return want.Given == o.Given && want.Verdict == o.Verdict && want.By.Same(o.By)
}

// Known reports whether the oracle can tell.
func (p Prediction) Known() bool { return p.Verdict != "" }

// Agrees reports whether what happened is what was predicted, for each member.
func (p Prediction) Agrees(o emu.Observation) bool {
	if !p.Known() {
		return true
	}
	if len(p.Members) != len(o.Members) {
		return false
	}
	if len(p.Members) == 0 {
		return p.matches(o)
	}
	return p.Verdict == o.Verdict && !slices.ContainsFunc(p.Members, func(want Outcome) bool {
		return !slices.ContainsFunc(o.Members, func(m emu.MemberObservation) bool {
			return want.Given == m.Namespace &&
				want.matches(emu.Observation{Verdict: m.Verdict, By: m.By, SeenAs: m.SeenAs})
		})
	})
}

func (want Outcome) matches(o emu.Observation) bool {
	if want.Verdict != o.Verdict || want.By != nil && !want.By.Same(o.By) {
		return false
	}
	if want.AnsweredBy != "" && o.AnsweredBy != "" && want.AnsweredBy != o.AnsweredBy {
		return false
	}
	return !want.SeenAs.IsValid() || !o.SeenAs.IsValid() || want.SeenAs == o.SeenAs
}

// Explain returns the rule that dropped the connection in the words of the resources, where the oracle foresaw that
// rule and has some.
func (p Prediction) Explain(o emu.Observation) *emu.RuleReference {
	if p.By != nil && p.By.Text != "" && p.matches(o) {
		return p.By
	}
	return o.By
}

// InNames returns a prediction and an observation with the names of the lab in place of those of namespaces.
func InNames(l *lab.Lab, p Prediction, o emu.Observation) (Prediction, emu.Observation) {
	return p.Named(l.NamespaceName), o.Named(l.NamespaceName)
}

// Named returns the prediction with other names of its namespaces and of those who answer.
func (p Prediction) Named(name func(namespace string) string) Prediction {
	p.Outcome = p.named(name)
	members := p.Members
	p.Members = nil
	for _, m := range members {
		p.Members = append(p.Members, m.named(name))
	}
	return p
}

func (want Outcome) named(name func(namespace string) string) Outcome {
	want.By = want.By.Named(name)
	if want.AnsweredBy != "" {
		want.AnsweredBy = name(want.AnsweredBy)
	}
	if want.Given != "" {
		want.Given = name(want.Given)
	}
	return want
}

// String returns the prediction for people: the verdict, then that of each member.
func (p Prediction) String() string {
	if len(p.Members) == 0 {
		text := p.text()
		if p.AnsweredBy != "" {
			text = strings.Replace(text, string(p.Verdict), string(p.Verdict)+" by "+p.AnsweredBy, 1)
		}
		return text
	}
	all := make([]string, len(p.Members))
	for i, m := range p.Members {
		all[i] = m.Given + " " + m.text()
	}
	return string(p.Verdict) + ": " + strings.Join(all, "; ")
}

func (want Outcome) text() string {
	text := string(want.Verdict)
	if want.By != nil {
		text += " by " + want.By.Namespace + " " + want.By.ID
	}
	if want.SeenAs.IsValid() {
		text += ", seen as " + want.SeenAs.String()
	}
	return text
}

// Predict returns what should happen to a connection from a member of the lab. It fails when a name is not of the lab.
func Predict(l *lab.Lab, from string, target lab.Target) (Prediction, error) {
	if _, err := l.Namespace(from); err != nil {
		return Prediction{}, err
	}
	wanted, err := l.EmuTarget(target)
	if err != nil {
		return Prediction{}, err
	}
	source, _ := l.Find(from)
	w := walk{lab: l, source: source, target: wanted}
	if !w.target.Address.IsValid() {
		address, known := w.lookUp()
		switch {
		case !known:
			return Prediction{}, nil
		case !address.IsValid():
			return Prediction{Outcome: Outcome{Verdict: emu.Unresolved}}, nil
		}
		w.target.Address = address
	}
	return predict(w.target.Address, w.start()), nil
}
