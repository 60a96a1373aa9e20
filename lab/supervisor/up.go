package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/emulator"
	"vnetlab/emu/kernel"
	"vnetlab/lab/api"
	"vnetlab/lab/client"
	"vnetlab/lab/compile"
	"vnetlab/lab/labfile"
)

// UpRequest says which lab to start and how.
type UpRequest struct {
	File labfile.Input
	Real bool // services with a `real` program run it
	// Foreground ties the lab to the process that starts it: when that process ends, however it ends, the lab does too.
	Foreground bool
	// Output gets what the lab's prepare command prints; nil: stderr.
	Output io.Writer
	// ListenTimeout is how long programs may take until they listen; 0: a minute.
	ListenTimeout time.Duration
	// Report is told how far the building is; nil: nobody is.
	Report func(emulator.Progress)
}

// Running is a lab that this process started.
type Running struct {
	Name  string
	PID   int            // of the supervisor
	Notes []labfile.Note // on the lab file

	ended chan struct{} // closed when the supervisor is dead and reaped
	err   error         // how it ended
	conn  *os.File      // to the supervisor; open as long as it is in the foreground
}

// The messages between the process that starts a lab and its supervisor, as JSON on a socket that is the supervisor's
// descriptor startSocket. The supervisor ends when the socket closes before it has read the confirmation, so a lab is
// either complete and known to whoever asked for it, or gone.
type (
	startMessage struct {
		Name          string
		File          api.File
		Real          bool
		Foreground    bool
		ListenTimeout time.Duration
		HostPID       int // of the supervisor, as it is seen outside of its namespace
	}
	progressMessage struct {
		Progress *emulator.Progress `json:",omitempty"`
		Error    *api.Error         `json:",omitempty"`
		Ready    bool               `json:",omitempty"`
	}
	confirmMessage struct{}
)

const (
	lockDescriptor = 3 + iota
	startSocket
)

// Up starts a lab and returns when every service in it listens. A file that is wrong is an error before anything is
// done. When ctx ends, or anything else goes wrong, the lab is gone without a trace before Up returns.
func Up(ctx context.Context, req UpRequest) (*Running, error) {
	loaded, err := req.File.Load(labfile.Options{Real: req.Real})
	if err != nil {
		return nil, err
	}
	if err := emu.CheckRules(compile.Network(loaded.Lab)); err != nil {
		return nil, err // here, where nothing has been done yet
	}
	if os.Geteuid() != 0 {
		return nil, &api.Error{
			Code:    api.PrivilegesNeeded,
			Message: "starting a lab needs root: it makes network namespaces",
			Lacking: true,
		}
	}
	if err := CheckProcesses(LabProcesses); err != nil {
		return nil, err
	}
	if err := Clean(); err != nil {
		return nil, err
	}
	name := loaded.Lab.Name
	l, err := acquire(name)
	if err != nil {
		return nil, err
	}
	if req.Real && loaded.Prepare != "" {
		if err := prepare(ctx, loaded, req.Output); err != nil {
			return nil, errors.Join(err, l.remove())
		}
	}
	r, err := start(ctx, l, req)
	if err != nil {
		return nil, errors.Join(err, l.remove())
	}
	l.release()
	r.Notes = loaded.Notes
	return r, nil
}

