package probe

import (
	"errors"
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"vnetlab/emu"
)

// Probes start from these ports: below the ephemeral range, so that no program in a namespace gets one by chance.
const (
	firstPort     = 20000
	lastPort      = 32767
	portsOfProbes = lastPort - firstPort + 1
	anyPort       = 1024 // is the first that anybody may have
)

// flights are the probes under way, by their source port: each port is in use once in the whole lab, so the port in the report
// of a drop names the probe, whatever the translations on the way did to its addresses.
type flights struct {
	next   atomic.Uint32
	seed   maphash.Seed
	counts [1 << 14]atomic.Uint32 // how often the pairs of a hash have claimed a port
	ports  [1 << 16]atomic.Pointer[flight]
}

// flight is one attempt to connect, or to get an answer to a datagram.
type flight struct {
	port uint16
	// nonce is in each datagram of a UDP probe; 0: TCP. Its first 16 bits are the port, so that a report names the probe even
	// if the source port was translated.
	nonce uint64

	mu     sync.Mutex
	file   *os.File // the socket, once the connection is under way
	report *report
}

// report says that a rule dropped a probe's packet.
type report struct{ namespace, id string }

var errNoPort = errors.New("all source ports of probes are in use: fewer probes at a time will help")

// claim takes the next free port for a TCP connection to a port.
func (f *flights) claim(to uint16) (*flight, error) {
	return f.take(to, func(c *flight) uint32 { return f.next.Add(1) })
}

// claimEach takes a free port for each of n ways to one target, of which way returns the one that a port leads to: from 0, or -1. It takes the
// same port again as late as possible: routers remember for a while who had it. Few ways of many are led to by no port of probes, and get
// another; one that no port leads to gets nil.
func (f *flights) claimEach(from string, protocol emu.Protocol, to netip.AddrPort, n int, way func(port uint16) int) []*flight {
	// Those behind one public address have different ports, so that the translation of their source needn't change any.
	next := f.inTurn("", to, func(*flight) {})
	if protocol == emu.UDP {
		next = f.udpPorts(from, to)
	}
	all, left, c := make([]*flight, n), n, &flight{}
	try := func() {
		if at := way(c.port); at >= 0 && all[at] == nil && c.port != to.Port() && f.ports[c.port].CompareAndSwap(nil, c) {
			all[at], c = c, &flight{}
			left--
		}
	}
	for i := 0; i < portsOfProbes && left > 0; i++ {
		f.aim(c, next)
		try()
	}
	for port := anyPort; port < 1<<16 && left > 0; port++ {
		if next(c); port < firstPort || port > lastPort {
			c.have(uint16(port))
			try()
		}
	}
	return all
}

// claimUDP takes a free port for datagrams from a namespace to a target, one it has not had for as long as possible: routers and
// firewalls remember the last exchange from the same port, for minutes, and let its packets pass whatever their rules are by now.
func (f *flights) claimUDP(from string, to netip.AddrPort) (*flight, error) {
	return f.take(to.Port(), f.udpPorts(from, to))
}

func (f *flights) udpPorts(from string, to netip.AddrPort) func(*flight) uint32 {
	return f.inTurn(from, to, func(c *flight) { c.nonce = rand.Uint64() >> 16 })
}

// inTurn leads to each port once before it leads to one again, from a place to a target.
func (f *flights) inTurn(from string, to netip.AddrPort, prepare func(*flight)) func(*flight) uint32 {
	type pair struct {
		from string
		to   netip.AddrPort
	}
	hash := uint32(maphash.Comparable(f.seed, pair{from, to}))
	count := &f.counts[hash%uint32(len(f.counts))]
	return func(c *flight) uint32 {
		prepare(c)
		return hash + count.Add(1)
	}
}

// take takes the first free port that next leads to. It is never the target's: such a socket would connect to itself, where the target is
// in the same namespace.
func (f *flights) take(to uint16, next func(*flight) uint32) (*flight, error) {
	c := &flight{}
	for range portsOfProbes {
		f.aim(c, next)
		if c.port != to && f.ports[c.port].CompareAndSwap(nil, c) {
			return c, nil
		}
	}
	return nil, errNoPort
}

// aim gives a flight the port that comes next.
func (f *flights) aim(c *flight, next func(*flight) uint32) {
	c.have(firstPort + uint16(next(c)%portsOfProbes))
}

func (c *flight) have(port uint16) {
	c.port = port
	if c.nonce != 0 {
		c.nonce = c.nonce<<16>>16 | uint64(port)<<48
	}
}

func (f *flights) release(c *flight) { f.ports[c.port].Store(nil) }

// deliver hands the report of a packet to its flight, if that is still under way.
func (f *flights) deliver(port uint16, nonce uint64, r report) {
	if c := f.ports[port].Load(); c != nil && c.nonce == nonce {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.report == nil {
			c.report = &r
			c.wake()
		}
	}
}

// attach tells the flight the socket whose waiting a report ends.
func (c *flight) attach(file *os.File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.file = file
	if c.report != nil {
		c.wake()
	}
}

// waitUntil sets the end of waiting on the socket, unless a report has ended it already.
func (c *flight) waitUntil(t time.Time) (ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.report != nil {
		return false
	}
	c.file.SetDeadline(t) //nolint:errcheck // its owner calls
	return true
}

// detach keeps a late report from disturbing a connection that was accepted.
func (c *flight) detach() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.file = nil
}

func (c *flight) wake() {
	if c.file != nil {
		c.file.SetDeadline(time.Unix(1, 0)) //nolint:errcheck // closed: nobody waits
	}
}

func (c *flight) reported() *report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.report
}
