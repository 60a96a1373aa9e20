package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/internal/descriptors"
)

// grace is how long a command has to end after it was asked to.
const grace = 500 * time.Millisecond

// Command is what runs once in an instance; its Terminal goes with [Instance.OpenTerminal].
type Command = emu.Command

// Exec runs a command in a session of its own until it ends and returns its exit code like a shell: 128 plus the
// signal that ended it, 127 if it isn't there, 126 if it can't be run; with 126 and 127 comes an error with the
// reason. Where Stdout or Stderr didn't take what it printed, there is an error too, and the exit code isn't 0. What
// it leaves running in the background goes on until Close.
//
// When ctx ends, the command and all of its session get SIGHUP and half a second later SIGKILL; the error is then the
// cause of ctx. Any other error means that the instance's init can't start or was killed, and with it the command;
// the next Exec starts a new one.
func (in *Instance) Exec(ctx context.Context, c Command) (exit int, err error) {
	dir := c.Dir
	if dir == "" {
		dir = "/"
	}
	io, err := newRelays(c)
	var r *running
	if err == nil {
		defer func() {
			lost := io.ended()
			var path *os.PathError
			if errors.As(lost, &path) { // the caller knows the file
				lost = path.Err
			}
			if lost != nil && err == nil {
				exit, err = cmp.Or(
					exit,
					1,
				), fmt.Errorf(
					"%s: what the command printed could not be written: %w",
					in.name,
					lost,
				)
			}
		}()
		r, err = in.start(startRequest{
			Argv: c.Argv, Env: in.environment(c.Env...), Dir: dir, Terminal: c.Terminal,
		}, io.files[:]...)
		io.started()
	}
	if err != nil {
		var failed *startError
		if errors.As(err, &failed) {
			return failed.code, fmt.Errorf("%s: %w", in.name, err)
		}
		return -1, err
	}
	status, err := r.wait(ctx, unix.SIGHUP)
	if status == nil {
		return -1, err
	}
	return exitCode(*status), err
}

// startError is the error of an init that could not start a command.
type startError struct {
	text string
	code int // 126 or 127
}

func (e *startError) Error() string { return e.text }

// running is a command that an init has started.
type running struct {
	in      *Instance
	init    *initProcess
	control *net.UnixConn
	pid     int // inside the instance
}

// start has the init start a command with three descriptors.
func (in *Instance) start(req startRequest, files ...*os.File) (*running, error) {
	init, err := in.ensureInit()
	if err != nil {
		return nil, err
	}
	r := &running{in: in, init: init}
	control, err := init.request(req, files...)
	if err != nil {
		return nil, r.lost(err)
	}
	r.control = control
	var rep report
	_, err = descriptors.Receive(control, &rep)
	if err == nil && rep.Error == "" {
		r.pid = rep.PID
		return r, nil
	}
	control.Close()
	if rep.Error != "" {
		return nil, &startError{rep.Error, rep.ExitCode}
	}
	return nil, r.lost(err)
}

// request sends a request to an init, and returns the socket on which the answer comes.
func (p *initProcess) request(req startRequest, files ...*os.File) (*net.UnixConn, error) {
	control, theirs, err := descriptors.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	p.send.Lock()
	defer p.send.Unlock()
	if err := descriptors.Send(p.conn, req, append([]*os.File{theirs}, files...)...); err != nil {
		control.Close()
		return nil, err
	}
	return control, nil
}

// wait waits until the command ends. When ctx ends first, it sends polite and after the grace SIGKILL to the whole
// session, and the error is the cause of ctx. Without an error there is a status.
func (r *running) wait(ctx context.Context, polite syscall.Signal) (*unix.WaitStatus, error) {
	defer r.control.Close()
	over := make(chan struct{})
	defer close(over)
	stop := context.AfterFunc(ctx, func() {
		// A stopped process takes no signal before it continues.
		_ = descriptors.Send(
			r.control,
			signalRequest{Signals: []syscall.Signal{polite, unix.SIGCONT}, EndSession: true},
		)
		select {
		case <-time.After(r.in.grace):
			_ = descriptors.Send(r.control, signalRequest{Signals: []syscall.Signal{unix.SIGKILL}})
		case <-over:
		}
	})
	var rep report
	_, err := descriptors.Receive(r.control, &rep)
	if !stop() {
		err = context.Cause(ctx)
	} else if err != nil {
		err = r.lost(err)
	}
	if !rep.Exited {
		return nil, err
	}
	status := unix.WaitStatus(rep.Status)
	return &status, err
}

// lost explains why the init's socket closed.
func (r *running) lost(err error) error {
	if r.in.ctx.Err() != nil {
		return fmt.Errorf("%s: %w", r.in.name, ErrClosed)
	}
	select {
	case <-r.init.ended:
		return fmt.Errorf("%s: %w", r.in.name, r.init.err)
	case <-time.After(10 * time.Second): // its socket closes first, then the kernel ends all that it ran
		return fmt.Errorf("%s: %w", r.in.name, err)
	}
}

// exitCode is the exit code as a shell reports it.
func exitCode(s unix.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}

// exitText is for people.
func exitText(s unix.WaitStatus) string {
	if s.Signaled() {
		return "killed by " + unix.SignalName(s.Signal())
	}
	return fmt.Sprintf("exit status %d", s.ExitStatus())
}
