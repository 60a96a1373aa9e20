package probe

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
)

// The kernel has one neighbour table for all namespaces of the machine, with a limit. Two hosts of one subnet that connect leave
// an entry in each, for minutes; the sweep of a lab would fill the table. So a sweep that is large enough to do so removes what
// it leaves, pair by pair.

// neighbourLimit is how many entries the table holds.
func neighbourLimit() int {
	b, err := os.ReadFile("/proc/sys/net/ipv4/neigh/default/gc_thresh3")
	if err == nil {
		if n, err := strconv.Atoi(string(bytes.TrimSpace(b))); err == nil {
			return n
		}
	}
	return 1024 // the kernel's default
}

// neighbourOverflows counts how often the table was too full for an entry, since the machine started.
func neighbourOverflows() uint64 {
	b, err := os.ReadFile("/proc/net/stat/arp_cache")
	if err != nil {
		return 0
	}
	lines := bytes.Split(b, []byte("\n"))
	column := slices.IndexFunc(bytes.Fields(lines[0]), func(f []byte) bool { return string(f) == "table_fulls" })
	if column < 0 {
		return 0
	}
	var sum uint64
	for _, l := range lines[1:] { // one for each CPU
		if f := bytes.Fields(l); len(f) > column {
			n, _ := strconv.ParseUint(string(f[column]), 16, 64)
			sum += n
		}
	}
	return sum
}

// neighbour is an entry of a neighbour table.
type neighbour struct {
	namespace string
	device    string
	address   netip.Addr
}

// pairNeighbours gives the entries that a connection from a host to an address in its own subnet leaves; none for others.
func (t *topology) pairNeighbours(from string, to netip.Addr) []neighbour {
	for _, own := range t.interfaces[from] {
		if !own.prefix.Contains(to) || own.prefix.Addr() == to {
			continue
		}
		left := []neighbour{{from, own.device, to}}
		for _, owner := range t.ownersNear(to, t.near(from)) {
			for _, far := range t.interfaces[owner] {
				if far.prefix.Addr() == to {
					left = append(left, neighbour{owner, far.device, own.prefix.Addr()})
				}
			}
		}
		return slices.DeleteFunc(left, t.wanted)
	}
	return nil
}

// wanted says whether the entry is not left over but part of the network, or of a router, where it serves everyone.
func (t *topology) wanted(n neighbour) bool {
	s := t.namespaces[n.namespace]
	return s == nil || s.Kind == emu.Router ||
		slices.ContainsFunc(s.Neighbors, func(w emu.Neighbor) bool { return w.Address == n.address })
}

// broom removes entries of neighbour tables.
type broom struct {
	namespaces func(string) (*kernel.Namespace, bool)

	mu      sync.Mutex
	sockets map[string]int // in each namespace one, while the sweep lasts
}

func (b *broom) socket(name string) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if fd, ok := b.sockets[name]; ok {
		return fd, nil
	}
	ns, ok := b.namespaces(name)
	if !ok {
		return -1, os.ErrNotExist
	}
	fd, err := ns.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err == nil {
		b.sockets[name] = fd
	}
	return fd, err
}

// remove removes an entry, if it is there.
func (b *broom) remove(n neighbour) {
	fd, err := b.socket(n.namespace)
	if err != nil {
		return // gone, and its entries with it
	}
	// struct arpreq of linux/if_arp.h
	var request struct {
		address  unix.RawSockaddrInet4
		hardware unix.RawSockaddr
		flags    int32
		netmask  unix.RawSockaddr
		device   [unix.IFNAMSIZ]byte
	}
	request.address.Family = unix.AF_INET
	request.address.Addr = n.address.As4()
	copy(request.device[:unix.IFNAMSIZ-1], n.device)
	unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCDARP, uintptr(unsafe.Pointer(&request))) //nolint:errcheck // it is gone
}

func (b *broom) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, fd := range b.sockets {
		errs = append(errs, unix.Close(fd))
	}
	b.sockets = nil
	return errors.Join(errs...)
}
