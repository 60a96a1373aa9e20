package probe

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/listener"
)

// resendAfter is how long a UDP probe waits for an answer before it asks again: a datagram may be lost.
const resendAfter = 500 * time.Millisecond

// errSilence is the failure of a UDP probe that nothing answered. It proves nothing: programs may stay silent.
var errSilence = errors.New("no datagram came back")

// datagram is an answer to a UDP probe.
type datagram struct {
	rtt time.Duration // from the last question to the answer
	// who is the answer of a built-in listener; nil: it came from something else.
	who *listener.Answer
}

// exchange sends datagrams from inside the namespace, from the source address of the target; if that is zero, from
// the one that the routes select. It ends when a datagram or an ICMP error comes back, when a report proves the
// drop, or at the limit.
func (p *Prober) exchange(ctx context.Context, t *task, limit time.Duration) (d datagram, err error) {
	ns, to := t.ns, t.to
	fd, err := ns.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return d, err
	}
	a, err := p.bind(fd, t, 0, newNonce())
	if err != nil {
		unix.Close(fd) //nolint:errcheck // nothing was sent
		return d, err
	}
	defer p.attempts.release(a.port)
	// All ICMP errors, not only those that the kernel takes for final.
	err = os.NewSyscallError("setsockopt IP_RECVERR", unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1))
	if err == nil {
		err = os.NewSyscallError(
			"connect", unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}),
		)
	}
	if err != nil {
		unix.Close(fd) //nolint:errcheck // nothing was sent
		return d, err
	}
	file := os.NewFile(uintptr(fd), "probe")
	defer file.Close() //nolint:errcheck // everything of interest was read
	a.attach(file)
	stop := context.AfterFunc(ctx, func() { endWait(file) })
	defer stop()

	question := listener.Question(a.nonce, to.Port())
	silence := error(errSilence)
	for deadline := time.Now().Add(limit); ; {
		sent := time.Now()
		if !sent.Before(deadline) {
			return d, silence
		}
		if a.waitUntil(earlier(sent.Add(resendAfter), deadline)) {
			if err := ctx.Err(); err != nil {
				return d, err
			}
			_, err := file.Write(question)
			if err == nil {
				d.who, err = receive(file, to, a.nonce)
				d.rtt = time.Since(sent)
			}
			if err == nil {
				return d, nil
			}
			if a.reported() == nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				return d, rejection(file, err)
			}
		}
		r := a.reported()
		if r == nil {
			continue
		}
		if !p.sent(file, t.scope, r.source) {
			a.ignore(false, deadline)
			continue
		}
		rule, against, err := p.proves(ctx, *r, a.begun)
		// An answer beats a report, as it does over TCP: see wait.
		if who, done, answer := receiveNow(file, to, a.nonce); done {
			d.who, d.rtt = who, time.Since(sent)
			return d, rejection(file, answer)
		}
		switch {
		case err != nil:
			return d, err
		case rule != nil:
			return d, &droppedError{*rule}
		}
		silence = &unprovedError{*r, against}
		a.ignore(true, deadline)
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// receive waits for an answer from the target. What came from elsewhere before the socket was connected, and
// answers of built-in listeners to older questions from the same port, don't count.
func receive(file *os.File, from netip.AddrPort, nonce uint64) (who *listener.Answer, err error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	var failed error
	err = raw.Read(func(fd uintptr) (done bool) {
		who, done, failed = receiveFrom(int(fd), from, nonce)
		return done
	})
	return who, errors.Join(err, failed)
}

// receiveNow is receive without a wait. Done means that there was an answer, or an error instead of one.
func receiveNow(file *os.File, from netip.AddrPort, nonce uint64) (who *listener.Answer, done bool, err error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, true, err
	}
	controlErr := raw.Control(func(fd uintptr) { who, done, err = receiveFrom(int(fd), from, nonce) })
	return who, done || controlErr != nil, errors.Join(controlErr, err)
}

func receiveFrom(fd int, from netip.AddrPort, nonce uint64) (who *listener.Answer, done bool, err error) {
	buf := make([]byte, 1024)
	for {
		n, sender, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EAGAIN { //nolint:errorlint // an errno as it is
			return nil, false, nil
		}
		if err != nil {
			return nil, true, os.NewSyscallError("recvfrom", err)
		}
		if s, ok := sender.(*unix.SockaddrInet4); !ok ||
			netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port)) != from {
			continue
		}
		var a listener.Answer
		if json.Unmarshal(buf[:n], &a) != nil || a.Nonce == 0 {
			return nil, true, nil
		}
		if a.Nonce == nonce {
			return &a, true, nil
		}
	}
}

// heard adds an answer to the observation of a UDP probe.
func (d datagram) heard(o *emu.Observation, builtIn bool) {
	o.Verdict, o.RTT = emu.Open, d.rtt
	switch {
	case d.who != nil:
		o.AnsweredBy, o.SeenAs = d.who.Instance, d.who.SeenAs.Addr()
	case builtIn:
		o.Detail = "answered, but the built-in listener did not say who it is"
	}
}
