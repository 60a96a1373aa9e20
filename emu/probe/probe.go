// Package probe finds out by real connections who can reach whom in a lab, and why not.
//
// A probe is a TCP connection or a UDP datagram from a socket in the namespace where it starts; the kernel carries it like any
// other. What it adds is proof. Its packets are marked with [emu.ProbeDSCP], and each rule that drops such a packet is preceded by one that
// reports it. Blocked is what such a report proves, and nothing else does:
//
//   - The report is of the probe's own packet: it carries the number that was drawn for its SYN or its datagram, the probe's source port, its
//     source address or what a router makes of it, its target or what a router makes of that, and it comes from a namespace on the way. What a
//     program in the lab sends under the same mark and the same ports doesn't match.
//   - The rule that reported is the rule that dropped: the namespace was compared with what it should be, nftables, iptables, links, addresses
//     and routes, and was not changed from before the packet was sent until after the report. A namespace that differs proves nothing. Then the
//     probe waits for its answer as long as any other, and where none comes it is a timeout that names the difference.
//   - No answer has come. An answer always beats a report.
//
// Refused needs as much: a rule can send a reset or an ICMP error as well as a machine can. It is a reset, or a port unreachable over UDP, and
// no namespace on the way differs from what it should be. Without proof a probe that gets no answer is a timeout, never blocked.
package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/dns"
	"vnetlab/emu/kernel"
)

// Prober makes the probes of one running network. A network has one: the kernel gives the reports of a namespace to one listener.
// Its methods may be called from many goroutines at once.
type Prober struct {
	// TimeLimit is how long one attempt to connect may take: 3 seconds, unless it is set before the first probe. A probe
	// that got neither answer nor report tries once more. A UDP probe has as long for all its attempts: silence is common there.
	TimeLimit time.Duration
	// AnswerLimit is how long a built-in listener may take to say who it is: 2 seconds, unless it is set before the first probe.
	AnswerLimit time.Duration
	// NameLimit is how long a name server may take for its answer: 1 second, unless it is set before the first probe.
	NameLimit time.Duration

	mu         sync.RWMutex
	topology   *topology // guarded by mu
	namespaces func(string) (*kernel.Namespace, bool)
	flights    flights
	reports    *reports
	proofs     *proofs
	neighbors  neighbors
	overflows  overflowCounter
}

// New makes a prober for a network whose running namespaces it finds by their names.
func New(network *emu.Network, namespaces func(string) (*kernel.Namespace, bool)) *Prober {
	p := &Prober{
		flights:   flights{seed: maphash.MakeSeed()},
		TimeLimit: 3 * time.Second, AnswerLimit: 2 * time.Second, NameLimit: time.Second,
		namespaces: namespaces,
	}
	p.reports = newReports(namespaces, p.deliver)
	p.proofs = newProofs(namespaces)
	p.neighbors = newNeighbors(namespaces)
	p.topology = newTopology(network)
	return p
}

// Update tells the prober of a change of the network that it knows, after the kernel has made it. A probe that is under way may see what
// was before, what is now, or some of both. It costs what the change holds.
func (p *Prober) Update(c *diff.Change) {
	p.mu.Lock()
	p.topology.update(c)
	p.mu.Unlock()
	for _, s := range c.Removed {
		p.reports.open.dropGone(s.Name)
		p.proofs.guards.dropGone(s.Name)
		p.neighbors.sockets.dropGone(s.Name)
	}
	for _, s := range c.Changed {
		if canDrop(s.From) && !canDrop(s.To) {
			p.reports.open.drop(s.To.Name)
		}
	}
}

// read asks the topology.
func read[T any](p *Prober, question func(t *topology) T) T {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return question(p.topology)
}

// namespace gives what the network says of a namespace; nil: nothing.
func (p *Prober) namespace(name string) *emu.Namespace {
	return read(p, func(t *topology) *emu.Namespace { return t.namespaces[name] })
}

// Close ends listening for reports. Probes that are under way may become timeouts.
func (p *Prober) Close() error {
	return errors.Join(p.reports.open.close(), p.proofs.guards.close(), p.neighbors.sockets.close())
}

