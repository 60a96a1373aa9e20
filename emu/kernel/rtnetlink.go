package kernel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"unsafe"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// A lab is made with few, large writes: many rtnetlink requests in one system call, each link complete in one request. The
// netlink library sends one request at a time and sets master and flags of a link afterwards, so it encodes the requests here
// and is not asked to send them.

// request is one rtnetlink request; what names it in an error.
type request struct {
	*nl.NetlinkRequest
	what string
}

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
		for in := s.in[:n]; len(in) >= unix.NLMSG_HDRLEN+4; answered++ {
			h := *(*unix.NlMsghdr)(unsafe.Pointer(&in[0]))
			if int(h.Len) > len(in) || h.Type != unix.NLMSG_ERROR || h.Seq-first >= uint32(len(requests)) {
				return fmt.Errorf("unexpected netlink message of type %d", h.Type)
			}
			if err := ackError(h, in[unix.NLMSG_HDRLEN:h.Len]); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", requests[h.Seq-first].what, err))
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

func newRequest(what string, proto, flags int, parts ...nl.NetlinkRequestData) request {
	r := nl.NewNetlinkRequest(proto, flags|unix.NLM_F_ACK)
	for _, p := range parts {
		r.AddData(p)
	}
	return request{r, what}
}

const create = unix.NLM_F_CREATE | unix.NLM_F_EXCL

// linkInfo is the fixed part of a link request: its index, and the flags that it gets or loses.
func linkInfo(family, index int, set, change uint32) *nl.IfInfomsg {
	m := nl.NewIfInfomsg(family)
	m.Index, m.Flags, m.Change = int32(index), set, change
	return m
}

func linkUp(name string, index int) request {
	return newRequest("set "+name+" up", unix.RTM_NEWLINK, 0, linkInfo(unix.AF_UNSPEC, index, unix.IFF_UP, unix.IFF_UP))
}

func setMaster(name string, index, master int) request {
	return newRequest("make "+name+" a bridge port", unix.RTM_NEWLINK, 0, linkInfo(unix.AF_UNSPEC, index, 0, 0),
		nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(master))))
}

func newBridge(b emu.Bridge, index int) request {
	flags := uint32(unix.IFF_UP)
	if len(b.Addresses) == 0 {
		// It joins links and is no gateway, so it must not answer ARP requests for the other addresses of its namespace.
		flags |= unix.IFF_NOARP
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
	data.AddRtAttr(nl.IFLA_BR_STP_STATE, nl.Uint32Attr(0))
	data.AddRtAttr(nl.IFLA_BR_MCAST_SNOOPING, nl.Uint8Attr(0))
	return newRequest("add bridge "+b.Name, unix.RTM_NEWLINK, create, linkInfo(unix.AF_UNSPEC, index, flags, flags),
		nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(b.Name)),
		nl.NewRtAttr(unix.IFLA_ADDRESS, b.MAC[:]),
		nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(emu.MTU)),
		info)
}

// linkEnd is one end of a veth pair with the places it goes to.
type linkEnd struct {
	emu.LinkEnd
	index  int
	master int // of the bridge, or 0
	home   *Namespace
	far    bool // not in the namespace that makes the pair
}

func (e linkEnd) attributes() []*nl.RtAttr {
	return []*nl.RtAttr{
		nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(e.Name)),
		nl.NewRtAttr(unix.IFLA_ADDRESS, e.MAC[:]),
		nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(emu.MTU)),
		// One queue is enough, and the default of one per processor costs time and memory.
		nl.NewRtAttr(unix.IFLA_NUM_TX_QUEUES, nl.Uint32Attr(1)),
		nl.NewRtAttr(unix.IFLA_NUM_RX_QUEUES, nl.Uint32Attr(1)),
	}
}

// newVeth makes both ends. Of the near end nothing is left to do; the kernel takes no master for the far end here, and can't
// set it up before the pair is complete.
func newVeth(near, far linkEnd) request {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	peer.AddChild(linkInfo(unix.AF_UNSPEC, far.index, 0, 0))
	for _, a := range far.attributes() {
		peer.AddChild(a)
	}
	peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(far.home.FD())))
	r := newRequest("add link "+near.Name, unix.RTM_NEWLINK, create, linkInfo(unix.AF_UNSPEC, near.index, unix.IFF_UP, unix.IFF_UP))
	for _, a := range near.attributes() {
		r.AddData(a)
	}
	if near.master != 0 {
		r.AddData(nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(near.master))))
	}
	r.AddData(info)
	return r
}

