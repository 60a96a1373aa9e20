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

// Probes use these source ports: below the ephemeral range, so that no program in a namespace gets one by chance.
const (
	firstPort     = 20000
	lastPort      = 32767
	portsOfProbes = lastPort - firstPort + 1
	anyPort       = 1024 // the first that isn't privileged
)

// attempts holds the attempts under way by their source port. Each port is in use once in the whole lab, so the
// port in a drop report leads to the attempt. Whether the packet was really of that attempt is decided by what
// else it carries: see [attempt.matches] and [topology.meets].
type attempts struct {
	seed   maphash.Seed
	counts [1 << 14]atomic.Uint32 // how many ports have been claimed for the pairs with a hash
	ports  [1 << 16]atomic.Pointer[attempt]
}

// attempt is one attempt to connect, or to get an answer to a datagram.
type attempt struct {
	port     uint16
	reserved bool // a placeholder for an attempt to come
	// nonce is in each datagram of a UDP probe; 0: TCP. Its first 16 bits are the port, so that a report names the
	// probe even if the source port was translated.
	nonce uint64
	// sequence is the random number of a TCP probe's SYN; 0: the kernel chose it.
	sequence uint32
	scope    *scope
	begun    time.Time // before the first packet was sent

	mu     sync.Mutex
	file   *os.File // the socket, once the connection is under way
	report *report
	deaf   bool // further reports are ignored
}

// report is a drop report about a probe's packet: the rule, and the packet's source address.
type report struct {
	namespace, id string
	source        netip.Addr
}

var errNoPort = errors.New("all source ports of probes are in use: fewer probes at a time will help")

// claim takes a free port for a TCP connection to a target: the one that was last used for that target the longest
// time ago, from whatever namespace. A router that remembers a connection would treat another one from the same
// port in the same way.
func (all *attempts) claim(a *attempt, to netip.AddrPort) error {
	return all.take(a, to.Port(), all.portsInTurn("", to))
}

// claimUDP takes a free port for datagrams from a namespace to a target: the one that was last used between them
// the longest time ago. Routers and firewalls remember an exchange from the same port for minutes, and let its
// packets pass whatever their rules are by now.
func (all *attempts) claimUDP(a *attempt, place string, to netip.AddrPort) error {
	return all.take(a, to.Port(), all.portsInTurn(place, to))
}

func newNonce() uint64 { return max(rand.Uint64()>>16, 1) }

// portsInTurn returns a function that goes through all ports before it returns one again, for a place and a target.
func (all *attempts) portsInTurn(from string, to netip.AddrPort) func() uint32 {
	start, count := all.turn(from, to)
	return func() uint32 { return start + count.Add(1) }
}

// turn returns where the ports for a place and a target begin, and the count of those used since.
func (all *attempts) turn(from string, to netip.AddrPort) (start uint32, count *atomic.Uint32) {
	type pair struct {
		from string
		to   netip.AddrPort
	}
	start = uint32(maphash.Comparable(all.seed, pair{from, to}))
	return start, &all.counts[start%uint32(len(all.counts))]
}

// take takes the first free port that next returns. It is never the port of the target: if that is in the same
// namespace, the socket would connect to itself.
func (all *attempts) take(a *attempt, to uint16, next func() uint32) error {
	a.begun = time.Now()
	for range portsOfProbes {
		a.setPort(firstPort + uint16(next()%portsOfProbes))
		if a.port != to && all.ports[a.port].CompareAndSwap(nil, a) {
			return nil
		}
	}
	return errNoPort
}

// setPort sets the port of an attempt, in its nonce, too.
func (a *attempt) setPort(port uint16) {
	a.port = port
	if a.nonce != 0 {
		a.nonce = a.nonce&(1<<48-1) | uint64(port)<<48
	}
}

// reserve reserves a free port for each of n paths to one target. The function path returns the index of the path
// that a port leads to, or -1. The port that was last used the longest time ago is first, since routers remember
// connections for a while. A path to which no port of probes leads gets one outside their range; where no port
// leads to it, 0. A reserved port must be released, whether it was used or not.
func (all *attempts) reserve(
	from string, protocol emu.Protocol, to netip.AddrPort, n int, path func(port uint16) int,
) []uint16 {
	if protocol == emu.TCP {
		from = "" // callers behind one public address use different ports, so that no router must change any
	}
	next := all.portsInTurn(from, to)
	ports, left := make([]uint16, n), n
	try := func(port uint16) {
		at := path(port)
		if at < 0 || ports[at] != 0 || port == to.Port() {
			return
		}
		if all.ports[port].CompareAndSwap(nil, &attempt{port: port, reserved: true}) {
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

// useReserved makes an attempt use a reserved port.
func (all *attempts) useReserved(a *attempt, port uint16) {
	a.begun = time.Now()
	a.setPort(port)
	all.ports[port].Store(a)
}

func (all *attempts) release(port uint16) { all.ports[port].Store(nil) }

// find returns the attempt that sent a packet; nil: it isn't under way.
func (all *attempts) find(p packet) *attempt {
	if a := all.ports[p.port()].Load(); a != nil && !a.reserved && a.matches(p) {
		return a
	}
	return nil
}

// deliver passes on a report about a packet of the attempt. Only the first counts, until [attempt.ignore].
func (a *attempt) deliver(r report) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.report == nil && !a.deaf {
		a.report = &r
		a.wake()
	}
}

// attach sets the socket. A report ends the wait on it, also one that came before.
func (a *attempt) attach(file *os.File) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.file = file
	if a.report != nil {
		a.wake()
	}
}

// waitUntil sets the deadline of the socket. It reports false if a report has ended the wait already.
func (a *attempt) waitUntil(t time.Time) (ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.report != nil {
		return false
	}
	a.file.SetDeadline(t) //nolint:errcheck // the caller has it open
	return true
}

// detach keeps late reports from disturbing a connection that was accepted.
func (a *attempt) detach() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.file = nil
}

func (a *attempt) wake() {
	if a.file != nil {
		endWait(a.file)
	}
}

// endWait makes a wait on a socket end at once.
func endWait(file *os.File) {
	file.SetDeadline(time.Unix(1, 0)) //nolint:errcheck // closed: no wait to end
}

func (a *attempt) reported() *report {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.report
}

// ignore discards the report and continues the wait. With deaf it ignores later reports, too: they would prove no
// more.
func (a *attempt) ignore(deaf bool, until time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report, a.deaf = nil, deaf
	if a.file != nil {
		a.file.SetDeadline(until) //nolint:errcheck // closed: no wait to end
	}
}
