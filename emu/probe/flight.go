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

// flights are the probes under way, by their source port: each port is in use once in the whole lab, so the port in the
// report of a drop leads to the probe. Whether the packet was the probe's is known by what else it carries: see
// [flight.matches] and [topology.meets].
type flights struct {
	seed   maphash.Seed
	counts [1 << 14]atomic.Uint32 // how often the pairs of a hash have claimed a port
	ports  [1 << 16]atomic.Pointer[flight]
}

// flight is one attempt to connect, or to get an answer to a datagram.
type flight struct {
	port     uint16
	reserved bool // it is yet to be boarded
	// nonce is in each datagram of a UDP probe; 0: TCP. Its first 16 bits are the port, so that a report names the
	// probe even if the source port was translated.
	nonce uint64
	// sequence is the number of a TCP probe's SYN, which nobody can guess; 0: the kernel chose it.
	sequence uint32
	course   *course
	begun    time.Time // before the first packet was sent

	mu     sync.Mutex
	file   *os.File // the socket, once the connection is under way
	report *report
	deaf   bool // to further reports
}

// report says that a rule dropped a probe's packet, and from where that came.
type report struct {
	namespace, id string
	source        netip.Addr
}

var errNoPort = errors.New("all source ports of probes are in use: fewer probes at a time will help")

// claim takes a free port for a TCP connection to a target, one that no connection to it has had for as long as
// possible, wherever that started and whichever way it took: a router that remembers it would lead this one the same
// way.
func (f *flights) claim(c *flight, to netip.AddrPort) (*flight, error) {
	return f.take(c, to.Port(), f.inTurn("", to))
}

// claimUDP takes a free port for datagrams from a namespace to a target, one it has not had for as long as possible:
// routers and firewalls remember the last exchange from the same port, for minutes, and let its packets pass whatever
// their rules are by now.
func (f *flights) claimUDP(c *flight, place string, to netip.AddrPort) (*flight, error) {
	return f.take(c, to.Port(), f.inTurn(place, to))
}

func newNonce() uint64 { return max(rand.Uint64()>>16, 1) }

// inTurn leads to each port once before it leads to one again, from a place to a target.
func (f *flights) inTurn(from string, to netip.AddrPort) func() uint32 {
	start, count := f.turn(from, to)
	return func() uint32 { return start + count.Add(1) }
}

// turn returns where the ports for a place and a target begin, and how many of them have been led to.
func (f *flights) turn(from string, to netip.AddrPort) (start uint32, count *atomic.Uint32) {
	type pair struct {
		from string
		to   netip.AddrPort
	}
	start = uint32(maphash.Comparable(f.seed, pair{from, to}))
	return start, &f.counts[start%uint32(len(f.counts))]
}

// take takes the first free port that next leads to. It is never the target's: such a socket would connect to itself,
// where the target is in the same namespace.
func (f *flights) take(c *flight, to uint16, next func() uint32) (*flight, error) {
	c.begun = time.Now()
	for range portsOfProbes {
		c.have(firstPort + uint16(next()%portsOfProbes))
		if c.port != to && f.ports[c.port].CompareAndSwap(nil, c) {
			return c, nil
		}
	}
	return nil, errNoPort
}

// have gives a flight a port.
func (c *flight) have(port uint16) {
	c.port = port
	if c.nonce != 0 {
		c.nonce = c.nonce&(1<<48-1) | uint64(port)<<48
	}
}

// reserve finds a free port for each of n ways to one target, of which way returns the one that a port leads to: from
// 0, or -1. It finds the same port again as late as possible: routers remember for a while who had it. Few ways of many
// are led to by no port of probes, and get another; one that no port leads to gets 0. Each port is taken until it is
// boarded and released, or released.
func (f *flights) reserve(from string, protocol emu.Protocol, to netip.AddrPort, n int, way func(port uint16) int) []uint16 {
	if protocol == emu.TCP {
		from = "" // those behind one public address have different ports, so that the translation of their source needn't change any
	}
	next := f.inTurn(from, to)
	ports, left := make([]uint16, n), n
	try := func(port uint16) {
		if at := way(port); at >= 0 && ports[at] == 0 && port != to.Port() && f.ports[port].CompareAndSwap(nil, &flight{port: port, reserved: true}) {
			ports[at] = port
			left--
		}
	}
	for i := 0; i < portsOfProbes && left > 0; i++ {
		try(firstPort + uint16(next()%portsOfProbes))
	}
	for port := anyPort; port < 1<<16 && left > 0; port++ {
		if port < firstPort || port > lastPort {
			try(uint16(port))
		}
	}
	return ports
}

// board gives a flight a port that was reserved.
func (f *flights) board(c *flight, port uint16) *flight {
	c.begun = time.Now()
	c.have(port)
	f.ports[port].Store(c)
	return c
}

func (f *flights) release(port uint16) { f.ports[port].Store(nil) }

// find gives the flight that a packet is of, if that is still under way.
func (f *flights) find(p packet) *flight {
	if c := f.ports[p.port()].Load(); c != nil && !c.reserved && c.matches(p) {
		return c
	}
	return nil
}

// hand gives a flight a report of one of its packets.
func (c *flight) hand(r report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.report == nil && !c.deaf {
		c.report = &r
		c.wake()
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

// ignore passes over the report: the wait goes on. Where it proves nothing, no later one will.
func (c *flight) ignore(deaf bool, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report, c.deaf = nil, deaf
	if c.file != nil {
		c.file.SetDeadline(until) //nolint:errcheck // closed: nobody waits
	}
}
