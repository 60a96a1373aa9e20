package lab

import (
	"errors"
	"slices"

	"vnetlab/emu"
)

// Expectation is one question and the answer that is expected.
type Expectation struct {
	Name       string // in results; may be empty
	From       string
	To         Target
	Verdict    emu.Verdict
	SeenAs     string   // an instance, internet host, web site or DNS name; empty: not asked
	AnsweredBy []string // each must answer at least once; empty: not asked
	HTTP       *HTTPExpectation
	Real       *bool // checked only when the lab runs its real programs (true), or only when it doesn't (false); nil: always
	Origin     Origin
}

// HTTPExpectation is what a GET of a path must give.
type HTTPExpectation struct {
	Path     string
	Status   int
	Contains string
}

// Expect adds an expectation. Every name in it must be known: a misspelt name never passes for an unreachable one.
func (l *Lab) Expect(e Expectation) error {
	var errs []error
	check := func(err error) {
		var refusal *Error
		if errors.As(err, &refusal) {
			errs = append(errs, refusal.At(e.Origin))
		}
	}
	_, err := l.Namespace(e.From)
	check(err)
	_, err = l.EmuTarget(e.To)
	check(err)
	if e.SeenAs != "" {
		_, err := l.addressNamed(e.SeenAs)
		check(err)
	}
	for _, name := range e.AnsweredBy {
		_, err := l.Namespace(name)
		check(err)
	}
	if e.To.Protocol == emu.UDP && e.HTTP != nil {
		check(badRequest("HTTP is asked for over tcp, not udp."))
	}
	if !slices.Contains(emu.Verdicts, e.Verdict) {
		check(badRequest("%s is not a verdict.", shorten(string(e.Verdict))))
	}
	if e.Verdict != emu.Open && (e.SeenAs != "" || len(e.AnsweredBy) > 0 || e.HTTP != nil) {
		check(badRequest("seenAs, answeredBy and http can be expected of the verdict open alone."))
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	l.Expectations = append(l.Expectations, e)
	return nil
}

// addressNamed refuses a name that no source address goes by.
func (l *Lab) addressNamed(name string) (string, error) {
	_, refusal := l.member(name)
	if refusal == nil {
		return name, nil
	}
	if _, ok := l.AddressNamed(name); ok {
		return name, nil
	}
	if refusal.Code != codeNotFound {
		return "", refusal
	}
	candidates := l.memberNames()
	for _, r := range l.PublicNames() {
		candidates = append(candidates, r.Name)
	}
	return "", l.suggest(notFound("The lab %s has nothing named %s.", l.Name, shorten(name)), name, candidates)
}
