package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/internal/nonblocking"
)

// connection is an accepted connection of a probe. Close resets it, so that neither end and no router on the way keeps state.
type connection struct {
	*os.File
	port    uint16 // its source port, its own until Close
	rtt     time.Duration
	release func()
}

func (c *connection) Close() error {
	defer c.release()
	return c.File.Close()
}

// droppedError is the failure to connect that a rule has reported.
type droppedError struct{ report }

func (e *droppedError) Error() string {
	return fmt.Sprintf("dropped by rule %s of %s", e.id, e.namespace)
}

func (e *droppedError) verdict() emu.Verdict {
	if strings.HasPrefix(e.id, emu.NoBackendPrefix) {
		return emu.NoBackend
	}
	return emu.Blocked
}

var errNoAnswer = errors.New("no answer")

// connect connects from inside the namespace, from a port that is claimed for it. No thread waits: the runtime's poller does.
func (p *Prober) connect(ctx context.Context, ns *kernel.Namespace, to netip.AddrPort, limit time.Duration, claim func() (*flight, error)) (*connection, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fd, err := ns.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	f, err := p.bind(fd, claim)
	if err != nil {
		unix.Close(fd) //nolint:errcheck // nothing was sent
		return nil, err
	}
	release := func() { p.flights.release(f) }
	err = unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	if err != nil && err != unix.EINPROGRESS { //nolint:errorlint // an errno as it is
		defer release()
		unix.Close(fd) //nolint:errcheck // not connected
		return nil, os.NewSyscallError("connect", err)
	}
	// Only now: a socket that is neither connected nor connecting counts as ready.
	file := os.NewFile(uintptr(fd), "probe")
	if err := wait(ctx, f, file, limit); err != nil && !wasReset(err) {
		defer release()
		return nil, errors.Join(err, file.Close())
	}
	c := &connection{File: file, port: f.port, release: release}
	if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
		c.rtt = time.Duration(info.Rtt) * time.Microsecond
	}
	return c, nil
}

// wasReset reports whether a connection was accepted, and reset before anybody looked: who refuses resets it before.
func wasReset(err error) bool { return errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) }

// bind marks the socket's packets and gives it a source port of its own.
func (p *Prober) bind(fd int, claim func() (*flight, error)) (*flight, error) {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, emu.ProbeDSCP<<2); err != nil {
		return nil, os.NewSyscallError("setsockopt IP_TOS", err)
	}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return nil, os.NewSyscallError("setsockopt SO_LINGER", err)
	}
	for range lastPort - firstPort {
		f, err := claim()
		if err != nil {
			return nil, err
		}
		err = unix.Bind(fd, &unix.SockaddrInet4{Port: int(f.port)})
		if err == nil {
			return f, nil
		}
		p.flights.release(f)
		if err != unix.EADDRINUSE { //nolint:errorlint // an errno as it is
			return nil, os.NewSyscallError("bind", err)
		}
	}
	return nil, errNoPort
}

// wait waits until the connection is made, or can't be, or a report says it is dropped, or its time is up.
func wait(ctx context.Context, f *flight, file *os.File, limit time.Duration) error {
	if err := file.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	f.attach(file)
	stop := context.AfterFunc(ctx, func() { file.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // closed: nobody waits
	defer stop()
	err := nonblocking.WaitConnected(file)
	switch r := f.reported(); {
	case err == nil:
		f.detach()
		return nil
	case r != nil:
		return &droppedError{*r}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errNoAnswer
	}
	return err
}
