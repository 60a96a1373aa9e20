package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"unsafe"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// routeSocket is an rtnetlink socket in one namespace. It is not for concurrent use.
type routeSocket struct {
	fd  int
	seq uint32
	in  []byte
}

// newRouteSocket opens the socket in the namespace of the calling thread.
func newRouteSocket() (*routeSocket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("netlink socket", err)
	}
	// The kernel then tells what it disliked, and doesn't echo the request.
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
	if s.in == nil {
		s.in = make([]byte, 1<<16)
	}
	var errs []error
	for answered := 0; answered < len(requests); {
		n, _, err := unix.Recvfrom(s.fd, s.in, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("netlink receive", err)
		}
		for in := s.in[:n]; len(in) >= unix.NLMSG_HDRLEN+4; {
			h := *(*unix.NlMsghdr)(unsafe.Pointer(&in[0]))
			if int(h.Len) > len(in) || h.Seq-first >= uint32(len(requests)) {
				return fmt.Errorf("unexpected netlink message of type %d", h.Type)
			}
			r, m := requests[h.Seq-first], in[unix.NLMSG_HDRLEN:h.Len]
			var err error
			switch {
			case h.Type == unix.NLMSG_ERROR:
				answered++
				err = ackError(h, m)
			case r.answer != nil: // comes before
				err = r.answer(m)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", r.what, err))
			}
			in = in[min(len(in), (int(h.Len)+3)&^3):]
		}
	}
	if len(errs) > 0 {
		return errs[0] // the others follow from it more often than not
	}
	return nil
}

// ackError reads an acknowledgement: nil, or the error and the kernel's own words on it.
func ackError(h unix.NlMsghdr, data []byte) error {
	errno := *(*int32)(unsafe.Pointer(&data[0]))
	if errno == 0 {
		return nil
	}
	err := error(unix.Errno(-errno))
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

// errInterrupted says that a dump is not one state of the namespace.
var errInterrupted = errors.New("the namespace changed while it was read; try again")

// dump asks for all objects of a kind and gives the messages without their netlink header.
func (s *routeSocket) dump(proto int, ask ...nl.NetlinkRequestData) ([][]byte, error) {
	r := nl.NewNetlinkRequest(proto, unix.NLM_F_DUMP)
	for _, p := range ask {
		r.AddData(p)
	}
	s.seq++
	r.Seq = s.seq
	if err := unix.Sendto(s.fd, r.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, os.NewSyscallError("netlink send", err)
	}
	var all [][]byte
	interrupted := false
	for {
		in := make([]byte, 1<<15) // what a dump fills at most
		n, _, err := unix.Recvfrom(s.fd, in, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, os.NewSyscallError("netlink receive", err)
		}
		for in = in[:n]; len(in) >= unix.NLMSG_HDRLEN; {
			h := *(*unix.NlMsghdr)(unsafe.Pointer(&in[0]))
			if int(h.Len) < unix.NLMSG_HDRLEN || int(h.Len) > len(in) {
				return nil, fmt.Errorf("netlink message of %d bytes in %d", h.Len, len(in))
			}
			m := in[unix.NLMSG_HDRLEN:h.Len]
			interrupted = interrupted || h.Flags&unix.NLM_F_DUMP_INTR != 0
			switch {
			case h.Type == unix.NLMSG_ERROR:
				return nil, ackError(h, m)
			case h.Type == unix.NLMSG_DONE && interrupted:
				return nil, errInterrupted
			case h.Type == unix.NLMSG_DONE:
				return all, nil
			}
			all = append(all, m)
			in = in[min(len(in), (int(h.Len)+3)&^3):]
		}
	}
}

// waitForEnd waits until a link of the namespace is deleted.
func (s *routeSocket) waitForEnd(ctx context.Context) error {
	in := make([]byte, 1<<15)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}, 50) // milliseconds, to look at the context
		if errors.Is(err, unix.EINTR) || err == nil && ready == 0 {
			continue
		}
		if err != nil {
			return os.NewSyscallError("poll", err)
		}
		n, _, err := unix.Recvfrom(s.fd, in, 0)
		if err != nil {
			return os.NewSyscallError("netlink receive", err)
		}
		if n >= unix.NLMSG_HDRLEN && (*unix.NlMsghdr)(unsafe.Pointer(&in[0])).Type == unix.RTM_DELLINK {
			return nil
		}
	}
}

// attributes are the attributes of a netlink message by their type.
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

// number reads 32 bits; what is not there is 0.
func (a attributes) number(t uint16) uint32 {
	if len(a[t]) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(a[t])
}

// address reads an IPv4 address; what is not there is the zero address.
func (a attributes) address(t uint16) netip.Addr {
	addr, _ := netip.AddrFromSlice(slices.Clone(a[t]))
	return addr
}