// deliver hands a report to the probe whose packet was dropped, if that is still under way.
func (p *Prober) deliver(of packet, r report) {
	if f := p.flights.find(of); f != nil && read(p, func(t *topology) bool { return t.meets(f.course, r.namespace, of.destination) }) {
		f.hand(r)
	}
}

// Probe connects from a namespace to the target and returns what became of it: of one connection, or, where the source port decides which
// member of a load-balanced set gets it or which address it is seen by, of one for each. Over UDP it sends the target a small datagram, again
// until something comes back: any answer is [emu.Open], an ICMP port unreachable [emu.Refused]. It never fails: what goes wrong here is
// the verdict [emu.Error].
func (p *Prober) Probe(ctx context.Context, from string, target emu.Target) emu.Observation {
	target.Protocol = cmp.Or(target.Protocol, emu.TCP)
	ns, ok := p.namespaces(from)
	switch {
	case !ok:
		return failed(netip.Addr{}, fmt.Sprintf("there is no namespace %q to start from", from))
	case target.Protocol != emu.TCP && target.Protocol != emu.UDP:
		return failed(target.Address, fmt.Sprintf("a probe is TCP or UDP, not %q", target.Protocol))
	case target.Source.IsValid() && !target.Source.Is4():
		return failed(target.Address, fmt.Sprintf("%s is not an IPv4 address to start from", target.Source))
	case target.Port == 0:
		return failed(target.Address, "a probe needs a port from 1 to 65535")
	}
	address, err := p.lookUp(ctx, ns, target)
	if errors.Is(err, dns.ErrNoSuchName) {
		return emu.Observation{Verdict: emu.Unresolved, Detail: err.Error()}
	}
	if err != nil {
		return failed(netip.Addr{}, err.Error())
	}
	if !address.Is4() {
		return failed(address, fmt.Sprintf("%s is not an IPv4 address", address))
	}

	t := trip{ns: ns, target: target, to: netip.AddrPortFrom(address, target.Port)}
	var ways []way
	var neighbors []neighbor
	p.mu.RLock()
	t.course = p.topology.course(from, target.Protocol, t.to)
	if p.topology.mayDiffer(from, target.Protocol, t.to) {
		ways = p.topology.waysOf(t)
	}
	neighbors = p.topology.neighborsOf(from, address)
	p.mu.RUnlock()
	if err := p.listen(t.course.ends); err != nil {
		return failed(address, err.Error())
	}
	release, err := p.neighbors.acquire(ctx, neighbors)
	if err != nil {
		return failed(address, canceled(ctx))
	}
	defer release()
	if len(ways) > 1 {
		return p.askEach(ctx, t, ways)
	}
	o := p.ask(ctx, &t)
	p.settle(&o, &t)
	return o
}

// trip is what a probe tries.
type trip struct {
	ns     *kernel.Namespace
	target emu.Target
	to     netip.AddrPort
	course *course
	way    *way // that it must go; nil: any
	// reserved is the port for that way; 0: another one that leads there.
	reserved uint16
	port     uint16 // that it started from
}

// place is where the probe starts: the namespace, and its address if one was asked for.
func (t *trip) place() string {
	if !t.target.Source.IsValid() {
		return t.ns.Name
	}
	return t.ns.Name + " " + t.target.Source.String()
}

// ask makes the attempts of one connection, or of one exchange of datagrams.
func (p *Prober) ask(ctx context.Context, t *trip) emu.Observation {
	limit := p.TimeLimit
	if t.target.Protocol == emu.UDP {
		limit /= 2
	}
	overflows := p.overflows.count(recently)
	o, next := p.attempt(ctx, t, limit)
	if next == final && (o.Verdict != emu.Timeout || p.overflows.count(0) == overflows) {
		return p.withDifferences(ctx, t.course, o)
	}
	// Once more. The kernel's neighbor table may have had no room for this one. And from another port: the translation of the source may have changed the first one, because an old connection
	// still had it, and the report with the changed port found no probe. And with all ears, should the packet have gone
	// where the network doesn't say.
	if err := p.listenEverywhere(); err != nil {
		return failed(t.to.Addr(), err.Error())
	}
	overflows = p.overflows.count(0)
	o, _ = p.attempt(ctx, t, limit)
	o = p.withDifferences(ctx, t.course, o)
	if o.Verdict == emu.Timeout && !o.Drift && p.overflows.count(0) != overflows {
		return failed(t.to.Addr(), "the machine's neighbor table overflowed while the probe waited: "+moreNeighbors)
	}
	return o
}

