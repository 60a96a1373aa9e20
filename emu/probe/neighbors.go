package probe

import (
	"cmp"
	"container/list"
	"context"
	"net/netip"
	"os"
	"slices"
	"sync"
	"unsafe"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
)

// neighbor names an entry of the kernel's neighbor table.
type neighbor struct {
	namespace string
	device    string
	address   netip.Addr
}

// neighborsOf lists the entries that a connection within a subnet leaves at its two hosts. Other connections leave
// none: routers, and hosts for their gateways, have permanent entries.
func (t *topology) neighborsOf(from string, to netip.Addr) []neighbor {
	for _, own := range t.interfaces[from] {
		if !own.prefix.Contains(to) || own.prefix.Addr() == to {
			continue
		}
		left := []neighbor{{from, own.device, to}}
		for _, owner := range t.ownersNear(to, func() []string { return t.near(from) }) {
			for _, far := range t.interfaces[owner] {
				if far.prefix.Addr() == to {
					left = append(left, neighbor{owner, far.device, own.prefix.Addr()})
				}
			}
		}
		return slices.DeleteFunc(left, t.permanent)
	}
	return nil
}

// permanent reports whether an entry is part of the network, or belongs to a router, where other connections need it.
func (t *topology) permanent(n neighbor) bool {
	s := t.namespaces[n.namespace]
	return s == nil || s.Kind == emu.Router ||
		slices.ContainsFunc(s.Neighbors, func(w emu.Neighbor) bool { return w.Address == n.address })
}

// neighbors keeps probes from filling the kernel's neighbor table. All namespaces of the machine share one, and it
// is small. An entry in use stays in it for up to a minute, so the probes of a crowded subnet would fill it within
// a second. Then neither end of a connection finds the other.
//
// The entries of the probes in flight and those left by earlier probes together stay below a share of the table. A
// probe that finds the share exhausted removes the oldest entries that no other probe needs; where all are needed,
// it waits. An entry in use is never removed: the kernel would fail the connection that is waiting for its
// resolution (EHOSTUNREACH).
type neighbors struct {
	sockets perNamespace[*arpSocket]
	limit   func() int             // of the table; read when it is needed for the first time
	share   int                    // set with inUse
	inUse   *semaphore.Weighted    // how many entries the probes in flight may need at a time
	sized   sync.Once              // sets share and inUse
	mu      sync.Mutex             // guards what follows
	entries map[neighbor]*lifetime // in flight or left behind
	left    list.List              // of neighbor: those no probe in flight needs, the oldest first
}

// lifetime is what is known of an entry.
type lifetime struct {
	probes int           // in flight that need it
	left   *list.Element // its place in neighbors.left; nil while a probe needs it
}

func newNeighbors(namespaces func(string) (*kernel.Namespace, bool)) neighbors {
	return neighbors{
		sockets: perNamespace[*arpSocket]{namespaces: namespaces, open: openARP},
		limit:   neighborLimit,
	}
}

// neighborShare is the part of the table that one prober may fill: other labs share it.
const neighborShare = 4

// acquire waits until there is room for the entries that a probe needs, and keeps them until release is called.
func (n *neighbors) acquire(ctx context.Context, needed []neighbor) (release func(), err error) {
	if len(needed) == 0 {
		return func() {}, nil
	}
	n.sized.Do(func() {
		n.share = max(n.limit()/neighborShare, 2)
		n.inUse = semaphore.NewWeighted(int64(n.share))
		n.entries = make(map[neighbor]*lifetime)
	})
	weight := int64(min(len(needed), n.share))
	if err := n.inUse.Acquire(ctx, weight); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range needed {
		l := n.entries[e]
		if l == nil {
			l = new(lifetime)
			n.entries[e] = l
		}
		if l.left != nil {
			n.left.Remove(l.left)
			l.left = nil
		}
		l.probes++
	}
	for len(n.entries) > n.share && n.left.Len() > 0 {
		oldest := n.left.Remove(n.left.Front()).(neighbor)
		delete(n.entries, oldest)
		n.remove(oldest) // with the lock held: no other probe may begin to need it meanwhile
	}
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, e := range needed {
			l := n.entries[e]
			if l.probes--; l.probes == 0 {
				l.left = n.left.PushBack(e)
			}
		}
		n.inUse.Release(weight)
	}, nil
}

// remove removes an entry from the kernel's table. It leaves alone what the lab or another program needs: a
// permanent entry, and one whose address is yet to be resolved. Those that can't be resolved the kernel removes
// itself when it needs room.
func (n *neighbors) remove(e neighbor) {
	s, err := n.sockets.get(e.namespace)
	if err != nil {
		return // the namespace is gone, and its entries with it
	}
	const complete, permanent = 0x02, 0x04 // ATF_COM and ATF_PERM of linux/if_arp.h
	if flags, err := s.request(unix.SIOCGARP, e); err == nil && flags&(complete|permanent) == complete {
		s.request(unix.SIOCDARP, e) //nolint:errcheck // gone meanwhile
	}
}

// arpSocket is a socket for requests about the neighbor table of a namespace.
type arpSocket struct{ fd int }

func openARP(ns *kernel.Namespace) (*arpSocket, error) {
	fd, err := ns.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	return &arpSocket{fd}, err
}

func (s *arpSocket) Close() error { return os.NewSyscallError("close", unix.Close(s.fd)) }

// request makes an ARP request of ioctl and returns the flags that the kernel answers with.
func (s *arpSocket) request(what uintptr, n neighbor) (flags int32, err error) {
	var arpreq struct { // of linux/if_arp.h
		address  unix.RawSockaddrInet4
		hardware unix.RawSockaddr
		flags    int32
		netmask  unix.RawSockaddr
		device   [unix.IFNAMSIZ]byte
	}
	arpreq.address.Family = unix.AF_INET
	arpreq.address.Addr = n.address.As4()
	copy(arpreq.device[:unix.IFNAMSIZ-1], n.device)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s.fd), what, uintptr(unsafe.Pointer(&arpreq)))
	if errno != 0 {
		return 0, errno
	}
	return arpreq.flags, nil
}

// defaultNeighborLimit is the kernel's own.
const defaultNeighborLimit = 1024

// neighborLimit returns how many entries the table holds.
func neighborLimit() int {
	t, err := readNeighborTable()
	if err != nil {
		return defaultNeighborLimit
	}
	return cmp.Or(int(t.limit), defaultNeighborLimit)
}
