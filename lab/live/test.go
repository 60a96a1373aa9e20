package live

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/expect"
	"vnetlab/lab/labfile"
	"vnetlab/lab/oracle"
)

// ProbeRequest asks whether From reaches To.
type ProbeRequest struct {
	From string `json:"from"`
	To   string `json:"to"` // NAME:PORT, with /udp for UDP
}

// ProbeResult is the answer.
type ProbeResult struct {
	From     string             `json:"from"`
	To       string             `json:"to"`
	Address  netip.Addr         `json:"address,omitzero"` // that was tried
	Port     uint16             `json:"port"`
	Protocol emu.Protocol       `json:"protocol"`
	Verdict  emu.Verdict        `json:"verdict"`
	By       *emu.RuleReference `json:"by"` // the rule that decided, for blocked and no-backend
	// SeenAs and AnsweredBy are names of the lab; empty where no built-in listener answered.
	SeenAs        string     `json:"seenAs"`
	SeenAsAddress netip.Addr `json:"seenAsAddress,omitzero"`
	AnsweredBy    string     `json:"answeredBy"`
	RTTMicros     int64      `json:"rttMicros"`        // of the handshake; 0 when there was none
	Detail        string     `json:"detail,omitempty"` // what happened, for timeout and error
	// Members are the members of a load-balanced set that this source may be given, each with what became of a connection to it; none where
	// only one may be.
	Members []ProbeMember `json:"members,omitempty"`
	// Predicted is what the model says. Where the packets say something else, Agrees is false and Difference says how.
	// A name that has no prediction, because the model doesn't know it, has null here.
	Predicted  *Prediction `json:"predicted"`
	Agrees     bool        `json:"agrees"`
	Difference string      `json:"difference,omitempty"`
}

// ProbeMember is what became of a connection that was given to one member of a load-balanced set.
type ProbeMember struct {
	// Member is the instance; where the connection was dropped before one was chosen, the namespace that dropped it.
	Member        string             `json:"member"`
	Verdict       emu.Verdict        `json:"verdict"`
	By            *emu.RuleReference `json:"by"`
	SeenAs        string             `json:"seenAs"`
	SeenAsAddress netip.Addr         `json:"seenAsAddress,omitzero"`
	Detail        string             `json:"detail,omitempty"`
}

func probeMembers(l *lab.Lab, o emu.Observation) (all []ProbeMember) {
	for _, m := range o.Members {
		all = append(all, ProbeMember{
			Member: m.Namespace, Verdict: m.Verdict, By: m.By, SeenAs: l.NameOf(m.Namespace, m.SeenAs), SeenAsAddress: m.SeenAs, Detail: m.Detail,
		})
	}
	return all
}

// Prediction is what the model says of a probe.
type Prediction struct {
	Verdict emu.Verdict        `json:"verdict"`
	By      *emu.RuleReference `json:"by"`
}

func (s *server) probe(w http.ResponseWriter, r *http.Request) {
	var req ProbeRequest
	if !read(w, r, &req) {
		return
	}
	target, err := lab.ParseTarget(req.To)
	if err != nil {
		refuse(w, err)
		return
	}
	l, p, o, err := s.ask(r.Context(), req.From, target)
	if err != nil {
		refuse(w, err)
		return
	}
	difference := expect.Difference(p, o)
	answer(w, ProbeResult{
		From: req.From, To: req.To, Address: o.Address, Port: target.Port, Protocol: target.Protocol,
		Verdict: o.Verdict, By: o.By,
		SeenAs: l.NameOf(o.AnsweredBy, o.SeenAs), SeenAsAddress: o.SeenAs, AnsweredBy: o.AnsweredBy,
		RTTMicros: o.RTT.Microseconds(), Detail: o.Detail,
		Members: probeMembers(l, o), Predicted: predicted(p), Agrees: difference == "", Difference: difference,
	})
}

