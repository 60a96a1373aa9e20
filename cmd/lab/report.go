package main

import (
	"fmt"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab/expect"
)

// printResult prints the results of a lab: the expectations, each with its verdict and rule, the exposure, the steps.
func (a *app) printResult(r expect.Result, p places) {
	var expectations, exposure, steps []expect.Case
	for _, c := range r.Cases {
		switch {
		case isStep(c):
			steps = append(steps, c)
		case strings.HasPrefix(c.Name, expect.ExposurePrefix):
			exposure = append(exposure, c)
		default:
			expectations = append(expectations, c)
		}
	}
	// In one table, so that the columns of both parts are aligned.
	lines := a.caseLines(slices.Concat(expectations, exposure), p)
	a.printCases("Expectations", lines[:len(expectations)], expectations, p)
	a.printCases("Exposure: every public address, tried from the internet", lines[len(expectations):], exposure, p)
	a.printReached(exposure)
	a.printCases("Steps", a.caseLines(steps, p), steps, p)
	a.stdout.printf("\n%s\n", a.counts(r.Passed, r.Failed))
}

// printReached lists what the internet reaches, and what answers there.
func (a *app) printReached(exposure []expect.Case) {
	reached := table{indent: "  "}
	listed := map[string]bool{}
	for _, c := range exposure {
		for _, ports := range c.Exposed {
			if !listed[ports] {
				reached.add(ports, c.Answers)
			}
			listed[ports] = true
		}
	}
	switch {
	case len(exposure) == 0:
	case len(reached.rows) == 0:
		a.stdout.printf("\n%s\n", a.stdout.bold("The internet reaches nothing"))
	default:
		a.stdout.printf("\n%s\n", a.stdout.bold("The internet reaches"))
		a.printTable(&reached)
	}
}

// caseLines returns the lines of each case. The reason for a verdict is beside it if the terminal is wide enough,
// otherwise below.
func (a *app) caseLines(cases []expect.Case, p places) [][]string {
	rows := table{indent: "  "}
	for _, c := range cases {
		rows.add(append(a.caseRow(c), "|")...) // so that all rows end in the same column
	}
	lines, _ := rows.lines(0)
	for i, c := range cases {
		line := strings.TrimSuffix(lines[i][0], "|")
		why := reason(c, p)
		switch {
		case a.stdout.columns > 0 && width(strings.TrimRight(line, " ")) > a.stdout.columns:
			lines[i] = a.stackedCase(c, why)
		case why == "":
			lines[i][0] = strings.TrimRight(line, " ")
		case a.stdout.columns == 0 || width(line)+width(why) <= a.stdout.columns:
			lines[i][0] = line + a.stdout.faint(why)
		default:
			below := "        " + a.stdout.faint(a.stdout.wrap(why, 8))
			lines[i] = append([]string{strings.TrimRight(line, " ")}, strings.Split(below, "\n")...)
		}
	}
	return lines
}

// stackedCase returns the lines of a case on a narrow terminal: the verdict goes below the question.
func (a *app) stackedCase(c expect.Case, why string) []string {
	const indent = "        "
	row := a.caseRow(c)
	room := a.stdout.columns - len(indent)
	verdict := strings.TrimRight(row[2]+"  "+a.stdout.faint(why), " ")
	texts := strings.Split(breakLines(row[1], room)+"\n"+breakLines(verdict, room), "\n")
	lines := []string{"  " + row[0] + "  " + texts[0]}
	for _, text := range texts[1:] {
		lines = append(lines, indent+text)
	}
	return lines
}

func (a *app) printCases(title string, lines [][]string, cases []expect.Case, p places) {
	if len(cases) == 0 {
		return
	}
	a.stdout.printf("\n%s\n", a.stdout.bold(title))
	for i, c := range cases {
		for _, line := range lines[i] {
			a.stdout.printf("%s\n", line)
		}
		if c.Message == "" {
			continue
		}
		place := ""
		if !c.Origin.IsZero() {
			place = " (" + p.line(c.Origin) + ")"
		}
		paint := a.stdout.red
		if c.Passed {
			paint = a.stdout.faint
		}
		for line := range strings.Lines(p.short(c.Message) + place) {
			a.stdout.printf("        %s\n", a.stdout.wrap(paint(strings.TrimSuffix(line, "\n")), 8))
		}
	}
}

// caseRow returns result, question and verdict.
func (a *app) caseRow(c expect.Case) []string {
	result := a.stdout.green("ok  ")
	if !c.Passed {
		result = a.stdout.red("FAIL")
	}
	return []string{result, strings.TrimPrefix(c.Name, expect.ExposurePrefix), a.verdict(c.Verdict)}
}

// reason returns the rule behind a verdict, and what else an open connection was expected to be.
func reason(c expect.Case, p places) string {
	var why []string
	if c.By != nil {
		why = append(why, p.rule(*c.By))
	}
	if c.Passed && c.Verdict == emu.Mixed {
		why = append(why, p.short(expect.DescribeMembers(c.Members)))
	}
	if c.Passed && len(c.AnsweredBy) > 0 {
		why = append(why, "answered by "+strings.Join(c.AnsweredBy, ", "))
	}
	if c.Passed && c.SeenAs != "" {
		why = append(why, "seen as "+c.SeenAs)
	}
	return strings.Join(why, "; ")
}

// counts is the last line of a report.
func (a *app) counts(passed, failed int) string {
	text := fmt.Sprintf("%d passed, %d failed", passed, failed)
	if failed > 0 {
		return a.stdout.red(text)
	}
	return a.stdout.green(text)
}
