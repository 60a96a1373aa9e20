// Package emulator runs a network: it creates it in the kernel, verifies the result, serves its names and services,
// and answers questions about it.
//
// It ties together the packages below emu, each of which does one thing, and adds only their order: if a step fails,
// everything before it is undone.
package emulator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/dns"
	"vnetlab/emu/health"
	"vnetlab/emu/kernel"
	"vnetlab/emu/probe"
	"vnetlab/emu/process"
	"vnetlab/emu/tunnel"
)

// Options are what Start needs beyond the network.
type Options struct {
	// ListenTimeout is how long each program may take until it listens on the port of its service. 0: a minute.
	ListenTimeout time.Duration
	// Env is added to the environment of all that runs in the network: NAME=VALUE.
	Env []string
	// Lab names the network in the control groups of the machine; empty: it has no name there.
	Lab string
	// Keep are folders of the host that programs see, read-only unless the boundary of their namespace says otherwise.
	Keep []string
	// Patience is the minimum timeout of everything that waits for an answer: probes, DNS queries, requests for web
	// pages, and when the network starts health probes. 0: some seconds, which suffice unless the machine is
	// overloaded.
	Patience time.Duration
	// HealthChanged is called when the target of a health probe becomes healthy or unhealthy; it may be nil. It must
	// not wait for a method that changes the emulator.
	HealthChanged func(id string, healthy bool)
}

// Progress is how far Start has come: a stage, and how many of its steps are done.
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
	HealthStage   = "asking who is healthy"
)

// Emulator is a running network. Its methods may be called from many goroutines at once.
type Emulator struct {
	opts    Options
	state   *kernel.State
	names   *dns.Server
	prober  *probe.Prober
	health  *health.Checker
	tunnels *tunnel.Set

	network atomic.Pointer[emu.Network]

	change sync.Mutex   // held while the network is changed
	made   *emu.Network // what the kernel has

	mu        sync.Mutex
	workloads map[string]*workload // by their namespaces
	closed    bool
}

// Start creates a network and returns when it is complete: each rule is in the kernel, each service listens. Report
// is called with the progress, by one goroutine at a time. After an error nothing of the network is left except what
// the kernel is still destroying.
func Start(ctx context.Context, network *emu.Network, opts Options, report func(Progress)) (_ *Emulator, err error) {
	if opts.ListenTimeout == 0 {
		opts.ListenTimeout = time.Minute
	}
	if report == nil {
		report = func(Progress) {}
	}
	if err := emu.CheckRules(network); err != nil {
		return nil, err
	}
	state, err := kernel.Apply(ctx, network, func(done, total int) { report(Progress{BuildStage, done, total}) })
	if err != nil {
		return nil, err
	}
	e := &Emulator{opts: opts, state: state, names: dns.New(network), made: network, workloads: map[string]*workload{}}
	e.network.Store(network)
	e.prober = probe.New(network, state.Namespace)
	for _, limit := range []*time.Duration{&e.prober.TimeLimit, &e.prober.AnswerLimit, &e.prober.NameLimit} {
		*limit = max(*limit, opts.Patience)
	}
	e.health = health.New(state.Namespace, opts.HealthChanged)
	e.tunnels = tunnel.NewSet(state.Namespace)
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	if err := e.tunnels.Change(ctx, network.Tunnels); err != nil {
		return nil, err
	}
	report(Progress{CheckStage, 0, 1})
	if err := e.check(ctx); err != nil {
		return nil, err
	}
	report(Progress{CheckStage, 1, 1})
	started, err := e.open(ctx, network, func(done, total int) { report(Progress{ServicesStage, done, total}) })
	if err != nil {
		return nil, err
	}
	if err := started.wait(
		ctx,
		opts.ListenTimeout,
		func(done, total int) { report(Progress{ProgramsStage, done, total}) },
	); err != nil {
		return nil, err
	}
	e.health.Set(network)
	return e, e.waitHealth(ctx, func(done, total int) { report(Progress{HealthStage, done, total}) })
}

// differencesShown is how many differences an error cites.
const differencesShown = 5

// check compares the kernel with the network: one that differs must not answer questions.
func (e *Emulator) check(ctx context.Context) error {
	differences, err := e.Diff(ctx)
	if err != nil {
		return err
	}
	if len(differences) == 0 {
		return nil
	}
	var text strings.Builder
	fmt.Fprintf(&text, "the kernel did not make what was wanted, %d differences:", len(differences))
	for _, d := range differences[:min(len(differences), differencesShown)] {
		text.WriteString("\n  " + d.String())
	}
	return errors.New(text.String())
}

// StopPrograms ends all programs and commands: each gets SIGTERM, and SIGKILL if it doesn't end. It returns when none
// is left, or with an error when ctx ends.
func (e *Emulator) StopPrograms(ctx context.Context) error {
	e.mu.Lock()
	e.closed = true
	var instances []*process.Instance
	for _, w := range e.workloads {
		if w.instance != nil {
			instances = append(instances, w.instance)
		}
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

// Close ends everything: programs, services, and at last the namespaces with what is in them, which the kernel
// destroys some time later.
func (e *Emulator) Close() error {
	errs := []error{e.health.Close(), e.StopPrograms(context.Background())}
	e.change.Lock()
	defer e.change.Unlock()
	e.mu.Lock()
	workloads := e.workloads
	e.workloads = map[string]*workload{}
	e.mu.Unlock()
	for _, w := range workloads {
		errs = append(errs, w.closeSockets())
	}
	return errors.Join(append(errs, e.tunnels.Close(), e.prober.Close(), e.names.Close(), e.state.Close())...)
}

// Network returns the network that runs. It must not be modified.
func (e *Emulator) Network() *emu.Network { return e.network.Load() }

// Namespaces lists the names of all namespaces.
func (e *Emulator) Namespaces() []string {
	network := e.Network()
	names := make([]string, len(network.Namespaces))
	for i, s := range network.Namespaces {
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
