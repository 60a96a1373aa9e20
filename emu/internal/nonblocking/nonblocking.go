// Package nonblocking waits for sockets that are connecting. The net package can't: it makes its sockets in the
// network namespace of the calling thread, and would keep the thread there until the connection is made.
package nonblocking

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// WaitConnected waits until the connection of a non-blocking socket is made, or can't be, or the file's deadline has
// passed ([os.ErrDeadlineExceeded]). No thread waits: the runtime's poller does. The file must have been made after
// the call of connect: a socket that is neither connected nor connecting counts as ready.
func WaitConnected(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var outcome error
	// Check the socket before waiting: the poller has lost events from before this call.
	waited := raw.Write(func(fd uintptr) (done bool) {
		done, outcome = connected(int(fd))
		return done
	})
	return errors.Join(outcome, waited)
}

// Connected reports whether connecting has ended, and the error if the connection can't be made. It doesn't wait.
func Connected(f *os.File) (done bool, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return true, err
	}
	if controlErr := raw.Control(func(fd uintptr) { done, err = connected(int(fd)) }); controlErr != nil {
		return true, controlErr
	}
	return done, err
}

// connected reports whether connecting has ended, and how. In the usual cases one system call suffices.
func connected(fd int) (done bool, err error) {
	const established, synSent = 1, 2 // from net/tcp_states.h
	if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
		switch info.State {
		case established:
			return true, nil
		case synSent:
			return false, nil
		}
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return true, os.NewSyscallError("getsockopt SO_ERROR", err)
	}
	if errno != 0 {
		return true, os.NewSyscallError("connect", unix.Errno(errno))
	}
	if _, err := unix.Getpeername(fd); err == unix.ENOTCONN { //nolint:errorlint // an errno as it is
		return false, nil
	} else if err != nil {
		return true, os.NewSyscallError("getpeername", err)
	}
	return true, nil
}
