package engine

import (
	"context"
	"fmt"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/labfile"
)

// Do does operations in order, as one change: all of them happen, or none. It waits until the programs that it started
// listen, or ctx ends.
func (e *Engine) Do(ctx context.Context, operations ...lab.Operation) (api.ChangeResult, error) {
	c, err := e.change(func(old *state) (*state, error) {
		next, err := old.lab.Apply(operations...)
		if err != nil {
			return nil, err
		}
		return old.next(next, old.file), nil
	})
	if err != nil {
		return api.ChangeResult{}, err
	}
	return c.result(ctx, texts(operations)), nil
}

// Apply makes the lab what a file describes, as one change. What the file expects of the lab is expected from then on.
func (e *Engine) Apply(ctx context.Context, file labfile.Input, dryRun bool) (api.ChangeResult, error) {
	wanted, err := e.load(file)
	if err != nil {
		return api.ChangeResult{}, err
	}
	if dryRun {
		operations, err := lab.Reconcile(e.now().lab, wanted)
		if err != nil {
			return api.ChangeResult{}, err
		}
		return api.ChangeResult{Operations: texts(operations), Warnings: []string{}}, nil
	}
	var operations []lab.Operation
	c, err := e.change(func(old *state) (*state, error) {
		var err error
		if operations, err = lab.Reconcile(old.lab, wanted); err != nil {
			return nil, err
		}
		next, err := old.lab.Apply(operations...)
		if err != nil {
			return nil, err
		}
		now := old.next(next.TakeExpectations(wanted), file)
		now.read = wanted
		return now, nil
	})
	if err != nil {
		return api.ChangeResult{}, err
	}
	return c.result(ctx, texts(operations)), nil
}

// Restart ends everything that runs in an instance and starts its listeners again. It waits as Do does.
func (e *Engine) Restart(ctx context.Context, instance string) (api.ChangeResult, error) {
	c, err := e.restart(instance)
	if err != nil {
		return api.ChangeResult{}, err
	}
	name, ok := c.lab.CanonicalName(instance)
	if !ok {
		name = instance
	}
	return c.result(ctx, []string{"restart " + name}), nil
}

func (e *Engine) restart(instance string) (changed, error) {
	if err := e.begin(); err != nil {
		return changed{}, err
	}
	defer e.changing.Unlock()
	l := e.now().lab
	namespace, err := l.Namespace(instance)
	if err != nil {
		return changed{}, err
	}
	updated, err := movePackets(
		e,
		func() (emu.Updated, error) { return e.emu.Restart(context.Background(), namespace) },
	)
	return changed{lab: l, updated: updated}, err
}

// changed is a change that was made.
type changed struct {
	lab      *lab.Lab // after it
	updated  emu.Updated
	warnings []string
}

// result waits until the programs that a change started listen, or ctx ends, and returns what was done.
func (c changed) result(ctx context.Context, operations []string) api.ChangeResult {
	result := api.ChangeResult{Operations: operations, Warnings: append([]string{}, c.warnings...)}
	if c.updated.Wait == nil {
		return result
	}
	if err := c.updated.Wait(ctx); err != nil {
		result.Warnings = append(result.Warnings, ErrorInNames(c.lab, err).Error())
	}
	return result
}

func texts(operations []lab.Operation) []string {
	all := make([]string, len(operations))
	for i, o := range operations {
		all[i] = o.String()
	}
	return all
}

// change makes the lab what next returns for its state, packets included, or leaves everything as it is. Changes that
// come at the same time are made one after the other.
func (e *Engine) change(next func(*state) (*state, error)) (changed, error) {
	if err := e.begin(); err != nil {
		return changed{}, err
	}
	defer e.changing.Unlock()
	old := e.now()
	now, err := next(old)
	if err != nil {
		return changed{}, err
	}
	change := diff.Networks(old.network(), now.network())
	ended, begun := questions(change)
	if forgotten := forgetHealth(now.lab, ended, begun); forgotten != now.lab { // changes who serves, not what is asked
		read := now.read
		now = old.next(forgotten, now.file)
		now.read = read
		change = diff.Networks(old.network(), now.network())
	}
	updated, err := movePackets(e, func() (emu.Updated, error) {
		// The caller may hang up; a change that has begun is finished.
		updated, err := e.emu.Update(context.Background(), change)
		if err != nil {
			return updated, fmt.Errorf("the kernel refuses the change: %w", err)
		}
		e.state.Store(now)
		return updated, nil
	})
	if err != nil {
		return changed{}, err
	}
	for _, p := range begun { // they may have had their answers already
		e.health.add(p.ID)
	}
	c := changed{lab: now.lab, updated: updated}
	if len(updated.Removed)+len(updated.Added) > 0 || !lab.SameNames(old.lab, now.lab) {
		if err := e.namespacesChanged(now.lab, updated); err != nil {
			c.warnings = append(c.warnings, err.Error())
		}
	}
	return c, nil
}

func (e *Engine) namespacesChanged(l *lab.Lab, u emu.Updated) error {
	if e.opts.NamespacesChanged == nil {
		return nil
	}
	return e.opts.NamespacesChanged(u.Removed, u.Added, l.NamespaceName)
}

// movePackets calls move, which changes packets. A probe that runs meanwhile knows by the generation that they changed.
func movePackets[T any](e *Engine, move func() (T, error)) (T, error) {
	e.packets.Lock()
	defer e.packets.Unlock()
	e.generation.Add(1)
	defer e.generation.Add(1)
	return move()
}
