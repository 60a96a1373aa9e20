package probe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/internal/nonblocking"
)

// connection is an accepted connection of a probe. Close resets it, so that neither its ends nor routers keep state.
type connection struct {
	*os.File
	port    uint16 // its source port, reserved until Close
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

// unprovedError is the failure to get an answer after a drop report that proves nothing.
type unprovedError struct {
	report
	against finding
}

func (e *unprovedError) Error() string {
	return fmt.Sprintf("rule %s of %s reported a drop, which proves nothing: %s", e.id, e.namespace, &e.against)
}

var errNoAnswer = errors.New("no answer")

// connect connects from inside the namespace, from the source address of the target; if that is zero, from the one
// that the routes select. No thread waits: the runtime's poller does.
func (p *Prober) connect(ctx context.Context, t *task, limit time.Duration) (*connection, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sockets, err := p.sockets.get(t.ns.Name)
	if err != nil {
		return nil, err
	}
	fd, err := sockets.take()
	if err != nil {
		return nil, err
	}
	sequence, err := chooseSequence(fd)
	var a *attempt
	if err == nil {
		a, err = p.bind(fd, t, sequence, 0)
	}
	if err != nil {
		unix.Close(fd) //nolint:errcheck // nothing was sent
		return nil, err
	}
	release := func() { p.attempts.release(a.port) }
	err = unix.Connect(fd, &unix.SockaddrInet4{Addr: t.to.Addr().As4(), Port: int(t.to.Port())})
	if err != nil && err != unix.EINPROGRESS { //nolint:errorlint // an errno as it is
		defer release()
		unix.Close(fd) //nolint:errcheck // not connected
		return nil, os.NewSyscallError("connect", err)
	}
	// Only now: a socket that is neither connected nor connecting counts as ready.
	file := os.NewFile(uintptr(fd), "probe")
	if err := p.wait(ctx, a, file, limit); err != nil && !wasReset(err) {
		defer release()
		return nil, errors.Join(rejection(file, err), file.Close())
	}
	made := &connection{File: file, port: a.port, release: release}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return nil, errors.Join(os.NewSyscallError("setsockopt SO_LINGER", err), made.Close())
	}
	if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
		made.rtt = time.Duration(info.Rtt) * time.Microsecond
	}
	return made, nil
}

// chooseSequence sets the sequence number of a socket's SYN to a random one and returns it: a report with that
// number is of this very connection. It needs CAP_NET_ADMIN over the namespace; without it the kernel chooses the
// number, and the result is 0.
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

// wasReset reports whether a connection was accepted, and then reset at once. A refusal has another error.
func wasReset(err error) bool { return errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) }

// bind marks the packets of an attempt's socket, claims a source port and binds the socket to it, and to the
// source address of the target unless that is zero.
func (p *Prober) bind(fd int, t *task, sequence uint32, nonce uint64) (*attempt, error) {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, emu.ProbeDSCP<<2); err != nil {
		return nil, os.NewSyscallError("setsockopt IP_TOS", err)
	}
	for range lastPort - firstPort {
		a := &attempt{scope: t.scope, sequence: sequence, nonce: nonce}
		if err := p.claim(t, a); err != nil {
			return nil, err
		}
		at := unix.SockaddrInet4{Port: int(a.port)}
		if t.target.Source.IsValid() {
			at.Addr = t.target.Source.As4()
		}
		err := unix.Bind(fd, &at)
		if err == nil {
			return a, nil
		}
		p.attempts.release(a.port)
		if err != unix.EADDRINUSE { //nolint:errorlint // an errno as it is
			return nil, os.NewSyscallError("bind", err)
		}
	}
	return nil, errNoPort
}

// wait waits until the connection is made or fails, until a report proves that it was dropped, or until the limit.
//
// An answer always beats a report, however late it comes. A report that proves nothing only becomes part of the
// error after the limit. One that proves the drop ends the wait after a last look at the socket. No more grace is
// needed, since no answer can be under way: the rules were the same from before the SYN was sent until after the
// report, each drops what it reports, and the kernel sends the SYN, the only packet that could be answered, once a
// second.
func (p *Prober) wait(ctx context.Context, a *attempt, file *os.File, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	if err := file.SetDeadline(deadline); err != nil {
		return err
	}
	a.attach(file)
	stop := context.AfterFunc(ctx, func() { endWait(file) })
	defer stop()
	var unproved error
	for {
		if err := ctx.Err(); err != nil { // what ended the wait may have been overridden by ignore
			return err
		}
		err := nonblocking.WaitConnected(file)
		r := a.reported()
		switch {
		case err == nil:
			a.detach()
			return nil
		case r != nil && errors.Is(err, os.ErrDeadlineExceeded):
		case errors.Is(err, os.ErrDeadlineExceeded) && unproved != nil:
			return unproved
		case errors.Is(err, os.ErrDeadlineExceeded):
			return errNoAnswer
		default:
			return err
		}
		if !p.sent(file, a.scope, r.source) {
			a.ignore(false, deadline)
			continue
		}
		rule, against, err := p.proves(ctx, *r, a.begun)
		if done, answer := nonblocking.Connected(file); done {
			a.detach()
			return answer
		}
		switch {
		case err != nil:
			return err
		case rule != nil:
			return &droppedError{*rule}
		}
		unproved = &unprovedError{*r, against}
		a.ignore(true, deadline)
	}
}