// predicted is nil where the model can't tell.
func predicted(p oracle.Prediction) *Prediction {
	if !p.Known() {
		return nil
	}
	return &Prediction{p.Verdict, p.By}
}

// ask asks model and packets. Where they differ because the lab was changed meanwhile, it asks again and keeps changes away until it has
// the answer. It gives the lab that was asked about.
func (s *server) ask(ctx context.Context, from string, to lab.Target) (*lab.Lab, oracle.Prediction, emu.Observation, error) {
	generation := s.generation.Load()
	l := s.now().lab
	p, o, err := s.askOnce(ctx, l, from, to)
	if generation%2 == 0 && generation == s.generation.Load() || err == nil && p.Agrees(o) {
		return l, p, o, err
	}
	s.packets.RLock()
	defer s.packets.RUnlock()
	l = s.now().lab
	p, o, err = s.askOnce(ctx, l, from, to)
	return l, p, o, err
}

func (s *server) askOnce(ctx context.Context, l *lab.Lab, from string, to lab.Target) (p oracle.Prediction, o emu.Observation, err error) {
	namespace, err := l.Namespace(from)
	if err != nil {
		return p, o, err
	}
	target, err := l.EmuTarget(to)
	if err != nil {
		return p, o, err
	}
	if p, err = oracle.Predict(l, from, to); err != nil {
		return p, o, err
	}
	o = s.emu.Probe(ctx, namespace, target)
	o.By = p.Explain(o)
	p, o = oracle.InNames(l, p, o)
	return p, o, nil
}

// TestRequest says which expectations to check.
type TestRequest struct {
	// File is a lab file, by its absolute path and with the name of the running lab, whose expectations are checked; nil: the lab's own.
	File *labfile.Input `json:"file,omitempty"`
	// Given is checked instead of what a file says.
	Given *Given `json:"given,omitempty"`
}

// Given is what is expected of the lab at one moment, in the middle of changes.
type Given struct {
	Expectations []lab.Expectation `json:"expectations"`
	// Exposure lists every port that the internet is meant to reach; nil: nothing is said about it.
	Exposure *[]lab.ExposedPort `json:"exposure"`
}

// testMessage is a line of the answer to a test: a finished case, in the order of the file, or at the end the result.
type testMessage struct {
	Case   *expect.Case   `json:"case,omitempty"`
	Result *expect.Result `json:"result,omitempty"`
}

// casesAtOnce is how many cases are checked at the same time. Each takes milliseconds, nearly all of it waiting for the kernel.
const casesAtOnce = 32

func (s *server) test(w http.ResponseWriter, r *http.Request) {
	var req TestRequest
	if !read(w, r, &req) {
		return
	}
	expectations, err := s.expectations(req)
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, flush := json.NewEncoder(w), http.NewResponseController(w).Flush
	result := expect.Result{Lab: s.start.Name, Cases: []expect.Case{}, Notes: s.notes(req)}
	tell := func(c expect.Case) bool {
		result.Add(c)
		return out.Encode(testMessage{Case: &c}) == nil && flush() == nil
	}
	for c := range inOrder(r.Context(), s.checks(req, expectations)) {
		if !tell(c) {
			return
		}
	}
	another := len(result.Cases) > 0 && result.Cases[0].Expected == expect.AsDescribed
	if req.Given == nil && !another { // once for a lab, and not after each of its steps
		if c, differs := s.checkKernel(r.Context()); differs && !tell(c) {
			return
		}
	}
	if r.Context().Err() == nil {
		out.Encode(testMessage{Result: &result}) //nolint:errcheck // the client is gone
	}
}

// expectations gives the lab whose expectations count: this one, that of a file, or this one with others.
func (s *server) expectations(req TestRequest) (*lab.Lab, error) {
	switch {
	case req.Given != nil:
		l := s.now().lab.Clone()
		l.Expectations, l.Exposure = nil, nil
		for _, e := range req.Given.Expectations {
			if err := l.Expect(e); err != nil {
				return nil, err
			}
		}
		if req.Given.Exposure == nil {
			return l, nil
		}
		return l, l.ExpectExposure(*req.Given.Exposure)
	case req.File != nil:
		return s.load(*req.File)
	}
	return s.now().lab, nil
}

