// Package process runs programs inside the instances of a lab.
//
// An instance that runs something gets an init: this same binary, started in the instance's network namespace with
// PID, mount, UTS and IPC namespaces of its own (see [MaybeInit]). It is PID 1 there, sets up the instance and starts
// commands on request. An instance that runs nothing has no process and costs nothing.
//
// What a program finds is a machine of its own: its own processes, host name and network; a root with the host's
// files below and what the instance writes above, gone with it, in which secrets of the host and the folders of
// people are not; /proc, /sys, /dev, /run and /tmp of its own. It has the rights of an administrator of a machine's
// network, and bounds: see [emu.Boundary]. The supervisor keeps one socket to each init. When the supervisor ends,
// however it ends, the socket closes, the init exits, and the kernel ends all that was in its PID namespace.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/internal/descriptors"
)

// ErrClosed is what everything answers after Close.
var ErrClosed = errors.New("the instance is closed")

// Error is what went wrong in an instance.
type Error = emu.InstanceError

// Instance runs the programs of one namespace.
type Instance struct {
	ns   *kernel.Namespace
	name string
	opts Options
	// grace is the constant of this name; a test that wants the answer to the question to end gives more.
	grace time.Duration

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	loops  sync.WaitGroup // of programs

	mu       sync.Mutex
	spec     *emu.Namespace
	init     *initProcess // nil: none yet, or it ended
	programs []*program
}

// Options are what New needs beyond the namespace.
type Options struct {
	// Env is added to the environment of all that runs: NAME=VALUE.
	Env []string
	// Keep are folders of the host that programs see, read-only unless the namespace's boundary says otherwise. Those
	// of the services are kept anyway.
	Keep []string
	// Lab names the control groups, for people; empty: they have no name.
	Lab string
}

// New makes an instance that runs nothing yet, and has no process.
func New(ns *kernel.Namespace, spec *emu.Namespace, opts Options) *Instance {
	in := &Instance{ns: ns, name: spec.Name, spec: spec, opts: opts, grace: grace}
	in.ctx, in.cancel = context.WithCancel(context.Background())
	return in
}

// SetSpec updates the instance to a changed namespace. What runs already keeps its environment, names and name
// servers. A program that starts later gets the new environment, an init that starts later the new files.
func (in *Instance) SetSpec(spec *emu.Namespace) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.spec = spec
}

// environment returns the environment of what starts now in the instance. Where a name is in it twice, the last value
// counts.
func (in *Instance) environment(more ...string) []string {
	in.mu.Lock()
	host := in.spec.HostName()
	in.mu.Unlock()
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root",
		"LANG=C.UTF-8",
		"INSTANCE=" + host,
	}
	return slices.Concat(env, in.opts.Env, more)
}

// Close ends everything that runs in the instance: programs get SIGTERM and half a second, then the kernel kills what
// is left. It returns when nothing is left.
func (in *Instance) Close() error {
	in.cancel()
	in.mu.Lock() // after its current holder nothing can be started
	init := in.init
	in.mu.Unlock()
	in.loops.Wait()
	if init == nil {
		return nil
	}
	init.conn.Close()
	select {
	case <-init.ended:
	case <-time.After(5 * time.Second):
		_ = init.cmd.Process.Kill()
		select {
		case <-init.ended:
		case <-time.After(5 * time.Second):
			return fmt.Errorf("%s: its processes don't end (PID %d)", in.name, init.cmd.Process.Pid)
		}
	}
	return nil
}

// withoutOverlays is for tests: instances do without, as where the kernel has none.
var withoutOverlays bool

// initProcess is the supervisor's end of an instance's init.
type initProcess struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer // of a crash
	conn   *net.UnixConn
	group  *group
	send   sync.Mutex    // conn
	ended  chan struct{} // closed when the init is reaped, and with it all its processes
	err    error         // why it ended; to be read after that
}

// ensureInit returns the running init, starting one if there is none.
func (in *Instance) ensureInit() (*initProcess, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ctx.Err() != nil {
		return nil, fmt.Errorf("%s: %w", in.name, ErrClosed)
	}
	if in.init != nil {
		select {
		case <-in.init.ended:
			in.init = nil
		default:
			return in.init, nil
		}
	}
	setup := setupRequest{
		Hostname:   in.spec.HostName(),
		Hosts:      hostsFile(in.spec),
		ResolvConf: resolvConf(in.spec.Resolver),
		Boundary:   in.boundary(),

		Restricted:   restrictedParts(),
		ReadOnlyRoot: withoutOverlays,
	}
	init, err := startInit(in.ctx, in.ns, in.opts.Lab, setup)
	if err != nil {
		return nil, fmt.Errorf("%s: start its init process: %w", in.name, err)
	}
	in.init = init
	return init, nil
}

