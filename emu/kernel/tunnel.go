package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// Tunnels come and go while a network runs, and what is behind their devices is not of this package: see emu/tunnel.

// AddWireGuard makes a link of type wireguard, down and without peers. Where the kernel has no WireGuard the error is
// [errors.ErrUnsupported].
func AddWireGuard(n *Namespace, device string) error {
	return withHandle(n, "add WireGuard device "+device, func(h *netlink.Handle) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU = device, emu.TunnelMTU
		return h.LinkAdd(&netlink.Wireguard{LinkAttrs: attrs})
	})
}

// AddTUN makes a TUN device, down, and returns the descriptor that reads and writes its packets, without any header. It
// is non-blocking, and the device ends with it.
func AddTUN(n *Namespace, device string) (fd int, err error) {
	err = n.Do(func() (err error) {
		fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("open /dev/net/tun: %w; it comes with modprobe tun", err)
		}
		request, err := unix.NewIfreq(device)
		if err == nil {
			request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_TUN_EXCL)
			err = os.NewSyscallError("TUNSETIFF", unix.IoctlIfreq(fd, unix.TUNSETIFF, request))
		}
		if err != nil {
			err = errors.Join(err, unix.Close(fd))
		}
		return err
	})
	if err != nil {
		return -1, fmt.Errorf("add TUN device %s in %s: %w", device, n.Name, err)
	}
	return fd, nil
}

// SetUp sets the MTU of the device of a tunnel and sets the device up.
func SetUp(n *Namespace, device string) error {
	return withHandle(n, "set up tunnel device "+device, func(h *netlink.Handle) error {
		link, err := h.LinkByName(device)
		if err != nil {
			return err
		}
		return errors.Join(h.LinkSetMTU(link, emu.TunnelMTU), h.LinkSetUp(link))
	})
}

// RouteInto routes what is behind the other end of a tunnel into its device, which is up. The routes end with the
// device.
func RouteInto(n *Namespace, device string, destinations []netip.Prefix) error {
	return withHandle(n, "route into "+device, func(h *netlink.Handle) error {
		link, err := h.LinkByName(device)
		if err != nil {
			return err
		}
		for _, p := range destinations {
			route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(p), Scope: netlink.SCOPE_LINK}
			if err := h.RouteAdd(route); err != nil {
				return fmt.Errorf("route to %s: %w", p, err)
			}
		}
		return nil
	})
}

// RemoveLink deletes a link of a namespace.
func RemoveLink(n *Namespace, device string) error {
	return withHandle(n, "remove "+device, func(h *netlink.Handle) error {
		link, err := h.LinkByName(device)
		if err != nil {
			return err
		}
		return h.LinkDel(link)
	})
}

// RouteMarked sets the source address of packets with a firewall mark, on their way from the namespace to an address;
// their route stays that of the main table. It is for senders that use the mark and cannot choose the source address.
// The mark is also the number of the routing table.
func RouteMarked(n *Namespace, mark uint32, source, destination netip.Addr) error {
	return withHandle(n, fmt.Sprintf("route to %s from %s", destination, source), func(h *netlink.Handle) error {
		found, err := h.RouteGet(destination.AsSlice())
		if err != nil {
			return err
		}
		way := found[0]
		route := &netlink.Route{
			Table: int(mark), Dst: ipNet(hostPrefix(destination)), Src: source.AsSlice(), LinkIndex: way.LinkIndex,
			Gw: way.Gw, Scope: netlink.SCOPE_LINK,
		}
		if way.Gw != nil {
			route.Scope = netlink.SCOPE_UNIVERSE
			route.SetFlag(netlink.FLAG_ONLINK)
		}
		if err := h.RouteAdd(route); err != nil {
			return err
		}
		if err := h.RuleAdd(markRule(mark)); err != nil {
			return errors.Join(err, h.RouteDel(route))
		}
		return nil
	})
}

// UnrouteMarked undoes RouteMarked.
func UnrouteMarked(n *Namespace, mark uint32, destination netip.Addr) error {
	return withHandle(n, fmt.Sprintf("remove the route to %s", destination), func(h *netlink.Handle) error {
		err := h.RouteDel(&netlink.Route{Table: int(mark), Dst: ipNet(hostPrefix(destination))})
		if errors.Is(err, unix.ESRCH) {
			err = nil // it went with its link
		}
		return errors.Join(err, h.RuleDel(markRule(mark)))
	})
}

func markRule(mark uint32) *netlink.Rule {
	r := netlink.NewRule()
	r.Family, r.Mark, r.Table = unix.AF_INET, mark, int(mark)
	return r
}

// withHandle runs f with an rtnetlink socket of the namespace.
func withHandle(n *Namespace, what string, f func(*netlink.Handle) error) error {
	err := n.Do(func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer h.Close()
		return f(h)
	})
	if err != nil {
		return fmt.Errorf("%s in %s: %w", what, n.Name, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// tunnelKind is what the differences call the device of a tunnel: whether the kernel or a program encrypts is all the
// same.
const tunnelKind = "tunnel"

// linkKind returns the kind of a link as the differences know it.
func linkKind(kind string) string {
	if kind == "tun" || kind == "wireguard" {
		return tunnelKind
	}
	return kind
}

// wantedTunnel is what an open tunnel has in the namespace of one end.
func wantedTunnel(f *facts, e emu.TunnelEnd) {
	f.objects[linkObject(e.Device)] = properties{
		"kind": tunnelKind, "state": "up", "mac": "",
		"mtu": fmt.Sprint(emu.TunnelMTU), "arp": "off",
	}
	for _, p := range e.AllowedPrefixes {
		f.objects[routeObject(p, 0)] = routeProperties(netip.Addr{}, e.Device, false)
	}
	f.marks = append(f.marks, TunnelMark(e.Port))
}

// LosesTunnel reports whether a difference is that the device of a tunnel is gone, or another one.
func (d Difference) LosesTunnel(t emu.Tunnel) bool {
	return slices.ContainsFunc([]emu.TunnelEnd{t.A, t.B}, func(e emu.TunnelEnd) bool {
		return d.Namespace == e.Namespace && d.of == linkObject(e.Device) && (d.Found == "" || d.property == "kind")
	})
}

// TunnelMark is the firewall mark of what the kernel's end of a tunnel sends, and the number of the routing table
// that it goes by. It keeps them apart from those that people number by hand.
func TunnelMark(port uint16) uint32 { return 0x10000 + uint32(port) }

// tunnelFeatures are what gateways need beyond the rest of a lab: one of the two.
func tunnelFeatures(privileged bool) []Feature {
	in := func(add func(*Namespace) error) func() (string, error) {
		return func() (_ string, err error) {
			if !privileged {
				return "", ErrUntried
			}
			n, err := newNamespace("probe", func() error { return nil })
			if err != nil {
				return "", err
			}
			defer func() { err = errors.Join(err, n.Close()) }()
			return "", add(n)
		}
	}
	return []Feature{
		optional(try("WireGuard", "gateways' tunnels are encrypted by the lab's own process, which is slower",
			module("wireguard"), in(func(n *Namespace) error {
				return AddWireGuard(n, "probe")
			}))),
		optional(try("TUN", "no gateway works where the kernel has no WireGuard either", module("tun"),
			in(func(n *Namespace) error {
				fd, err := AddTUN(n, "probe")
				if err == nil {
					err = unix.Close(fd)
				}
				return err
			}))),
	}
}