// load reads another file of this lab.
func (s *server) load(file labfile.Input) (*lab.Lab, error) {
	if file.Text == nil && !filepath.IsAbs(file.Path) {
		return nil, &Error{HTTPStatus: http.StatusBadRequest, Message: file.Path + " is not an absolute path"}
	}
	loaded, err := file.Load(labfile.Options{Real: s.start.Real})
	if err != nil {
		return nil, &Error{HTTPStatus: http.StatusBadRequest, Message: err.Error()}
	}
	if loaded.Lab.Name != s.start.Name {
		return nil, &Error{
			HTTPStatus: http.StatusBadRequest,
			Message:    fmt.Sprintf("%s describes the lab %s, but %s is running", file.Path, loaded.Lab.Name, s.start.Name),
			Hint:       "lab ls shows which labs run; --lab NAME chooses one",
		}
	}
	return loaded.Lab, nil
}

// check is a case that is yet to be found out.
type check func(context.Context) expect.Case

// cases lists the checks of what a lab expects: expectations first, then the exposure.
func (s *server) cases(l *lab.Lab) []check {
	var all []check
	for _, e := range l.Expectations {
		if e.Real != nil && *e.Real != s.start.Real {
			continue
		}
		all = append(all, func(ctx context.Context) expect.Case { return s.checkExpectation(ctx, e) })
	}
	return append(all, s.exposureChecks(l.Exposure)...)
}

// inOrder runs checks, many at once, and gives their cases in the order of the checks.
func inOrder(ctx context.Context, checks []check) <-chan expect.Case {
	slots := make(chan struct{}, casesAtOnce)
	results := make([]chan expect.Case, len(checks))
	for i := range results {
		results[i] = make(chan expect.Case, 1)
	}
	go func() {
		for i, c := range checks {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			go func() {
				defer func() { <-slots }()
				results[i] <- c(ctx)
			}()
		}
	}()
	ordered := make(chan expect.Case)
	go func() {
		defer close(ordered)
		for _, r := range results {
			select {
			case c := <-r:
				select {
				case ordered <- c:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return ordered
}

func (s *server) checkExpectation(ctx context.Context, e lab.Expectation) expect.Case {
	l, p, o, err := s.ask(ctx, e.From, e.To)
	if err != nil {
		return expect.Case{Name: expect.Name(e), Expected: string(e.Verdict), Verdict: emu.Error, Message: err.Error(), Origin: e.Origin}
	}
	c := expect.Judge(l, e, p, o)
	if c.Passed && e.HTTP != nil {
		s.checkHTTP(ctx, l, e, &c)
	}
	return c
}

// checkHTTP adds to a case whose connection was accepted what comes of an HTTP request.
func (s *server) checkHTTP(ctx context.Context, l *lab.Lab, e lab.Expectation, c *expect.Case) {
	fail := func(format string, args ...any) {
		c.Passed, c.Message = false, fmt.Sprintf("GET %s: ", e.HTTP.Path)+fmt.Sprintf(format, args...)
	}
	namespace, err := l.Namespace(e.From)
	if err != nil {
		fail("%v", err)
		return
	}
	target, err := l.EmuTarget(e.To)
	if err != nil {
		fail("%v", err)
		return
	}
	status, body, err := s.emu.HTTPGet(ctx, namespace, target, e.HTTP.Path)
	wanted := cmp.Or(e.HTTP.Status, http.StatusOK)
	switch {
	case err != nil:
		fail("%v", err)
	case status != wanted:
		fail("status %d, expected %d", status, wanted)
	case !strings.Contains(string(body), e.HTTP.Contains):
		fail("the page doesn't contain %q", e.HTTP.Contains)
	}
}
