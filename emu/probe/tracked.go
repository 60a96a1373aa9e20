package probe

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
)

// From linux/netfilter/nfnetlink_conntrack.h.
const (
	ctMsgGet = unix.NFNL_SUBSYS_CTNETLINK<<8 | 1 // IPCTNL_MSG_CT_GET

	ctaTupleOrig  = 1
	ctaTupleReply = 2

	ctaTupleIP    = 1
	ctaTupleProto = 2

	ctaIPv4Source      = 1
	ctaIPv4Destination = 2

	ctaProtoNumber          = 1
	ctaProtoSourcePort      = 2
	ctaProtoDestinationPort = 3
)

// proved reports whether the routers on the path of a connection, from the first that translated its source to the
// one that chose its destination, remember that it took the path: with its own source port, since they choose by
// that, and to the path's end. No router remembers a packet that was dropped without a report. If the kernel can't
// answer, the connection counts as proved.
func (p *Prober) proved(t *task, v emu.Verdict) bool {
	if v == emu.Refused && t.target.Protocol == emu.TCP {
		return !slices.ContainsFunc(t.path.translations, func(s sourceTranslation) bool { return p.changes(s, t) })
	}
	for _, s := range t.path.translations {
		c, err := p.trackedBy(s.router, t, s.of, s.to)
		if errors.Is(err, unix.ENOENT) {
			return v == emu.Timeout
		}
		if err == nil && c.seenAs.Port() != t.port {
			return false
		}
	}
	c, err := p.trackedBy(t.path.router, t, t.path.source, t.path.to)
	if errors.Is(err, unix.ENOENT) {
		return v == emu.Timeout
	}
	return err != nil || c.answerer == t.path.end.at
}

func (p *Prober) trackedBy(router string, t *task, source netip.Addr, to netip.AddrPort) (connectionEntry, error) {
	ns, ok := p.namespaces(router)
	if !ok {
		return connectionEntry{}, unix.ENOENT
	}
	return tracked(ns, ctaTupleOrig, t.target.Protocol, netip.AddrPortFrom(source, t.port), to)
}

// changes reports whether a router that translates the source of a connection gives it another port. It is for
// refused connections, which routers forget at once. What makes them change a port they remember longer: a
// connection of another source with the same translation, or one of the same source to another destination, whose
// translation it shares.
func (p *Prober) changes(s sourceTranslation, t *task) bool {
	ns, ok := p.namespaces(s.router)
	if !ok {
		return true
	}
	all, err := trackedAll(ns)
	if err != nil {
		return false
	}
	own, translated := netip.AddrPortFrom(s.of, t.port), netip.AddrPortFrom(s.source, t.port)
	return slices.ContainsFunc(all, func(c connectionEntry) bool {
		if c.protocol != t.target.Protocol {
			return false
		}
		if c.caller == own {
			return c.seenAs.Port() != t.port
		}
		return c.seenAs == translated && c.answerer == s.to
	})
}

// connectionEntry is an entry of connection tracking.
type connectionEntry struct {
	protocol         emu.Protocol
	caller, called   netip.AddrPort // before any translation
	answerer, seenAs netip.AddrPort // after it
}

// trackedAll returns all connections that a namespace tracks. It takes a millisecond or two, even if there are few.
func trackedAll(ns *kernel.Namespace) (all []connectionEntry, err error) {
	var conn *netlink.Conn
	if err := ns.Do(func() (err error) {
		conn, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	}); err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // it was only asked
	answers, err := conn.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  ctMsgGet,
			Flags: netlink.Request | netlink.Dump,
		}, Data: []byte{unix.AF_INET, unix.NFNETLINK_V0, 0, 0},
	})
	if err != nil {
		return nil, err
	}
	for _, a := range answers {
		if c, ok := parseEntry(a.Data); ok {
			all = append(all, c)
		}
	}
	return all, nil
}

