package emulator

import (
	"context"
	"fmt"
	"slices"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/emu/process"
)

// Diff lists the differences between the kernel and the network, whatever caused them.
func (e *Emulator) Diff(ctx context.Context) ([]emu.Difference, error) {
	e.change.Lock()
	defer e.change.Unlock()
	all, err := kernel.Diff(ctx, e.made, e.state)
	return kernel.Plain(all), err
}

// DiffNamespace is Diff for one namespace.
func (e *Emulator) DiffNamespace(ctx context.Context, namespace string) ([]emu.Difference, error) {
	e.change.Lock()
	defer e.change.Unlock()
	ns, ok := e.state.Namespace(namespace)
	if !ok {
		return nil, fmt.Errorf("there is no namespace %s", namespace)
	}
	all, err := kernel.DiffNamespace(ctx, e.made, ns)
	return kernel.Plain(all), err
}

// Repair restores the network in the kernel; see [kernel.State.Repair]. Broken tunnels are reopened.
func (e *Emulator) Repair(ctx context.Context) (*emu.Repair, error) {
	r, err := e.repair(ctx)
	if err != nil {
		return nil, err
	}
	return &emu.Repair{Repaired: kernel.Plain(r.Repaired), Left: kernel.Plain(r.Left), Errors: r.Errors}, nil
}

func (e *Emulator) repair(ctx context.Context) (*kernel.Repair, error) {
	e.change.Lock()
	defer e.change.Unlock()
	if e.isClosed() {
		return nil, process.ErrClosed
	}
	defer e.prober.Hold()()
	before, err := kernel.Diff(ctx, e.made, e.state)
	if err != nil || len(before) == 0 {
		return &kernel.Repair{Repaired: []kernel.Difference{}, Left: []kernel.Difference{}, Errors: []string{}}, err
	}
	broken := func(t emu.Tunnel) bool {
		return slices.ContainsFunc(before, func(d kernel.Difference) bool { return d.LosesTunnel(t) })
	}
	whole := slices.DeleteFunc(slices.Clone(e.made.Tunnels), broken)
	if len(whole) < len(e.made.Tunnels) {
		_ = e.tunnels.Change(ctx, whole) // closing what is broken may fail; what comes of it is looked at below
	}
	r, err := e.state.Repair(ctx, e.made)
	if err != nil || len(whole) == len(e.made.Tunnels) {
		return r, err
	}
	if err := e.tunnels.Change(ctx, e.made.Tunnels); err != nil {
		r.Errors = append(r.Errors, err.Error())
	}
	again, err := e.state.Repair(ctx, e.made)
	if err != nil {
		return nil, err
	}
	for _, d := range before {
		same := func(o kernel.Difference) bool { return o.Namespace == d.Namespace && o.Object == d.Object }
		if !slices.ContainsFunc(again.Left, same) && !slices.ContainsFunc(r.Repaired, same) {
			r.Repaired = append(r.Repaired, d)
		}
	}
	r.Left, r.Errors = again.Left, again.Errors
	return r, nil
}
