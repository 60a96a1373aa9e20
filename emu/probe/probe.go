// Package probe finds out with real connections who can reach whom in a lab, and why not.
//
// A probe is a TCP connection or a UDP datagram from a socket in the namespace where it starts; the kernel carries
// it like any other. What it adds is proof. Its packets are marked with [emu.ProbeDSCP], and each rule that drops
// such a packet is preceded by one that reports it. Only such a report proves that a probe is blocked:
//
//   - The report is of the probe's own packet: it carries the number that was drawn for its SYN or its
//     datagram, the probe's source port, its source address or what a router makes of it, its target or what a
//     router makes of that, and it comes from a namespace on the path. Packets that a program in the lab sends
//     with the same mark and ports don't match.
//   - The rule that reported is the rule that dropped: the namespace was compared with what it should be,
//     nftables, iptables, links, addresses and routes, and was not changed from before the packet was sent
//     until after the report. A namespace that differs proves nothing. Then the probe waits for its answer as
//     long as any other; if none comes, it is a timeout that names the difference.
//   - No answer has come. An answer always beats a report.
//
// Refused needs as much, since a rule can send a reset or an ICMP error, too: there was a reset, or a port
// unreachable over UDP, and no namespace on the path differs from what it should be. Without proof a probe that
// gets no answer is a timeout, never blocked.
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

// Prober makes the probes of one running network. A network has only one: the kernel sends the reports of a
// namespace to a single socket. Its methods may be called from many goroutines at once.
type Prober struct {
	// TimeLimit is how long one attempt to connect may take: 3 seconds, unless it is set before the first probe. A
	// probe that got neither answer nor report tries once more. A UDP probe has this time for all its attempts:
	// silence is common there.
	TimeLimit time.Duration
	// AnswerLimit is how long a built-in listener may take to say who it is: 2 seconds, unless it is set before
	// the first probe.
	AnswerLimit time.Duration
	// NameLimit is how long a name server may take for its answer: 1 second, unless it is set before the first probe.
	NameLimit time.Duration

	mu         sync.RWMutex
	topology   *topology // guarded by mu
	namespaces func(string) (*kernel.Namespace, bool)
	attempts   attempts
	reports    *reports
	proofs     *proofs
	neighbors  neighbors
	sockets    perNamespace[*spareSockets]
	overflows  overflowCounter
}

// New returns a prober for a network. The function finds the running namespaces by their names.
func New(network *emu.Network, namespaces func(string) (*kernel.Namespace, bool)) *Prober {
	p := &Prober{
		attempts:  attempts{seed: maphash.MakeSeed()},
		TimeLimit: 3 * time.Second, AnswerLimit: 2 * time.Second, NameLimit: time.Second,
		namespaces: namespaces,
	}
	p.reports = newReports(namespaces, p.deliver)
	p.proofs = newProofs(namespaces)
	p.neighbors = newNeighbors(namespaces)
	p.sockets = perNamespace[*spareSockets]{namespaces: namespaces, open: newSpareSockets}
	p.topology = newTopology(network)
	return p
}

// Update makes the prober follow a change of its network, after the kernel has made it. Probes under way may see
// the network before it, the one after it, or some of both. The cost depends on the size of the change, not on
// that of the network.
func (p *Prober) Update(c *diff.Change) {
	p.mu.Lock()
	p.topology.update(c)
	p.mu.Unlock()
	for _, s := range c.Removed {
		p.reports.open.dropGone(s.Name)
		p.proofs.guards.dropGone(s.Name)
		p.neighbors.sockets.dropGone(s.Name)
		p.sockets.dropGone(s.Name)
	}
	for _, s := range c.Changed {
		if canDrop(s.From) && !canDrop(s.To) {
			p.reports.open.drop(s.To.Name)
		}
	}
}

// read returns the answer of the topology to a question.
func read[T any](p *Prober, question func(t *topology) T) T {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return question(p.topology)
}

// namespace returns the specification of a namespace; nil: the network has none.
func (p *Prober) namespace(name string) *emu.Namespace {
	return read(p, func(t *topology) *emu.Namespace { return t.namespaces[name] })
}

// Close ends listening for reports. Probes under way may become timeouts, and later ones are errors.
func (p *Prober) Close() error {
	return errors.Join(p.reports.open.close(), p.proofs.guards.close(), p.neighbors.sockets.close(), p.sockets.close())
}

// deliver hands a report to the probe whose packet was dropped, if that is still under way.
func (p *Prober) deliver(of packet, r report) {
	a := p.attempts.find(of)
	if a == nil {
		return
	}
	if read(p, func(t *topology) bool { return t.meets(a.scope, r.namespace, of.destination) }) {
		a.deliver(r)
	}
}

// Probe connects from a namespace to the target and returns what it observed. It makes one connection; where the
// source port decides which member of a load-balanced set gets it or which source address that sees, one for each
// of them. Over UDP it sends the target small datagrams until something comes back: any answer is [emu.Open], an
// ICMP port unreachable [emu.Refused]. Failures of the probe itself are the verdict [emu.Error].
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

	t := task{ns: ns, target: target, to: netip.AddrPortFrom(address, target.Port)}
	var paths []path
	p.mu.RLock()
	t.scope = p.topology.scope(from, target.Protocol, t.to)
	if p.topology.mayDiffer(from, target.Protocol, t.to) {
		paths = p.topology.pathsOf(t)
	}
	neighbors := p.topology.neighborsOf(from, address)
	p.mu.RUnlock()
	if err := p.listen(t.scope.ends); err != nil {
		return failed(address, err.Error())
	}
	release, err := p.neighbors.acquire(ctx, neighbors)
	if err != nil {
		return failed(address, canceled(ctx))
	}
	defer release()
	if len(paths) > 1 {
		return p.askEach(ctx, t, paths)
	}
	o := p.ask(ctx, &t)
	p.settle(&o, &t)
	return o
}

