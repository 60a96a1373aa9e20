package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
)

// proofs compares namespaces with what they should be. A report says that a packet came to a rule; that the packet
// was dropped there follows only where the drop stands right behind the report, as it does in each namespace that
// is as it should be.
//
// What was compared counts until the namespace is changed, which its [kernel.Watch] sees: a proof then costs a
// question to the kernel.
type proofs struct {
	comparer *kernel.Comparer
	// changing is held by who changes the network: what the kernel has is then neither the old network nor the new
	// one.
	changing sync.RWMutex
	guards   perNamespace[*guard]
}

// guard is what is known about one namespace.
type guard struct {
	ns    *kernel.Namespace
	watch *kernel.Watch
	mu    sync.Mutex // held during a comparison
	last  atomic.Pointer[comparison]
}

// comparison is what a namespace was found to be.
type comparison struct {
	spec        *emu.Namespace // what it should be
	version     kernel.Version
	differences []kernel.Difference
	// since is when its rules became what they are. They have not changed since.
	since time.Time
	// begun is when it was compared.
	begun time.Time
	// unwatched rules are those of the older iptables, whose changes no watch sees: they are compared each time.
	unwatched bool
	rules     sync.Map // id -> emu.RuleReference: a search among the thousands of an edge is too slow for every probe
}

// rule returns the reference to a rule of the namespace.
func (c *comparison) rule(id string) (emu.RuleReference, bool) {
	if known, ok := c.rules.Load(id); ok {
		return known.(emu.RuleReference), true
	}
	ref, ok := c.spec.Rule(id)
	if ok {
		c.rules.Store(id, ref)
	}
	return ref, ok
}

func newProofs(namespaces func(string) (*kernel.Namespace, bool)) *proofs {
	return &proofs{
		comparer: kernel.NewComparer(),
		guards:   perNamespace[*guard]{namespaces: namespaces, open: newGuard},
	}
}

func newGuard(ns *kernel.Namespace) (*guard, error) {
	w, err := ns.Watch()
	return &guard{ns: ns, watch: w}, err
}

// Close ends the watch.
func (g *guard) Close() error { return g.watch.Close() }

// Hold keeps the prober from comparing the kernel with the network until release is called. A caller that changes
// the network holds the prober from before the first change in the kernel until after [Prober.Update]. Hold waits
// for comparisons under way.
func (p *Prober) Hold() (release func()) {
	p.proofs.changing.Lock()
	return p.proofs.changing.Unlock
}

// compared returns what a namespace is now, or was at some moment since the call. With fresh it is read again even
// if the watch saw no change: the watch doesn't see everything.
func (p *Prober) compared(ctx context.Context, name string, fresh bool) (*comparison, error) {
	asked := time.Now()
	g, err := p.proofs.guards.get(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	spec := func() *emu.Namespace { return read(p, func(t *topology) *emu.Namespace { return t.spec(name) }) }
	if !fresh {
		if c, err := g.still(spec()); c != nil || err != nil {
			return c, err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	p.proofs.changing.RLock()
	defer p.proofs.changing.RUnlock()
	now := spec()
	if now == nil {
		return nil, fmt.Errorf("the network has no namespace %s any more", name)
	}
	last := g.last.Load()
	if last != nil && last.spec == now && last.begun.After(asked) { // another goroutine has compared it meanwhile
		if v, err := g.watch.Version(); err != nil || v == last.version {
			return last, err
		}
	}
	if !fresh {
		if c, err := g.still(now); c != nil || err != nil {
			return c, err
		}
	}
	c, err := p.compare(ctx, g, now)
	if err != nil {
		return nil, err
	}
	if last != nil && last.spec == now && last.version == c.version && len(last.differences)+len(c.differences) == 0 {
		c.since = last.since
	}
	g.last.Store(c)
	return c, nil
}

// still returns the last comparison if it still holds; nil: it doesn't, or that isn't known.
func (g *guard) still(spec *emu.Namespace) (*comparison, error) {
	c := g.last.Load()
	if c == nil || c.spec != spec || c.unwatched {
		return nil, nil
	}
	v, err := g.watch.Version()
	if err != nil || v != c.version {
		return nil, err
	}
	return c, nil
}

// compareTries is how often a namespace is read if it changes while it is read.
const compareTries = 5

// compare reads a namespace while nothing changes it.
func (p *Prober) compare(ctx context.Context, g *guard, spec *emu.Namespace) (*comparison, error) {
	network := read(p, func(t *topology) *emu.Network { return t.network })
	for range compareTries {
		begun := time.Now()
		before, err := g.watch.Version()
		if err != nil {
			return nil, err
		}
		found, err := p.proofs.comparer.Compare(ctx, network, g.ns)
		if err != nil {
			return nil, err
		}
		after, err := g.watch.Version()
		if err != nil {
			return nil, err
		}
		if before == after {
			return &comparison{
				spec: spec, version: after, differences: found.Differences,
				since: found.Since, begun: begun, unwatched: found.Unwatched,
			}, nil
		}
	}
	return nil, fmt.Errorf("%s changes all the time", g.ns.Name)
}

// finding is why a report or a refusal proves nothing: namespaces differ from what they should be, or could not be
// compared.
type finding struct {
	differences []kernel.Difference
	err         error
}

func (f *finding) add(c *comparison, err error) {
	if err != nil {
		f.err = errors.Join(f.err, err)
		return
	}
	f.differences = append(f.differences, c.differences...)
}

func (f *finding) isEmpty() bool { return len(f.differences) == 0 && f.err == nil }

// differencesShown is how many differences a detail cites.
const differencesShown = 3

func (f *finding) String() string {
	var all []string
	for i, d := range f.differences {
		if i == differencesShown {
			all = append(all, fmt.Sprintf("and %d more", len(f.differences)-i))
			break
		}
		all = append(all, d.String())
	}
	if f.err != nil {
		all = append(all, fmt.Sprintf("not everything could be compared: %v", f.err))
	}
	return strings.Join(all, "; ")
}

// errUnsettled means that the rules at the time of a packet are unknown: a namespace was compared, or changed,
// after the attempt began. The next attempt will know them.
var errUnsettled = errors.New("rules changed while the probe was under way")

// proves returns the rule if a report proves that it dropped the packet. Otherwise the finding is why not, or the
// error is errUnsettled.
func (p *Prober) proves(
	ctx context.Context, r report, begun time.Time,
) (rule *emu.RuleReference, against finding, err error) {
	c, err := p.compared(ctx, r.namespace, false)
	if against.add(c, err); !against.isEmpty() {
		return nil, against, nil
	}
	if c.since.After(begun) {
		return nil, against, errUnsettled
	}
	ref, ok := c.rule(r.id)
	if !ok { // the report came from earlier rules
		return nil, against, errUnsettled
	}
	return &ref, against, nil
}

// survey compares all namespaces that decide the verdict of a probe. Settled means that the rules of all have been
// known, and the same, since before it began.
func (p *Prober) survey(ctx context.Context, c *scope, begun time.Time, fresh bool) (found finding, settled bool) {
	settled = true
	for _, name := range read(p, func(t *topology) []string { return t.deciders(c) }) {
		compared, err := p.compared(ctx, name, fresh)
		found.add(compared, err)
		settled = settled && err == nil && !compared.since.After(begun)
	}
	return found, settled
}
