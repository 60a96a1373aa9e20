package engine

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/expect"
	"vnetlab/lab/labfile"
)

// casesAtOnce is how many cases are checked at the same time. Each takes milliseconds, nearly all of it waiting for
// the kernel.
const casesAtOnce = 32

// Test checks expectations. It passes each case to finished as soon as it and all before it are done; an error of
// finished, or the end of ctx, ends the test with that error.
func (e *Engine) Test(
	ctx context.Context, req api.TestRequest, finished func(api.Case) error,
) (api.TestResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	result := api.TestResult{Lab: e.now().lab.Name, Cases: []api.Case{}}
	checks, err := e.checks(req)
	if err != nil {
		return result, err
	}
	result.Notes = e.notes(req)
	add := func(c api.Case) error {
		result.Add(c)
		return finished(c)
	}
	for c := range inOrder(ctx, checks) {
		if err := add(c); err != nil {
			return result, err
		}
	}
	another := len(result.Cases) > 0 && result.Cases[0].Expected == expect.AsDescribed
	if req.Given == nil && !another { // once for a lab, and not after each of its steps
		if c, differs := e.checkKernel(ctx); differs {
			if err := add(c); err != nil {
				return result, err
			}
		}
	}
	return result, ctx.Err()
}

// expectations returns the lab whose expectations count: this one, that of a file, or this one with others.
func (e *Engine) expectations(req api.TestRequest) (*lab.Lab, error) {
	switch {
	case req.Given != nil:
		l := e.now().lab.Clone()
		l.Expectations, l.Exposure = nil, nil
		for _, expected := range req.Given.Expectations {
			if err := l.Expect(expected); err != nil {
				return nil, err
			}
		}
		if req.Given.Exposure == nil {
			return l, nil
		}
		return l, l.ExpectExposure(*req.Given.Exposure)
	case req.File != nil:
		return e.load(labfile.InputOf(*req.File))
	}
	return e.now().lab, nil
}

// check is a case that is yet to be found out.
type check func(context.Context) api.Case

// cases lists the checks of what a lab expects: expectations first, then the exposure.
func (e *Engine) cases(l *lab.Lab) []check {
	var all []check
	for _, x := range l.Expectations {
		if x.Real != nil && *x.Real != e.opts.Real {
			continue
		}
		all = append(all, func(ctx context.Context) api.Case { return e.checkExpectation(ctx, x) })
	}
	return append(all, e.exposureChecks(l.Exposure)...)
}

// inOrder runs checks, many at once, and returns their cases in the order of the checks.
func inOrder(ctx context.Context, checks []check) <-chan api.Case {
	slots := make(chan struct{}, casesAtOnce)
	results := make([]chan api.Case, len(checks))
	for i := range results {
		results[i] = make(chan api.Case, 1)
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
	ordered := make(chan api.Case)
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

func (e *Engine) checkExpectation(ctx context.Context, x lab.Expectation) api.Case {
	l, p, o, err := e.observe(ctx, x.From, x.To)
	if err != nil {
		return api.Case{
			Name: expect.Name(
				x,
			),
			Expected: string(x.Verdict),
			Verdict:  emu.Error,
			Message:  err.Error(),
			Origin:   x.Origin,
		}
	}
	c := expect.Judge(l, x, p, o)
	if c.Passed && x.HTTP != nil {
		e.checkHTTP(ctx, l, x, &c)
	}
	return c
}

// checkHTTP adds to a case whose connection was accepted what comes of an HTTP request.
func (e *Engine) checkHTTP(ctx context.Context, l *lab.Lab, x lab.Expectation, c *api.Case) {
	fail := func(format string, args ...any) {
		c.Passed, c.Message = false, fmt.Sprintf("GET %s: ", x.HTTP.Path)+fmt.Sprintf(format, args...)
	}
	namespace, err := l.Namespace(x.From)
	if err != nil {
		fail("%v", err)
		return
	}
	target, err := l.EmuTarget(x.To)
	if err != nil {
		fail("%v", err)
		return
	}
	status, body, err := e.emu.HTTPGet(ctx, namespace, target, x.HTTP.Path)
	wanted := cmp.Or(x.HTTP.Status, http.StatusOK)
	switch {
	case err != nil:
		fail("%v", err)
	case status != wanted:
		fail("status %d, expected %d", status, wanted)
	case !strings.Contains(string(body), x.HTTP.Contains):
		fail("the page doesn't contain %q", x.HTTP.Contains)
	}
}
