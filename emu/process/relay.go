package process

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/internal/descriptors"
)

// relays carry the bytes between a command and the files of its caller. Through a file itself, given as standard
// input, a command could write to it, however it was opened: /proc/self/fd/0 reopens it. On the terminal of a person
// it could go on reading what they type. Pipes give access to nothing else, and are passed as they are.
type relays struct {
	files  [3]*os.File // for the command: 0, 1 and 2
	close  []*os.File  // what of these is ours
	finish []func() error
}

// newRelays prepares the descriptors of a command; nil is /dev/null. A terminal of the instance's own is the command's.
func newRelays(c Command) (_ *relays, err error) {
	r := &relays{files: [3]*os.File{c.Stdin, c.Stdout, c.Stderr}}
	defer func() {
		if err != nil {
			r.started()
			_ = r.ended()
		}
	}()
	var before os.FileInfo // standard output
	for n, f := range r.files {
		if f == nil {
			if r.files[n], err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
				return nil, err
			}
			r.close = append(r.close, r.files[n])
			continue
		}
		info, err := f.Stat()
		switch {
		case err != nil:
			return nil, err
		case info.IsDir():
			text := fmt.Sprintf("descriptor %d is a folder, which a command in an instance doesn't get", n)
			return nil, &startError{text, 126}
		case c.Terminal || passes(f, info):
		case n == 0:
			err = r.input(f)
		case n == 2 && before != nil && os.SameFile(before, info):
			r.files[2] = r.files[1] // one pipe, so that what is written keeps its order
		default:
			err = r.output(n, f)
		}
		if err != nil {
			return nil, err
		}
		if n == 1 {
			before = info
		}
	}
	return r, nil
}

// passes reports whether a command may have a file as it is: a pipe, but not one with a name, whose owner and mode
// could be changed; or /dev/null, in whose place the init puts the instance's own.
func passes(f *os.File, info os.FileInfo) bool {
	return info.Mode().Type() == os.ModeNamedPipe && !hasName(f) || isNull(f)
}

// hasName reports whether a pipe is a file in a folder. It is true of what can't be looked at.
func hasName(pipe *os.File) bool {
	var s unix.Statfs_t
	raw, err := pipe.SyscallConn()
	if err != nil {
		return true
	}
	err = errors.Join(raw.Control(func(fd uintptr) { err = unix.Fstatfs(int(fd), &s) }), err)
	return err != nil || s.Type != unix.PIPEFS_MAGIC
}

// isNull reports whether a file is a null device, the host's or another.
func isNull(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Mode&unix.S_IFMT == unix.S_IFCHR && s.Rdev == unix.Mkdev(1, 3)
}

// started closes what only the command needs.
func (r *relays) started() { descriptors.Close(r.close) }

// ended finishes when the command has ended: what it has printed is where it belongs, what it hasn't read can be read
// by the next. The error is that of what it has printed and could not be written there, as on a full disk.
func (r *relays) ended() (err error) {
	for _, f := range r.finish {
		err = cmp.Or(err, f())
	}
	return err
}

// duplicate returns another descriptor of the same open file.
func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

func (r *relays) input(from *os.File) error {
	theirs, ours, err := pipe(1)
	if err != nil {
		return err
	}
	wakeUp, wake, err := os.Pipe()
	if err != nil {
		descriptors.Close([]*os.File{theirs, ours})
		return err
	}
	r.files[0] = theirs
	var read, unwritten int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer ours.Close()
		buf := make([]byte, 32<<10)
		for {
			fds := []unix.PollFd{
				{Fd: int32(from.Fd()), Events: unix.POLLIN}, {Fd: int32(wakeUp.Fd()), Events: unix.POLLIN},
			}
			_, err := unix.Poll(fds, -1)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil || fds[1].Revents != 0 {
				return
			}
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			read += int64(n)
			if k, err := ours.Write(buf[:n]); err != nil {
				unwritten = int64(n - k)
				return
			}
		}
	}()
	r.finish = append(r.finish, func() error {
		wake.Close()
		_ = ours.SetWriteDeadline(time.Now())
		<-done
		wakeUp.Close()
		// Whoever reads the file next, as the loop of a shell script does, goes on where the command stopped.
		unread, err := unix.IoctlGetInt(int(theirs.Fd()), unix.TIOCINQ)
		if back := min(int64(unread)+unwritten, read); err == nil && back > 0 {
			_, _ = from.Seek(-back, io.SeekCurrent) // not every file can
		}
		theirs.Close()
		return nil // what isn't read is no loss
	})
	return nil
}

func (r *relays) output(n int, given *os.File) error {
	to, err := duplicate(given)
	if err != nil {
		return err
	}
	ours, theirs, err := pipe(0)
	if err != nil {
		to.Close()
		return err
	}
	r.files[n] = theirs
	r.close = append(r.close, theirs)
	stopped := make(chan error, 1)
	go func() {
		_, err := io.Copy(to, ours)
		lost := err
		if errors.Is(err, os.ErrDeadlineExceeded) { // the command has ended
			lost = nil
			buf := make([]byte, 32<<10)
			for n := readNow(ours, buf); n > 0; n = readNow(ours, buf) {
				_, err := to.Write(buf[:n])
				lost = cmp.Or(lost, err)
			}
		}
		stopped <- lost
		// What it left running goes on printing.
		if errors.Is(err, os.ErrDeadlineExceeded) && ours.SetReadDeadline(time.Time{}) == nil {
			_, _ = io.Copy(to, ours)
		}
		ours.Close()
		to.Close()
	}()
	r.finish = append(r.finish, func() error {
		_ = ours.SetReadDeadline(time.Now())
		err := <-stopped
		if errors.Is(err, unix.EPIPE) { // its reader has closed it
			return nil
		}
		return err
	})
	return nil
}

// readNow reads what is in a pipe, whatever its deadline; 0 or less: nothing is.
func readNow(f *os.File, b []byte) (n int) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { n, _ = unix.Read(int(fd), b) })
	return n
}
