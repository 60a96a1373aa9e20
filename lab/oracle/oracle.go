// Package oracle predicts what should happen to a connection, and by which rule, from the resources of a lab alone.
//
// It is the second witness beside the packets: it knows the platform's rules, not the network that lab/compile makes of them. The
// two share the ids of rules (lab/rules), so that they can contradict each other.
package oracle

import (
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
)

// Outcome is one thing that may happen to a connection.
type Outcome struct {
	Verdict emu.Verdict
	// By is the rule that drops: its namespace and id, and where the resources tell it why and the place in the lab file.
	By *emu.RuleReference
	// AnsweredBy and SeenAs are the member that answers and the source it sees; SeenAs is zero where a proxy stands between.
	AnsweredBy string
	SeenAs     netip.Addr
}

// Prediction is what may happen to a connection: one outcome, or several where the load balancer chooses.
type Prediction struct {
	Address  netip.Addr // zero where the name has none
	Outcomes []Outcome  // none: the oracle can't tell
}

// Agrees tells whether what happened is one of the outcomes.
func (p Prediction) Agrees(o emu.Observation) bool {
	return len(p.Outcomes) == 0 || slices.ContainsFunc(p.Outcomes, func(want Outcome) bool { return want.matches(o) })
}

func (want Outcome) matches(o emu.Observation) bool {
	if want.Verdict != o.Verdict {
		return false
	}
	if want.By != nil && (o.By == nil || want.By.Namespace != o.By.Namespace || want.By.ID != o.By.ID) {
		return false
	}
	if want.AnsweredBy != "" && o.AnsweredBy != "" && want.AnsweredBy != o.AnsweredBy {
		return false
	}
	return !want.SeenAs.IsValid() || !o.SeenAs.IsValid() || want.SeenAs == o.SeenAs
}

// Explain gives the rule that dropped the connection in the words of the resources, where the oracle foresaw that rule and has some.
func (p Prediction) Explain(o emu.Observation) *emu.RuleReference {
	for _, want := range p.Outcomes {
		if want.By != nil && want.By.Text != "" && want.matches(o) {
			return want.By
		}
	}
	return o.By
}

// Named returns the prediction with other names of its namespaces and of those who answer.
func (p Prediction) Named(name func(namespace string) string) Prediction {
	outcomes := make([]Outcome, len(p.Outcomes))
	for n, o := range p.Outcomes {
		o.By = o.By.Named(name)
		if o.AnsweredBy != "" {
			o.AnsweredBy = name(o.AnsweredBy)
		}
		outcomes[n] = o
	}
	p.Outcomes = outcomes
	return p
}

// String gives the outcomes for people.
func (p Prediction) String() string {
	var all []string
	for _, o := range p.Outcomes {
		s := string(o.Verdict)
		if o.By != nil {
			s += " by " + o.By.Namespace + " " + o.By.ID
		}
		if o.AnsweredBy != "" {
			s += " by " + o.AnsweredBy
		}
		if o.SeenAs.IsValid() {
			s += ", seen as " + o.SeenAs.String()
		}
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return strings.Join(all, ", or ")
}

// Predict tells what should happen to a connection from a member of the lab. It fails when a name is not of the lab.
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
			return Prediction{Outcomes: []Outcome{{Verdict: emu.Unresolved}}}, nil
		}
		w.target.Address = address
	}
	return Prediction{Address: w.target.Address, Outcomes: w.start()}, nil
}
