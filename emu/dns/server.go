// Package dns serves the names of a lab inside its namespaces, and looks names up there as a program in a namespace
// would.
package dns

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	wire "github.com/miekg/dns"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/kernel"
)

const (
	port        = 53
	ttl         = 60   // seconds that an answer may be kept
	negativeTTL = 5    // seconds that the absence of a name may be kept: a change of a running lab makes it appear
	udpSize     = 1232 // bytes of a UDP answer, at most, to clients that announce no less
	// queryTime is how long a client over TCP may take to send its query.
	queryTime = 10 * time.Second
)

// Server answers for all name servers of one network: authoritatively, for every name there is. A name that isn't in
// the network doesn't exist.
type Server struct {
	reading sync.RWMutex
	names   *names // guarded by reading

	mu        sync.Mutex
	listening map[*endpoint]bool
}

// New makes a server of the network's names that listens nowhere yet.
func New(network *emu.Network) *Server {
	return &Server{names: newNames(network), listening: make(map[*endpoint]bool)}
}

// Update applies a change of the network to the names, at once at every address the server listens on. The change
// must start from the network whose names are served. Its cost is proportional to the change.
func (s *Server) Update(c *diff.Change) {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.names.update(c)
}

// answer answers with the names of one network, never with some of another.
func (s *Server) answer(namespace string, from netip.Addr, query *wire.Msg, udp bool) *wire.Msg {
	s.reading.RLock()
	defer s.reading.RUnlock()
	return s.names.answer(namespace, from, query, udp)
}

// Listen starts to answer inside the namespace at port 53 of the addresses, over UDP and TCP, and returns when it
// does. Whose views it answers is decided by the namespace's name. Close of what it returns ends just that.
func (s *Server) Listen(ns *kernel.Namespace, addresses []netip.Addr) (_ io.Closer, err error) {
	e := &endpoint{server: s, namespace: ns.Name}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	for _, a := range addresses {
		at := netip.AddrPortFrom(a, port)
		packets, err := ns.ListenUDP(at)
		if err != nil {
			return nil, fmt.Errorf(
				"%s: answer DNS at %s over UDP: %w; the namespace needs the address, and the port free",
				ns.Name,
				a,
				err,
			)
		}
		if err := e.serve(&wire.Server{PacketConn: packets}, packets); err != nil {
			return nil, err
		}
		streams, err := ns.ListenTCP(at)
		if err != nil {
			return nil, fmt.Errorf(
				"%s: answer DNS at %s over TCP: %w; the namespace needs the address, and the port free",
				ns.Name,
				a,
				err,
			)
		}
		if err := e.serve(&wire.Server{Listener: streams}, streams); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	s.listening[e] = true
	s.mu.Unlock()
	return e, nil
}

// Close ends answering everywhere.
func (s *Server) Close() error {
	s.mu.Lock()
	var all []*endpoint
	for e := range s.listening {
		all = append(all, e)
	}
	s.mu.Unlock()
	var errs []error
	for _, e := range all {
		errs = append(errs, e.Close())
	}
	return errors.Join(errs...)
}

// endpoint is what listens in one namespace.
type endpoint struct {
	server    *Server
	namespace string
	running   []running
}

// running is a server that answers, and a channel that is closed when it has ended.
type running struct {
	*wire.Server
	ended <-chan error
}

// serve starts to answer on the socket of s and returns when it does.
func (e *endpoint) serve(s *wire.Server, socket io.Closer) error {
	started, ended := make(chan struct{}), make(chan error, 1)
	s.Handler, s.UDPSize, s.ReadTimeout = e, udpSize, queryTime
	s.NotifyStartedFunc = func() { close(started) }
	go func() { ended <- s.ActivateAndServe() }()
	select {
	case <-started:
		e.running = append(e.running, running{s, ended})
		return nil
	case err := <-ended:
		return errors.Join(err, socket.Close())
	}
}

// Close ends answering in the namespace.
func (e *endpoint) Close() error {
	e.server.mu.Lock()
	delete(e.server.listening, e)
	all := e.running
	e.running = nil
	e.server.mu.Unlock()
	var errs []error
	for _, s := range all {
		err := s.Shutdown()
		if err == nil {
			err = <-s.ended // only then is the port free: both Shutdown and the server close the socket, and one doesn't wait for the other
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// ServeDNS answers one query.
func (e *endpoint) ServeDNS(w wire.ResponseWriter, query *wire.Msg) {
	client := addressOf(w.RemoteAddr())
	_, udp := w.RemoteAddr().(*net.UDPAddr)
	w.WriteMsg(e.server.answer(e.namespace, client, query, udp)) //nolint:errcheck // the client is gone
}

func addressOf(a net.Addr) netip.Addr {
	at, _ := netip.ParseAddrPort(a.String())
	return at.Addr().Unmap()
}
