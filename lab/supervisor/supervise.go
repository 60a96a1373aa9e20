package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"vnetlab/emu/emulator"
	"vnetlab/lab/api"
	"vnetlab/lab/engine"
	"vnetlab/lab/labfile"
	"vnetlab/lab/server"
)

// Supervise is everything that the process of a lab does. [Up] starts it as `lab supervise`, in its own namespaces. It
// returns when the lab was ended politely; the process must then exit. In a process that Up didn't start it returns an
// error.
func Supervise() error {
	conn, start, err := meetStarter()
	if err != nil {
		return err
	}
	//nolint:errcheck // only what ps shows: it was started as /proc/self/exe
	os.WriteFile("/proc/self/comm", []byte("lab"), 0)
	d, err := build(conn, start)
	if err != nil {
		send(conn, progressMessage{Error: clientErrors.Of(err)})
		return err
	}
	return d.serve(conn)
}

// meetStarter receives what Up passed on. From here on the supervisor ends with its starter, until that has confirmed.
func meetStarter() (*os.File, startMessage, error) {
	var start startMessage
	if _, err := unix.FcntlInt(startSocket, unix.F_GETFD, 0); err != nil || os.Getpid() != 1 {
		return nil, start, &api.Error{Message: "supervise is a part of `lab up` and not a command", Hint: "lab up FILE"}
	}
	unix.CloseOnExec(lockDescriptor) // the lock ends with this process, whatever it has started
	unix.CloseOnExec(startSocket)
	conn := os.NewFile(startSocket, "starter")
	if err := json.NewDecoder(&oneByteReader{conn}).Decode(&start); err != nil {
		return nil, start, fmt.Errorf("start message: %w", err)
	}
	return conn, start, nil
}

// oneByteReader keeps a decoder from reading beyond its message.
type oneByteReader struct{ file *os.File }

func (r *oneByteReader) Read(p []byte) (int, error) { return r.file.Read(p[:min(1, len(p))]) }

// daemon is the process that is a lab.
type daemon struct {
	start   startMessage
	engine  *engine.Engine
	emu     *emulator.Emulator
	control net.Listener

	stopOnce sync.Once
	stopping chan struct{} // closed when the lab is to end
}

// clientErrors adds hints about this machine to errors.
var clientErrors = server.Errors{Hint: func(err error) (hint string, lacking bool) {
	var inTheWay *taken
	hint = LimitHint(err)
	return hint, hint != "" && !errors.As(err, &inTheWay)
}}

// build makes the lab. When the starter dies meanwhile, so does this process, and with it everything that was built.
func build(conn *os.File, start startMessage) (*daemon, error) {
	confirmed := make(chan struct{})
	d := &daemon{start: start, stopping: make(chan struct{})}
	go d.followStarter(conn, confirmed)
	if err := isolate(start.Name); err != nil {
		return nil, err
	}
	raiseFileLimit()
	// By its absolute path: the places of the lab's rules are shown to people in other folders.
	file, err := labfile.InputOf(start.File).Absolute()
	if err != nil {
		return nil, err
	}
	loaded, err := file.Load(labfile.Options{Real: start.Real})
	if err != nil {
		return nil, err
	}
	if loaded.Lab.Name != start.Name {
		return nil, fmt.Errorf("%s was changed while the lab started: it is now named %s", file.Path, loaded.Lab.Name)
	}
	var names *links
	d.engine = engine.New(loaded.Lab, file, engine.Options{
		Real: start.Real, PID: start.HostPID, DialTimeout: patience,
		NamespacesChanged: func(removed, added []string, name func(string) string) error {
			return names.update(removed, added, name)
		},
	})
	opts := emulator.Options{
		ListenTimeout: start.ListenTimeout, Lab: start.Name, Keep: []string{loaded.Dir}, Patience: patience,
		HealthChanged: func(id string, _ bool) { d.engine.HealthChanged(id) },
	}
	report := func(progress emulator.Progress) { send(conn, progressMessage{Progress: &progress}) }
	if d.emu, err = emulator.Start(context.Background(), d.engine.Network(), opts, report); err != nil {
		return nil, engine.ErrorInNames(loaded.Lab, err)
	}
	if d.control, err = listen(start.Name); err != nil {
		return nil, err
	}
	names, err = newLinks(start.Name, start.HostPID, d.emu.NamespaceFD, d.emu.Namespaces(), loaded.Lab.NamespaceName)
	if err != nil {
		return nil, err
	}
	if err := d.engine.Start(d.emu); err != nil {
		return nil, err
	}
	send(conn, progressMessage{Ready: true})
	<-confirmed
	return d, nil
}

