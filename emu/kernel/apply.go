package kernel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"vnetlab/emu"
)

// How much is done at once. Links and namespaces contend for one lock of the kernel, so that few are best. A load of
// iptables rules mostly waits for the kernel.
const (
	workers   = 4
	restorers = 12
)

// Apply makes a network from nothing. It reports progress in steps from 0 to total, from one goroutine at a time;
// report may be nil. If it fails, or the context ends, it releases everything it made.
func Apply(ctx context.Context, want *emu.Network, report func(done, total int)) (_ *State, err error) {
	if err := ensureConntrack(); err != nil {
		return nil, fmt.Errorf("load connection tracking: %w", err)
	}
	a, err := newApplication(want, report)
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, a.closeSockets())
		if err != nil {
			err = errors.Join(err, a.state().Close())
		}
	}()
	firewalls, firewallCtx := errgroup.WithContext(ctx)
	recorded := make(chan struct{})
	firewalls.Go(func() error {
		defer close(recorded)
		a.recordFirewalls(firewallCtx)
		return nil
	})
	slots := make(chan struct{}, restorers) // a limit on the group would make the builders wait
	buildErr := a.build(firewallCtx, func(p *node) {
		firewalls.Go(func() error {
			<-recorded
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := a.firewalls.load(firewallCtx, p.ns, p.want.Firewall); err != nil {
				return fmt.Errorf("guest firewall of %s: %w", p.want.Name, err)
			}
			a.step()
			return nil
		})
	})
	if buildErr != nil {
		// Stop the rest; what stopped the build may be one of them.
		firewalls.Go(func() error { return buildErr })
	}
	err = firewalls.Wait()
	if ctx.Err() != nil { // also where the last steps were done before they saw it
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	return a.state(), nil
}

// application is one run of Apply.
type application struct {
	nodes     []*node
	byName    map[string]*node
	links     []*emu.Link
	firewalls *firewallLoader // nil: there is no firewall
	sysctls   sysctlFiles

	progress    sync.Mutex
	done, total int
	report      func(done, total int)
}

func newApplication(want *emu.Network, report func(done, total int)) (*application, error) {
	a := &application{
		byName: map[string]*node{}, links: want.Links, report: report,
		total: len(want.Namespaces) + len(want.Links),
	}
	for _, w := range want.Namespaces {
		if a.byName[w.Name] != nil {
			return nil, fmt.Errorf("namespace %s is there twice", w.Name)
		}
		p := &node{want: w, index: map[string]int{"lo": 1}}
		a.nodes = append(a.nodes, p)
		a.byName[w.Name] = p
		for _, b := range w.Bridges {
			if err := p.number(b.Name); err != nil {
				return nil, err
			}
		}
		if w.Ruleset != nil {
			a.total++
		}
		if w.Firewall == nil {
			continue
		}
		a.total++
		if a.firewalls == nil {
			var err error
			if a.firewalls, err = newFirewallLoader(); err != nil {
				return nil, err
			}
		}
	}
	for _, l := range want.Links {
		for _, e := range []emu.LinkEnd{l.A, l.B} {
			p, ok := a.byName[e.Namespace]
			if !ok {
				return nil, fmt.Errorf("link %s: there is no namespace %s", e.Name, e.Namespace)
			}
			if err := p.number(e.Name); err != nil {
				return nil, err
			}
			if e.Port != nil && p.index[e.Port.Bridge] == 0 {
				return nil, fmt.Errorf("link %s of %s: there is no bridge %s", e.Name, e.Namespace, e.Port.Bridge)
			}
		}
	}
	return a, nil
}

// recordFirewalls prepares the loading of the firewalls, while the namespaces are made.
func (a *application) recordFirewalls(ctx context.Context) {
	if a.firewalls != nil {
		a.firewalls.record(ctx, firewallsOf(a.nodes))
	}
}

// firewallsOf lists the guest firewalls of namespaces.
func firewallsOf(nodes []*node) (all []*emu.Firewall) {
	for _, p := range nodes {
		if p.want.Firewall != nil {
			all = append(all, p.want.Firewall)
		}
	}
	return all
}

