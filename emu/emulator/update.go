package emulator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"vnetlab/emu"
	"vnetlab/emu/listener"
	"vnetlab/emu/process"
)

// Change is what an update has done.
type Change struct {
	Removed, Added []string // namespaces; one that was made anew is in both
	programs       started
	emulator       *Emulator
}

// Wait returns when all programs that were started listen, or with an error that names all that don't within
// [Options.ListenTimeout].
func (c Change) Wait(ctx context.Context) error {
	if c.emulator == nil {
		return nil
	}
	return c.programs.wait(ctx, c.emulator.opts.ListenTimeout, func(int, int) {})
}

// Update makes the running network another one: what is the same in both stays as it is, with its programs and connections. It returns
// when the kernel has the new network and everything of it is started; programs may not listen yet. Either all of that happens, or the
// network is again as it was and the error says why. Updates at the same time happen one after the other.
func (e *Emulator) Update(ctx context.Context, to *emu.Network) (Change, error) {
	e.change.Lock()
	defer e.change.Unlock()
	from := e.Network()
	changes := emu.Changes(from, to)
	programs, err := e.move(ctx, changes, from, to)
	if err == nil {
		e.network.Store(to)
		return Change{changes.Removed, changes.Added, programs, e}, nil
	}
	// The end of the context may be what went wrong; going back must not end with it.
	if _, backErr := e.move(context.WithoutCancel(ctx), emu.Changes(to, from), to, from); backErr != nil {
		return Change{}, fmt.Errorf("%w; and it can't be made again as it was: %w; take the lab down and up again", err, backErr)
	}
	return Change{}, fmt.Errorf("%w; nothing was changed", err)
}

// turn is a namespace in which something else is served than before; nil: it isn't there.
type turn struct{ from, to *emu.Namespace }

// move makes kernel and services those of another network. What is as wanted already it leaves alone, so that it also undoes a move that
// was broken off.
func (e *Emulator) move(ctx context.Context, c *emu.Change, from, to *emu.Network) (started, error) {
	turns := turnsOf(c, from, to)
	if err := e.leave(ctx, turns); err != nil {
		return nil, err
	}
	if err := e.tunnels.Change(ctx, staying(c, from.Tunnels)); err != nil {
		return nil, err
	}
	if e.made != to {
		if _, err := e.state.Update(ctx, e.made, to); err != nil {
			return nil, err
		}
		e.made = to
	}
	if err := e.tunnels.Change(ctx, to.Tunnels); err != nil {
		return nil, err
	}
	e.names.Set(to)
	e.refurnish(c, to)
	programs, err := e.openItems(ctx, turns, func() {})
	if err != nil {
		return nil, err
	}
	if err := e.prober.SetNetwork(to); err != nil {
		return nil, err
	}
	e.health.Set(to)
	return programs, nil
}

func turnsOf(c *emu.Change, from, to *emu.Network) []turn {
	byName := func(n *emu.Network, names map[string]bool) map[string]*emu.Namespace {
		all := make(map[string]*emu.Namespace, len(names))
		for i := range n.Namespaces {
			if s := n.Namespaces[i]; names[s.Name] {
				all[s.Name] = s
			}
		}
		return all
	}
	names := map[string]bool{}
	var changed []string
	for _, n := range c.Changed {
		if n.DNS || n.Services || n.Proxies {
			changed = append(changed, n.Name)
		}
	}
	for _, name := range slices.Concat(c.Removed, c.Added, changed) {
		names[name] = true
	}
	old, now := byName(from, names), byName(to, names)
	var turns []turn
	for _, name := range c.Removed {
		turns = append(turns, turn{from: old[name]})
	}
	for _, name := range c.Added {
		turns = append(turns, turn{to: now[name]})
	}
	for _, name := range changed {
		turns = append(turns, turn{old[name], now[name]})
	}
	return turns
}

// staying are the tunnels that no change touches.
func staying(c *emu.Change, tunnels []emu.Tunnel) []emu.Tunnel {
	return slices.DeleteFunc(slices.Clone(tunnels), func(t emu.Tunnel) bool { return slices.ContainsFunc(c.RemovedTunnels, t.Equal) })
}

// leave stops what is served no longer, all of it in namespaces that go.
func (e *Emulator) leave(ctx context.Context, turns []turn) error {
	errs := make([]error, len(turns))
	var group sync.WaitGroup
	for n, t := range turns {
		if t.from == nil {
			continue
		}
		group.Go(func() {
			if t.to == nil {
				errs[n] = e.vacate(t.from.Name)
				return
			}
			for _, i := range missing(items(t.from), items(t.to)) {
				errs[n] = errors.Join(errs[n], e.closeItem(t.from.Name, i))
			}
		})
	}
	group.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// vacate ends everything in a namespace that is about to go; nothing more is started there until it is there anew.
func (e *Emulator) vacate(namespace string) error {
	e.mu.Lock()
	g := e.guest(namespace)
	g.leaving = true
	in := g.instance
	e.mu.Unlock()
	var err error
	if in != nil {
		err = in.Close()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	err = errors.Join(err, g.closeSockets())
	e.guests[namespace] = &guest{sockets: g.sockets, leaving: true}
	clear(g.sockets)
	return err
}

// refurnish tells what is in namespaces what those are now.
func (e *Emulator) refurnish(c *emu.Change, to *emu.Network) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, name := range slices.Concat(c.Removed, c.Added) {
		if g := e.guests[name]; g != nil && g.leaving {
			delete(e.guests, name)
		}
	}
	for _, n := range c.Changed {
		g := e.guests[n.Name]
		if g == nil || !n.Files && !n.Services && !n.Proxies {
			continue
		}
		spec, ok := to.Namespace(n.Name)
		if !ok {
			continue
		}
		if g.instance != nil {
			g.instance.SetSpec(*spec)
		}
		for _, p := range spec.Proxies {
			if open, ok := g.sockets[proxyItem(p)].(*listener.Proxy); ok {
				open.Set(p)
			}
		}
	}
}

// Restart ends all that is served and runs in a namespace, commands too, and starts what it serves again. The network stays as it is.
func (e *Emulator) Restart(ctx context.Context, namespace string) (Change, error) {
	e.change.Lock()
	defer e.change.Unlock()
	spec, ok := e.Network().Namespace(namespace)
	if !ok {
		return Change{}, fmt.Errorf("there is no namespace %s", namespace)
	}
	if e.isClosed() {
		return Change{}, process.ErrClosed
	}
	err := e.vacate(namespace)
	e.mu.Lock()
	delete(e.guests, namespace)
	e.mu.Unlock()
	if err != nil {
		return Change{}, err
	}
	programs, err := e.openItems(ctx, []turn{{to: spec}}, func() {})
	return Change{programs: programs, emulator: e}, err
}

func (e *Emulator) isClosed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}
