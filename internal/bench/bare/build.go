package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/text"
)

// How much is done at once: rtnetlink has one lock, and iptables-restore mostly waits.
const (
	workers   = 4
	restorers = 12
)

// space is one namespace, with a netlink socket in it.
type space struct {
	want *emu.Namespace
	fd   netns.NsHandle
	nl   *netlink.Handle
	raw  *nl.NetlinkSocket // for requests that the library has no call for
}

type network struct {
	spaces []*space
	byName map[string]*space
}

func build(want *emu.Network) (*network, error) {
	nl.EnableErrorMessageReporting = true // the kernel's own words in errors
	// In a namespace of its own the program leaves the machine's alone.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	n := &network{byName: map[string]*space{}}
	for _, w := range want.Namespaces {
		s := &space{want: w}
		n.spaces = append(n.spaces, s)
		n.byName[s.want.Name] = s
	}
	if err := each(workers, n.spaces, (*space).create); err != nil {
		return nil, err
	}
	// Firewalls wait, so that they load while the links are made.
	var firewalls errgroup.Group
	firewalls.Go(func() error { return each(restorers, n.spaces, (*space).loadFirewall) })
	err := each(workers, want.Links, n.connect)
	if err == nil {
		err = each(workers, n.spaces, (*space).finish)
	}
	err = errors.Join(err, firewalls.Wait())
	return n, err
}

func each[T any](limit int, all []T, do func(T) error) error {
	var g errgroup.Group
	g.SetLimit(limit)
	for _, v := range all {
		g.Go(func() error { return do(v) })
	}
	return g.Wait()
}

// within runs f on a thread in a new namespace, or in the namespace ns. The thread ends with it.
func within(ns netns.NsHandle, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		var err error
		if ns.IsOpen() {
			err = netns.Set(ns)
		} else {
			err = unix.Unshare(unix.CLONE_NEWNET)
		}
		if err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

func (s *space) create() error {
	return within(netns.None(), func() (err error) {
		if s.fd, err = netns.Get(); err != nil {
			return err
		}
		if s.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
			return err
		}
		if s.raw, err = nl.Subscribe(unix.NETLINK_ROUTE); err != nil {
			return err
		}
		sysctls := map[string]string{"ipv6/conf/all/disable_ipv6": "1"}
		if s.want.Kind == emu.Router {
			sysctls["ipv4/ip_forward"] = "1"
		}
		for key, value := range sysctls {
			if err := os.WriteFile(
				filepath.Join("/proc/sys/net", key),
				[]byte(value),
				0o644,
			); err != nil &&
				!errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		lo, err := s.nl.LinkByName("lo")
		if err != nil {
			return err
		}
		if err := s.nl.LinkSetUp(lo); err != nil {
			return err
		}
		for _, a := range s.want.Loopback {
			if err := s.nl.AddrAdd(lo, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, 32))}); err != nil {
				return err
			}
		}
		for _, b := range s.want.Bridges {
			if err := s.addBridge(b); err != nil {
				return fmt.Errorf("bridge %s: %w", b.Name, err)
			}
		}
		return nil
	})
}

func (s *space) addBridge(b emu.Bridge) error {
	snooping := false
	br := &netlink.Bridge{LinkAttrs: attributes(b.Name, b.MAC), MulticastSnooping: &snooping}
	if err := s.nl.LinkAdd(br); err != nil {
		return err
	}
	for _, a := range b.Addresses {
		if err := s.nl.AddrAdd(br, &netlink.Addr{IPNet: ipNet(a)}); err != nil {
			return err
		}
	}
	return s.nl.LinkSetUp(br)
}

func attributes(name string, mac emu.MAC) netlink.LinkAttrs {
	a := netlink.NewLinkAttrs()
	a.Name, a.HardwareAddr, a.MTU, a.NumTxQueues, a.NumRxQueues = name, mac[:], emu.MTU, 1, 1
	return a
}

// connect makes a veth pair with both ends where they belong.
func (n *network) connect(l *emu.Link) error {
	near, far := l.A, l.B
	if near.Port == nil && far.Port != nil {
		near, far = far, near
	}
	s, other := n.byName[near.Namespace], n.byName[far.Namespace]
	veth := netlink.NewVeth(attributes(near.Name, near.MAC))
	veth.PeerName, veth.PeerHardwareAddr, veth.PeerMTU = far.Name, far.MAC[:], emu.MTU
	veth.PeerNumTxQueues, veth.PeerNumRxQueues, veth.PeerNamespace = 1, 1, netlink.NsFd(other.fd)
	if err := s.nl.LinkAdd(veth); err != nil {
		return fmt.Errorf("link %s: %w", near.Name, err)
	}
	if err := s.finishEnd(veth, near); err != nil {
		return fmt.Errorf("link %s: %w", near.Name, err)
	}
	peer, err := other.nl.LinkByName(far.Name)
	if err == nil {
		err = other.finishEnd(peer, far)
	}
	if err != nil {
		return fmt.Errorf("link %s: %w", far.Name, err)
	}
	return nil
}

