package main

import (
	"encoding/xml"
	"fmt"
	"strings"

	"vnetlab/lab/expect"
)

// The formats of test results beside text and JSON.
const (
	tapFormat   = "tap"
	junitFormat = "junit"
)

// labResult is what came of one lab: a result, or an error that kept it from being tested.
type labResult struct {
	expect.Result
	places places
	err    error
	arg    string // how the user named the lab
}

func (r labResult) name() string {
	if r.Lab == "" {
		return r.arg
	}
	return r.Lab
}

// printTAP writes results in the Test Anything Protocol, version 13.
func (a *app) printTAP(all []labResult) {
	total := 0
	for _, r := range all {
		total += len(r.Cases)
		if r.err != nil {
			total++
		}
	}
	a.stdout.printf("TAP version 13\n1..%d\n", total)
	n := 0
	line := func(passed bool, name string) {
		n++
		result := "ok"
		if !passed {
			result = "not ok"
		}
		a.stdout.printf("%s %d - %s\n", result, n, strings.ReplaceAll(name, "#", `\#`))
	}
	for _, r := range all {
		for _, c := range r.Cases {
			line(c.Passed, caseName(all, r, c))
			if !c.Passed {
				a.stdout.printf(
					"  ---\n  message: %q\n  severity: fail\n  data:\n    got: %s\n    expect: %s\n  at: %q\n  ...\n",
					c.Message,
					c.Verdict,
					c.Expected,
					r.places.line(c.Origin),
				)
			}
		}
		if r.err != nil {
			line(false, r.name())
			a.stdout.printf("  ---\n  message: %q\n  severity: fail\n  ...\n", r.err)
		}
	}
}

// caseName names the lab as well where there are several.
func caseName(all []labResult, r labResult, c expect.Case) string {
	if len(all) > 1 {
		return r.Lab + ": " + c.Name
	}
	return c.Name
}

type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name      string        `xml:"name,attr"`
		ClassName string        `xml:"classname,attr"`
		Failure   *junitProblem `xml:"failure,omitempty"`
		Error     *junitProblem `xml:"error,omitempty"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// printJUnit writes results as the XML that continuous-integration servers read.
func (a *app) printJUnit(all []labResult) error {
	var suites junitSuites
	for _, r := range all {
		suite := junitSuite{Name: r.name(), Tests: len(r.Cases), Failures: r.Failed}
		for _, c := range r.Cases {
			j := junitCase{Name: c.Name, ClassName: r.Lab}
			if !c.Passed {
				j.Failure = &junitProblem{
					c.Message, string(c.Verdict),
					fmt.Sprintf("expected %s, got %s\n%s", c.Expected, c.Verdict, r.places.line(c.Origin)),
				}
			}
			suite.Cases = append(suite.Cases, j)
		}
		if r.err != nil {
			suite.Tests++
			suite.Errors++
			suite.Cases = append(
				suite.Cases,
				junitCase{
					Name:      r.name(),
					ClassName: r.name(),
					Error:     &junitProblem{Message: r.err.Error(), Type: "error"},
				},
			)
		}
		suites.Tests += suite.Tests
		suites.Failures += suite.Failures
		suites.Errors += suite.Errors
		suites.Suites = append(suites.Suites, suite)
	}
	text, err := xml.MarshalIndent(suites, "", "  ")
	if err != nil {
		return err
	}
	a.stdout.printf("%s%s\n", xml.Header, text)
	return nil
}

// labAnswer is a result among several as JSON; error is what kept the lab from being tested.
type labAnswer struct {
	expect.Result
	Error *errorInfo `json:"error,omitempty"`
}

// resultsAnswer is what came of several labs.
type resultsAnswer struct {
	Passed int         `json:"passed"`
	Failed int         `json:"failed"`
	Labs   []labAnswer `json:"labs"`
}

// printJSON writes one result as it is, and several in a list.
func (a *app) printJSON(all []labResult) error {
	if len(all) == 1 && all[0].err == nil {
		return a.stdout.json(all[0].Result)
	}
	answer := resultsAnswer{Labs: []labAnswer{}}
	for _, r := range all {
		one := labAnswer{Result: r.Result}
		one.Lab = r.name()
		if one.Cases == nil {
			one.Cases = []expect.Case{}
		}
		if r.err != nil {
			one.Error = &errorInfos(r.err)[0]
		}
		answer.Passed += r.Passed
		answer.Failed += r.Failed
		answer.Labs = append(answer.Labs, one)
	}
	return a.stdout.json(answer)
}
