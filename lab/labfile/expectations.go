package labfile

import (
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
)

// Step is a command on the running lab and its expected result.
type Step struct {
	Origin emu.Origin
	// Command is a command line of lab, as a person types it: "lab vm delete sql1".
	Command string
	// Fails is the code of the error with which the command must fail; empty: it must succeed.
	Fails string
	// Message is a text that the message of that error must contain; empty: any will do.
	Message string
	// Expect holds the expectations after the command. They may name resources that exist only then, so they are
	// unchecked: call Lab.Expect when the step has run.
	Expect []lab.Expectation
	// Exposure lists every port that the internet is expected to reach after the command, unchecked too. It is nil
	// if the step has no exposure.
	Exposure *[]lab.ExposedPort
}

// step reads a step. Names in it aren't looked up.
func (l *loader) step(s StepEntry) {
	step := Step{Origin: s.Origin, Command: string(s.Run), Fails: string(s.Fails), Message: string(s.Message)}
	for _, e := range s.Expect {
		if request, ok := l.readExpectation(e); ok {
			step.Expect = append(step.Expect, request)
		}
	}
	if s.Exposure != nil {
		ports := l.exposedPorts(s.Exposure)
		step.Exposure = &ports
	}
	l.steps = append(l.steps, step)
}

func (l *loader) expectation(e Expectation) {
	request, ok := l.readExpectation(e)
	if !ok || l.hidden(request.From) || l.hidden(request.To.Name) || l.hidden(request.SeenAs) {
		return
	}
	if slices.ContainsFunc(request.AnsweredBy, l.hidden) {
		return
	}
	l.accept(e.Origin, l.lab.Expect(request))
}

// readExpectation reads an expectation without looking up its names. It returns false if something is wrong with
// it.
func (l *loader) readExpectation(e Expectation) (request lab.Expectation, ok bool) {
	if l.broken[e.Origin] {
		return request, false
	}
	target, err := lab.ParseTarget(e.To.Text)
	if !l.accept(e.To.Origin, err) {
		return request, false
	}
	request = lab.Expectation{
		Name: string(e.Name), From: string(e.From), To: target, Verdict: emu.Verdict(e.Verdict),
		SeenAs: string(e.SeenAs), Real: e.Real, Origin: e.Origin,
	}
	for _, name := range e.AnsweredBy {
		request.AnsweredBy = append(request.AnsweredBy, string(name))
	}
	if request.Verdict == "" {
		request.Verdict = emu.Open // seenAs, answeredBy and http need an answer
	}
	if e.HTTP != nil {
		request.HTTP = &lab.HTTPExpectation{
			Path: string(e.HTTP.Path), Status: int(e.HTTP.Status),
			Contains: string(e.HTTP.Contains),
		}
		if request.HTTP.Path == "" {
			request.HTTP.Path = "/"
		}
		if request.HTTP.Status == 0 {
			request.HTTP.Status = 200
		}
	}
	return request, true
}

func (l *loader) exposure(items []Reference) {
	ports := []lab.ExposedPort{}
	for _, p := range l.exposedPorts(items) {
		if !l.hidden(p.Name) {
			ports = append(ports, p)
		}
	}
	l.accept(l.file.Origin, l.lab.ExpectExposure(ports))
}

func (l *loader) exposedPorts(items []Reference) []lab.ExposedPort {
	ports := []lab.ExposedPort{}
	for _, item := range items {
		port, err := lab.ParseExposedPort(item.Text)
		if l.accept(item.Origin, err) {
			port.Origin = item.Origin
			ports = append(ports, port)
		}
	}
	return ports
}
