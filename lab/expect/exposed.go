package expect

import (
	"fmt"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/oracle"
)

// Ask makes a probe.
type Ask func(ExposureProbe) emu.Observation

// Check answers a question by model and packets.
func (x *Exposure) Check(q ExposureQuestion, ask Ask) Case {
	c := Case{Name: ExposurePrefix + q.String(), Expected: NotExposed, Origin: q.Origin}
	if q.Listed {
		c.Expected = Exposed
	}
	at := slices.IndexFunc(x.addresses, func(a lab.PublicAddress) bool { return a.Name == q.Name })
	if at < 0 {
		c.Verdict, c.Passed = emu.Unresolved, !q.Listed
		if q.Listed {
			c.Message = fmt.Sprintf("listed as exposed, but %s has no public address just now", q.Name)
		}
		return c
	}
	a := x.addresses[at]
	exposed := portSet(q.Ports).within(x.reached(a, q.Protocol))
	for _, p := range exposed {
		part := q
		part.Ports = []emu.PortRange{p}
		c.Exposed = append(c.Exposed, part.String())
	}
	isExposed := len(exposed) > 0
	var all []finding
	for _, port := range x.samples(q, a) {
		f := x.find(a, q.Protocol, port, ask)
		if all = append(all, f); f.problem != "" {
			c.Verdict, c.By, c.Message = f.Verdict, f.By, f.problem
			return c
		}
	}
	if f := x.beside(q, a, ask); f.problem != "" {
		c.Verdict, c.By, c.Message = f.Verdict, f.By, f.problem
		return c
	}
	best := slices.MaxFunc(all, func(a, b finding) int { return a.rank() - b.rank() })
	c.Verdict, c.By, c.Members = best.Verdict, best.By, best.Members
	if isExposed {
		c.Answers = whoAnswers(all)
	}
	closed := portSet(q.Ports).without(exposed)
	switch {
	case q.Listed && len(closed) > 0 && !isExposed:
		c.Message = fmt.Sprintf("listed as exposed, but from %s it is %s", best.from, Describe(best.Observation))
	case q.Listed && len(closed) > 0:
		c.Message = fmt.Sprintf("listed as exposed, but no rule lets anybody through to %s; list %s",
			lab.PortsText(closed...), lines(c.Exposed))
	case !q.Listed && isExposed:
		c.Message = fmt.Sprintf("%s reaches it, and it is not listed as exposed", best.from)
		if best.Verdict != emu.Open {
			c.Message += " (" + c.Answers + ")"
		}
		c.Message += "; if it is meant to be, add to exposure: " + lines(c.Exposed)
	default:
		c.Passed = true
	}
	return c
}

// lines are those of a lab file that list ports.
func lines(ports []string) string { return "- " + strings.Join(ports, ", - ") }

// finding is what came of one port: the observation that says most, and where it was made.
type finding struct {
	emu.Observation
	port    uint16
	from    lab.InternetSource
	through bool   // to the port, by all rules, from there
	silent  bool   // who got it gave no answer
	problem string // what keeps it from being an answer
}

// rank orders findings by what they say of an exposure.
func (f finding) rank() int {
	ranks := []emu.Verdict{emu.Blocked, emu.NoBackend, emu.Timeout, emu.Refused, emu.WrongHost, emu.Mixed, emu.Open}
	rank := slices.Index(ranks, f.Verdict)
	if f.through {
		rank += len(ranks)
	}
	return rank
}

// find asks about a port from wherever it may make a difference, until somebody answers.
func (x *Exposure) find(a lab.PublicAddress, protocol emu.Protocol, port uint16, ask Ask) (best finding) {
	for n, s := range lab.DistinctSources(a.SourcesTo(x.sources), a.RemoteRangesAt(protocol, port)) {
		f := x.findFrom(s, a, protocol, port, ask)
		if n == 0 || f.problem != "" || f.rank() > best.rank() {
			best = f
		}
		if f.problem != "" || f.through && (f.Verdict == emu.Open || f.silent) {
			return best
		}
	}
	return best
}

// findFrom asks about a port from one place.
func (x *Exposure) findFrom(
	s lab.InternetSource, a lab.PublicAddress, protocol emu.Protocol, port uint16, ask Ask,
) finding {
	target := emu.Target{Name: a.Name, Address: a.Address, Port: port, Protocol: protocol}
	p := oracle.PredictFrom(x.lab, s.Address, target)
	o := ask(ExposureProbe{s, target})
	o.By = p.Explain(o)
	p, o = oracle.InNames(x.lab, p, o)
	f := finding{Observation: o, port: port, from: s}
	f.through = portSet(oracle.LetThrough(x.lab, s.Address, a, protocol)).has(port)
	if f.through && protocol == emu.UDP {
		o, f.silent = x.answered(p, o)
	}
	where := fmt.Sprintf("from %s to port %d: ", s, port)
	if d := Difference(p, o); d != "" {
		f.problem = where + d
	} else if is(o, emu.Timeout) || is(o, emu.Error) {
		f.problem = where + "whether it is exposed is not known: " + Describe(o)
	}
	return f
}

