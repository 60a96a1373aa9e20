// Package emulator makes a network run: it has the kernel make it, checks that it became what was wanted, serves its names and services, and
// answers questions about it.
//
// It ties together the packages below emu, each of which does one thing, and adds nothing of its own but their order: what fails on the
// way takes down what was there already.
package emulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"vnetlab/emu"
	"vnetlab/emu/dns"
	"vnetlab/emu/kernel"
	"vnetlab/emu/listener"
	"vnetlab/emu/probe"
	"vnetlab/emu/process"
)

// Options are what Start needs beyond the network.
type Options struct {
	// ListenTimeout is how long each program may take until it listens on the port of its service. 0: a minute.
	ListenTimeout time.Duration
	// Env is added to the environment of all that runs in the network: NAME=VALUE.
	Env []string
	// Keep are folders that programs see although they are below /tmp or /run.
	Keep []string
}

// Progress tells how far Start is: a stage, and the steps of it that are done.
type Progress struct {
	Stage string `json:"stage"`
	Done  int    `json:"done"`
	Total int    `json:"total"`
}

// The stages of Start, in their order.
const (
	BuildStage    = "building the network"
	CheckStage    = "checking what the kernel made"
	ServicesStage = "starting services"
	ProgramsStage = "waiting for programs to listen"
)

// Emulator is a running network. Its methods may be called from many goroutines at once.
type Emulator struct {
	network *emu.Network
	opts    Options
	state   *kernel.State
	names   *dns.Server
	prober  *probe.Prober

	mu        sync.Mutex
	closers   []io.Closer
	instances map[string]*process.Instance // of the namespaces that run or ran something
	closed    bool
}

// Start makes a network and returns when it is complete: each rule is in the kernel, each service listens. Report is told how far it is, from
// one goroutine at a time. On an error nothing of the network is left but what the kernel is still taking down.
func Start(ctx context.Context, network *emu.Network, opts Options, report func(Progress)) (_ *Emulator, err error) {
	if opts.ListenTimeout == 0 {
		opts.ListenTimeout = time.Minute
	}
	if report == nil {
		report = func(Progress) {}
	}
	state, err := kernel.Apply(ctx, network, func(done, total int) { report(Progress{BuildStage, done, total}) })
	if err != nil {
		return nil, err
	}
	e := &Emulator{network: network, opts: opts, state: state, names: dns.New(network), instances: map[string]*process.Instance{}}
	e.prober = probe.New(network, state.Namespace)
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	report(Progress{CheckStage, 0, 1})
	if err := e.check(ctx); err != nil {
		return nil, err
	}
	report(Progress{CheckStage, 1, 1})
	if err := e.serve(ctx, report); err != nil {
		return nil, err
	}
	return e, e.runPrograms(ctx, report)
}

// differencesShown is how many differences an error cites.
const differencesShown = 5

// check reads the kernel back: a network that isn't what was wanted must not answer questions.
func (e *Emulator) check(ctx context.Context) error {
	differences, err := e.Diff(ctx)
	if err != nil {
		return err
	}
	if len(differences) == 0 {
		return nil
	}
	text := fmt.Sprintf("the kernel did not make what was wanted, %d differences:", len(differences))
	for _, d := range differences[:min(len(differences), differencesShown)] {
		text += "\n  " + d.String()
	}
	return errors.New(text)
}

// openers is how many namespaces get their sockets at the same time.
const openers = 8

// serve opens the sockets of name servers, built-in listeners and proxies.
func (e *Emulator) serve(ctx context.Context, report func(Progress)) error {
	total := 0
	for _, s := range e.network.Namespaces {
		total += len(s.Services) + len(s.Proxies)
		if s.DNS != nil {
			total++
		}
	}
	var mu sync.Mutex
	done := 0
	step := func(c io.Closer) {
		e.keep(c)
		mu.Lock()
		defer mu.Unlock()
		done++
		report(Progress{ServicesStage, done, total})
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(openers)
	for i := range e.network.Namespaces {
		spec := &e.network.Namespaces[i]
		if spec.DNS == nil && len(spec.Services) == 0 && len(spec.Proxies) == 0 {
			continue
		}
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return e.serveNamespace(spec, step)
		})
	}
	return group.Wait()
}

