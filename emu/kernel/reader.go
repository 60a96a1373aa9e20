package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// readRoute reads what rtnetlink knows.
func (r *reader) readRoute() error {
	for _, read := range []func() error{
		r.readLinks, r.readAddresses, r.readNexthops, r.readRoutes, r.readRoutingRules, r.readQueues, r.readNeighbors,
		r.readFDB,
	} {
		if err := read(); err != nil {
			return err
		}
	}
	return nil
}

// reader reads one namespace by rtnetlink.
type reader struct {
	*facts
	socket *routeSocket
	xfrm   *routeSocket    // nil: the kernel has no IPsec
	names  map[int]string  // of links by index
	macs   map[string]bool // of bridges and their ports
	bridge bool            // whether there is one
	router bool            // the namespace forwards
	// makes are the routes that the kernel makes with the addresses.
	makes map[string]*madeWith
	// away has the request that deletes each object; nil: none is to be deleted.
	away map[string]request
}

func (r *reader) close() error {
	var errs []error
	for _, s := range []*routeSocket{r.socket, r.xfrm} {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	return errors.Join(errs...)
}

// dump calls each with the messages of a dump and their attributes.
func (r *reader) dump(proto, header int, ask []nl.NetlinkRequestData,
	each func(m []byte, attrs attributes) error,
) error {
	messages, err := r.socket.dump(proto, ask...)
	if err != nil {
		return err
	}
	for _, m := range messages {
		attrs, err := parseAttributes(m[header:])
		if err != nil {
			return err
		}
		if err := each(m, attrs); err != nil {
			return err
		}
	}
	return nil
}

const skipStatistics = 1 << 3 // RTEXT_FILTER_SKIP_STATS

func (r *reader) readLinks() error {
	masters := map[string]int{}
	ask := []nl.NetlinkRequestData{
		nl.NewIfInfomsg(unix.AF_UNSPEC), nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStatistics)),
	}
	err := r.dump(unix.RTM_GETLINK, unix.SizeofIfInfomsg, ask, func(m []byte, attrs attributes) error {
		header := nl.DeserializeIfInfomsg(m)
		name := attrs.text(unix.IFLA_IFNAME)
		r.names[int(header.Index)] = name
		link := properties{"state": "down"}
		if header.Flags&unix.IFF_UP != 0 {
			link["state"] = "up"
		}
		r.objects[linkObject(name)] = link
		r.takeAway(linkObject(name), unix.RTM_DELLINK, m[:unix.SizeofIfInfomsg], nil)
		if header.Flags&unix.IFF_LOOPBACK != 0 {
			return nil
		}
		if header.Flags&unix.IFF_NOARP != 0 {
			link["arp"] = "off"
		}
		link["mac"] = net.HardwareAddr(attrs[unix.IFLA_ADDRESS]).String()
		link["mtu"] = fmt.Sprint(attrs.number(unix.IFLA_MTU))
		if master := attrs.number(unix.IFLA_MASTER); master != 0 {
			masters[name] = int(master)
		}
		if err := r.readSwitches(link, attrs); err != nil {
			return err
		}
		return r.readKind(link, attrs)
	})
	for name, master := range masters {
		r.objects[linkObject(name)]["bridge"] = r.device(master)
	}
	return err
}

// readKind reads what only some kinds of links have: those of bridges and of their ports.
func (r *reader) readKind(link properties, attrs attributes) error {
	info, err := parseAttributes(attrs[unix.IFLA_LINKINFO])
	if err != nil {
		return err
	}
	link["kind"] = linkKind(info.text(nl.IFLA_INFO_KIND))
	isPort := info.text(nl.IFLA_INFO_SLAVE_KIND) == "bridge"
	if isPort || link["kind"] == "bridge" {
		r.macs[link["mac"]] = true
	}
	if link["kind"] == "bridge" {
		r.bridge = true
		if err := readBridge(link, info[nl.IFLA_INFO_DATA]); err != nil {
			return err
		}
	}
	if !isPort {
		return nil
	}
	port, err := parseAttributes(info[nl.IFLA_INFO_SLAVE_DATA])
	if err != nil {
		return err
	}
	operational, state := attrs[unix.IFLA_OPERSTATE], port[nl.IFLA_BRPORT_STATE]
	if len(operational) > 0 && operational[0] == netlink.OperUp && len(state) > 0 && state[0] != portForwards {
		link["port"] = "blocked"
	}
	for _, flag := range portFlags(&emu.BridgePort{}) {
		link[flag.name] = onOff(len(port[flag.attribute]) > 0 && port[flag.attribute][0] != 0)
	}
	readSettings(link, portSettings, port)
	return nil
}

