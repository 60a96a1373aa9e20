package process

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/internal/descriptors"
)

// initName is the name under which the binary runs as the init of an instance; ps shows it inside.
const initName = "lab-instance"

// initSocket is the descriptor on which the init takes its requests.
const initSocket = 3

// serveStage is the argument of an init that is confined already.
const serveStage = "serve"

type (
	// setupRequest is the first message to an init; an answer follows when the instance is set up.
	setupRequest struct {
		Hostname   string
		Hosts      string       // text of /etc/hosts
		ResolvConf string       // text of /etc/resolv.conf
		Boundary   emu.Boundary // with all limits set, and all that the instance sees of the host among the mounts
		// Restricted is what of the host only some of its users may look into.
		Restricted restricted
		// ReadOnlyRoot leaves out the overlays, as where the kernel has none.
		ReadOnlyRoot bool
	}
	setupAnswer struct {
		Error string `json:",omitempty"`
	}
	// startRequest is every later message. Its files are a socket, on which the command is reported and controlled,
	// and the command's descriptors 0, 1 and 2; or with OpenTerminal only the socket, on which both ends of a new
	// terminal come back.
	startRequest struct {
		OpenTerminal bool

		Argv, Env  []string
		Dir        string
		Terminal   bool // descriptor 0 becomes the controlling terminal
		EndSession bool // what the command leaves running in its session ends with it
	}
	// report is sent on the command's socket when it runs, and when it has ended; or if it can't be started.
	report struct {
		PID      int    `json:",omitempty"`
		Error    string `json:",omitempty"`
		ExitCode int    `json:",omitempty"` // 126 or 127, with Error
		Exited   bool   `json:",omitempty"`
		Status   uint32 `json:",omitempty"` // as wait4 gives it
	}
	// signalRequest comes on the command's socket.
	signalRequest struct {
		Signals    []syscall.Signal
		EndSession bool
	}
)

// MaybeInit becomes the init of an instance if this process was started as one, and then never returns. Each program
// that uses this package, tests too, calls it before anything else.
func MaybeInit() {
	if len(os.Args) == 0 || os.Args[0] != initName {
		return
	}
	if os.Getpid() != 1 {
		fmt.Fprintf(os.Stderr, "%s is a part of lab and not a command\n", initName)
		os.Exit(2)
	}
	stage := setUp
	if slices.Equal(os.Args[1:], []string{serveStage}) {
		stage = serve
	}
	if err := stage(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", initName, err)
		syscall.Exit(1)
	}
	// And the kernel ends whatever is left in the PID namespace. os.Exit would sleep a second under the race detector.
	syscall.Exit(0)
}

// setUp is the first stage of an init: it makes the instance, confines itself, and becomes the second stage. Errors
// are reported to the supervisor.
func setUp() error {
	// The next stage needs the descriptor itself.
	copied, err := unix.FcntlInt(initSocket, unix.F_DUPFD_CLOEXEC, initSocket+1)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	conn, err := descriptors.Conn(os.NewFile(uintptr(copied), "supervisor"))
	if err != nil {
		return err
	}
	var setup setupRequest
	if _, err := descriptors.Receive(conn, &setup); err != nil {
		return err
	}
	if err = makeInstance(setup); err == nil {
		err = confine(setup.Boundary.Privileged)
	}
	return errors.Join(err, descriptors.Send(conn, setupAnswer{Error: err.Error()}))
}

// makeInstance makes the mount and UTS namespaces of this process those of an instance.
func makeInstance(s setupRequest) error {
	unix.Umask(0o022)
	if err := unix.Sethostname([]byte(s.Hostname[:min(len(s.Hostname), 64)])); err != nil {
		return fmt.Errorf("set the host name %s: %w", s.Hostname, err)
	}
	return makeRoot(s)
}

// serve is the second stage: it starts commands until the supervisor hangs up. It has no more rights than they have,
// and is out of their reach: they can't trace it, nor open its descriptors or its program.
func serve() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	_ = os.WriteFile("/proc/self/comm", []byte(initName), 0) // for ps and top, which would call it exe
	conn, err := descriptors.Conn(os.NewFile(initSocket, "supervisor"))
	if err != nil {
		return err
	}
	// A signal that is caught, unlike an ignored one, has its default effect in the programs.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2,
		unix.SIGPIPE, unix.SIGALRM, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGABRT)
	c := newChildren()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0) // before a program can put something else there
	if err != nil {
		return err
	}
	if err := descriptors.Send(conn, setupAnswer{}); err != nil {
		return err
	}
	for {
		var req startRequest
		files, err := descriptors.Receive(conn, &req)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case len(files) != 4 && (!req.OpenTerminal || len(files) != 1):
			return fmt.Errorf("%d files came with a command instead of 4", len(files))
		}
		control, err := descriptors.Conn(files[0])
		if err != nil {
			return err
		}
		if req.OpenTerminal {
			go serveTerminal(control)
			continue
		}
		go serveCommand(c, control, req, files[1:], null)
	}
}

