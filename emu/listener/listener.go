// Package listener serves what has no program of its own in a lab: built-in listeners, which tell a client which
// instance answered and which source address it saw, HTTP reverse proxies, and remote desktop forwarders.
//
// They are sockets, not processes: one process holds those of thousands of namespaces, each for the price of a
// descriptor and of a goroutine that waits in accept.
package listener

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/ipv4"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
)

// Answer is the answer of a built-in listener, as JSON.
type Answer struct {
	Instance string         `json:"instance"` // the namespace that answered
	Address  netip.Addr     `json:"address"`  // its own address, after any translation of the destination
	Port     uint16         `json:"port"`
	SeenAs   netip.AddrPort `json:"seenAs"` // where the connection or datagram came from, as the listener saw it
	// Nonce is that of the [Question]; 0 without one. JSON has it as text: not every reader keeps 64 bits of a number.
	Nonce uint64 `json:"nonce,omitzero,string"`
}

// String returns the answer for people, in one line.
func (a Answer) String() string {
	return fmt.Sprintf("%s (%s) answered on port %d; it saw you as %s", a.Instance, a.Address, a.Port, a.SeenAs)
}

// Serve starts the built-in listener of a service on all addresses of the namespace and returns when it listens: for
// TCP an HTTP/1.1 server that answers any request with an [Answer], for UDP the Answer as JSON to each datagram.
// Close stops it; connections that are open then end within seconds.
func Serve(ns *kernel.Namespace, service emu.Service) (io.Closer, error) {
	everywhere := netip.AddrPortFrom(netip.IPv4Unspecified(), service.Port)
	if service.Protocol == emu.UDP {
		conn, err := ns.ListenUDP(everywhere)
		if err != nil {
			return nil, listenError(ns, service.Name, everywhere, err)
		}
		go echo(ns.Name, conn)
		return conn, nil
	}
	l, err := ns.ListenTCP(everywhere)
	if err != nil {
		return nil, listenError(ns, service.Name, everywhere, err)
	}
	//nolint:errcheck // it ends when the listener is closed
	go builtIn.Serve(&tcpListener{TCPListener: l, instance: ns.Name})
	return l, nil
}

func listenError(ns *kernel.Namespace, name string, at netip.AddrPort, err error) error {
	return fmt.Errorf("%s: listen on port %d for %s: %w; does another service or program of %s use the port?",
		ns.Name, at.Port(), name, err, ns.Name)
}

// builtIn serves every built-in listener of the process; which one a request came to stands in its context.
var builtIn = newServer(http.HandlerFunc(answer))

func newServer(h http.Handler) *http.Server {
	s := &http.Server{
		Handler:        h,
		ReadTimeout:    5 * time.Second,
		WriteTimeout:   5 * time.Second,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       log.New(io.Discard, "", 0), // clients that reset or talk nonsense are no news in a lab
		BaseContext: func(l net.Listener) context.Context {
			if l, ok := l.(interface{ owner() string }); ok {
				return context.WithValue(context.Background(), instanceKey{}, l.owner())
			}
			return context.Background()
		},
	}
	// One connection, one request: nothing of it outlives the answer.
	s.SetKeepAlivesEnabled(false)
	return s
}

type (
	instanceKey struct{}
	tcpListener struct {
		*net.TCPListener
		instance string
	}
)

func (l *tcpListener) owner() string { return l.instance }

func answer(w http.ResponseWriter, r *http.Request) {
	a := Answer{}
	a.Instance, _ = r.Context().Value(instanceKey{}).(string)
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		at := plain(local.AddrPort())
		a.Address, a.Port = at.Addr(), at.Port()
	}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		a.SeenAs = plain(from)
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(a) //nolint:errcheck // the client is gone
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, a)
}

// echo answers datagrams until the socket is closed, each from the address it was sent to.
func echo(instance string, conn *net.UDPConn) {
	packets := ipv4.NewPacketConn(conn)
	packets.SetControlMessage(ipv4.FlagDst, true) //nolint:errcheck // every Linux has it
	port := conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	buf := make([]byte, MaxQuestion) // the rest doesn't matter
	for {
		n, control, from, err := packets.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || control == nil {
			continue // an ICMP error of an earlier answer
		}
		here, _ := netip.AddrFromSlice(control.Dst.To4())
		a := Answer{Instance: instance, Address: here, Port: port, SeenAs: plain(from.(*net.UDPAddr).AddrPort())}
		a.Nonce, _ = Nonce(buf[:n])
		if text, err := json.Marshal(a); err == nil {
			//nolint:errcheck // as lossy as UDP is
			packets.WriteTo(append(text, '\n'), &ipv4.ControlMessage{Src: control.Dst}, from)
		}
	}
}

// plain turns an IPv4-mapped address into an IPv4 address.
func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