// task is one connection or exchange of datagrams that a probe tries to make.
type task struct {
	ns     *kernel.Namespace
	target emu.Target
	to     netip.AddrPort
	scope  *scope
	path   *path // that it must take; nil: any
	// reserved is a source port that leads to the path; 0: none is reserved.
	reserved uint16
	port     uint16 // the source port of the last attempt
}

// place is where the probe starts: the namespace, and its address if one was asked for.
func (t *task) place() string {
	if !t.target.Source.IsValid() {
		return t.ns.Name
	}
	return t.ns.Name + " " + t.target.Source.String()
}

// ask makes a connection, or exchanges datagrams, in up to two attempts.
func (p *Prober) ask(ctx context.Context, t *task) emu.Observation {
	limit := p.TimeLimit
	if t.target.Protocol == emu.UDP {
		limit /= 2
	}
	overflows := p.overflows.count(recently)
	o, next := p.settled(ctx, t, limit)
	if next == final && (o.Verdict != emu.Timeout || p.overflows.count(0) == overflows) {
		return p.withDifferences(ctx, t.scope, o)
	}
	// Once more: the kernel's neighbor table may have been full. From another port: a router may have changed the
	// first one, because an old connection still had it, so that the report matched no probe. And listening
	// everywhere: the packet may have gone where the network doesn't say.
	if err := p.listenEverywhere(); err != nil {
		return failed(t.to.Addr(), err.Error())
	}
	overflows = p.overflows.count(0)
	o, _ = p.settled(ctx, t, limit)
	o = p.withDifferences(ctx, t.scope, o)
	if o.Verdict == emu.Timeout && !o.Drift && p.overflows.count(0) != overflows {
		return failed(t.to.Addr(), "the machine's neighbor table overflowed while the probe waited: "+moreNeighbors)
	}
	return o
}

// recently is how old a count of overflows may be when a probe begins. An overflow between the two only costs one
// more attempt.
const recently = 100 * time.Millisecond

const moreNeighbors = "make fewer probes at a time, stop other labs, or raise net.ipv4.neigh.default.gc_thresh3"

func (p *Prober) lookUp(ctx context.Context, ns *kernel.Namespace, target emu.Target) (netip.Addr, error) {
	if target.Address.IsValid() {
		return target.Address.Unmap(), nil
	}
	s := p.namespace(ns.Name)
	if s == nil {
		return netip.Addr{}, fmt.Errorf(
			"the network doesn't know namespace %s, so it can't look up names there", ns.Name,
		)
	}
	return dns.Lookup(ctx, p.NameLimit, ns, s.Resolver, s.Hosts, target.Name)
}

// unsettledTries is how many attempts may find that rules changed after they began. The first attempt that needs a
// namespace always does, since it compares it.
const unsettledTries = 10

// settled makes attempts until one is not disturbed by changes of rules.
func (p *Prober) settled(ctx context.Context, t *task, limit time.Duration) (o emu.Observation, n next) {
	for range unsettledTries {
		if o, n = p.attempt(ctx, t, limit); n != unsettled {
			return o, n
		}
	}
	return o, final
}

// attempt connects, or exchanges datagrams, once.
func (p *Prober) attempt(ctx context.Context, t *task, limit time.Duration) (o emu.Observation, n next) {
	o.Address = t.to.Addr()
	begun := time.Now()
	if t.target.Protocol == emu.UDP {
		d, err := p.exchange(ctx, t, limit)
		if err != nil {
			return p.unanswered(ctx, err, t.to, t.scope, begun, emu.UDP, p.TimeLimit)
		}
		d.heard(&o, read(p, func(n *topology) bool { return n.builtIn(t.scope.ends, emu.UDP, "") }))
		return o, final
	}
	made, err := p.connect(ctx, t, limit)
	if err != nil {
		return p.unanswered(ctx, err, t.to, t.scope, begun, emu.TCP, limit)
	}
	defer made.Close()
	o.Verdict, o.RTT = emu.Open, made.rtt
	p.identify(made, t, &o)
	return o, final
}

// claim takes a source port for an attempt.
func (p *Prober) claim(t *task, a *attempt) (err error) {
	switch {
	case t.path != nil:
		port := t.reserved
		if t.reserved = 0; port == 0 {
			port = p.attempts.reserve(t.place(), t.target.Protocol, t.to, 1, forkOf([]path{*t.path}).of)[0]
		}
		if port == 0 {
			return errNoPort
		}
		p.attempts.useReserved(a, port)
	case t.target.Protocol == emu.UDP:
		err = p.attempts.claimUDP(a, t.place(), t.to)
	default:
		err = p.attempts.claim(a, t.to)
	}
	t.port = a.port
	return err
}

// listen makes sure that drop reports are heard from all namespaces that could drop packets: those with a ruleset,
// since only the kernel knows the path, and the ends with a firewall.
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