// recently is the age at which a count of overflows is new enough to begin with: an overflow since then costs one more attempt.
const recently = 100 * time.Millisecond

const moreNeighbors = "make fewer probes at a time, stop other labs, or raise net.ipv4.neigh.default.gc_thresh3"

func (p *Prober) lookUp(ctx context.Context, ns *kernel.Namespace, target emu.Target) (netip.Addr, error) {
	if target.Address.IsValid() {
		return target.Address.Unmap(), nil
	}
	s := p.namespace(ns.Name)
	if s == nil {
		return netip.Addr{}, fmt.Errorf("the network doesn't know namespace %s, so not how it looks names up", ns.Name)
	}
	return dns.Lookup(ctx, p.NameLimit, ns, s.Resolver, s.Hosts, target.Name)
}

// unsettledTries is how many attempts may find the rules changed since they began. The first in a namespace always does.
const unsettledTries = 10

// attempt makes attempts to connect or to exchange datagrams until one is not disturbed by changes.
func (p *Prober) attempt(ctx context.Context, t *trip, limit time.Duration) (o emu.Observation, n next) {
	for range unsettledTries {
		if o, n = p.once(ctx, t, limit); n != unsettled {
			return o, n
		}
	}
	return o, final
}

func (p *Prober) once(ctx context.Context, t *trip, limit time.Duration) (o emu.Observation, n next) {
	o.Address = t.to.Addr()
	begun := time.Now()
	if t.target.Protocol == emu.UDP {
		d, err := p.exchange(ctx, t, limit)
		if err != nil {
			return p.unanswered(ctx, err, t.to, t.course, begun, emu.UDP, p.TimeLimit)
		}
		d.heard(&o, read(p, func(n *topology) bool { return n.builtIn(t.course.ends, emu.UDP, "") }))
		return o, final
	}
	made, err := p.connect(ctx, t, limit)
	if err != nil {
		return p.unanswered(ctx, err, t.to, t.course, begun, emu.TCP, limit)
	}
	defer made.Close()
	o.Verdict, o.RTT = emu.Open, made.rtt
	p.identify(made, t, &o)
	return o, final
}

// claim takes a source port for a flight.
func (p *Prober) claim(t *trip, c *flight) (f *flight, err error) {
	switch {
	case t.way != nil:
		port := t.reserved
		if t.reserved = 0; port == 0 {
			port = p.flights.reserve(t.place(), t.target.Protocol, t.to, 1, forkOf([]way{*t.way}).of)[0]
		}
		if port == 0 {
			return nil, errNoPort
		}
		f = p.flights.board(c, port)
	case t.target.Protocol == emu.UDP:
		f, err = p.flights.claimUDP(c, t.place(), t.to)
	default:
		f, err = p.flights.claim(c, t.to)
	}
	if err != nil {
		return nil, err
	}
	t.port = f.port
	return f, nil
}

// listen makes sure that whoever could drop packets on the way to the ends is heard: each namespace with a rule set, since the
// way is the kernel's business, and the ends with a firewall.
func (p *Prober) listen(ends []end) error {
	for name, since := range read(p, (*topology).allUnheard) {
		if err := p.reports.listen(name); err != nil {
			return err
		}
		p.mu.Lock()
		p.topology.heard(name, since)
		p.mu.Unlock()
	}
	for _, e := range ends {
		if s := p.namespace(e.namespace); s != nil && s.Firewall != nil {
			if err := p.reports.listen(e.namespace); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Prober) listenEverywhere() error {
	for _, name := range read(p, (*topology).reporters) {
		if err := p.reports.listen(name); err != nil {
			return err
		}
	}
	return nil
}
