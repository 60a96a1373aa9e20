package main

import (
	"fmt"
	"strings"
	"time"

	"vnetlab/lab/supervisor"
)

// progress shows the progress of a lab on one line of a terminal, and nothing elsewhere.
type progress struct {
	out   *output
	name  string
	last  time.Time
	shown bool
}

func (a *app) progress(name string) *progress { return &progress{out: a.stderr, name: name} }

const (
	barWidth     = 24
	progressStep = 50 * time.Millisecond // between changes of the line
)

func (p *progress) report(r supervisor.Progress) {
	if !p.out.terminal {
		return
	}
	if now := time.Now(); r.Done == r.Total || now.Sub(p.last) >= progressStep {
		p.last = now
	} else {
		return
	}
	full := 0
	if r.Total > 0 {
		full = barWidth * r.Done / r.Total
	}
	bar := strings.Repeat("█", full) + strings.Repeat("░", barWidth-full)
	p.line(fmt.Sprintf("%s  %s %d/%d  %s", p.name, bar, r.Done, r.Total, r.Stage))
}

// line replaces the line.
func (p *progress) line(text string) {
	if p.out.terminal {
		p.shown = true
		p.out.printf("\r\x1b[K%s", cut(text, p.out.columns-1)) // a line that wraps could not be replaced
	}
}

// clear removes the line.
func (p *progress) clear() {
	if p.shown {
		p.out.printf("\r\x1b[K")
		p.shown = false
	}
}
