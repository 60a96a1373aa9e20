// Package terminal lends the terminal of this process to a command that runs elsewhere, in an instance of a lab.
//
// The command gets a pseudo-terminal of its own, so that job control works in a session of its own; this process
// carries the bytes. Where this process has no terminal the command gets its descriptors as they are and nothing is
// carried: pipes run at full speed and end as they should.
package terminal

import (
	"errors"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Start starts a command with these files as its descriptors 0, 1 and 2, waits for its end and returns its exit code.
// With isTerminal stdin is to become its controlling terminal.
type Start func(stdin, stdout, stderr *os.File, isTerminal bool) (exit int, err error)

// Open makes a pseudo-terminal where the command is going to run.
type Open func() (master, slave *os.File, err error)

// Run starts a command on the terminal of this process. A terminal is needed on stdin and stdout; otherwise the
// command gets stdin, stdout and stderr themselves.
func Run(open Open, start Start) (exit int, err error) {
	return run(os.Stdin, os.Stdout, os.Stderr, open, start)
}

func run(stdin, stdout, stderr *os.File, open Open, start Start) (exit int, err error) {
	if !term.IsTerminal(int(stdin.Fd())) || !term.IsTerminal(int(stdout.Fd())) {
		return start(stdin, stdout, stderr, false)
	}
	master, slave, err := open()
	if err != nil {
		return -1, err
	}
	defer slave.Close()
	if master, err = nonBlocking(master); err != nil {
		return -1, err
	}
	defer master.Close()
	if modes, err := unix.IoctlGetTermios(int(stdin.Fd()), unix.TCGETS); err == nil {
		_ = unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, modes) // the user's own keys for erase, interrupt, …
	}
	defer followSize(stdin, master)()

	raw, err := term.MakeRaw(int(stdin.Fd()))
	if err != nil {
		return -1, err
	}
	defer term.Restore(int(stdin.Fd()), raw) //nolint:errcheck // the terminal is gone

	stopInput, err := copyInput(stdin, master)
	if err != nil {
		return -1, err
	}
	defer stopInput()
	finishOutput := copyOutput(stdout, master)
	exit, err = start(slave, slave, slave, true)
	slave.Close() // the last one closed ends the output
	finishOutput()
	return exit, err
}

// nonBlocking returns a duplicate of a file that takes read deadlines: a file that came from another process takes
// none.
func nonBlocking(f *os.File) (*os.File, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// followSize keeps the pseudo-terminal as large as the terminal, until the returned function is called.
func followSize(from, to *os.File) (stop func()) {
	copySize(from, to)
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, unix.SIGWINCH)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range resized {
			copySize(from, to)
		}
	}()
	return func() {
		signal.Stop(resized)
		close(resized)
		<-done
	}
}

// copySize sets the size of the pseudo-terminal to that of the terminal; its foreground processes get SIGWINCH.
func copySize(from, to *os.File) {
	if size, err := unix.IoctlGetWinsize(int(from.Fd()), unix.TIOCGWINSZ); err == nil {
		_ = unix.IoctlSetWinsize(int(to.Fd()), unix.TIOCSWINSZ, size)
	}
}

// A job in the background may keep the pseudo-terminal open after the command's end. Then the output is taken for
// complete when it is silent for a moment, and cut off when it never is; but what is there at the command's end is
// copied in any case.
const (
	silence = 50 * time.Millisecond
	cutOff  = 2 * time.Second
	// mostWaiting is more than a pseudo-terminal holds, in bytes.
	mostWaiting = 64 << 10
)

// copyOutput copies what is printed to the terminal. The returned function, to be called after the command's end,
// waits for the rest.
func copyOutput(stdout, master *os.File) (finish func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 32<<10)
		// once copies the result of one read.
		once := func(read func([]byte) (int, error)) (n int, err error) {
			n, err = read(buf)
			_, writeErr := stdout.Write(buf[:max(n, 0)])
			if err == nil {
				err = writeErr
			}
			return n, err
		}
		var err error
		for err == nil {
			_, err = once(master.Read) // EIO: no process has the slave open
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		for n, total := 1, 0; n > 0 && total < mostWaiting; total += n {
			n, err = once(func(b []byte) (int, error) { return readWaiting(master, b) })
		}
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			return
		}
		end := time.Now().Add(cutOff)
		for err = nil; err == nil; {
			d := time.Now().Add(silence)
			if d.After(end) {
				d = end
			}
			_ = master.SetReadDeadline(d)
			_, err = once(master.Read)
		}
	}()
	return func() {
		_ = master.SetReadDeadline(time.Now())
		<-done
	}
}

// readWaiting reads what is there, whatever the deadline.
func readWaiting(f *os.File, b []byte) (n int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(fd uintptr) { n, err = unix.Read(int(fd), b) })
	return n, errors.Join(controlErr, err)
}

// copyInput copies what is typed to the pseudo-terminal. The returned function ends that, without reading another
// key.
func copyInput(stdin, master *os.File) (stop func(), err error) {
	var wake [2]int
	if err := unix.Pipe2(wake[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			fds := []unix.PollFd{
				{Fd: int32(stdin.Fd()), Events: unix.POLLIN},
				{Fd: int32(wake[0]), Events: unix.POLLIN},
			}
			_, err := unix.Poll(fds, -1)
			switch {
			case errors.Is(err, unix.EINTR):
				continue
			case err != nil || fds[1].Revents != 0:
				return
			}
			n, err := stdin.Read(buf)
			if err != nil {
				return
			}
			if _, err := master.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	return func() {
		unix.Close(wake[1])
		_ = master.SetWriteDeadline(time.Now()) // no process may be reading what was typed last
		<-done
		unix.Close(wake[0])
	}, nil
}
