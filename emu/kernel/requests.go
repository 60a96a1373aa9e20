package kernel

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// A lab is made with few, large writes: many rtnetlink requests in one system call, each link complete in one
// request. The netlink library sends one request at a time and sets master and flags of a link afterwards, so it
// encodes the requests here and is not asked to send them.

// request is one rtnetlink request; what names it in an error.
type request struct {
	*nl.NetlinkRequest
	what string
	// answer, of a question, takes the object that was asked for.
	answer func(object []byte) error
}

func newRequest(what string, proto, flags int, parts ...nl.NetlinkRequestData) request {
	r := nl.NewNetlinkRequest(proto, flags|unix.NLM_F_ACK)
	for _, p := range parts {
		r.AddData(p)
	}
	return request{NetlinkRequest: r, what: what}
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
		// It joins links and is no gateway, so it must not answer ARP requests for the other addresses of its
		// namespace.
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
		info)
}

// setMTU sets the MTU of a bridge. One that it was made with would be lost with its last port.
func setMTU(b emu.Bridge, index int) request {
	return newRequest("set the MTU of bridge "+b.Name, unix.RTM_NEWLINK, 0, linkInfo(unix.AF_UNSPEC, index, 0, 0),
		nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(emu.MTU)))
}

// linkEnd is one end of a veth pair with its namespace and bridge.
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

// newVeth makes both ends. Of the near end nothing is left to do; the kernel takes no master for the far end here,
// and can't set it up before the pair is complete.
func newVeth(near, far linkEnd) request {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	peer.AddChild(linkInfo(unix.AF_UNSPEC, far.index, 0, 0))
	for _, a := range far.attributes() {
		peer.AddChild(a)
	}
	peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(far.home.FD())))
	r := newRequest("add link "+near.Name, unix.RTM_NEWLINK, create,
		linkInfo(unix.AF_UNSPEC, near.index, unix.IFF_UP, unix.IFF_UP))
	for _, a := range near.attributes() {
		r.AddData(a)
	}
	if near.master != 0 {
		r.AddData(nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(near.master))))
	}
	r.AddData(info)
	return r
}