// serveCommand starts a command, passes signals on to it and reports its end. When the supervisor hangs up first, the
// command and its session end.
func serveCommand(c *children, control *net.UnixConn, req startRequest, files []*os.File, null *os.File) {
	defer control.Close()
	pid, ended, code, err := startCommand(c, req, files, null)
	descriptors.Close(files)
	if err != nil {
		_ = descriptors.Send(control, report{Error: err.Error(), ExitCode: code})
		return
	}
	_ = descriptors.Send(control, report{PID: pid})

	var over, endSession atomic.Bool
	endSession.Store(req.EndSession)
	go func() {
		for {
			var req signalRequest
			_, err := descriptors.Receive(control, &req)
			if over.Load() {
				return
			}
			if err != nil {
				killSession(pid)
				return
			}
			if req.EndSession {
				endSession.Store(true)
			}
			for _, s := range req.Signals {
				signalSession(pid, s)
			}
		}
	}()
	status := <-ended
	over.Store(true)
	if endSession.Load() {
		killSession(pid)
	}
	_ = descriptors.Send(control, report{Exited: true, Status: uint32(status)})
}

// startCommand starts a command in a session of its own; null takes the place of the host's /dev/null. When it can't,
// code is what a shell would exit with: 127 for a command that isn't there, 126 for one that can't be run.
func startCommand(c *children, req startRequest, files []*os.File, null *os.File) (
	pid int, ended <-chan syscall.WaitStatus, code int, err error,
) {
	if info, err := os.Stat(req.Dir); err != nil || !info.IsDir() {
		return 0, nil, 126, fmt.Errorf(
			"no folder %s inside the instance: its /tmp, /run, /root and /home are its own",
			req.Dir,
		)
	}
	if len(req.Argv) == 0 || req.Argv[0] == "" {
		return 0, nil, 127, errors.New("no command given")
	}
	path, err := lookPath(req.Argv[0], req.Env)
	if err != nil {
		return 0, nil, 127, err
	}
	fds := make([]uintptr, len(files))
	for i, f := range files {
		if isNull(f) { // through a descriptor of the host's, its owner and mode could be changed
			f = null
		}
		fds[i] = f.Fd()
	}
	pid, ended, err = c.start(path, req.Argv, &syscall.ProcAttr{
		Dir: req.Dir, Env: req.Env, Files: fds,
		Sys: &syscall.SysProcAttr{Setsid: true, Setctty: req.Terminal, Ctty: 0},
	})
	switch {
	case errors.Is(err, unix.ENOENT):
		return 0, nil, 127, fmt.Errorf("%s: command not found", req.Argv[0])
	case errors.Is(err, unix.EAGAIN):
		return 0, nil, 126, fmt.Errorf(
			"%s: can't be run: the instance has as many processes as its limit allows",
			req.Argv[0],
		)
	case err != nil:
		return 0, nil, 126, fmt.Errorf("%s: can't be run: %w", req.Argv[0], err)
	}
	return pid, ended, 0, nil
}

// lookPath finds a command in the PATH of the environment it will get, which is not the one of this process.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	path := ""
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			path = v // the last one counts
		}
	}
	for _, dir := range filepath.SplitList(path) {
		full := filepath.Join(dir, name)
		if info, err := os.Stat(full); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return full, nil
		}
	}
	return "", fmt.Errorf("%s: command not found in %s", name, path)
}

// killSession ends every process of a session and waits until none is left, some seconds at most: one that hangs in the
// kernel ends when it can. Another round finds those that were being forked meanwhile.
func killSession(id int) {
	end := time.Now().Add(5 * time.Second)
	for wait := time.Millisecond; signalSession(id, unix.SIGKILL) > 0 && time.Now().Before(end); wait = min(2*wait, 50*time.Millisecond) {
		time.Sleep(wait)
	}
}
