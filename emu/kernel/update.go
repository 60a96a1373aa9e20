package kernel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"vnetlab/emu"
	"vnetlab/emu/diff"
)

// Update changes the network that the kernel has into another one and touches only what differs, in a time that does
// not depend on the rest. Connections between what stays live on, and so do the counters of rules that stay. What is
// new is added before what it replaces is removed, where both can exist at once.
//
// If something fails, or the context ends, what was done is undone. The error then reports whether the network is as it
// was before.
func (s *State) Update(ctx context.Context, change *diff.Change) error {
	s.updating.Lock()
	defer s.updating.Unlock()
	if change.IsEmpty() {
		return nil
	}
	u := &update{state: s, change: change, nodes: map[string]*node{}, fresh: map[string]*node{}, next: s.next}
	err := u.run(ctx)
	if err == nil {
		_ = errors.Join(u.close(), u.keep()) // the change is made even if closing fails
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	ctx = context.WithoutCancel(ctx)
	u.takeBack(ctx)
	if closeErr := u.close(); closeErr != nil {
		err = errors.Join(err, closeErr)
	}
	left, diffErr := Diff(ctx, change.From, s)
	left = withoutTunnels(left, change.From.Tunnels)
	switch {
	case diffErr != nil:
		return fmt.Errorf("%w; whether the network is as before is not known: %w", err, diffErr)
	case len(left) > 0:
		return fmt.Errorf("%w; the network could not be made as before: %s", err, left[0])
	}
	return fmt.Errorf("%w; the network is as before", err)
}

// withoutTunnels leaves out tunnels and what is routed into them: they are not made here.
func withoutTunnels(all []Difference, tunnels []emu.Tunnel) []Difference {
	return slices.DeleteFunc(all, func(d Difference) bool {
		return slices.ContainsFunc(tunnels, func(t emu.Tunnel) bool {
			return slices.ContainsFunc([]emu.TunnelEnd{t.A, t.B}, func(e emu.TunnelEnd) bool {
				of := func(object string) bool { return d.Object == object || strings.HasPrefix(d.Object, object+" ") }
				return d.Namespace == e.Namespace && (of(linkObject(e.Device)) ||
					slices.ContainsFunc(e.AllowedPrefixes, func(p netip.Prefix) bool { return of(routeObject(p, 0)) }))
			})
		})
	})
}

// update is one run of Update.
type update struct {
	state   *State
	change  *diff.Change
	nodes   map[string]*node // that exist and are touched
	added   []*node
	fresh   map[string]*node // those, by name
	sysctls sysctlFiles
	next    int // number of the next device

	mu   sync.Mutex
	undo []func(context.Context) error // in the order of what was done
}

func (u *update) run(ctx context.Context) error {
	if err := u.find(); err != nil {
		return err
	}
	if err := u.number(); err != nil {
		return err
	}
	if err := u.create(ctx); err != nil {
		return err
	}
	plan, err := u.plan()
	if err != nil {
		return err
	}
	for _, ops := range [][]op{plan.early, plan.adds} {
		if err := u.do(ctx, ops); err != nil {
			return err
		}
	}
	for _, p := range plan.near {
		if err := waitActive(ctx, p.route, p.awaited()); err != nil {
			return fmt.Errorf("namespace %s: %w", p.name(), err)
		}
	}
	if err := u.rules(ctx); err != nil {
		return err
	}
	if err := u.do(ctx, plan.late); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return u.closeConnections() // last: what is forgotten can't be taken back
}

// find finds the namespaces that are touched.
func (u *update) find() error {
	for _, n := range u.change.Added {
		p := &node{want: n, index: map[string]int{"lo": 1}}
		u.added = append(u.added, p)
		u.fresh[n.Name] = p
	}
	for _, n := range u.change.Removed {
		p, err := u.existing(n.Name)
		if err != nil {
			return err
		}
		p.gone = true
	}
	var names []string
	for _, c := range u.change.Changed {
		names = append(names, c.To.Name)
	}
	for _, l := range u.change.RemovedLinks {
		names = append(names, l.A.Namespace, l.B.Namespace)
	}
	for _, c := range u.change.ChangedPorts {
		names = append(names, c.Namespace)
	}
	for _, l := range u.change.AddedLinks {
		for _, e := range []emu.LinkEnd{l.A, l.B} {
			if u.fresh[e.Namespace] == nil {
				names = append(names, e.Namespace)
			}
		}
	}
	for _, name := range names {
		if _, err := u.existing(name); err != nil {
			return err
		}
	}
	return nil
}

// existing returns a namespace of the network as it was.
func (u *update) existing(name string) (*node, error) {
	if p := u.nodes[name]; p != nil {
		return p, nil
	}
	n, ok := u.state.byName[name]
	if !ok {
		return nil, fmt.Errorf("there is no namespace %s", name)
	}
	p := &node{ns: n, index: u.state.devices[name]}
	u.nodes[name] = p
	return p, nil
}

// node returns a namespace of the new network.
func (u *update) node(name string) *node {
	if p, ok := u.fresh[name]; ok {
		return p
	}
	return u.nodes[name]
}

// create makes the new namespaces with everything but what needs links.
func (u *update) create(ctx context.Context) error {
	var guarded []*node
	for _, p := range u.added {
		if p.want.Firewall != nil {
			guarded = append(guarded, p)
		}
	}
	u.done(func(context.Context) error {
		var errs []error
		for _, p := range u.added {
			if p.ns != nil {
				errs = append(errs, p.ns.Close())
			}
		}
		return errors.Join(errs...)
	})
	if err := each(ctx, u.added, func(p *node) error {
		err := p.create(&u.sysctls)
		if all := p.want.Rulesets(); err == nil && len(all) > 0 {
			err = p.ns.loadRulesets(all...)
		}
		if err != nil {
			return fmt.Errorf("namespace %s: %w", p.want.Name, err)
		}
		return nil
	}, nil); err != nil || len(guarded) == 0 {
		return err
	}
	loader, err := u.state.firewallLoader()
	if err != nil {
		return err
	}
	loader.record(ctx, firewallsOf(guarded))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(restorers)
	for _, p := range guarded {
		g.Go(func() error {
			if err := loader.load(ctx, p.ns, p.want.Firewall); err != nil {
				return fmt.Errorf("guest firewall of %s: %w", p.want.Name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// rules changes the rules of the namespaces that stay, each ruleset at once.
func (u *update) rules(ctx context.Context) error {
	g, groupCtx := errgroup.WithContext(ctx)
	g.SetLimit(restorers)
	for _, c := range u.change.Changed {
		n := u.nodes[c.To.Name].ns
		if all := c.Rulesets(); len(all) > 0 {
			if err := n.updateRulesets(all); err != nil {
				return errors.Join(err, g.Wait())
			}
			var back []*diff.RulesetChange
			for _, r := range all {
				back = append(back, diff.Rulesets(r.To, r.From))
			}
			u.done(func(context.Context) error { return n.updateRulesets(back) })
		}
		if f := c.Firewall; f != nil {
			program, err := u.state.iptablesProgram()
			if err != nil {
				return errors.Join(err, g.Wait())
			}
			e := firewallEditor{n, program, u.done}
			g.Go(func() error {
				if err := e.change(groupCtx, f.From, f.To); err != nil {
					return fmt.Errorf("guest firewall of %s: %w", n.Name, err)
				}
				return nil
			})
		}
	}
	return g.Wait()
}

// done notes how to undo a step.
func (u *update) done(undo func(context.Context) error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.undo = append(u.undo, undo)
}

// takeBack undoes as much as it can. The caller checks what is left.
func (u *update) takeBack(ctx context.Context) {
	for _, undo := range slices.Backward(u.undo) {
		_ = undo(ctx)
	}
}

// keep makes the state that of the new network, and releases the namespaces that it does not have.
func (u *update) keep() error {
	s := u.state
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for name, p := range u.nodes {
		if !p.gone {
			p.keep()
			continue
		}
		errs = append(errs, p.ns.Close())
		delete(s.byName, name)
		delete(s.devices, name)
	}
	for name, p := range u.fresh {
		p.keep()
		s.byName[name], s.devices[name] = p.ns, p.index
	}
	s.next = u.next
	return errors.Join(errs...)
}

// close closes the sockets and files of the update.
func (u *update) close() error {
	errs := []error{u.sysctls.close()}
	for _, p := range slices.Concat(slices.Collect(maps.Values(u.nodes)), u.added) {
		if p.route != nil {
			errs = append(errs, p.route.close())
			p.route = nil
		}
	}
	return errors.Join(errs...)
}
