package probe

import (
	"errors"
	"io"
	"sync"

	"vnetlab/emu/kernel"
)

// perNamespace holds one open thing in each namespace it was asked for, until that namespace is gone.
type perNamespace[T interface {
	comparable
	io.Closer
}] struct {
	namespaces func(name string) (*kernel.Namespace, bool)
	open       func(ns *kernel.Namespace) (T, error)

	mu     sync.RWMutex
	held   map[string]opened[T]
	closed bool
}

type opened[T any] struct {
	ns    *kernel.Namespace
	thing T
}

var (
	errNoNamespace = errors.New("there is no such namespace")
	errClosed      = errors.New("the prober is closed")
)

// get returns the thing of the running namespace with this name, and opens it if necessary. The error is
// errNoNamespace if there is none, or if it went while the thing was being opened.
func (p *perNamespace[T]) get(name string) (thing T, err error) {
	if ns, ok := p.namespaces(name); ok {
		p.mu.RLock()
		o := p.held[name]
		p.mu.RUnlock()
		if o.ns == ns {
			return o.thing, nil
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return thing, errClosed
	}
	ns, ok := p.namespaces(name) // again: drop may have been called since
	if !ok {
		return thing, errNoNamespace
	}
	if o, ok := p.held[name]; ok {
		if o.ns == ns {
			return o.thing, nil
		}
		delete(p.held, name)
		o.thing.Close() //nolint:errcheck // its namespace was replaced
	}
	if thing, err = p.open(ns); err != nil {
		if now, ok := p.namespaces(name); !ok || now != ns {
			return thing, errNoNamespace
		}
		return thing, err
	}
	if p.held == nil {
		p.held = make(map[string]opened[T])
	}
	p.held[name] = opened[T]{ns, thing}
	return thing, nil
}

// drop closes the thing of a namespace.
func (p *perNamespace[T]) drop(name string) {
	p.dropIf(name, func(opened[T]) bool { return true })
}

// dropGone closes the thing of a namespace, unless that is the one running under this name now.
func (p *perNamespace[T]) dropGone(name string) {
	p.dropIf(name, func(o opened[T]) bool {
		ns, ok := p.namespaces(name)
		return !ok || ns != o.ns
	})
}

// dropThing closes a thing of a namespace, unless another one has replaced it.
func (p *perNamespace[T]) dropThing(name string, thing T) {
	p.dropIf(name, func(o opened[T]) bool { return o.thing == thing })
}

func (p *perNamespace[T]) dropIf(name string, condition func(opened[T]) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o, ok := p.held[name]; ok && condition(o) {
		delete(p.held, name)
		o.thing.Close() //nolint:errcheck // its namespace is gone, or it failed before
	}
}

// close closes all of them, and keeps get from opening more.
func (p *perNamespace[T]) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for _, o := range p.held {
		errs = append(errs, o.thing.Close())
	}
	clear(p.held)
	return errors.Join(errs...)
}
