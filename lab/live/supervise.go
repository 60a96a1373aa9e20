package live

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
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"vnetlab/emu/emulator"
	"vnetlab/lab/labfile"
)

// Supervise is the whole life of the process that is a lab. [Up] starts it, by the name `lab supervise`, in namespaces of its own; it
// returns when the lab was ended politely, and the process must then exit. A process that Up didn't start gets an error.
func Supervise() error {
	conn, start, err := meetStarter()
	if err != nil {
		return err
	}
	os.WriteFile("/proc/self/comm", []byte("lab"), 0) //nolint:errcheck // only what ps shows: it was started as /proc/self/exe
	s, err := build(conn, start)
	if err != nil {
		tell(conn, progressMessage{Error: errorOf(err)})
		return err
	}
	return s.serve(conn)
}

// meetStarter takes what Up handed over. From here on the supervisor ends with its starter, until that has confirmed.
func meetStarter() (*os.File, startMessage, error) {
	var start startMessage
	if _, err := unix.FcntlInt(startSocket, unix.F_GETFD, 0); err != nil || os.Getpid() != 1 {
		return nil, start, &Error{Message: "supervise is a part of `lab up` and not a command", Hint: "lab up FILE"}
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

// server is a running lab.
type server struct {
	start   startMessage
	began   time.Time
	emu     *emulator.Emulator
	control net.Listener

	state      atomic.Pointer[state]
	changing   sync.Mutex    // held by who makes a change, from the lab to the packets
	packets    sync.RWMutex  // held while packets change; for reading by who must know that they don't
	generation atomic.Uint64 // odd while packets change
	health     *healthNews

	stopOnce sync.Once
	stopping chan struct{} // closed when the lab is to end
}

// build makes the lab. When the starter dies meanwhile, so does this process, and with it all that was built.
func build(conn *os.File, start startMessage) (*server, error) {
	confirmed := make(chan struct{})
	s := &server{start: start, began: time.Now(), stopping: make(chan struct{}), health: newHealthNews()}
	go s.followStarter(conn, confirmed)
	if err := isolate(start.Name); err != nil {
		return nil, err
	}
	raiseFileLimit()
	// By its absolute path: the places of the lab's rules are told to people who stand elsewhere.
	file, err := start.File.Absolute()
	if err != nil {
		return nil, err
	}
	loaded, err := file.Load(labfile.Options{Real: start.Real})
	if err != nil {
		return nil, err
	}
	if loaded.Lab.Name != start.Name {
		return nil, fmt.Errorf("%s was changed while the lab started: it is now named %s", start.File.Path, loaded.Lab.Name)
	}
	s.state.Store(newState(loaded.Lab, file))
	opts := emulator.Options{
		ListenTimeout: start.ListenTimeout, Keep: []string{loaded.Dir}, Patience: patience,
		HealthChanged: func(id string, _ bool) { s.health.tell(id) },
	}
	s.emu, err = emulator.Start(context.Background(), s.now().network(), opts, func(p emulator.Progress) { tell(conn, progressMessage{Progress: &p}) })
	if err != nil {
		return nil, err
	}
	if s.control, err = listen(start.Name); err != nil {
		return nil, err
	}
	descriptors := map[string]int{}
	for _, name := range s.emu.Namespaces() {
		descriptors[name] = s.emu.NamespaceFD(name)
	}
	if err := makeLinks(start.Name, start.HostPID, descriptors); err != nil {
		return nil, err
	}
	if err := s.followHealth(); err != nil {
		return nil, err
	}
	go s.watchHealth()
	tell(conn, progressMessage{Ready: true})
	<-confirmed
	return s, nil
}

// followStarter waits for the starter's confirmation and closes confirmed with it. A starter that dies before ends this process at
// once; one that dies later ends, politely, a lab that runs in its foreground.
func (s *server) followStarter(conn *os.File, confirmed chan<- struct{}) {
	in := json.NewDecoder(conn)
	var m confirmMessage
	if in.Decode(&m) != nil {
		os.Exit(1)
	}
	close(confirmed)
	if s.start.Foreground {
		in.Decode(&m) //nolint:errcheck // nothing more comes: this waits for the end of the starter
		s.stop()
	}
}

func tell(conn *os.File, m progressMessage) {
	json.NewEncoder(conn).Encode(m) //nolint:errcheck // a starter that is gone is noticed by followStarter
}

// isolate completes what the new namespaces began: no mount made here reaches the host, and /proc shows the lab's processes alone.
func isolate(name string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		if errors.Is(err, unix.EINVAL) { // the only thing that can be wrong with /
			err = fmt.Errorf("%w: / is no mount point, as in a chroot whose folder isn't bound to itself (mount --bind DIR DIR)", err)
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

// raiseFileLimit lets this process alone have many descriptors. The limit is set by a bare system call, as the Go runtime would otherwise
// pass it on to programs, some of which close all descriptors up to it one by one.
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

// listen makes the control socket.
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
func (s *server) stop() { s.stopOnce.Do(func() { close(s.stopping) }) }

// serve answers on the control socket until the lab is to end, and ends it.
func (s *server) serve(conn *os.File) error {
	if !s.start.Foreground {
		conn.Close()
	}
	go debug.FreeOSMemory() // building takes several times what running does
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	control := s.httpServer()
	failed := make(chan error, 1)
	go func() { failed <- control.Serve(s.control) }()
	var err error
	select {
	case <-s.stopping:
	case <-signals:
	case err = <-failed:
	}
	// Programs end first, so that they can say goodbye to each other. All else ends with this process.
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	if stopErr := s.emu.StopPrograms(ctx); stopErr != nil {
		fmt.Fprintln(os.Stderr, stopErr)
	}
	// Whoever asks for the lab from now on finds none, so this is the last.
	l := &lock{name: s.start.Name, file: os.NewFile(lockDescriptor, "lock")}
	return errors.Join(err, l.removeFiles())
}

// patience is what a lab has with everybody who is asked something; more in tests.
var patience time.Duration

// stopGrace is how long programs have to end after SIGTERM.
const stopGrace = 2 * time.Second
