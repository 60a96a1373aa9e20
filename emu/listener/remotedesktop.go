package listener

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
)

const (
	// greeting is the timeout of a client's first packet, and of connecting to a desktop.
	greeting = 5 * time.Second
	// maxSessions is the maximum number of simultaneous connections of one forwarder.
	maxSessions = 256
)

// RemoteDesktop is a built-in listener that tells clients of the remote desktop protocol from others by their first
// byte. Others are answered as by [Serve], so that a probe learns who accepted its connection.
type RemoteDesktop struct {
	ns       *kernel.Namespace
	listener *net.TCPListener
	forwards bool
	desktops atomic.Pointer[map[string]netip.AddrPort] // by names in lower case
	sessions chan struct{}                             // a place for each
	others   *handed
	done     context.Context
	close    context.CancelFunc
}

// ServeRemoteDesktop starts a listener of [emu.Service.RemoteDesktop] on all addresses of the namespace and returns
// when it listens. A server confirms a connection and sends which instance answered. A forwarder connects to the
// desktop that the client's first packet names from inside the same namespace and hands bytes both ways; the
// connection of a client that names no known desktop is closed. Close stops it and closes the connections that it
// forwards.
func ServeRemoteDesktop(ns *kernel.Namespace, service emu.Service) (*RemoteDesktop, error) {
	everywhere := netip.AddrPortFrom(netip.IPv4Unspecified(), service.Port)
	l, err := ns.ListenTCP(everywhere)
	if err != nil {
		return nil, listenError(ns, service.Name, everywhere, err)
	}
	r := &RemoteDesktop{
		ns: ns, listener: l, forwards: service.RemoteDesktop == emu.RemoteDesktopForwarder,
		sessions: make(chan struct{}, maxSessions),
		others: &handed{
			connections: make(chan net.Conn), address: l.Addr(), instance: ns.Name, closed: make(chan struct{}),
		},
	}
	r.done, r.close = context.WithCancel(context.Background())
	r.Set(service.Desktops)
	go builtIn.Serve(r.others) //nolint:errcheck // it ends when the listener is closed
	go r.accept()
	return r, nil
}

// Set replaces the desktops to which new connections are forwarded. Open connections continue. The parts of a name
// stand between #; a client may leave out the last, and their case.
func (r *RemoteDesktop) Set(desktops []emu.Desktop) {
	all := make(map[string]netip.AddrPort, 2*len(desktops))
	for _, d := range desktops {
		name := strings.ToLower(d.Name)
		all[name] = d.Address
		if cut := strings.LastIndexByte(name, '#'); cut > 0 {
			all[name[:cut]] = d.Address
		}
	}
	r.desktops.Store(&all)
}

// Close stops listening and closes all forwarded connections.
func (r *RemoteDesktop) Close() error {
	r.close()
	r.others.Close()
	return r.listener.Close()
}

func (r *RemoteDesktop) accept() {
	for {
		c, err := r.listener.AcceptTCP()
		switch {
		case err == nil:
			go r.serve(c)
		case r.done.Err() != nil:
			return
		default:
			time.Sleep(10 * time.Millisecond) // as net/http does when descriptors run out
		}
	}
}

// serve reads a client's first packet and does what it asks for.
func (r *RemoteDesktop) serve(c *net.TCPConn) {
	stop := context.AfterFunc(r.done, func() { c.Close() })
	mine := true
	defer func() {
		stop()
		if mine {
			c.Close()
		}
	}()
	c.SetDeadline(time.Now().Add(greeting)) //nolint:errcheck // the first read fails then
	first := make([]byte, 1)
	if _, err := io.ReadFull(c, first); err != nil {
		return
	}
	if first[0] != tpktVersion {
		mine = false
		r.others.hand(&begun{Conn: c, read: first})
		return
	}
	request, err := readConnectionRequest(io.MultiReader(strings.NewReader(string(first)), c))
	if err != nil {
		return
	}
	if r.forwards {
		r.forward(c, request)
		return
	}
	a := Answer{Instance: r.ns.Name, SeenAs: plain(c.RemoteAddr().(*net.TCPAddr).AddrPort())}
	here := plain(c.LocalAddr().(*net.TCPAddr).AddrPort())
	a.Address, a.Port = here.Addr(), here.Port()
	c.Write(append(connectionConfirm(), a.String()+"\r\n"...)) //nolint:errcheck // the client is gone
}

// forward connects to the desktop that a client asks for and copies bytes both ways until both ends have closed.
func (r *RemoteDesktop) forward(client *net.TCPConn, request connectionRequest) {
	address, ok := (*r.desktops.Load())[strings.ToLower(request.desktop)]
	if !ok {
		return
	}
	select {
	case r.sessions <- struct{}{}:
		defer func() { <-r.sessions }()
	default:
		return
	}
	ctx, cancel := context.WithTimeout(r.done, greeting)
	defer cancel()
	c, err := r.ns.Dial(ctx, "tcp", address)
	if err != nil {
		return
	}
	desktop := c.(*net.TCPConn)
	defer desktop.Close()
	defer context.AfterFunc(r.done, func() { desktop.Close() })()
	if _, err := desktop.Write(request.packet); err != nil {
		return
	}
	client.SetDeadline(time.Time{}) //nolint:errcheck // a session takes as long as it takes
	var both sync.WaitGroup
	for _, way := range [][2]*net.TCPConn{{client, desktop}, {desktop, client}} {
		both.Go(func() {
			io.Copy(way[1], way[0]) //nolint:errcheck // an end that closes is a normal end
			way[1].CloseWrite()     //nolint:errcheck // the other end may be gone
		})
	}
	both.Wait()
}

// handed is a listener of the connections that are handed to it.
type handed struct {
	connections chan net.Conn
	address     net.Addr
	instance    string
	once        sync.Once
	closed      chan struct{}
}

func (h *handed) hand(c net.Conn) {
	select {
	case h.connections <- c:
	case <-h.closed:
		c.Close()
	}
}

// Accept waits for a connection.
func (h *handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.connections:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (h *handed) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr is where the connections came to.
func (h *handed) Addr() net.Addr { return h.address }

func (h *handed) owner() string { return h.instance }

// begun is a connection from which something was read already.
type begun struct {
	net.Conn
	read []byte
}

func (b *begun) Read(p []byte) (int, error) {
	if len(b.read) > 0 {
		n := copy(p, b.read)
		b.read = b.read[n:]
		return n, nil
	}
	return b.Conn.Read(p)
}
