package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/emu/listener"
)

// reports listens in namespaces for the reports of rules that drop the packets of probes: the kernel's NFLOG
// messages.
type reports struct {
	deliver func(p packet, r report)
	open    perNamespace[*reporter]
}

// reporter is the socket for the reports of one namespace.
type reporter struct{ conn *netlink.Conn }

func (r *reporter) Close() error { return r.conn.Close() }

func newReports(namespaces func(string) (*kernel.Namespace, bool), deliver func(packet, report)) *reports {
	r := &reports{deliver: deliver}
	r.open = perNamespace[*reporter]{namespaces: namespaces, open: r.subscribe}
	return r
}

// listen makes sure that the reports of a namespace are heard from now on. One that is gone reports nothing.
func (r *reports) listen(name string) error {
	if _, err := r.open.get(name); err != nil && !errors.Is(err, errNoNamespace) {
		return fmt.Errorf("listen for reports of dropped packets in %s: %w", name, err)
	}
	return nil
}

// subscribe opens the socket of a namespace and begins to read it.
func (r *reports) subscribe(ns *kernel.Namespace) (*reporter, error) {
	conn, err := subscribe(ns)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EBUSY) {
		return nil, fmt.Errorf(
			"%w; NFLOG group %d is taken or root is missing, does another prober have it?", err, emu.LogGroup,
		)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; the kernel needs nfnetlink_log", err)
	}
	opened := &reporter{conn}
	go r.read(ns.Name, opened)
	return opened, nil
}

// read delivers the reports of a namespace until its socket is closed. A burst that overflows the socket loses
// reports, but a probe sends its packet again, and that is reported again.
func (r *reports) read(namespace string, from *reporter) {
	raw, err := from.conn.SyscallConn()
	for err == nil {
		var failed error
		err = raw.Read(func(fd uintptr) (done bool) {
			in := messageBuffers.Get().(*[messageSize]byte)
			defer messageBuffers.Put(in)
			n, err := unix.Read(int(fd), in[:])
			if err == nil {
				r.hear(namespace, in[:n])
			}
			if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
				failed = err
			}
			return !errors.Is(err, unix.EAGAIN)
		})
		if err == nil {
			err = failed
		}
	}
	r.open.dropThing(namespace, from) // if it failed; the next probe that gets no answer opens another
}

// messageSize is more than the kernel sends about one packet.
const messageSize = 4096

// messageBuffers are shared by the readers, since nearly all of them wait.
var messageBuffers = sync.Pool{New: func() any { return new([messageSize]byte) }}

// hear delivers the reports of what was read at once.
func (r *reports) hear(namespace string, in []byte) {
	for len(in) >= unix.NLMSG_HDRLEN {
		length := int(binary.NativeEndian.Uint32(in))
		if length < unix.NLMSG_HDRLEN || length > len(in) {
			return
		}
		if kind := binary.NativeEndian.Uint16(in[4:]); kind == nfulnlMsgPacket {
			if p, id, ok := parseReport(in[unix.NLMSG_HDRLEN:length]); ok {
				r.deliver(p, report{namespace, id, p.source.Addr()})
			}
		}
		in = in[min((length+3)&^3, len(in)):]
	}
}

// From linux/netfilter/nfnetlink_log.h.
const (
	nfulnlMsgPacket  = unix.NFNL_SUBSYS_ULOG << 8
	nfulnlMsgConfig  = unix.NFNL_SUBSYS_ULOG<<8 | 1
	nfulnlCmdBind    = 1
	nfulnlCopyPacket = 2

	nfulaCfgCmd     = 1
	nfulaCfgMode    = 2
	nfulaCfgBufSize = 3
	nfulaCfgQThresh = 5

	nfulaPayload = 9
	nfulaPrefix  = 10
)

const (
	copyRange  = 128     // bytes: the IP and TCP headers, or the IP and UDP headers with the question
	bufferSize = 512     // bytes the kernel reserves for one report
	queueSize  = 1 << 20 // bytes of reports that may wait, at most
)

// subscribe opens a socket that hears the reports of a namespace.
func subscribe(ns *kernel.Namespace) (*netlink.Conn, error) {
	var conn *netlink.Conn
	err := ns.Do(func() (err error) {
		conn, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	conn.SetReadBuffer(queueSize) //nolint:errcheck // a smaller queue will do
	attributes, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: nfulaCfgCmd, Data: []byte{nfulnlCmdBind}},
		{Type: nfulaCfgMode, Data: append(binary.BigEndian.AppendUint32(nil, copyRange), nfulnlCopyPacket, 0)},
		{Type: nfulaCfgBufSize, Data: binary.BigEndian.AppendUint32(nil, bufferSize)},
		{Type: nfulaCfgQThresh, Data: binary.BigEndian.AppendUint32(nil, 1)},
	})
	if err == nil {
		header := binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, emu.LogGroup)
		_, err = conn.Execute(netlink.Message{
			Header: netlink.Header{Type: nfulnlMsgConfig, Flags: netlink.Request | netlink.Acknowledge},
			Data:   append(header, attributes...),
		})
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// parseReport reads an NFLOG message: the id of the rule, and the SYN or datagram of a probe that was dropped.
func parseReport(data []byte) (p packet, id string, ok bool) {
	const nfgenmsg = 4
	if len(data) < nfgenmsg {
		return packet{}, "", false
	}
	var payload []byte
	const header = 4 // of an attribute: its length and type
	for in := data[nfgenmsg:]; len(in) >= header; {
		length := int(binary.NativeEndian.Uint16(in))
		if length < header || length > len(in) {
			return packet{}, "", false
		}
		switch value := in[header:length]; binary.NativeEndian.Uint16(in[2:]) {
		case nfulaPayload:
			payload = value
		case nfulaPrefix:
			id = strings.TrimRight(string(value), "\x00")
		}
		in = in[min((length+3)&^3, len(in)):]
	}
	if id == "" {
		return packet{}, "", false
	}
	p, ok = probeOf(payload)
	return p, id, ok
}

// probeOf reads an IPv4 packet that carries ProbeDSCP and is a SYN, or a datagram with a nonce.
func probeOf(b []byte) (p packet, ok bool) {
	const source, destination, protocol, flags, syn, ack, udpHeader = 12, 16, 9, 13, 0x02, 0x10, 8
	if len(b) < 20 || b[0]>>4 != 4 || b[1]>>2 != emu.ProbeDSCP {
		return packet{}, false
	}
	header := int(b[0]&0x0f) * 4
	if header < 20 || len(b) < header+udpHeader {
		return packet{}, false
	}
	above := b[header:]
	p.source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[source:])), binary.BigEndian.Uint16(above))
	p.destination = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[destination:])), binary.BigEndian.Uint16(above[2:]))
	switch b[protocol] {
	case unix.IPPROTO_TCP:
		if len(above) < 20 || above[flags]&(syn|ack) != syn {
			return packet{}, false
		}
		p.protocol, p.sequence = emu.TCP, binary.BigEndian.Uint32(above[4:])
		return p, true
	case unix.IPPROTO_UDP:
		p.protocol = emu.UDP
		p.nonce, ok = listener.Nonce(above[udpHeader:])
		return p, ok && p.nonce != 0
	}
	return packet{}, false
}
