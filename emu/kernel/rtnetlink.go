package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"unsafe"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// routeSocket is a netlink socket in one namespace, usually of rtnetlink. It is not safe for concurrent use.
type routeSocket struct {
	fd  int
	seq uint32
}

// receiveBuffers have room for any datagram of the kernel. A thousand namespaces are read by far fewer at a time.
var receiveBuffers = sync.Pool{New: func() any { return new([1 << 16]byte) }}

// newRouteSocket opens an rtnetlink socket in the namespace of the calling thread.
func newRouteSocket() (*routeSocket, error) { return newSocket(unix.NETLINK_ROUTE) }

// newSocket opens a socket of a netlink family in the namespace of the calling thread.
func newSocket(family int) (*routeSocket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, family)
	if err != nil {
		return nil, os.NewSyscallError("netlink socket", err)
	}
	// The kernel then explains its errors, and doesn't echo the request.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	return &routeSocket{fd: fd}, nil
}

func (s *routeSocket) close() error { return unix.Close(s.fd) }

// batchSize keeps the answers to one write within the default receive buffer of a socket, about 200 KiB at 1 KiB each.
const batchSize = 100

// do carries out the requests in their order. It stops after the batch in which one fails.
func (s *routeSocket) do(requests ...request) error {
	for len(requests) > 0 {
		n := min(len(requests), batchSize)
		if err := s.batch(requests[:n]); err != nil {
			return err
		}
		requests = requests[n:]
	}
	return nil
}