func (s *space) finishEnd(link netlink.Link, e emu.LinkEnd) error {
	if e.Port != nil {
		bridge, err := s.nl.LinkByName(e.Port.Bridge)
		if err != nil {
			return err
		}
		if err := s.nl.LinkSetMaster(link, bridge); err != nil {
			return err
		}
		if err := s.setPort(link.Attrs().Index, e.Port); err != nil {
			return err
		}
		for _, mac := range e.Port.Stations {
			if err := s.nl.NeighAppend(&netlink.Neigh{
				LinkIndex: link.Attrs().Index, Family: unix.AF_BRIDGE, State: netlink.NUD_NOARP,
				Flags: netlink.NTF_MASTER, HardwareAddr: mac[:],
			}); err != nil {
				return err
			}
		}
	}
	for _, a := range e.Addresses {
		if err := s.nl.AddrAdd(link, &netlink.Addr{IPNet: ipNet(a)}); err != nil {
			return err
		}
	}
	return s.nl.LinkSetUp(link)
}

// setPort sets all flags of a bridge port in one request, which the library's own calls would make five.
func (s *space) setPort(index int, p *emu.BridgePort) error {
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s.raw}}
	msg := nl.NewIfInfomsg(unix.AF_BRIDGE)
	msg.Index = int32(index)
	req.AddData(msg)
	info := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	for attribute, on := range map[int]bool{
		nl.IFLA_BRPORT_LEARNING:      false,
		nl.IFLA_BRPORT_UNICAST_FLOOD: p.Uplink,
		nl.IFLA_BRPORT_MCAST_FLOOD:   p.Uplink,
		nl.IFLA_BRPORT_BCAST_FLOOD:   p.Uplink,
		nl.IFLA_BRPORT_PROXYARP:      p.ProxyARP,
	} {
		value := byte(0)
		if on {
			value = 1
		}
		info.AddRtAttr(attribute, nl.Uint8Attr(value))
	}
	req.AddData(info)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// finish adds what needs the links: neighbors, routes, nftables rules.
func (s *space) finish() error {
	index := map[string]int{}
	links, err := s.nl.LinkList()
	if err != nil {
		return err
	}
	for _, l := range links {
		index[l.Attrs().Name] = l.Attrs().Index
	}
	for _, n := range s.want.Neighbors {
		if err := s.nl.NeighAdd(&netlink.Neigh{
			LinkIndex: index[n.Device], Family: unix.AF_INET, State: netlink.NUD_PERMANENT,
			IP: n.Address.AsSlice(), HardwareAddr: n.MAC[:],
		}); err != nil {
			return fmt.Errorf("neighbor %s: %w", n.Address, err)
		}
	}
	for _, r := range s.want.Routes {
		route := &netlink.Route{
			LinkIndex: index[r.Device],
			Dst:       ipNet(r.Destination),
			Gw:        r.Gateway.AsSlice(),
			Scope:     netlink.SCOPE_LINK,
		}
		if r.Gateway.IsValid() {
			route.Scope = netlink.SCOPE_UNIVERSE
		}
		if r.OnLink {
			route.SetFlag(netlink.FLAG_ONLINK)
		}
		if err := s.nl.RouteAdd(route); err != nil {
			return fmt.Errorf("%s: route to %s: %w", s.want.Name, r.Destination, err)
		}
	}
	var rules strings.Builder
	for _, r := range s.want.Rulesets() {
		rules.WriteString(text.NFTables(r))
	}
	if rules.Len() == 0 {
		return nil
	}
	return s.pipe(rules.String(), "nft", "-f", "-")
}

func (s *space) loadFirewall() error {
	if s.want.Firewall == nil {
		return nil
	}
	return s.pipe(text.IPTables(s.want.Firewall), "iptables-restore")
}

// pipe runs a program inside the namespace.
func (s *space) pipe(input, program string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.Stdin = strings.NewReader(input)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := within(s.fd, cmd.Start); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s in %s: %w: %s", program, s.want.Name, err, out.String())
	}
	return nil
}

// watch makes a link into the last namespace that teardown lets go of: when it disappears, so have all others.
func (n *network) watch() (gone func() (bool, error), err error) {
	home, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	const witness = "witness"
	veth := netlink.NewVeth(netlink.LinkAttrs{Name: witness, TxQLen: -1})
	veth.PeerName, veth.PeerNamespace = witness, netlink.NsFd(n.spaces[len(n.spaces)-1].fd)
	if err := home.LinkAdd(veth); err != nil {
		return nil, err
	}
	return func() (bool, error) {
		_, err := home.LinkByName(witness)
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			return true, nil
		}
		return false, err
	}, nil
}

// teardown lets go of the namespaces and waits until the kernel has removed their links.
func (n *network) teardown(gone func() (bool, error)) error {
	for _, s := range n.spaces {
		s.nl.Close()
		s.raw.Close()
		if err := s.fd.Close(); err != nil {
			return err
		}
	}
	for {
		if done, err := gone(); done || err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}