func (e *Emulator) serveNamespace(spec *emu.Namespace, step func(io.Closer)) error {
	ns, ok := e.state.Namespace(spec.Name)
	if !ok {
		return fmt.Errorf("there is no namespace %s", spec.Name)
	}
	if spec.DNS != nil {
		c, err := e.names.Listen(ns, spec.DNS.Addresses)
		if err != nil {
			return err
		}
		step(c)
	}
	for _, s := range spec.Services {
		if s.BuiltIn() {
			c, err := listener.Serve(ns, s)
			if err != nil {
				return err
			}
			step(c)
			continue
		}
		in, err := e.instance(spec.Name)
		if err == nil {
			err = in.Run(s)
		}
		if err != nil {
			return err
		}
		step(nil)
	}
	for _, p := range spec.Proxies {
		c, err := listener.ServeProxy(ns, p)
		if err != nil {
			return err
		}
		step(c)
	}
	return nil
}

// runPrograms waits until every program listens; they were started with the rest.
func (e *Emulator) runPrograms(ctx context.Context, report func(Progress)) error {
	type waiting struct {
		in      *process.Instance
		service emu.Service
	}
	var all []waiting
	for _, spec := range e.network.Namespaces {
		for _, s := range spec.Services {
			if s.BuiltIn() {
				continue
			}
			in, err := e.instance(spec.Name)
			if err != nil {
				return err
			}
			all = append(all, waiting{in, s})
		}
	}
	if len(all) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.opts.ListenTimeout)
	defer cancel()
	var done atomic.Int32
	var mu sync.Mutex
	report(Progress{ProgramsStage, 0, len(all)})
	errs := make([]error, len(all))
	var group sync.WaitGroup
	for i, w := range all {
		group.Go(func() {
			errs[i] = w.in.WaitListening(ctx, w.service)
			mu.Lock()
			defer mu.Unlock()
			report(Progress{ProgramsStage, int(done.Add(1)), len(all)})
		})
	}
	group.Wait()
	return errors.Join(errs...) // all that don't listen, not just the first
}

// keep remembers what Close must close; nil is nothing.
func (e *Emulator) keep(c io.Closer) {
	if c == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closers = append(e.closers, c)
}

// instance gives what runs programs in a namespace.
func (e *Emulator) instance(namespace string) (*process.Instance, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if in := e.instances[namespace]; in != nil {
		return in, nil
	}
	spec, known := e.network.Namespace(namespace)
	ns, running := e.state.Namespace(namespace)
	switch {
	case e.closed:
		return nil, process.ErrClosed
	case !known || !running:
		return nil, fmt.Errorf("there is no namespace %s", namespace)
	}
	in := process.New(ns, *spec, process.Options{Env: e.opts.Env, Keep: e.opts.Keep})
	e.instances[namespace] = in
	return in, nil
}

// StopPrograms ends all programs and commands: each is asked to end and killed if it doesn't. It returns when none is left, or
// with an error when ctx ends.
func (e *Emulator) StopPrograms(ctx context.Context) error {
	e.mu.Lock()
	e.closed = true
	instances := make([]*process.Instance, 0, len(e.instances))
	for _, in := range e.instances {
		instances = append(instances, in)
	}
	e.mu.Unlock()
	stopped := make(chan error, 1)
	go func() {
		errs := make([]error, len(instances))
		var group sync.WaitGroup
		for i, in := range instances {
			group.Go(func() { errs[i] = in.Close() })
		}
		group.Wait()
		stopped <- errors.Join(errs...)
	}()
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
		return fmt.Errorf("stop programs: %w", ctx.Err())
	}
}

// Close ends everything: programs, services, and at last the namespaces with what is in them, which the kernel destroys some time later.
func (e *Emulator) Close() error {
	errs := []error{e.StopPrograms(context.Background())}
	e.mu.Lock()
	closers := slices.Clone(e.closers)
	e.closers = nil
	e.mu.Unlock()
	for _, c := range closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, e.prober.Close(), e.names.Close(), e.state.Close())...)
}

// Network is the wanted state of what runs. It is not for changing.
func (e *Emulator) Network() *emu.Network { return e.network }

// Namespaces lists the names of all namespaces.
func (e *Emulator) Namespaces() []string {
	names := make([]string, len(e.network.Namespaces))
	for i, s := range e.network.Namespaces {
		names[i] = s.Name
	}
	return names
}

// NamespaceFD is the descriptor of this process that holds a namespace open; -1 when there is no such namespace.
func (e *Emulator) NamespaceFD(name string) int {
	ns, ok := e.state.Namespace(name)
	if !ok {
		return -1
	}
	return ns.FD()
}