// start starts the supervisor and waits until it is ready. After an error the supervisor is dead.
func start(ctx context.Context, l *lock, req UpRequest) (*Running, error) {
	if err := removeLinks(l.name); err != nil {
		return nil, err
	}
	os.Remove(filepath.Join(labDir(l.name), socketFile)) // of a supervisor that was killed

	logPath := filepath.Join(labDir(l.name), logFile)
	logOut, err := os.OpenFile(logPath, os.O_CREATE|os.O_TRUNC|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer logOut.Close()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	conn, theirs := os.NewFile(uintptr(fds[0]), "supervisor"), os.NewFile(uintptr(fds[1]), "starter")
	defer theirs.Close()

	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"lab", "supervise", l.name}
	cmd.Stdout, cmd.Stderr = logOut, logOut
	cmd.ExtraFiles = []*os.File{l.file, theirs} // lockDescriptor, startSocket
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
	}
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("start the supervisor: %w", err)
	}
	theirs.Close()
	r := &Running{Name: l.name, PID: cmd.Process.Pid, ended: make(chan struct{}), conn: conn}
	go func() {
		r.err = cmd.Wait()
		close(r.ended)
	}()
	err = l.write(r.PID)
	if err == nil {
		err = r.build(ctx, startMessage{
			Name:          l.name,
			File:          req.File.File(),
			Real:          req.Real,
			Foreground:    req.Foreground,
			ListenTimeout: req.ListenTimeout,
			HostPID:       r.PID,
		}, req.Report)
	}
	if err == nil {
		if !req.Foreground {
			conn.Close()
		}
		return r, nil
	}
	cmd.Process.Kill() //nolint:errcheck // it is dead already
	<-r.ended
	conn.Close()
	goneErr := kernel.WaitUntilGone(context.WithoutCancel(ctx))
	if ctx.Err() != nil {
		return nil, fmt.Errorf(
			"starting lab %s was interrupted; nothing is left of it: %w",
			l.name,
			errors.Join(ctx.Err(), goneErr),
		)
	}
	log, _ := os.ReadFile(logPath)
	switch {
	case !errors.Is(err, io.EOF):
	case diedOfLimits(string(log)):
		err = &api.Error{
			Message: fmt.Sprintf("the supervisor of lab %s could start no more threads", l.name),
			Hint:    LimitHint(unix.EAGAIN),
			Lacking: true,
		}
	case killedForMemory(r.PID):
		err = &api.Error{
			Message: fmt.Sprintf(
				"the kernel killed the supervisor of lab %s for want of memory while it was building",
				l.name,
			),
			Lacking: true,
		}
	default:
		err = fmt.Errorf(
			"the supervisor of lab %s ended while it was building: %w%s",
			l.name,
			r.err,
			lastLines(string(log)),
		)
	}
	return nil, errors.Join(err, goneErr)
}

// build tells the supervisor what to build, follows it and confirms the end. It returns io.EOF when the supervisor
// dies.
func (r *Running) build(ctx context.Context, start startMessage, report func(emulator.Progress)) error {
	//nolint:errcheck // a socket has deadlines
	stop := context.AfterFunc(ctx, func() { r.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	out, in := json.NewEncoder(r.conn), json.NewDecoder(r.conn)
	if err := out.Encode(start); err != nil {
		return io.EOF
	}
	for {
		var m progressMessage
		if err := in.Decode(&m); err != nil {
			return io.EOF
		}
		switch {
		case m.Error != nil:
			return m.Error
		case m.Progress != nil && report != nil:
			report(*m.Progress)
		case m.Ready:
			if ctx.Err() != nil || out.Encode(confirmMessage{}) != nil {
				return io.EOF
			}
			return nil
		}
	}
}

// Wait returns when the lab is over, with an error if it wasn't ended politely. When ctx ends first, Wait ends the lab.
func (r *Running) Wait(ctx context.Context) error {
	select {
	case <-r.ended:
	case <-ctx.Done():
		if err := Down(context.WithoutCancel(ctx), r.Name); err != nil {
			return err
		}
		<-r.ended
	}
	if r.err != nil {
		if killedForMemory(r.PID) {
			return &api.Error{
				Message: fmt.Sprintf("the kernel killed the supervisor of lab %s for want of memory", r.Name),
				Lacking: true,
			}
		}
		return fmt.Errorf("the supervisor of lab %s ended: %w", r.Name, r.err)
	}
	return nil
}

// Client returns a client of the lab.
func (r *Running) Client() (*client.Client, error) { return Dial(r.Name) }

// lastLines returns the end of a log as an indented block behind a line break, or nothing.
func lastLines(log string) string {
	if log == "" {
		return ""
	}
	lines := strings.Split(strings.TrimRight(log, "\n"), "\n")
	return "\n  " + strings.Join(lines[max(0, len(lines)-10):], "\n  ")
}
