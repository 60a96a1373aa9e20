package probe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/internal/nonblocking"
)

// connection is an accepted connection of a probe. Close resets it, so that neither end and no router on the way keeps
// state.
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

// droppedError is the failure to connect that a rule has reported, with proof.
type droppedError struct{ rule emu.RuleReference }

func (e *droppedError) Error() string {
	return fmt.Sprintf("dropped by rule %s of %s", e.rule.ID, e.rule.Namespace)
}

func (e *droppedError) verdict() emu.Verdict {
	if strings.HasPrefix(e.rule.ID, emu.NoBackendPrefix) {
		return emu.NoBackend
	}
	return emu.Blocked
}

// unprovedError is the failure to get an answer after a rule has reported a drop that its report doesn't prove.
type unprovedError struct {
	report
	against finding
}

func (e *unprovedError) Error() string {
	return fmt.Sprintf("rule %s of %s reported a drop, which proves nothing: %s", e.id, e.namespace, &e.against)
}

var errNoAnswer = errors.New("no answer")

// connect connects from inside the namespace, from the address that the target asks for, or where that is zero from the
// one that its routes choose, and from a port of the trip's choice. No thread waits: the runtime's poller does.
func (p *Prober) connect(ctx context.Context, t *trip, limit time.Duration) (*connection, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fd, err := t.ns.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	sequence, err := chooseSequence(fd)
	var f *flight
	if err == nil {
		f, err = p.bind(fd, t.target.Source, func() (*flight, error) { return p.claim(t, &flight{course: t.course, sequence: sequence}) })
	}
	if err != nil {
		unix.Close(fd) //nolint:errcheck // nothing was sent
		return nil, err
	}
	release := func() { p.flights.release(f.port) }
	err = unix.Connect(fd, &unix.SockaddrInet4{Addr: t.to.Addr().As4(), Port: int(t.to.Port())})
	if err != nil && err != unix.EINPROGRESS { //nolint:errorlint // an errno as it is
		defer release()
		unix.Close(fd) //nolint:errcheck // not connected
		return nil, os.NewSyscallError("connect", err)
	}
	// Only now: a socket that is neither connected nor connecting counts as ready.
	file := os.NewFile(uintptr(fd), "probe")
	if err := p.wait(ctx, f, file, limit); err != nil && !wasReset(err) {
		defer release()
		return nil, errors.Join(rejection(file, err), file.Close())
	}
	made := &connection{File: file, port: f.port, release: release}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return nil, errors.Join(os.NewSyscallError("setsockopt SO_LINGER", err), made.Close())
	}
	if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
		made.rtt = time.Duration(info.Rtt) * time.Microsecond
	}
	return made, nil
}

// chooseSequence makes the number of a socket's SYN one that nobody can guess, and that we know: a report that carries
// it is of this very connection. It needs CAP_NET_ADMIN over the namespace; without it the number is the kernel's
// choice, and 0 here.
func chooseSequence(fd int) (uint32, error) {
	const repairOn, repairOff, sendQueue = 1, -1, 2 // from linux/tcp.h
	set := func(option, value int) error {
		return os.NewSyscallError("setsockopt TCP_REPAIR", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, option, value))
	}
	if set(unix.TCP_REPAIR, repairOn) != nil {
		return 0, nil
	}
	sequence := max(rand.Uint32(), 1)
	err := set(unix.TCP_REPAIR_QUEUE, sendQueue)
	if err == nil {
		err = set(unix.TCP_QUEUE_SEQ, int(int32(sequence)))
	}
	return sequence, errors.Join(err, set(unix.TCP_REPAIR, repairOff))
}

// wasReset reports whether a connection was accepted, and reset before anybody looked: who refuses resets it before.
func wasReset(err error) bool { return errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) }

// bind marks the socket's packets and gives it a source port of its own, and the source address unless that is zero.
func (p *Prober) bind(fd int, from netip.Addr, claim func() (*flight, error)) (*flight, error) {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, emu.ProbeDSCP<<2); err != nil {
		return nil, os.NewSyscallError("setsockopt IP_TOS", err)
	}
	for range lastPort - firstPort {
		f, err := claim()
		if err != nil {
			return nil, err
		}
		at := unix.SockaddrInet4{Port: int(f.port)}
		if from.IsValid() {
			at.Addr = from.As4()
		}
		err = unix.Bind(fd, &at)
		if err == nil {
			return f, nil
		}
		p.flights.release(f.port)
		if err != unix.EADDRINUSE { //nolint:errorlint // an errno as it is
			return nil, os.NewSyscallError("bind", err)
		}
	}
	return nil, errNoPort
}

// wait waits until the connection is made, or can't be, or a report proves that it is dropped, or its time is up.
//
// An answer always beats a report, however late it comes: a report that proves nothing only goes into the error at the
// end of the time. One that does ends the wait at once but for a last look at the socket. That needs no longer grace,
// since no answer can be on its way: the rules were the same from before the SYN was sent until after the report, each
// drops what it reports, and the SYN, of which there is one for a whole second, is the only thing that anybody could
// have answered.
func (p *Prober) wait(ctx context.Context, f *flight, file *os.File, limit time.Duration) error {
	end := time.Now().Add(limit)
	if err := file.SetDeadline(end); err != nil {
		return err
	}
	f.attach(file)
	stop := context.AfterFunc(ctx, func() { file.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // closed: nobody waits
	defer stop()
	var unproved error
	for {
		err := nonblocking.WaitConnected(file)
		r := f.reported()
		switch {
		case err == nil:
			f.detach()
			return nil
		case r != nil && errors.Is(err, os.ErrDeadlineExceeded):
		case errors.Is(err, os.ErrDeadlineExceeded) && unproved != nil:
			return unproved
		case errors.Is(err, os.ErrDeadlineExceeded):
			return errNoAnswer
		default:
			return err
		}
		if !p.sent(file, f.course, r.source) {
			f.ignore(false, end)
			continue
		}
		rule, against, err := p.proves(ctx, *r, f.begun)
		if done, answer := nonblocking.Connected(file); done {
			f.detach()
			return answer
		}
		switch {
		case err != nil:
			return err
		case rule != nil:
			return &droppedError{*rule}
		}
		unproved = &unprovedError{*r, against}
		if f.ignore(true, end); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