// portFlag is a switch of a bridge port.
type portFlag struct {
	attribute uint16
	name      string // as the bridge command calls it
	on        bool
}

// portFlags are the switches that a lab decides.
func portFlags(p *emu.BridgePort) []portFlag {
	return []portFlag{
		{nl.IFLA_BRPORT_LEARNING, "learning", false},
		{nl.IFLA_BRPORT_UNICAST_FLOOD, "flood", p.Uplink},
		{nl.IFLA_BRPORT_MCAST_FLOOD, "mcast_flood", p.Uplink},
		{nl.IFLA_BRPORT_BCAST_FLOOD, "bcast_flood", p.Uplink},
		{nl.IFLA_BRPORT_PROXYARP, "proxy_arp", p.ProxyARP},
	}
}

func setPort(name string, index int, p *emu.BridgePort) request {
	info := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	for _, f := range portFlags(p) {
		value := uint8(0)
		if f.on {
			value = 1
		}
		info.AddRtAttr(int(f.attribute), nl.Uint8Attr(value))
	}
	return newRequest("set the bridge port "+name, unix.RTM_SETLINK, 0, linkInfo(unix.AF_BRIDGE, index, 0, 0), info)
}

// addStation makes a static entry of the forwarding database: frames for the MAC leave by the port.
func addStation(name string, index int, mac emu.MAC) request {
	return newRequest(fmt.Sprintf("add station %s behind %s", mac, name), unix.RTM_NEWNEIGH, create,
		&netlink.Ndmsg{Family: unix.AF_BRIDGE, Index: uint32(index), State: unix.NUD_NOARP, Flags: unix.NTF_MASTER},
		nl.NewRtAttr(unix.NDA_LLADDR, mac[:]))
}

func addNeighbor(n emu.Neighbor, index int) request {
	return newRequest(fmt.Sprintf("add neighbour %s on %s", n.Address, n.Device), unix.RTM_NEWNEIGH, create,
		&netlink.Ndmsg{Family: unix.AF_INET, Index: uint32(index), State: unix.NUD_PERMANENT},
		nl.NewRtAttr(unix.NDA_DST, n.Address.AsSlice()),
		nl.NewRtAttr(unix.NDA_LLADDR, n.MAC[:]))
}

func addAddress(name string, index int, a netip.Prefix) request {
	m := nl.NewIfAddrmsg(unix.AF_INET)
	m.Index, m.Prefixlen = uint32(index), uint8(a.Bits())
	r := newRequest(fmt.Sprintf("add address %s to %s", a, name), unix.RTM_NEWADDR, create, m,
		nl.NewRtAttr(unix.IFA_LOCAL, a.Addr().AsSlice()),
		nl.NewRtAttr(unix.IFA_ADDRESS, a.Addr().AsSlice()))
	if a.Bits() < 31 {
		r.AddData(nl.NewRtAttr(unix.IFA_BROADCAST, broadcast(a)))
	}
	return r
}

// broadcast gives the last address of a prefix.
func broadcast(p netip.Prefix) []byte {
	mask := net.CIDRMask(p.Bits(), 32)
	last := p.Addr().AsSlice()
	for i := range last {
		last[i] |= ^mask[i]
	}
	return last
}

func addRoute(r emu.Route, index int) request {
	m := nl.NewRtMsg()
	m.Family, m.Dst_len, m.Scope = unix.AF_INET, uint8(r.Destination.Bits()), unix.RT_SCOPE_LINK
	if r.Gateway.IsValid() {
		m.Scope = unix.RT_SCOPE_UNIVERSE
	}
	if r.OnLink {
		m.Flags = unix.RTNH_F_ONLINK
	}
	q := newRequest(fmt.Sprintf("add route to %s", r.Destination), unix.RTM_NEWROUTE, create, m,
		nl.NewRtAttr(unix.RTA_DST, r.Destination.Addr().AsSlice()))
	if r.Gateway.IsValid() {
		q.AddData(nl.NewRtAttr(unix.RTA_GATEWAY, r.Gateway.AsSlice()))
	}
	q.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(index))))
	return q
}

// hostPrefix gives the /32 of an address.
func hostPrefix(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

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
			switch {
			case h.Type == unix.NLMSG_ERROR:
				return nil, ackError(h, m)
			case h.Type == unix.NLMSG_DONE && h.Flags&unix.NLM_F_DUMP_INTR != 0:
				return nil, errors.New("the namespace changed while it was read; try again")
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