// build makes everything but the firewalls; it hands each namespace that has one to firewall as soon as that can be
// loaded.
func (a *application) build(ctx context.Context, firewall func(*node)) error {
	if err := each(ctx, a.nodes, func(p *node) error {
		if err := p.create(&a.sysctls); err != nil {
			return fmt.Errorf("namespace %s: %w", p.want.Name, err)
		}
		a.step()
		return nil
	}, func(p *node) {
		if p.want.Firewall != nil {
			firewall(p)
		}
	}); err != nil {
		return err
	}
	a.joinLinks()
	if err := each(ctx, a.nodes, func(p *node) error {
		if err := a.connect(ctx, p); err != nil {
			return fmt.Errorf("namespace %s: %w", p.want.Name, err)
		}
		return nil
	}, nil); err != nil {
		return err
	}
	if err := each(ctx, a.nodes, func(p *node) error {
		if err := p.finish(); err != nil {
			return fmt.Errorf("namespace %s: %w", p.want.Name, err)
		}
		if p.want.Ruleset != nil {
			a.step()
		}
		return nil
	}, nil); err != nil {
		return err
	}
	return each(ctx, a.nodes, func(p *node) error {
		awaited := p.awaited()
		if len(awaited) == 0 {
			return nil
		}
		if err := waitActive(ctx, p.route, awaited); err != nil {
			return fmt.Errorf("namespace %s: %w", p.want.Name, err)
		}
		return nil
	}, nil)
}

// each calls work for every node, several at once, and then from the same goroutine after; after may be nil.
func each(ctx context.Context, nodes []*node, work func(*node) error, after func(*node)) error {
	g, groupCtx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for _, p := range nodes {
		g.Go(func() error {
			if groupCtx.Err() != nil {
				return groupCtx.Err()
			}
			if err := work(p); err != nil {
				return err
			}
			if after != nil {
				after(p)
			}
			return nil
		})
	}
	return g.Wait()
}

// joinLinks assigns each link to the namespace that makes it: the one with the bridge, since the kernel takes the
// bridge of the near end in the same request.
func (a *application) joinLinks() {
	for _, l := range a.links {
		near, far := a.end(l.A), a.end(l.B)
		if near.Port == nil && far.Port != nil {
			near, far = far, near
		}
		far.far = true
		p := a.byName[near.Namespace]
		p.near = append(p.near, link{near, far})
		for _, e := range []linkEnd{near, far} {
			p := a.byName[e.Namespace]
			p.ends = append(p.ends, e)
		}
	}
}

func (a *application) end(e emu.LinkEnd) linkEnd {
	p := a.byName[e.Namespace]
	end := linkEnd{LinkEnd: e, index: p.index[e.Name], home: p.ns}
	if e.Port != nil {
		end.master = p.index[e.Port.Bridge]
	}
	return end
}

// connect makes the links that start here.
func (a *application) connect(ctx context.Context, p *node) error {
	for part := range slices.Chunk(p.near, batchSize) {
		if err := ctx.Err(); err != nil {
			return err
		}
		requests := make([]request, len(part))
		for i, l := range part {
			requests[i] = newVeth(l.near, l.far)
		}
		if err := p.route.do(requests...); err != nil {
			return err
		}
		for range part {
			a.step()
		}
	}
	return nil
}

func (a *application) step() {
	a.progress.Lock()
	defer a.progress.Unlock()
	a.done++
	if a.report != nil {
		a.report(a.done, a.total)
	}
}

// state is what there is by now.
func (a *application) state() *State {
	s := &State{
		firewalls: a.firewalls, byName: map[string]*Namespace{}, devices: map[string]map[string]int{},
		next: firstLater,
	}
	for _, p := range a.nodes {
		if p.ns != nil {
			s.byName[p.want.Name] = p.ns
			s.devices[p.want.Name] = p.index
		}
	}
	return s
}

func (a *application) closeSockets() error {
	errs := []error{a.sysctls.close()}
	for _, p := range a.nodes {
		if p.route != nil {
			errs = append(errs, p.route.close())
		}
	}
	return errors.Join(errs...)
}
