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

// reports listens in namespaces for the reports of rules that drop the packets of probes: the kernel's NFLOG messages.
type reports struct {
	deliver    func(p packet, r report)
	namespaces func(string) (*kernel.Namespace, bool)

	mu   sync.RWMutex
	open map[string]*reporter
}

type reporter struct {
	ns   *kernel.Namespace
	conn *netlink.Conn
}

// listen makes sure that the reports of a namespace are heard from now on. One that is gone reports nothing.
func (r *reports) listen(name string) error {
	if ns, ok := r.namespaces(name); !ok || r.hears(ns) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ns, ok := r.namespaces(name) // not one that drop was told of meanwhile
	known := r.open[name]
	if !ok || known != nil && known.ns == ns {
		return nil
	}
	if known != nil {
		known.conn.Close() //nolint:errcheck // of a namespace that was replaced
		delete(r.open, name)
	}
	conn, err := subscribe(ns)
	if err != nil {
		if now, ok := r.namespaces(name); !ok || now != ns {
			return nil // it went just now
		}
		hint := "the kernel needs nfnetlink_log"
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EBUSY) {
			hint = fmt.Sprintf("NFLOG group %d is taken or root is missing, does another prober have it?", emu.LogGroup)
		}
		return fmt.Errorf("listen for reports of dropped packets in %s: %w; %s", name, err, hint)
	}
	if r.open == nil {
		r.open = make(map[string]*reporter)
	}
	r.open[name] = &reporter{ns, conn}
	go r.read(name, conn)
	return nil
}

func (r *reports) hears(ns *kernel.Namespace) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	known := r.open[ns.Name]
	return known != nil && known.ns == ns
}

// drop closes the socket of a namespace; with ifGone it stays if it is that of the namespace that has the name now.
func (r *reports) drop(name string, ifGone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.open[name]
	if known == nil {
		return
	}
	if ns, ok := r.namespaces(name); ifGone && ok && ns == known.ns {
		return
	}
	known.conn.Close() //nolint:errcheck // nobody is left to hear
	delete(r.open, name)
}

func (r *reports) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, known := range r.open {
		errs = append(errs, known.conn.Close())
	}
	clear(r.open)
	return errors.Join(errs...)
}

// read delivers the reports of a namespace until its socket is closed. A burst that overflows the socket costs reports, not
// the reader; the packet that is sent again is reported again.
func (r *reports) read(namespace string, conn *netlink.Conn) {
	raw, err := conn.SyscallConn()
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
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.open[namespace]; known != nil && known.conn == conn { // not closed by us: the next probe opens it anew
		known.conn.Close() //nolint:errcheck // it failed already
		delete(r.open, namespace)
	}
}

// messageSize is more than the kernel sends about one packet.
const messageSize = 4096

// messageBuffers are shared by the readers, nearly all of whom wait.
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
	conn.SetReadBuffer(queueSize) //nolint:errcheck // a smaller queue is one, too
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
