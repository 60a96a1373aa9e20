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
)

// Probes start from these ports: below the ephemeral range, so that no program in a namespace gets one by chance.
const (
	firstPort = 20000
	lastPort  = 32767
)

// flights are the probes under way, by their source port: each port is in use once in the whole lab, so the port in the report
// of a drop leads to the probe. Whether the packet was the probe's is known by what else it carries: see [flight.matches] and
// [topology.meets].
type flights struct {
	next  atomic.Uint32
	seed  maphash.Seed
	udp   [1 << 14]atomic.Uint32 // how often the pairs of a hash have claimed a port
	ports [lastPort - firstPort + 1]atomic.Pointer[flight]
}

// flight is one attempt to connect, or to get an answer to a datagram.
type flight struct {
	port uint16
	// nonce is in each datagram of a UDP probe; 0: TCP. Its first 16 bits are the port, so that a report names the probe even
	// if the source port was translated.
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

// claim takes the next free port for a TCP connection to a port, whose SYN has a sequence number.
func (f *flights) claim(c *course, to uint16, sequence uint32) (*flight, error) {
	return f.take(&flight{course: c, sequence: sequence}, to, func() uint32 { return f.next.Add(1) })
}

// claimUDP takes a free port for datagrams from a namespace to a target, one it has not had for as long as possible: routers and
// firewalls remember the last exchange from the same port, for minutes, and let its packets pass whatever their rules are by now.
func (f *flights) claimUDP(c *course, source netip.Addr, to netip.AddrPort) (*flight, error) {
	type pair struct {
		from   string
		source netip.Addr
		to     netip.AddrPort
	}
	hash := uint32(maphash.Comparable(f.seed, pair{c.from, source, to}))
	count := &f.udp[hash%uint32(len(f.udp))]
	return f.take(&flight{course: c, nonce: rand.Uint64() >> 16}, to.Port(), func() uint32 { return hash + count.Add(1) })
}

// take takes the first free port that next leads to. It is never the target's: such a socket would connect to itself, where the target is
// in the same namespace.
func (f *flights) take(c *flight, to uint16, next func() uint32) (*flight, error) {
	c.begun = time.Now()
	for range f.ports {
		i := next() % uint32(len(f.ports))
		c.port = firstPort + uint16(i)
		if c.nonce != 0 {
			c.nonce = c.nonce&(1<<48-1) | uint64(c.port)<<48
		}
		if c.port != to && f.ports[i].CompareAndSwap(nil, c) {
			return c, nil
		}
	}
	return nil, errNoPort
}

func (f *flights) release(c *flight) { f.ports[c.port-firstPort].Store(nil) }

// find gives the flight that a packet is of, if that is still under way.
func (f *flights) find(p packet) *flight {
	port := p.port()
	if port < firstPort || port > lastPort {
		return nil
	}
	if c := f.ports[port-firstPort].Load(); c != nil && c.matches(p) {
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
