package emulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/emu/listener"
	"vnetlab/emu/process"
)

// workload is what this process serves and runs in one namespace. Its fields belong to e.mu.
type workload struct {
	sockets  map[string]io.Closer // by the names of their items
	instance *process.Instance    // nil: nothing was ever run
	leaving  bool                 // the namespace is about to go: nothing more is started
}

func (w *workload) closeSockets() error {
	var errs []error
	for _, c := range w.sockets {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// programItem is what makes a program another one: its service, and what it may use of the machine.
type programItem struct {
	service  emu.Service
	boundary emu.Boundary
}

// item is one thing that is served in a namespace.
type item struct {
	name    string // unique in the namespace
	value   any    // where it differs, it is something else that is served
	service emu.Service
	open    func(*Emulator, *kernel.Namespace) (io.Closer, error) // nil: it is the program of the service
}

// items lists what is to be served in a namespace.
func items(spec *emu.Namespace) []item {
	var all []item
	if spec == nil {
		return nil
	}
	if spec.DNS != nil {
		addresses := spec.DNS.Addresses // the sockets are the same whatever names they serve
		all = append(
			all,
			item{name: "dns", value: addresses, open: func(e *Emulator, ns *kernel.Namespace) (io.Closer, error) {
				return e.names.Listen(ns, addresses)
			}},
		)
	}
	for _, s := range spec.Services {
		value := s
		// A line that moved in a file makes no other service, a program is not started again because it has other
		// peers, and the desktops of a forwarder change while it listens.
		value.Origin, value.Env, value.Desktops = emu.Origin{}, nil, nil
		i := item{name: serviceItem(s), value: value, service: s}
		switch {
		case !s.BuiltIn():
			i.value = programItem{value, spec.Boundary}
		case s.RemoteDesktop != "":
			i.open = func(_ *Emulator, ns *kernel.Namespace) (io.Closer, error) { return listener.ServeRemoteDesktop(ns, s) }
		default:
			i.open = func(_ *Emulator, ns *kernel.Namespace) (io.Closer, error) { return listener.Serve(ns, s) }
		}
		all = append(all, i)
	}
	for _, p := range spec.Proxies {
		// Its routes change while it listens.
		all = append(all, item{name: proxyItem(p), open: func(_ *Emulator, ns *kernel.Namespace) (io.Closer, error) {
			return listener.ServeProxy(ns, p)
		}})
	}
	return all
}

func serviceItem(s emu.Service) string { return "service " + s.Name }

func proxyItem(p emu.HTTPProxy) string { return "proxy " + p.Listen.String() }

// missing lists the items of a that b doesn't have.
func missing(a, b []item) []item {
	has := make(map[string]any, len(b))
	for _, i := range b {
		has[i.name] = i.value
	}
	return slices.DeleteFunc(slices.Clone(a), func(i item) bool {
		value, ok := has[i.name]
		return ok && reflect.DeepEqual(value, i.value)
	})
}

// started are programs that were started.
type started []startedProgram

type startedProgram struct {
	in      *process.Instance
	service emu.Service
}

// wait returns when all listen; the error names all that don't.
func (s started) wait(ctx context.Context, limit time.Duration, report func(done, total int)) error {
	if len(s) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var mu sync.Mutex
	done := 0
	report(0, len(s))
	errs := make([]error, len(s))
	var group sync.WaitGroup
	for i, p := range s {
		group.Go(func() {
			errs[i] = p.in.WaitListening(ctx, p.service)
			mu.Lock()
			defer mu.Unlock()
			done++
			report(done, len(s))
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// openers is how many namespaces get their sockets at the same time.
const openers = 8

// open serves all of a network.
func (e *Emulator) open(ctx context.Context, network *emu.Network, report func(done, total int)) (started, error) {
	total := 0
	var all []transition
	for i := range network.Namespaces {
		t := transition{to: network.Namespaces[i]}
		if n := len(items(t.to)); n > 0 {
			total += n
			all = append(all, t)
		}
	}
	var mu sync.Mutex
	done := 0
	return e.openItems(ctx, all, func() {
		mu.Lock()
		defer mu.Unlock()
		done++
		report(done, total)
	})
}

// openItems opens what the transitions bring.
func (e *Emulator) openItems(ctx context.Context, transitions []transition, step func()) (all started, err error) {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(openers)
	for _, t := range transitions {
		group.Go(func() error {
			for _, i := range missing(items(t.to), items(t.from)) {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				in, err := e.openItem(t.to, i)
				if err != nil {
					return err
				}
				if in != nil {
					mu.Lock()
					all = append(all, startedProgram{in, i.service})
					mu.Unlock()
				}
				step()
			}
			return nil
		})
	}
	err = group.Wait()
	return all, err
}

// openItem opens one item, and returns the instance that runs it if it is a program. An item that is open already
// stays as it is.
func (e *Emulator) openItem(spec *emu.Namespace, i item) (*process.Instance, error) {
	ns, ok := e.state.Namespace(spec.Name)
	if !ok {
		return nil, fmt.Errorf("there is no namespace %s", spec.Name)
	}
	if i.open == nil {
		in, err := e.instanceIn(ns, spec)
		if err != nil {
			return nil, err
		}
		if _, running := in.Logs(i.service.Name); running {
			return in, nil
		}
		return in, in.Run(i.service)
	}
	if e.isOpen(spec.Name, i.name) {
		return nil, nil
	}
	c, err := i.open(e, ns)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.workload(spec.Name).sockets[i.name] = c
	return nil, nil
}

func (e *Emulator) isOpen(namespace, item string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.workload(namespace).sockets[item] != nil
}

// closeItem closes one item of a namespace, if it is open.
func (e *Emulator) closeItem(namespace string, i item) error {
	e.mu.Lock()
	w := e.workload(namespace)
	c, in := w.sockets[i.name], w.instance
	delete(w.sockets, i.name)
	e.mu.Unlock()
	switch {
	case c != nil:
		return c.Close()
	case i.open == nil && in != nil:
		in.Stop(i.service.Name)
	}
	return nil
}

// endInstance ends all that runs in a namespace, commands too. What runs there next runs in a new instance.
func (e *Emulator) endInstance(namespace string) error {
	e.mu.Lock()
	w := e.workload(namespace)
	in := w.instance
	w.instance = nil
	e.mu.Unlock()
	if in == nil {
		return nil
	}
	return in.Close()
}

// workload returns what is served in a namespace, making an entry if there is none. The caller holds e.mu.
func (e *Emulator) workload(namespace string) *workload {
	w := e.workloads[namespace]
	if w == nil {
		w = &workload{sockets: map[string]io.Closer{}}
		e.workloads[namespace] = w
	}
	return w
}

// instance returns the instance that runs programs in a namespace.
func (e *Emulator) instance(namespace string) (*process.Instance, error) {
	spec, known := e.Network().Namespace(namespace)
	ns, running := e.state.Namespace(namespace)
	if !known || !running {
		return nil, fmt.Errorf("there is no namespace %s", namespace)
	}
	return e.instanceIn(ns, spec)
}

func (e *Emulator) instanceIn(ns *kernel.Namespace, spec *emu.Namespace) (*process.Instance, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.workload(spec.Name)
	switch {
	case e.closed:
		return nil, process.ErrClosed
	case w.leaving:
		return nil, fmt.Errorf("%s is just being taken down", spec.Name)
	case w.instance == nil:
		w.instance = process.New(ns, spec, process.Options{Env: e.opts.Env, Keep: e.opts.Keep, Lab: e.opts.Lab})
	}
	return w.instance, nil
}

// instanceOf returns the instance that runs programs in a namespace, nil if nothing was ever run there.
func (e *Emulator) instanceOf(namespace string) *process.Instance {
	e.mu.Lock()
	defer e.mu.Unlock()
	if w := e.workloads[namespace]; w != nil {
		return w.instance
	}
	return nil
}
