package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// next is what should follow an attempt.
type next int

const (
	final     next = iota
	again          // it got no answer at all: perhaps another attempt does
	unsettled      // a namespace was compared, or changed, after the attempt began: the next one will know its rules
)

// unanswered returns the observation of an attempt that got no answer, or was refused.
func (p *Prober) unanswered(
	ctx context.Context,
	err error,
	to netip.AddrPort,
	c *scope,
	begun time.Time,
	protocol emu.Protocol,
	limit time.Duration,
) (o emu.Observation, n next) {
	o.Address = to.Addr()
	o.Verdict, o.Detail, n = explain(ctx, err, to, protocol, limit)
	var dropped *droppedError
	if errors.As(err, &dropped) {
		o.By = &dropped.rule
	}
	var unproved *unprovedError
	o.Drift = errors.As(err, &unproved) && len(unproved.against.differences) > 0
	if o.Verdict != emu.Refused {
		return o, n
	}
	found, known := p.survey(ctx, c, begun, false)
	switch {
	case !found.isEmpty():
		o.Drift = len(found.differences) > 0
		o.Verdict, o.Detail = emu.Timeout, fmt.Sprintf("%s refused, or a rule did in its name: %s", to, &found)
	case !known:
		o.Verdict, o.Detail, n = emu.Timeout, fmt.Sprintf(
			"%s refused, or a rule did in its name: %v", to, errUnsettled,
		), unsettled
	}
	return o, n
}

// withDifferences adds to a timeout how the namespaces on the path differ from what they should be, unless its
// detail has it already.
func (p *Prober) withDifferences(ctx context.Context, c *scope, o emu.Observation) emu.Observation {
	if o.Verdict != emu.Timeout || ctx.Err() != nil {
		return o
	}
	found, _ := p.survey(ctx, c, time.Time{}, true)
	if len(found.differences) == 0 {
		return o
	}
	if o.Drift = true; !strings.Contains(o.Detail, found.differences[0].String()) {
		o.Detail += "; " + found.String()
	}
	return o
}

// explain turns a failure to connect into a verdict. Only a proved report makes it Blocked. Refused holds only
// after a survey.
func explain(
	ctx context.Context, err error, to netip.AddrPort, protocol emu.Protocol, limit time.Duration,
) (v emu.Verdict, detail string, n next) {
	var dropped *droppedError
	var unproved *unprovedError
	var rejected *rejectedError
	switch {
	case errors.As(err, &dropped):
		return dropped.verdict(), "", final
	case ctx.Err() != nil:
		return emu.Error, canceled(ctx), final
	case errors.Is(err, errUnsettled):
		return emu.Timeout, fmt.Sprintf(
			"no answer from %s, and a report of a drop proves nothing: %v", to, err,
		), unsettled
	case errors.As(err, &unproved):
		return emu.Timeout, fmt.Sprintf("no answer from %s within %s; %v", to, limit, err), final
	case errors.As(err, &rejected) && rejected.byRule(protocol):
		return emu.Timeout, fmt.Sprintf(
			"%s came from %s instead of an answer from %s: a rule rejects", rejected.what(), rejected.from, to,
		), final
	case errors.Is(err, errSilence):
		return emu.Timeout, fmt.Sprintf(
			"UDP: no answer; a silent service looks the same (nothing came from %s within %s, and no rule reported a drop)",
			to,
			limit,
		), again
	case errors.Is(err, errNoAnswer), errors.Is(err, unix.ETIMEDOUT):
		return emu.Timeout, fmt.Sprintf("no answer from %s within %s, and no rule reported a drop", to, limit), again
	case errors.Is(err, unix.ECONNREFUSED):
		return emu.Refused, "", final
	case errors.Is(err, unix.EHOSTUNREACH):
		return emu.Timeout, fmt.Sprintf("no host answers at %s (EHOSTUNREACH)", to.Addr()), final
	case errors.Is(err, unix.ENETUNREACH):
		return emu.Timeout, fmt.Sprintf("no route leads to %s (ENETUNREACH)", to.Addr()), final
	}
	hint := ""
	switch {
	case errors.Is(err, unix.EADDRNOTAVAIL):
		hint = ": no source address or port is free, does the namespace have an address?"
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		hint = ": too many open files, raise the limit (ulimit -n) or make fewer probes at a time"
	case errors.Is(err, unix.ENOBUFS):
		hint = ": the machine's neighbor table is full, " + moreNeighbors
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		hint = ": a rule of the namespace itself forbids it to send"
	}
	return emu.Error, err.Error() + hint, final
}

func failed(address netip.Addr, detail string) emu.Observation {
	return emu.Observation{Verdict: emu.Error, Address: address, Detail: detail}
}

func canceled(ctx context.Context) string {
	return fmt.Sprintf("the probe was canceled: %v", context.Cause(ctx))
}
