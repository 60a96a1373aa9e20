package probe

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
)

// Namespaces that could not be compared are no drift.
func TestDriftIsADifference(t *testing.T) {
	var p Prober
	for _, c := range []struct {
		against finding
		want    bool
	}{
		{finding{err: errors.New("not now")}, false},
		{finding{differences: make([]kernel.Difference, 1)}, true},
	} {
		err := &unprovedError{report{"edge", "acl", web1}, c.against}
		o, _ := p.unanswered(t.Context(), err, netip.AddrPortFrom(sql1, 80), nil, time.Now(), emu.TCP, time.Second)
		if o.Verdict != emu.Timeout || o.Drift != c.want {
			t.Errorf("%+v, want drift %t", o, c.want)
		}
	}
}

func TestExplain(t *testing.T) {
	type verdict struct {
		Verdict emu.Verdict
		Next    next
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		err    error
		want   verdict
		detail string
	}{
		{
			"report", t.Context(), &droppedError{emu.RuleReference{Namespace: "edge", ID: "acl"}},
			verdict{emu.Blocked, final},
			"",
		},
		{
			"report of no backend", t.Context(),
			&droppedError{emu.RuleReference{Namespace: "edge", ID: emu.NoBackendPrefix + "x"}},
			verdict{emu.NoBackend, final},
			"",
		},
		{"silence", t.Context(), errNoAnswer, verdict{emu.Timeout, again}, "no answer from 10.0.2.4:80 within 3s"},
		{
			"silence of UDP", t.Context(), errSilence,
			verdict{emu.Timeout, again},
			"UDP: no answer; a silent service looks the same (nothing came from 10.0.2.4:80 within 3s",
		},
		{"refused", t.Context(), os.NewSyscallError("connect", unix.ECONNREFUSED), verdict{emu.Refused, final}, ""},
		{
			"no host", t.Context(), unix.EHOSTUNREACH,
			verdict{emu.Timeout, final},
			"no host answers at 10.0.2.4 (EHOSTUNREACH)",
		},
		{
			"no route", t.Context(), unix.ENETUNREACH,
			verdict{emu.Timeout, final},
			"no route leads to 10.0.2.4 (ENETUNREACH)",
		},
		{
			"no address", t.Context(), os.NewSyscallError("connect", unix.EADDRNOTAVAIL),
			verdict{emu.Error, final},
			"does the namespace have an address?",
		},
		{
			"no descriptor", t.Context(), os.NewSyscallError("socket", unix.EMFILE),
			verdict{emu.Error, final},
			"ulimit -n",
		},
		{
			"neighbor table", t.Context(), os.NewSyscallError("connect", unix.ENOBUFS),
			verdict{emu.Error, final},
			"neighbor table is full",
		},
		{
			"own rule", t.Context(), os.NewSyscallError("connect", unix.EPERM),
			verdict{emu.Error, final},
			"forbids it to send",
		},
		{
			"unproved report", t.Context(),
			&unprovedError{report{"edge", "acl", web1}, finding{err: errors.New("x")}},
			verdict{emu.Timeout, final},
			"rule acl of edge reported a drop, which proves nothing",
		},
		{"changes", t.Context(), errUnsettled, verdict{emu.Timeout, unsettled}, "rules changed"},
		{
			"rule that rejects", t.Context(),
			&rejectedError{cause: unix.ECONNREFUSED, kind: 3, code: 3, from: sql1},
			verdict{emu.Timeout, final},
			"ICMP port-unreachable came from 10.0.2.4",
		},
		{
			"rule that prohibits", t.Context(),
			&rejectedError{cause: unix.EHOSTUNREACH, kind: 3, code: 13, from: sql1},
			verdict{emu.Timeout, final},
			"ICMP admin-prohibited",
		},
		{
			"router without a way", t.Context(),
			&rejectedError{cause: unix.EHOSTUNREACH, kind: 3, code: 1, from: sql1},
			verdict{emu.Timeout, final},
			"no host answers at 10.0.2.4",
		},
		{"ports", t.Context(), errNoPort, verdict{emu.Error, final}, "all source ports"},
		{"canceled", canceled, errNoAnswer, verdict{emu.Error, final}, "canceled"},
	} {
		v, detail, next := explain(c.ctx, c.err, netip.AddrPortFrom(sql1, 80), emu.TCP, 3*time.Second)
		if diff := cmp.Diff(c.want, verdict{v, next}); diff != "" || !strings.Contains(detail, c.detail) ||
			(detail == "") != (c.detail == "") {
			t.Errorf("%s: %s %q", c.name, diff, detail)
		}
	}
}
