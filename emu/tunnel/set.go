package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
)

// Set are the open tunnels of a running network. Its methods may be called from many goroutines at once.
type Set struct {
	namespace func(string) (*kernel.Namespace, bool)
	way       maker

	mu   sync.Mutex
	open []entry
}

type entry struct {
	tunnel emu.Tunnel
	closer io.Closer
}

// NewSet makes an empty set for the namespaces of a network.
func NewSet(namespace func(string) (*kernel.Namespace, bool)) *Set {
	return &Set{namespace: namespace, way: best}
}

// Change closes the open tunnels that are not in the list and opens those that are not open. Tunnels that stay the
// same are not touched. It is done wholly or, with an error, not at all; a changed tunnel that had to be opened again
// has other keys then.
//
// A tunnel must be closed before its namespaces are let go of, so a change of a running network first keeps what
// stays and then, with the new namespaces there, has what is new.
func (s *Set) Change(ctx context.Context, want []emu.Tunnel) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := emu.CheckTunnels(want); err != nil {
		return err
	}
	is := func(t emu.Tunnel) func(entry) bool { return func(e entry) bool { return e.tunnel.Equal(t) } }
	wanted := func(e entry) bool { return slices.ContainsFunc(want, e.tunnel.Equal) }
	var closed []emu.Tunnel
	var opened []entry
	defer func() {
		if err != nil {
			// The context may be what failed; going back must not.
			err = errors.Join(err, s.back(context.WithoutCancel(ctx), opened, closed))
		}
	}()
	for _, e := range slices.Clone(s.open) {
		if wanted(e) {
			continue
		}
		s.open = slices.DeleteFunc(s.open, is(e.tunnel))
		closed = append(closed, e.tunnel)
		if err := e.closer.Close(); err != nil {
			return fmt.Errorf("close tunnel %s: %w", e.tunnel.ID, err)
		}
	}
	for _, t := range want {
		if slices.ContainsFunc(s.open, is(t)) {
			continue
		}
		e, err := s.add(ctx, t)
		if err != nil {
			return err
		}
		opened = append(opened, e)
	}
	return nil
}

// add opens one tunnel.
func (s *Set) add(ctx context.Context, t emu.Tunnel) (entry, error) {
	a, hasA := s.namespace(t.A.Namespace)
	b, hasB := s.namespace(t.B.Namespace)
	if !hasA || !hasB {
		return entry{}, fmt.Errorf("tunnel %s: there is no namespace %s or no %s", t.ID, t.A.Namespace, t.B.Namespace)
	}
	c, err := open(ctx, a, b, t, s.way)
	if err != nil {
		return entry{}, err
	}
	e := entry{t, c}
	s.open = append(s.open, e)
	return e, nil
}

// back undoes a change.
func (s *Set) back(ctx context.Context, opened []entry, closed []emu.Tunnel) error {
	var errs []error
	for _, e := range opened {
		s.open = slices.DeleteFunc(s.open, func(o entry) bool { return o.tunnel.ID == e.tunnel.ID })
		errs = append(errs, e.closer.Close())
	}
	for _, t := range closed {
		_, err := s.add(ctx, t)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Tunnels are those that are open.
func (s *Set) Tunnels() []emu.Tunnel {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]emu.Tunnel, len(s.open))
	for i, e := range s.open {
		all[i] = e.tunnel
	}
	return all
}

// Close closes all tunnels.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, e := range s.open {
		if err := e.closer.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close tunnel %s: %w", e.tunnel.ID, err))
		}
	}
	s.open = nil
	return errors.Join(errs...)
}