// answered returns an observation over UDP as it would be if programs that got a datagram had answered it, and reports
// whether one of them didn't: a program may well say nothing to a stranger. No rule has reported a drop then, all is as
// it should be on the way, and the model knows of no drop.
func (x *Exposure) answered(p oracle.Prediction, o emu.Observation) (_ emu.Observation, silent bool) {
	mayBeSilent := func(name string) bool {
		m, ok := x.lab.Find(name)
		return ok &&
			slices.ContainsFunc(
				m.Services(),
				func(s lab.Service) bool { return s.Protocol == emu.UDP && s.Command != "" },
			)
	}
	if o.Verdict == emu.Timeout && !o.Drift && p.Verdict == emu.Open && len(o.Members) == 0 &&
		mayBeSilent(p.AnsweredBy) {
		o.Verdict, o.Detail = emu.Open, ""
		return o, true
	}
	o.Members = slices.Clone(o.Members)
	for i, m := range o.Members {
		open := func(want oracle.Outcome) bool { return want.Given == m.Namespace && want.Verdict == emu.Open }
		if m.Verdict == emu.Timeout && !m.Drift && mayBeSilent(m.Namespace) && slices.ContainsFunc(p.Members, open) {
			o.Members[i].Verdict, o.Members[i].Detail, silent = emu.Open, "", true
		}
	}
	if silent {
		o.Verdict = o.Members[0].Verdict
		if slices.ContainsFunc(o.Members, func(m emu.MemberObservation) bool { return m.Verdict != o.Verdict }) {
			o.Verdict = emu.Mixed
		}
	}
	return o, silent
}

// is reports whether an observation has a verdict, or a member of it has.
func is(o emu.Observation, v emu.Verdict) bool {
	return o.Verdict == v ||
		slices.ContainsFunc(o.Members, func(m emu.MemberObservation) bool { return m.Verdict == v })
}

// beside asks what must be closed beside the ports of a question. Next to a port of a VIP: what leads in must be that
// port and no other. Of web sites, where all the rest is asked about: the addresses by which connections leave.
func (x *Exposure) beside(q ExposureQuestion, a lab.PublicAddress, ask Ask) (f finding) {
	switch {
	case a.WebSite != nil && !q.Listed && len(portSet(q.Ports).within(x.reached(a, q.Protocol))) == 0:
		for _, address := range a.Outbound {
			out := lab.PublicAddress{Name: a.Name, Address: address}
			for _, port := range append(x.samples(q, a), lab.HTTPPort) {
				if f = x.findFrom(x.sources[0], out, q.Protocol, port, ask); f.problem != "" {
					return f
				}
			}
		}
		return f
	case a.Deployment == nil:
		return f // the rest of it is a question of its own
	}
	for _, r := range q.Ports {
		for _, port := range []int{int(r.First) - 1, int(r.Last) + 1} {
			if port < 1 || port > 65535 {
				continue
			}
			if _, taken := a.Deployment.Frontend(a.Address, q.Protocol, uint16(port)); taken {
				continue // likewise
			}
			if f = x.findFrom(x.sources[0], a, q.Protocol, uint16(port), ask); f.problem != "" {
				return f
			}
		}
	}
	return f
}

// whoAnswers says whether somebody answers on ports that are exposed.
func whoAnswers(all []finding) string {
	var open, other []finding
	for _, f := range all {
		switch {
		case !f.through:
		case f.Verdict == emu.Open:
			open = append(open, f)
		default:
			other = append(other, f)
		}
	}
	switch {
	case len(open)+len(other) == 1:
		return append(open, other...)[0].answer()
	case len(open) == 0 && len(other) > 0:
		first := other[0].answer()
		if !slices.ContainsFunc(other, func(f finding) bool { return f.answer() != first }) {
			return first
		}
	}
	var texts []string
	if len(open) > 0 {
		ports := make([]string, len(open))
		for i, f := range open {
			ports[i] = fmt.Sprint(f.port)
		}
		texts = append(texts, strings.Join(ports, ", ")+" answered")
	}
	nothing := false
	for _, f := range other {
		if f.Verdict == emu.Refused {
			nothing = true
			continue
		}
		texts = append(texts, fmt.Sprintf("%d: %s", f.port, f.answer()))
	}
	if nothing {
		texts = append(texts, "nothing listens on the others")
	}
	return strings.Join(texts, "; ")
}

func (f finding) answer() string {
	switch f.Verdict {
	case emu.Open, emu.WrongHost:
		names := []string{f.AnsweredBy}
		if len(f.Members) > 0 { // a set whose members agree
			names = names[:0]
			for _, m := range f.Members {
				names = append(names, m.Namespace)
			}
		}
		if names[0] == "" {
			return "answered"
		}
		return "answered by " + strings.Join(names, ", ")
	case emu.Refused:
		return "nothing listens yet"
	case emu.NoBackend:
		return "no healthy instance behind it"
	case emu.Timeout:
		return "no answer, and no rule that would have kept it out"
	case emu.Mixed:
		return DescribeMembers(f.Members)
	default:
		return "let in by some of the instances behind it"
	}
}