func (r *reader) device(index int) string {
	if name, ok := r.names[index]; ok {
		return name
	}
	return fmt.Sprintf("number %d", index)
}

func (r *reader) readAddresses() error {
	ask := []nl.NetlinkRequestData{nl.NewIfAddrmsg(unix.AF_INET)}
	return r.dump(unix.RTM_GETADDR, unix.SizeofIfAddrmsg, ask, func(m []byte, attrs attributes) error {
		header := nl.DeserializeIfAddrmsg(m)
		a := netip.PrefixFrom(attrs.address(unix.IFA_LOCAL), int(header.Prefixlen))
		device := r.device(int(header.Index))
		r.objects[addressObject(a, device)] = properties{}
		r.takeAway(addressObject(a, device), unix.RTM_DELADDR, m, nil)
		r.makesRoutes(a, device, int(header.Index), r.objects[linkObject(device)]["state"] == "up")
		return nil
	})
}

func (r *reader) readNeighbors() error {
	ask := []nl.NetlinkRequestData{&netlink.Ndmsg{Family: unix.AF_INET}}
	return r.dump(unix.RTM_GETNEIGH, unix.SizeofNdMsg, ask, func(m []byte, attrs attributes) error {
		header := (*netlink.Ndmsg)(unsafe.Pointer(&m[0]))
		device, a := r.device(int(header.Index)), attrs.address(unix.NDA_DST)
		p := properties{"mac": net.HardwareAddr(attrs[unix.NDA_LLADDR]).String()}
		switch {
		case header.State&unix.NUD_PERMANENT != 0:
		case header.State&unix.NUD_NOARP != 0 && a.IsGlobalUnicast() && device != "lo" &&
			r.objects[linkObject(device)]["arp"] != "off":
			p["state"] = "noarp" // by hand: the kernel has such for groups, and on devices without ARP
		default:
			return nil
		}
		r.objects[neighborObject(a, device)] = p
		r.takeAway(neighborObject(a, device), unix.RTM_DELNEIGH, m, nil)
		return nil
	})
}

// readFDB reads the forwarding databases of bridges, without the local entries for the MAC addresses of the bridges and
// their ports, which the kernel makes.
func (r *reader) readFDB() error {
	if !r.bridge {
		return nil
	}
	ask := []nl.NetlinkRequestData{&netlink.Ndmsg{Family: unix.AF_BRIDGE}}
	return r.dump(unix.RTM_GETNEIGH, unix.SizeofNdMsg, ask, func(m []byte, attrs attributes) error {
		header := (*netlink.Ndmsg)(unsafe.Pointer(&m[0]))
		mac := net.HardwareAddr(attrs[unix.NDA_LLADDR]).String()
		local := header.State&unix.NUD_PERMANENT != 0
		if attrs.number(unix.NDA_MASTER) == 0 || local && r.macs[mac] {
			return nil
		}
		p := properties{}
		switch {
		case local:
			p["state"] = "local"
		case header.State&unix.NUD_NOARP == 0:
			p["state"] = "learned"
		}
		object := fdbObject(mac, r.device(int(header.Index)))
		r.objects[object] = p
		r.takeAway(object, unix.RTM_DELNEIGH, m, func(b []byte) { b[10] = unix.NTF_MASTER })
		return nil
	})
}
