// Package engine is the one writer of a running lab. It owns what the lab is at a moment, makes changes one after the
// other and each of them atomically, follows the health probes, and checks the lab against its model and its file.
//
// What makes the network real is an [Emulator]; the engine needs no kernel. It is served by package server.
package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/compile"
	"vnetlab/lab/labfile"
)

// Emulator is a running network. Namespaces go by their ids here; see names.go.
type Emulator interface {
	// Update makes a change of the network, all of it or nothing.
	Update(ctx context.Context, change *diff.Change) (emu.Updated, error)
	// Restart ends everything that runs in a namespace and starts its listeners again.
	Restart(ctx context.Context, namespace string) (emu.Updated, error)

	// Healthy reports whether the target of a health probe serves, and Health what is known of all targets.
	Healthy(probeID string) bool
	Health() []emu.HealthState
	Services() []emu.ServiceStatus
	// Limits returns limits with the machine's defaults in place of zeros, and Unbounded the names of those that the
	// machine can't enforce.
	Limits(emu.Limits) emu.Limits
	Unbounded() []string

	// Diff and DiffNamespace list where the kernel differs from the network; Repair makes it the network again.
	Diff(ctx context.Context) ([]emu.Difference, error)
	DiffNamespace(ctx context.Context, namespace string) ([]emu.Difference, error)
	Repair(ctx context.Context) (*emu.Repair, error)

	Probe(ctx context.Context, from string, target emu.Target) emu.Observation
	Dial(ctx context.Context, from string, target emu.Target) (net.Conn, error)
	HTTPGet(ctx context.Context, from string, target emu.Target, path string) (status int, body []byte, err error)

	Exec(ctx context.Context, namespace string, c emu.Command) (exit int, err error)
	OpenTerminal(namespace string) (master, slave *os.File, err error)
	Logs(ctx context.Context, namespace, service string, last int, follow bool) (iter.Seq[emu.LogLine], error)
}

// Options are what an engine is to know of its surroundings.
type Options struct {
	Real bool // programs named `real` in the lab file run
	PID  int  // of the supervisor, as seen from the host
	// NamespacesChanged is called after each change that adds, removes or renames namespaces, with what each
	// namespace is called now. Its error becomes a warning about the change. Nil: nothing is called.
	NamespacesChanged func(removed, added []string, name func(namespace string) string) error
	// DialTimeout is the time limit for a forwarded connection in the lab; 0: four seconds.
	DialTimeout time.Duration
}

// defaultDialTimeout is the default of [Options.DialTimeout].
const defaultDialTimeout = 4 * time.Second

// Engine is a running lab. Its methods may be called from many goroutines at once.
type Engine struct {
	opts  Options
	began time.Time
	emu   Emulator

	state      atomic.Pointer[state]
	changing   sync.Mutex    // held during a change, from the lab to the packets and the names of namespaces
	packets    sync.RWMutex  // held while packets change; for reading to keep them from changing
	generation atomic.Uint64 // odd while packets change
	health     *healthNews
	retry      time.Duration // healthRetry; shorter in tests

	closing sync.Once
	closed  chan struct{} // closed with the engine
}

// New returns an engine for a lab that was read from a file, which goes by its absolute path. It changes nothing before
// Start.
func New(l *lab.Lab, file labfile.Input, opts Options) *Engine {
	e := &Engine{
		opts:   opts,
		began:  time.Now(),
		health: newHealthNews(),
		retry:  healthRetry,
		closed: make(chan struct{}),
	}
	e.state.Store(newState(l, file))
	return e
}

// Start takes over an emulator that runs [Engine.Network], and follows its health probes until Close.
func (e *Engine) Start(emulator Emulator) error {
	e.emu = emulator
	if err := e.followHealth(); err != nil {
		return err
	}
	go e.watchHealth()
	return nil
}

// errClosed is the refusal of a change after Close.
var errClosed = &api.Error{Message: "the lab is being taken down"}

// Close refuses all further changes. It returns when none is being made any more.
func (e *Engine) Close() {
	e.closing.Do(func() { close(e.closed) })
	e.changing.Lock()
	e.changing.Unlock() //nolint:staticcheck // the change that had it was the last
}

// begin starts a change; the caller ends it by unlocking e.changing.
func (e *Engine) begin() error {
	e.changing.Lock()
	select {
	case <-e.closed:
		e.changing.Unlock()
		return errClosed
	default:
		return nil
	}
}

// state is a lab at one moment. It never changes: a change makes another one, which shares with it what stays.
type state struct {
	lab      *lab.Lab
	compiled *compile.Compilation
	file     labfile.Input // by its absolute path
	read     *lab.Lab      // as the file described it when it was read
}

func newState(l *lab.Lab, file labfile.Input) *state {
	return &state{lab: l, compiled: new(compile.Compilation).Next(l), file: file, read: l}
}

func (s *state) next(l *lab.Lab, file labfile.Input) *state {
	return &state{lab: l, compiled: s.compiled.Next(l), file: file, read: s.read}
}

func (s *state) network() *emu.Network { return s.compiled.Network }

// now returns the current state.
func (e *Engine) now() *state { return e.state.Load() }

// Lab returns the lab as it is. The caller must not change it.
func (e *Engine) Lab() *lab.Lab { return e.now().lab }

// Network returns the network that the lab wants. The caller must not change it.
func (e *Engine) Network() *emu.Network { return e.now().network() }

// NamedNetwork returns the network that the lab wants, sorted and with the lab's names for namespaces.
func (e *Engine) NamedNetwork() *emu.Network {
	network := compile.Named(e.now().lab)
	network.Sort()
	return network
}

// File returns the lab file that the lab was last made from.
func (e *Engine) File() labfile.Input { return e.now().file }

// load reads another file of this lab.
func (e *Engine) load(file labfile.Input) (*lab.Lab, error) {
	if file.Text == nil && !filepath.IsAbs(file.Path) {
		return nil, badRequest("%s is not an absolute path", file.Path)
	}
	loaded, err := file.Load(labfile.Options{Real: e.opts.Real})
	if err != nil {
		return nil, badRequest("%w", err)
	}
	if name := e.now().lab.Name; loaded.Lab.Name != name {
		refused := badRequest("%s describes the lab %s, but %s is running", file.Path, loaded.Lab.Name, name)
		refused.Hint = "lab ls shows which labs run; --lab NAME chooses one"
		return nil, refused
	}
	return loaded.Lab, nil
}

// badRequest returns the error for a request that makes no sense.
func badRequest(format string, args ...any) *api.Error {
	return &api.Error{HTTPStatus: http.StatusBadRequest, Message: fmt.Errorf(format, args...).Error()}
}

// errNoChange means that there is nothing to change.
var errNoChange = errors.New("nothing to change")