func (s *routeSocket) batch(requests []request) error {
	var out []byte
	first := s.seq + 1
	for _, r := range requests {
		s.seq++
		r.Seq = s.seq
		out = append(out, r.Serialize()...)
	}
	// The kernel carries requests out during the write: all answers are there when it returns.
	if err := unix.Sendto(s.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("netlink send", err)
	}
	in := receiveBuffers.Get().(*[1 << 16]byte)
	defer receiveBuffers.Put(in)
	var errs []error
	for answered := 0; answered < len(requests); {
		err := s.receive(in[:], first, func(h unix.NlMsghdr, m []byte) error {
			if h.Seq-first >= uint32(len(requests)) {
				return fmt.Errorf("unexpected netlink message of type %d", h.Type)
			}
			r := requests[h.Seq-first]
			var err error
			switch {
			case h.Type == unix.NLMSG_ERROR:
				answered++
				err = ackError(h, m)
			case r.answer != nil: // precedes the acknowledgment
				err = r.answer(m)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", r.what, err))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if len(errs) > 0 {
		return errs[0] // the others are usually consequences of the first
	}
	return nil
}

// receive reads one datagram and calls each for its messages. It skips the answers to requests before the one with the
// number first: they are left over from a request that failed halfway.
func (s *routeSocket) receive(in []byte, first uint32, each func(h unix.NlMsghdr, m []byte) error) error {
	n, _, err := unix.Recvfrom(s.fd, in, 0)
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("netlink receive", err)
	}
	for in = in[:n]; len(in) >= unix.NLMSG_HDRLEN; {
		h := *(*unix.NlMsghdr)(unsafe.Pointer(&in[0]))
		if int(h.Len) < unix.NLMSG_HDRLEN || int(h.Len) > len(in) {
			return fmt.Errorf("netlink message of %d bytes in %d", h.Len, len(in))
		}
		if int32(h.Seq-first) >= 0 {
			if err := each(h, in[unix.NLMSG_HDRLEN:h.Len]); err != nil {
				return err
			}
		}
		in = in[min(len(in), (int(h.Len)+3)&^3):]
	}
	return nil
}

// ackError returns the error of an acknowledgment, with the kernel's explanation; nil: the request succeeded.
func ackError(h unix.NlMsghdr, data []byte) error {
	err := errnoOf(data)
	if err == nil {
		return nil
	}
	const inner = 4 + unix.NLMSG_HDRLEN // the error, and the header of the request
	if h.Flags&unix.NLM_F_ACK_TLVS == 0 || len(data) <= inner {
		return err
	}
	attrs, parseErr := nl.ParseRouteAttr(data[inner:])
	if parseErr != nil {
		return err
	}
	for _, a := range attrs {
		if a.Attr.Type == nl.NLMSGERR_ATTR_MSG {
			err = fmt.Errorf("%w (%s)", err, unix.ByteSliceToString(a.Value))
		}
	}
	return err
}

// errnoOf returns the error that a message begins with: a negative number, or 0 for none.
func errnoOf(data []byte) error {
	if len(data) < 4 {
		return nil
	}
	if errno := int32(binary.NativeEndian.Uint32(data)); errno < 0 {
		return unix.Errno(-errno)
	}
	return nil
}

// errInterrupted means that a dump mixes two states of the namespace.
var errInterrupted = errors.New("the namespace kept changing while it was read; try again")

// dumpTries limits how often a dump starts again because the namespace changed meanwhile.
const dumpTries = 10

// dump requests all objects of a kind and returns the messages without their netlink header.
func (s *routeSocket) dump(proto int, ask ...nl.NetlinkRequestData) (all [][]byte, err error) {
	for range dumpTries {
		if all, err = s.dumpOnce(proto, ask...); !errors.Is(err, errInterrupted) {
			break
		}
	}
	return all, err
}

func (s *routeSocket) dumpOnce(proto int, ask ...nl.NetlinkRequestData) ([][]byte, error) {
	r := nl.NewNetlinkRequest(proto, unix.NLM_F_DUMP)
	for _, p := range ask {
		r.AddData(p)
	}
	s.seq++
	r.Seq = s.seq
	if err := unix.Sendto(s.fd, r.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, os.NewSyscallError("netlink send", err)
	}
	in := receiveBuffers.Get().(*[1 << 16]byte)
	defer receiveBuffers.Put(in)
	var d dumpedMessages
	for !d.done {
		if err := s.receive(in[:], r.Seq, d.add); err != nil {
			return nil, err
		}
	}
	if d.interrupted {
		return nil, errInterrupted
	}
	return d.all, nil
}

// dumpedMessages collects the messages of a dump.
type dumpedMessages struct {
	all               [][]byte
	interrupted, done bool
}

func (d *dumpedMessages) add(h unix.NlMsghdr, m []byte) error {
	d.interrupted = d.interrupted || h.Flags&unix.NLM_F_DUMP_INTR != 0
	switch h.Type {
	case unix.NLMSG_ERROR:
		if err := ackError(h, m); err != nil {
			return err
		}
		return errors.New("the kernel acknowledged a dump instead of answering it")
	case unix.NLMSG_DONE: // with the error that ended the dump early
		d.done = true
		return errnoOf(m)
	}
	d.all = append(d.all, slices.Clone(m)) // the buffer is used again
	return nil
}

// waitForEnd waits until a link of the namespace is deleted.
func (s *routeSocket) waitForEnd(ctx context.Context) error {
	in := make([]byte, 1<<15)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		const pause = 50 // milliseconds between looks at the context
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}, pause)
		if errors.Is(err, unix.EINTR) || err == nil && ready == 0 {
			continue
		}
		if err != nil {
			return os.NewSyscallError("poll", err)
		}
		n, _, err := unix.Recvfrom(s.fd, in, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("netlink receive", err)
		}
		if n >= unix.NLMSG_HDRLEN && (*unix.NlMsghdr)(unsafe.Pointer(&in[0])).Type == unix.RTM_DELLINK {
			return nil
		}
	}
}

// attributes are the attributes of a netlink message by type.
type attributes map[uint16][]byte

func parseAttributes(b []byte) (attributes, error) {
	list, err := nl.ParseRouteAttr(b)
	if err != nil {
		return nil, fmt.Errorf("netlink attributes: %w", err)
	}
	all := make(attributes, len(list))
	for _, a := range list {
		all[a.Attr.Type&^unix.NLA_F_NESTED] = a.Value
	}
	return all, nil
}

func (a attributes) text(t uint16) string { return unix.ByteSliceToString(a[t]) }

// number returns the 32 bits of an attribute; 0 if it is missing.
func (a attributes) number(t uint16) uint32 {
	if len(a[t]) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(a[t])
}

// address returns the address in an attribute; the zero address if it is missing.
func (a attributes) address(t uint16) netip.Addr {
	addr, _ := netip.AddrFromSlice(slices.Clone(a[t]))
	return addr
}