// tracked returns the connection of a namespace whose packets in one direction, ctaTupleOrig or ctaTupleReply,
// have these addresses and ports. The error is ENOENT if there is none.
func tracked(
	ns *kernel.Namespace, direction uint16, protocol emu.Protocol, from, to netip.AddrPort,
) (c connectionEntry, err error) {
	number := byte(unix.IPPROTO_TCP)
	if protocol == emu.UDP {
		number = unix.IPPROTO_UDP
	}
	question := netlink.NewAttributeEncoder()
	question.Nested(direction, func(tuple *netlink.AttributeEncoder) error {
		tuple.Nested(ctaTupleIP, func(a *netlink.AttributeEncoder) error {
			a.Bytes(ctaIPv4Source, from.Addr().AsSlice())
			a.Bytes(ctaIPv4Destination, to.Addr().AsSlice())
			return nil
		})
		tuple.Nested(ctaTupleProto, func(a *netlink.AttributeEncoder) error {
			a.ByteOrder = binary.BigEndian
			a.Uint8(ctaProtoNumber, number)
			a.Uint16(ctaProtoSourcePort, from.Port())
			a.Uint16(ctaProtoDestinationPort, to.Port())
			return nil
		})
		return nil
	})
	attributes, err := question.Encode()
	if err != nil {
		return c, err
	}
	header := []byte{unix.AF_INET, unix.NFNETLINK_V0, 0, 0}
	answer, err := askNetfilter(ns, netlink.Message{
		Header: netlink.Header{Type: ctMsgGet, Flags: netlink.Request}, Data: append(header, attributes...),
	})
	if err != nil {
		return c, err
	}
	if answer.Header.Type == netlink.Error {
		if len(answer.Data) < 4 {
			return c, unix.EBADMSG
		}
		return c, unix.Errno(-int32(binary.NativeEndian.Uint32(answer.Data)))
	}
	c, ok := parseEntry(answer.Data)
	if !ok {
		return c, unix.EBADMSG
	}
	return c, nil
}

// askNetfilter sends a request that has one answer. The kernel answers while the request is being sent. A
// netlink.Conn would wait for more: the kernel marks the answer as one of several, and sends no end.
func askNetfilter(ns *kernel.Namespace, question netlink.Message) (answer netlink.Message, err error) {
	fd, err := ns.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER)
	if err != nil {
		return answer, err
	}
	defer unix.Close(fd)                                                    //nolint:errcheck // it was only asked
	question.Header.Length = uint32(unix.NLMSG_HDRLEN + len(question.Data)) // attributes are aligned
	packet, err := question.MarshalBinary()
	if err != nil {
		return answer, err
	}
	if err := unix.Sendto(fd, packet, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return answer, err
	}
	buf := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return answer, err
	}
	return answer, answer.UnmarshalBinary(buf[:min(n, messageLength(buf[:n]))])
}

// messageLength returns the length in the header of a netlink message, aligned.
func messageLength(b []byte) int {
	if len(b) < unix.NLMSG_HDRLEN {
		return 0
	}
	return (int(binary.NativeEndian.Uint32(b)) + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1)
}

// parseEntry parses the addresses and ports of an entry.
func parseEntry(data []byte) (c connectionEntry, ok bool) {
	const nfgenmsg = 4
	if len(data) < nfgenmsg {
		return c, false
	}
	all, err := netlink.NewAttributeDecoder(data[nfgenmsg:])
	if err != nil {
		return c, false
	}
	for all.Next() {
		switch all.Type() {
		case ctaTupleOrig:
			all.Nested(func(tuple *netlink.AttributeDecoder) error {
				c.caller, c.called, c.protocol = parseTuple(tuple)
				return nil
			})
		case ctaTupleReply:
			all.Nested(
				func(tuple *netlink.AttributeDecoder) error { c.answerer, c.seenAs, _ = parseTuple(tuple); return nil },
			)
		}
	}
	return c, all.Err() == nil && c.caller.IsValid() && c.answerer.IsValid()
}

func parseTuple(tuple *netlink.AttributeDecoder) (from, to netip.AddrPort, protocol emu.Protocol) {
	var source, destination netip.Addr
	var sourcePort, destinationPort uint16
	for tuple.Next() {
		kind := tuple.Type()
		tuple.Nested(func(part *netlink.AttributeDecoder) error {
			part.ByteOrder = binary.BigEndian
			for part.Next() {
				switch [2]uint16{kind, part.Type()} {
				case [2]uint16{ctaTupleIP, ctaIPv4Source}:
					source, _ = netip.AddrFromSlice(part.Bytes())
				case [2]uint16{ctaTupleIP, ctaIPv4Destination}:
					destination, _ = netip.AddrFromSlice(part.Bytes())
				case [2]uint16{ctaTupleProto, ctaProtoNumber}:
					protocol = protocols[part.Uint8()]
				case [2]uint16{ctaTupleProto, ctaProtoSourcePort}:
					sourcePort = part.Uint16()
				case [2]uint16{ctaTupleProto, ctaProtoDestinationPort}:
					destinationPort = part.Uint16()
				}
			}
			return nil
		})
	}
	return netip.AddrPortFrom(source, sourcePort), netip.AddrPortFrom(destination, destinationPort), protocol
}

var protocols = map[uint8]emu.Protocol{unix.IPPROTO_TCP: emu.TCP, unix.IPPROTO_UDP: emu.UDP}