// boundary returns what the instance may use, including all that it sees of the host: the boundary of its namespace,
// and read-only the working folders of programs.
func (in *Instance) boundary() emu.Boundary {
	var folders emu.Boundary
	for _, path := range in.opts.Keep {
		folders.Mounts = append(folders.Mounts, emu.Mount{Path: path})
	}
	for _, s := range in.spec.Services {
		if !s.BuiltIn() && s.Dir != "" {
			folders.Mounts = append(folders.Mounts, emu.Mount{Path: s.Dir})
		}
	}
	b := in.spec.Boundary.Over(folders)
	b.Limits = EffectiveLimits(b.Limits)
	return b
}

func startInit(ctx context.Context, ns *kernel.Namespace, lab string, setup setupRequest) (*initProcess, error) {
	program, err := image()
	if err != nil {
		return nil, err
	}
	conn, theirs, err := descriptors.Pair()
	if err != nil {
		return nil, err
	}
	p := &initProcess{conn: conn, ended: make(chan struct{})}
	p.cmd = &exec.Cmd{
		Path:       program,
		Args:       []string{initName},
		Env:        []string{"GOMAXPROCS=1", "GOGC=50"}, // it does little, so it should take little
		ExtraFiles: []*os.File{theirs},
		Stderr:     &p.stderr,
		SysProcAttr: &unix.SysProcAttr{
			Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
			Setsid:     true, // Ctrl-C in the supervisor's terminal is not for it
		},
	}
	err = ns.Start(p.cmd)
	theirs.Close()
	if err != nil {
		conn.Close()
		return nil, err
	}
	// Before its first request, so that nothing of the instance is ever outside the groups.
	group, groupErr := newGroup(lab, ns.Name, setup.Boundary.Limits, p.cmd.Process.Pid)
	p.group = group
	go func() {
		err := p.cmd.Wait()
		conn.Close()
		if group != nil {
			group.remove()
		}
		if err == nil {
			err = errors.New("it exited")
		}
		p.err = fmt.Errorf("the init process of the instance ended: %w", err)
		if line, _, _ := strings.Cut(p.stderr.String(), "\n"); line != "" {
			p.err = fmt.Errorf("%w: %s", p.err, line)
		}
		close(p.ended)
	}()

	defer context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })()
	var answer setupAnswer
	if err = groupErr; err == nil {
		err = descriptors.Send(conn, setup)
	}
	if err == nil {
		_, err = descriptors.Receive(conn, &answer)
	}
	if err == nil && answer.Error == "" {
		return p, nil
	}
	conn.Close()
	<-p.ended
	switch {
	case groupErr != nil:
		return nil, groupErr
	case answer.Error != "":
		return nil, errors.New(answer.Error)
	}
	return nil, p.err
}

// hostsFile returns the text of /etc/hosts. The instance's own name has the loopback address unless a record has
// another one.
func hostsFile(spec *emu.Namespace) string {
	var b strings.Builder
	b.WriteString("127.0.0.1\tlocalhost\n")
	own := spec.HostName()
	if !slices.ContainsFunc(spec.Hosts, func(r emu.NameRecord) bool { return strings.EqualFold(r.Name, own) }) {
		fmt.Fprintf(&b, "127.0.0.1\t%s\n", own)
	}
	for _, r := range spec.Hosts {
		fmt.Fprintf(&b, "%s\t%s\n", r.Address, r.Name)
	}
	return b.String()
}

// resolvConf returns the text of /etc/resolv.conf.
func resolvConf(r emu.Resolver) string {
	var b strings.Builder
	for _, s := range r.Servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(r.Search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(r.Search, " "))
	}
	return b.String()
}

// absolute returns a folder's path without symbolic links, which may pass through a /tmp that programs don't see.
func absolute(dir string) (string, error) {
	if dir == "" {
		return "/", nil
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	return filepath.Abs(dir)
}