// requests complete an end of a link that has been made.
func (e linkEnd) requests() []request {
	var all []request
	if e.far {
		all = append(all, linkUp(e.Name, e.index))
	}
	if e.Port != nil {
		if e.far {
			all = append(all, setMaster(e.Name, e.index, e.master))
		}
		all = append(all, setPort(e.Name, e.index, e.Port))
		for _, mac := range e.Port.Stations {
			all = append(all, addFDBEntry(e.Name, e.index, mac))
		}
	}
	for _, addr := range e.Addresses {
		all = append(all, addAddress(e.Name, e.index, addr))
	}
	return all
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
		{nl.IFLA_BRPORT_ISOLATED, "isolated", false},
		{nl.IFLA_BRPORT_LOCKED, "locked", false},
		{nl.IFLA_BRPORT_MODE, "hairpin", false},
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

// addFDBEntry adds a static entry to the forwarding database: frames for the MAC address leave by the port.
func addFDBEntry(name string, index int, mac emu.MAC) request {
	return fdbRequest("add FDB entry %s behind %s", unix.RTM_NEWNEIGH, create, name, index, mac)
}

// moveFDBEntry moves the entry for a MAC address from any port of the bridge to this one.
func moveFDBEntry(name string, index int, mac emu.MAC) request {
	return fdbRequest("move FDB entry %s behind %s", unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, name,
		index, mac)
}

func deleteFDBEntry(name string, index int, mac emu.MAC) request {
	return fdbRequest("delete FDB entry %s behind %s", unix.RTM_DELNEIGH, 0, name, index, mac)
}

func fdbRequest(what string, proto, flags int, name string, index int, mac emu.MAC) request {
	return newRequest(fmt.Sprintf(what, mac, name), proto, flags,
		&netlink.Ndmsg{Family: unix.AF_BRIDGE, Index: uint32(index), State: unix.NUD_NOARP, Flags: unix.NTF_MASTER},
		nl.NewRtAttr(unix.NDA_LLADDR, mac[:]))
}

func addNeighbor(n emu.Neighbor, index int) request { return newNeighbor(n, index, create) }

// setNeighbor adds the neighbor or gives it another MAC address.
func setNeighbor(n emu.Neighbor, index int) request {
	return newNeighbor(n, index, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
}

func newNeighbor(n emu.Neighbor, index, flags int) request {
	return newRequest(fmt.Sprintf("add neighbor %s on %s", n.Address, n.Device), unix.RTM_NEWNEIGH, flags,
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

// broadcast returns the last address of a prefix.
func broadcast(p netip.Prefix) []byte {
	mask := net.CIDRMask(p.Bits(), 32)
	last := p.Addr().AsSlice()
	for i := range last {
		last[i] |= ^mask[i]
	}
	return last
}

func addRoute(r emu.Route, index int) request { return newRoute(r, index, create) }

// setRoute adds the route, or replaces the one to the same destination.
func setRoute(r emu.Route, index int) request {
	return newRoute(r, index, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
}

func newRoute(r emu.Route, index, flags int) request {
	return routeRequest(fmt.Sprintf("add route to %s", r.Destination), unix.RTM_NEWROUTE, flags, r, index)
}

func deleteRoute(r emu.Route, index int) request {
	return routeRequest(fmt.Sprintf("delete route to %s", r.Destination), unix.RTM_DELROUTE, 0, r, index)
}

func routeRequest(what string, proto, flags int, r emu.Route, index int) request {
	m := nl.NewRtMsg()
	m.Family, m.Dst_len, m.Scope = unix.AF_INET, uint8(r.Destination.Bits()), unix.RT_SCOPE_LINK
	if r.Gateway.IsValid() {
		m.Scope = unix.RT_SCOPE_UNIVERSE
	}
	if r.OnLink {
		m.Flags = unix.RTNH_F_ONLINK
	}
	q := newRequest(what, proto, flags, m,
		nl.NewRtAttr(unix.RTA_DST, r.Destination.Addr().AsSlice()))
	if r.Gateway.IsValid() {
		q.AddData(nl.NewRtAttr(unix.RTA_GATEWAY, r.Gateway.AsSlice()))
	}
	q.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(index))))
	return q
}

func deleteNeighbor(n emu.Neighbor, index int) request {
	return newRequest(fmt.Sprintf("delete neighbor %s on %s", n.Address, n.Device), unix.RTM_DELNEIGH, 0,
		&netlink.Ndmsg{Family: unix.AF_INET, Index: uint32(index)}, nl.NewRtAttr(unix.NDA_DST, n.Address.AsSlice()))
}

func deleteAddress(name string, index int, a netip.Prefix) request {
	m := nl.NewIfAddrmsg(unix.AF_INET)
	m.Index, m.Prefixlen = uint32(index), uint8(a.Bits())
	return newRequest(fmt.Sprintf("delete address %s of %s", a, name), unix.RTM_DELADDR, 0, m,
		nl.NewRtAttr(unix.IFA_LOCAL, a.Addr().AsSlice()))
}

func deleteLink(name string, index int) request {
	return newRequest("delete link "+name, unix.RTM_DELLINK, 0, linkInfo(unix.AF_UNSPEC, index, 0, 0))
}

// doomedGroup is the group of devices that are about to be deleted. The kernel waits once for all of a group.
const doomedGroup = 0x7e57

func setGroup(name string, index int, group uint32) request {
	return newRequest(fmt.Sprintf("set the group of %s", name), unix.RTM_NEWLINK, 0,
		linkInfo(unix.AF_UNSPEC, index, 0, 0),
		nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(group)))
}

func deleteGroup(group uint32) request {
	return newRequest("delete links", unix.RTM_DELLINK, 0, linkInfo(unix.AF_UNSPEC, 0, 0, 0),
		nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(group)))
}

// setBridge sets the MAC address and the flags of a bridge.
func setBridge(b emu.Bridge, index int) request {
	flags := uint32(0)
	if len(b.Addresses) == 0 {
		flags = unix.IFF_NOARP
	}
	return newRequest("set bridge "+b.Name, unix.RTM_NEWLINK, 0, linkInfo(unix.AF_UNSPEC, index, flags, unix.IFF_NOARP),
		nl.NewRtAttr(unix.IFLA_ADDRESS, b.MAC[:]))
}

// hostPrefix returns the /32 of an address.
func hostPrefix(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
