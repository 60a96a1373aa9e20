package emulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/listener"
	"vnetlab/emu/probe"
	"vnetlab/emu/process"
)

// updated returns what an update did; its Wait returns an error that names all programs that don't listen within
// [Options.ListenTimeout].
func (e *Emulator) updated(removed, added []*emu.Namespace, programs started) emu.Updated {
	return emu.Updated{Removed: namesOf(removed), Added: namesOf(added), Wait: func(ctx context.Context) error {
		return programs.wait(ctx, e.opts.ListenTimeout, func(int, int) {})
	}}
}

// Update applies a change to the running network. What the change doesn't contain stays as it is, with its programs
// and connections, and costs nothing. Update returns when the kernel has the new network and everything in it is
// started; programs may not listen yet. If anything fails, the network is again as it was. Concurrent updates are
// applied one after the other: of those that start from the same network only the first succeeds.
func (e *Emulator) Update(ctx context.Context, c *diff.Change) (emu.Updated, error) {
	e.change.Lock()
	defer e.change.Unlock()
	if c.From != e.Network() {
		return emu.Updated{}, errors.New(
			"the change starts from another network than the one that runs; nothing was changed",
		)
	}
	if err := c.CheckRules(); err != nil {
		return emu.Updated{}, fmt.Errorf("%w; nothing was changed", err)
	}
	h := &hold{prober: e.prober}
	defer h.end()
	programs, err := e.move(ctx, c, h)
	if err == nil {
		e.health.Update(c)
		e.network.Store(c.To)
		return e.updated(c.Removed, c.Added, programs), nil
	}
	// The end of the context may be what went wrong; going back must not end with it.
	if _, backErr := e.move(context.WithoutCancel(ctx), diff.Networks(c.To, c.From), h); backErr != nil {
		return emu.Updated{}, fmt.Errorf(
			"%w; and it can't be made again as it was: %w; take the lab down and up again",
			err,
			backErr,
		)
	}
	return emu.Updated{}, fmt.Errorf("%w; nothing was changed", err)
}

// hold keeps probes from comparing a network that is half changed.
type hold struct {
	prober  *probe.Prober
	release func() // nil: not held
}

func (h *hold) begin() {
	if h.release == nil {
		h.release = h.prober.Hold()
	}
}

func (h *hold) end() {
	if h.release != nil {
		h.release()
		h.release = nil
	}
}

func namesOf(all []*emu.Namespace) []string {
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	return names
}

// transition is a namespace in which something else is served than before; nil: the namespace doesn't exist.
type transition struct{ from, to *emu.Namespace }

// move applies a change to the kernel and to what is served. It skips what is done already, so that it can also undo
// a move that failed half-way.
//
// It holds h while the kernel has neither network, and releases it when the kernel has that of c. After an error h is
// still held.
func (e *Emulator) move(ctx context.Context, c *diff.Change, h *hold) (started, error) {
	transitions := transitionsOf(c)
	if err := e.leave(ctx, transitions); err != nil {
		return nil, err
	}
	h.begin()
	tunnels := len(c.RemovedTunnels)+len(c.AddedTunnels) > 0
	if tunnels {
		if err := e.tunnels.Change(ctx, staying(c)); err != nil {
			return nil, err
		}
	}
	if e.made != c.To {
		if err := e.state.Update(ctx, c); err != nil {
			return nil, err
		}
		// These can't fail. Forward or back, they follow the network that the kernel has.
		e.made = c.To
		e.names.Update(c)
		e.prober.Update(c)
	}
	if tunnels {
		if err := e.tunnels.Change(ctx, c.To.Tunnels); err != nil {
			return nil, err
		}
	}
	h.end()
	e.updateWorkloads(c)
	return e.openItems(ctx, transitions, func() {})
}

func transitionsOf(c *diff.Change) (transitions []transition) {
	for _, s := range c.Removed {
		transitions = append(transitions, transition{from: s})
	}
	for _, s := range c.Added {
		transitions = append(transitions, transition{to: s})
	}
	for _, n := range c.Changed {
		if n.DNS || n.Services || n.Proxies || n.Boundary {
			transitions = append(transitions, transition{n.From, n.To})
		}
	}
	return transitions
}

// staying returns the tunnels that the change doesn't contain.
func staying(c *diff.Change) []emu.Tunnel {
	return slices.DeleteFunc(
		slices.Clone(c.From.Tunnels),
		func(t emu.Tunnel) bool { return slices.ContainsFunc(c.RemovedTunnels, t.Equal) },
	)
}

// leave stops what is no longer served: in namespaces that are removed, everything.
func (e *Emulator) leave(ctx context.Context, transitions []transition) error {
	errs := make([]error, len(transitions))
	var group sync.WaitGroup
	for n, t := range transitions {
		if t.from == nil {
			continue
		}
		group.Go(func() {
			if t.to == nil {
				errs[n] = e.endAll(t.from.Name)
				return
			}
			for _, i := range missing(items(t.from), items(t.to)) {
				errs[n] = errors.Join(errs[n], e.closeItem(t.from.Name, i))
			}
			if !t.from.Boundary.Equal(t.to.Boundary) {
				errs[n] = errors.Join(errs[n], e.endInstance(t.from.Name))
			}
		})
	}
	group.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// endAll ends everything in a namespace that is about to be removed. Nothing is started there until a namespace of
// that name is added again.
func (e *Emulator) endAll(namespace string) error {
	e.mu.Lock()
	w := e.workload(namespace)
	w.leaving = true
	in := w.instance
	e.mu.Unlock()
	var err error
	if in != nil {
		err = in.Close()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	err = errors.Join(err, w.closeSockets())
	e.workloads[namespace] = &workload{sockets: map[string]io.Closer{}, leaving: true}
	return err
}

// updateWorkloads passes the changed namespaces to what runs in them.
func (e *Emulator) updateWorkloads(c *diff.Change) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range slices.Concat(c.Removed, c.Added) {
		if w := e.workloads[s.Name]; w != nil && w.leaving {
			delete(e.workloads, s.Name)
		}
	}
	for _, n := range c.Changed {
		w := e.workloads[n.To.Name]
		if w == nil || !n.Files && !n.Services && !n.Proxies {
			continue
		}
		if w.instance != nil {
			w.instance.SetSpec(n.To)
		}
		for _, p := range n.To.Proxies {
			if open, ok := w.sockets[proxyItem(p)].(*listener.Proxy); ok {
				open.Set(p)
			}
		}
		for _, s := range n.To.Services {
			if open, ok := w.sockets[serviceItem(s)].(*listener.RemoteDesktop); ok {
				open.Set(s.Desktops)
			}
		}
	}
}

// Restart ends everything that is served and runs in a namespace, including commands, and starts what it serves
// again. The network stays as it is.
func (e *Emulator) Restart(ctx context.Context, namespace string) (emu.Updated, error) {
	e.change.Lock()
	defer e.change.Unlock()
	spec, ok := e.Network().Namespace(namespace)
	if !ok {
		return emu.Updated{}, fmt.Errorf("there is no namespace %s", namespace)
	}
	if e.isClosed() {
		return emu.Updated{}, process.ErrClosed
	}
	err := e.endAll(namespace)
	e.mu.Lock()
	delete(e.workloads, namespace)
	e.mu.Unlock()
	if err != nil {
		return emu.Updated{}, err
	}
	programs, err := e.openItems(ctx, []transition{{to: spec}}, func() {})
	return e.updated(nil, nil, programs), err
}

func (e *Emulator) isClosed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}
