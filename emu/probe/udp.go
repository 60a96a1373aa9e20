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
	"vnetlab/emu/kernel"
	"vnetlab/emu/listener"
)

// resendAfter is how long a UDP probe waits for an answer before it asks again: a datagram may be lost.
const resendAfter = 500 * time.Millisecond

// errSilence is what nobody's answer to a UDP probe means: nothing.
var errSilence = errors.New("no datagram came back")

// datagram is an answer to a UDP probe.
type datagram struct {
	rtt time.Duration // from the last question to the answer
	// who is the built-in listener that answered; nil when somebody else did.
	who *listener.Answer
}

// exchange sends a datagram from inside the namespace, again and again, until one comes back from the target, or an ICMP error
// does, or a report says that it was dropped, or the time is up.
func (p *Prober) exchange(ctx context.Context, ns *kernel.Namespace, to netip.AddrPort, limit time.Duration, claim func() (*flight, error)) (d datagram, err error) {
	fd, err := ns.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return d, err
	}
	f, err := p.bind(fd, claim)
	if err != nil {
		unix.Close(fd) //nolint:errcheck // nothing was sent
		return d, err
	}
	defer p.flights.release(f)
	// All ICMP errors, not just those that the kernel deems final.
	err = os.NewSyscallError("setsockopt IP_RECVERR", unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1))
	if err == nil {
		err = os.NewSyscallError("connect", unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}))
	}
	if err != nil {
		unix.Close(fd) //nolint:errcheck // nothing was sent
		return d, err
	}
	file := os.NewFile(uintptr(fd), "probe")
	defer file.Close() //nolint:errcheck // all was read that matters
	f.attach(file)
	stop := context.AfterFunc(ctx, func() { file.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // closed: nobody waits
	defer stop()

	question := listener.Question(f.nonce, to.Port())
	for end := time.Now().Add(limit); ; {
		sent := time.Now()
		if !sent.Before(end) {
			return d, errSilence
		}
		if !f.waitUntil(earlier(sent.Add(resendAfter), end)) {
			return d, &droppedError{*f.reported()}
		}
		if err := ctx.Err(); err != nil {
			return d, err
		}
		_, err := file.Write(question)
		if err == nil {
			d.who, err = receive(file, to, f.nonce)
			d.rtt = time.Since(sent)
		}
		if err == nil {
			return d, nil
		}
		if r := f.reported(); r != nil {
			return d, &droppedError{*r}
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return d, err
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// receive waits for an answer from the target. What came from elsewhere before the socket was connected, and answers of
// built-in listeners to older questions from the same port, don't count.
func receive(file *os.File, from netip.AddrPort, nonce uint64) (*listener.Answer, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	buf := make([]byte, 1024)
	for {
		var n int
		var sender unix.Sockaddr
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, sender, failed = unix.Recvfrom(int(fd), buf, 0)
			return failed != unix.EAGAIN //nolint:errorlint // an errno as it is
		})
		if err = errors.Join(err, os.NewSyscallError("recvfrom", failed)); err != nil {
			return nil, err
		}
		if s, ok := sender.(*unix.SockaddrInet4); !ok || netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port)) != from {
			continue
		}
		var a listener.Answer
		if json.Unmarshal(buf[:n], &a) != nil || a.Nonce == 0 {
			return nil, nil
		}
		if a.Nonce == nonce {
			return &a, nil
		}
	}
}

// heard adds to a UDP probe's observation what its answer says.
func (d datagram) heard(o *emu.Observation, builtIn bool) {
	o.Verdict, o.RTT = emu.Open, d.rtt
	switch {
	case d.who != nil:
		o.AnsweredBy, o.SeenAs = d.who.Instance, d.who.SeenAs.Addr()
	case builtIn:
		o.Detail = "answered, but the built-in listener did not say who it is"
	}
}
