package probe

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"vnetlab/emu"
)

const (
	pathsAtOnce = 64 // connections of one probe
	// triesPerPath is how many connections are tried for one of n paths, times n: a router that remembers another
	// connection from the same source port may change the port.
	triesPerPath = 8
	maxTries     = 64
)

// pathsOf lists the paths of a probe. If it can't be predicted which one a connection takes, there is one to each
// end, and any port may lead there.
func (t *topology) pathsOf(a task) []path {
	if paths, ok := t.paths(a.ns.Name, a.target.Source, a.target.Protocol, a.to); ok {
		return paths
	}
	var all []path
	for _, e := range a.scope.ends {
		all = append(all, path{end: e, guessed: true})
	}
	return all
}

// askEach makes a connection on each path, all at the same time, and combines their observations.
func (p *Prober) askEach(ctx context.Context, t task, paths []path) emu.Observation {
	ports := make([]uint16, len(paths))
	if !paths[0].guessed {
		ports = p.attempts.reserve(t.place(), t.target.Protocol, t.to, len(paths), forkOf(paths).of)
	}
	var ends []end // only those to which a path leads
	for _, w := range paths {
		if w.end.namespace != "" && !slices.Contains(ends, w.end) {
			ends = append(ends, w.end)
		}
	}
	all := make([]emu.Observation, len(paths))
	var g errgroup.Group
	g.SetLimit(pathsAtOnce)
	for i := range paths {
		g.Go(func() error {
			each := t
			each.path, each.reserved = &paths[i], ports[i]
			each.scope = &scope{
				from:         t.scope.from,
				ends:         ends,
				destinations: t.scope.destinations,
				aim:          &paths[i].end,
			}
			all[i] = p.askOne(ctx, &each, len(paths))
			return nil
		})
	}
	g.Wait() //nolint:errcheck // none returns an error
	members := make([]emu.MemberObservation, len(paths))
	for i, o := range all {
		members[i] = emu.MemberObservation{
			Namespace: p.given(paths[i], o),
			Verdict:   o.Verdict,
			By:        o.By,
			SeenAs:    o.SeenAs,
			Detail:    o.Detail,
			Drift:     o.Drift,
		}
	}
	return combine(all, members)
}

// askOne makes connections until one is known to have taken its path.
func (p *Prober) askOne(ctx context.Context, t *task, of int) emu.Observation {
	defer func() {
		if t.reserved != 0 {
			p.attempts.release(t.reserved)
		}
	}()
	tries := min(triesPerPath*of, maxTries)
	for range tries {
		o := p.ask(ctx, t)
		if o.Verdict == emu.Error || p.tookItsPath(t, o) {
			p.settle(&o, t)
			return o
		}
	}
	return failed(t.to.Addr(), fmt.Sprintf("none of %d connections is known to have reached this member", tries))
}

// tookItsPath reports whether a connection is known to have taken its path: by the machine that answered, by the
// one that reported the drop, or by what the router that chose remembers.
func (p *Prober) tookItsPath(t *task, o emu.Observation) bool {
	w := t.path
	if !w.chosen && !w.guessed {
		return true // however the source port is changed, it arrives at the same end
	}
	switch {
	case o.AnsweredBy != "":
		return o.AnsweredBy == w.end.namespace
	case o.By != nil && o.By.Namespace == w.end.namespace:
		return true
	case o.By != nil: // on the path, or the end of another
		return !w.guessed &&
			!slices.ContainsFunc(t.scope.ends, func(e end) bool { return e.namespace == o.By.Namespace })
	case w.guessed:
		return false
	}
	return p.proved(t, o.Verdict)
}

// given returns the namespace to which a connection was given; if it was dropped before that was decided, the one
// that dropped it.
func (p *Prober) given(w path, o emu.Observation) string {
	if o.By == nil || o.By.Namespace == w.end.namespace {
		return w.end.namespace
	}
	dropped := func(t *topology) bool { return t.dropsTranslated(w.router, o.By.ID) }
	if slices.Contains(w.after, o.By.Namespace) && (o.By.Namespace != w.router || read(p, dropped)) {
		return w.end.namespace
	}
	return o.By.Namespace
}

// dropsTranslated reports whether a rule drops packets after their translation, rather than instead of it.
func (t *topology) dropsTranslated(router, id string) bool {
	s := t.namespaces[router]
	if s == nil || s.Ruleset == nil {
		return false
	}
	return slices.ContainsFunc(s.Ruleset.Chains, func(c *emu.Chain) bool {
		return (c.Hook == emu.ForwardHook || c.Hook == emu.InputHook) &&
			slices.ContainsFunc(c.Rules, func(r emu.Rule) bool { return r.ID == id })
	})
}

// combine makes one observation of those of several paths. Its verdict is theirs if they agree, else [emu.Mixed].
// If one is an error, so is the whole.
func combine(all []emu.Observation, members []emu.MemberObservation) emu.Observation {
	o := all[0]
	o.Members = merge(members)
	if i := slices.IndexFunc(all, func(o emu.Observation) bool { return o.Verdict == emu.Error }); i >= 0 {
		return emu.Observation{
			Verdict: emu.Error, Address: o.Address, Members: o.Members, Detail: all[i].Detail,
		}
	}
	if slices.ContainsFunc(all, func(other emu.Observation) bool { return other.Verdict != o.Verdict }) {
		return emu.Observation{Verdict: emu.Mixed, Address: o.Address, Members: o.Members, Detail: summary(o.Members)}
	}
	if len(o.Members) == 1 {
		o.Members = nil
	}
	return o
}

// merge leaves out members that differ from another one only in the source that they saw.
func merge(all []emu.MemberObservation) (merged []emu.MemberObservation) {
	for _, m := range all {
		if !slices.ContainsFunc(merged, m.Same) {
			merged = append(merged, m)
		}
	}
	return merged
}

// summary returns how many members have which verdict: "1 open, 2 blocked".
func summary(members []emu.MemberObservation) string {
	var parts []string
	for _, v := range emu.Verdicts {
		n := 0
		for _, m := range members {
			if m.Verdict == v {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, v))
		}
	}
	return strings.Join(parts, ", ")
}
