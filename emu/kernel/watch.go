package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Version identifies a state of what decides in a namespace. Two versions of one watch are equal if nothing changed
// between them: no nftables rule, which includes those of iptables-nft, and no link, address, route, routing rule,
// nexthop, queueing discipline or forwarding switch. Neighbors, FDB entries, XFRM policies, other sysctls and the rules
// of the older iptables don't change it.
type Version struct {
	rules uint32 // the kernel's number of the generation of nftables rules; each transaction takes the next
	rest  uint64 // how many notifications of other changes arrived
}

// Watch detects changes of a namespace. Its sockets keep the namespace alive while it is open. Its methods are safe for
// concurrent use.
type Watch struct {
	mu     sync.Mutex
	rules  int // socket for questions about the generation; -1: closed
	events int // socket that receives the notifications
	heard  uint64
	in     []byte
}

// From linux/rtnetlink.h, as bits of nl_groups.
const (
	watchedGroups = 1<<(unix.RTNLGRP_LINK-1) | 1<<(unix.RTNLGRP_IPV4_IFADDR-1) | 1<<(unix.RTNLGRP_IPV4_ROUTE-1) |
		1<<(unix.RTNLGRP_IPV4_RULE-1) | 1<<(unix.RTNLGRP_IPV4_NETCONF-1) | 1<<(unix.RTNLGRP_TC-1) |
		1<<(unix.RTNLGRP_NEXTHOP-1)
)

// Watch starts watching the namespace.
func (n *Namespace) Watch() (w *Watch, err error) {
	w = &Watch{rules: -1, events: -1, in: make([]byte, 512)}
	err = n.Do(func() error {
		var err error
		if w.rules, err = newRulesSocket(); err != nil {
			return err
		}
		w.events, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK,
			unix.NETLINK_ROUTE)
		if err != nil {
			return os.NewSyscallError("netlink socket", err)
		}
		groups := &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: watchedGroups}
		return os.NewSyscallError("netlink bind", unix.Bind(w.events, groups))
	})
	if err == nil {
		_, err = w.Version()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("watch namespace %s: %w", n.Name, err), w.Close())
	}
	return w, nil
}

// Close stops watching.
func (w *Watch) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, fd := range []*int{&w.rules, &w.events} {
		if *fd >= 0 {
			errs = append(errs, os.NewSyscallError("close", unix.Close(*fd)))
			*fd = -1
		}
	}
	return errors.Join(errs...)
}

// getGeneration requests the generation of the rules: NFT_MSG_GETGEN of linux/netfilter/nf_tables.h. The kernel answers
// during the write.
var getGeneration = func() []byte {
	const nfgenmsg = 4
	b := make([]byte, unix.NLMSG_HDRLEN+nfgenmsg)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	b[unix.NLMSG_HDRLEN+1] = unix.NFNETLINK_V0
	return b
}()

// Version returns the current version. It covers the rules that packets met before the call, whatever changes later.
func (w *Watch) Version() (Version, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rules < 0 {
		return Version{}, os.ErrClosed
	}
	if err := w.hear(); err != nil {
		return Version{}, err
	}
	rules, err := generation(w.rules, w.in)
	return Version{rules, w.heard}, err
}

// hear counts the notifications that arrived. Lost ones count as one.
func (w *Watch) hear() error {
	for {
		_, err := unix.Read(w.events, w.in) // the contents don't matter
		switch {
		case err == nil, errors.Is(err, unix.ENOBUFS):
			w.heard++
		case errors.Is(err, unix.EAGAIN):
			return nil
		case !errors.Is(err, unix.EINTR):
			return os.NewSyscallError("netlink receive", err)
		}
	}
}

// newRulesSocket opens a socket for nftables requests in the namespace of the calling thread.
func newRulesSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	return fd, os.NewSyscallError("netlink socket", err)
}

// generation returns the number of the last nftables transaction.
func generation(fd int, buffer []byte) (uint32, error) {
	if _, err := unix.Write(fd, getGeneration); err != nil {
		return 0, os.NewSyscallError("netlink send", err)
	}
	n, err := unix.Read(fd, buffer)
	if err != nil {
		return 0, os.NewSyscallError("netlink receive", err)
	}
	const header = unix.NLMSG_HDRLEN + 4
	in := buffer[:n]
	if n < header {
		return 0, fmt.Errorf("an answer of %d bytes about the generation of rules", n)
	}
	switch h := (*unix.NlMsghdr)(unsafe.Pointer(&in[0])); {
	case h.Type == unix.NLMSG_ERROR:
		errno := unix.Errno(-int32(binary.NativeEndian.Uint32(in[unix.NLMSG_HDRLEN:])))
		return 0, os.NewSyscallError("ask for the generation of rules", errno)
	case h.Type != unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWGEN:
		return 0, fmt.Errorf("an answer of type %d about the generation of rules", h.Type)
	}
	const attribute = 4 // a length and a type
	for in = in[header:]; len(in) >= attribute; {
		length := int(binary.NativeEndian.Uint16(in))
		if length < attribute || length > len(in) {
			break
		}
		if binary.NativeEndian.Uint16(in[2:]) == unix.NFTA_GEN_ID && length == attribute+4 {
			return binary.BigEndian.Uint32(in[attribute:]), nil
		}
		in = in[min((length+3)&^3, len(in)):]
	}
	return 0, errors.New("the kernel doesn't report the generation of rules")
}