// followStarter waits for the starter's confirmation and closes confirmed with it. A starter that dies before ends this
// process at once; one that dies later ends, politely, a lab that runs in its foreground.
func (d *daemon) followStarter(conn *os.File, confirmed chan<- struct{}) {
	in := json.NewDecoder(conn)
	var m confirmMessage
	if in.Decode(&m) != nil {
		os.Exit(1)
	}
	close(confirmed)
	if d.start.Foreground {
		in.Decode(&m) //nolint:errcheck // nothing more comes: this waits for the end of the starter
		d.stop()
	}
}

func send(conn *os.File, m progressMessage) {
	json.NewEncoder(conn).Encode(m) //nolint:errcheck // followStarter notices a starter that is gone
}

// isolate completes what the new namespaces began: no mount made here reaches the host, and /proc shows only the
// lab's processes.
func isolate(name string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		if errors.Is(err, unix.EINVAL) { // the only thing that can be wrong with /
			err = fmt.Errorf(
				"%w: / is no mount point, as in a chroot whose folder isn't bound to itself (mount --bind DIR DIR)",
				err,
			)
		}
		return fmt.Errorf("keep mounts from the host: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.Sethostname([]byte("lab-" + name)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	return nil
}

// fileLimit suffices for some 100,000 namespaces with their sockets.
const fileLimit = 1 << 20

// raiseFileLimit lets only this process have many descriptors. The limit is set by a bare system call, as the Go
// runtime would otherwise pass it on to programs, some of which close all descriptors up to it one by one.
func raiseFileLimit() {
	for _, limit := range []uint64{fileLimit, 0} {
		var current unix.Rlimit
		if unix.Getrlimit(unix.RLIMIT_NOFILE, &current) != nil {
			return
		}
		wanted := unix.Rlimit{Cur: max(limit, current.Max), Max: max(limit, current.Max)}
		if _, _, errno := unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE,
			uintptr(unsafe.Pointer(&wanted)), 0, 0, 0); errno == 0 {
			return
		}
	}
}

// listen opens the control socket.
func listen(name string) (net.Listener, error) {
	path := filepath.Join(labDir(name), socketFile)
	os.Remove(path)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l, os.Chmod(path, 0o600)
}

// stop lets serve return; more than once does no harm.
func (d *daemon) stop() { d.stopOnce.Do(func() { close(d.stopping) }) }

// serve answers on the control socket until the lab is to end, and ends it.
func (d *daemon) serve(conn *os.File) error {
	if !d.start.Foreground {
		conn.Close()
	}
	go debug.FreeOSMemory() // building takes several times what running does
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	control := server.New(d.engine, d.stop, clientErrors).HTTP()
	failed := make(chan error, 1)
	go func() { failed <- control.Serve(d.control) }()
	var err error
	select {
	case <-d.stopping:
	case <-signals:
	case err = <-failed:
	}
	// A change that is made after this would leave names of namespaces behind.
	d.engine.Close()
	// Programs end first, so that they can say goodbye to each other. All else ends with this process.
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	if stopErr := d.emu.StopPrograms(ctx); stopErr != nil {
		fmt.Fprintln(os.Stderr, stopErr)
	}
	// Clients that look for the lab from now on find none, so this is the last step.
	l := &lock{name: d.start.Name, file: os.NewFile(lockDescriptor, "lock")}
	return errors.Join(err, l.removeFiles())
}

// patience is the minimum time limit for answers in a lab; 0 but in tests.
var patience time.Duration

// stopGrace is how long programs have to end after SIGTERM.
const stopGrace = 2 * time.Second
