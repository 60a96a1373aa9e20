package listener

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
)

// Proxy is a running reverse proxy.
type Proxy struct {
	listener net.Listener
	backends atomic.Pointer[map[string]netip.AddrPort] // by host names in lower case
}

// ServeProxy starts a reverse proxy inside the namespace and returns when it listens. It sends each request to the
// backend of its Host header, whatever its port and case, connects to the backend from inside the same namespace and
// adds the client's address to X-Forwarded-For. A host it has no route for gets 404, a backend that doesn't answer
// 502. Close stops it; connections that are open then end within seconds.
func ServeProxy(ns *kernel.Namespace, proxy emu.HTTPProxy) (*Proxy, error) {
	l, err := ns.ListenTCP(proxy.Listen)
	if err != nil {
		return nil, listenError(ns, "the HTTP proxy", proxy.Listen, err)
	}
	p := &Proxy{listener: l}
	p.Set(proxy)
	server := newServer(p.handler(func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
		return ns.Dial(ctx, network, to)
	}))
	server.WriteTimeout = time.Minute // a backend may take its time
	go server.Serve(l)                //nolint:errcheck // it ends when the listener is closed
	return p, nil
}

// Set makes the routes of the proxy those by which requests are led from now on; those under way go on. It listens
// where it did: a proxy elsewhere is another one.
func (p *Proxy) Set(proxy emu.HTTPProxy) {
	backends := make(map[string]netip.AddrPort, len(proxy.Routes))
	for _, r := range proxy.Routes {
		backends[strings.ToLower(r.Host)] = r.Backend
	}
	p.backends.Store(&backends)
}

// Close ends listening.
func (p *Proxy) Close() error { return p.listener.Close() }

type dialFunc func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error)

// backendKey is the key of a request's backend in its context.
type backendKey struct{}

func (p *Proxy) handler(dial dialFunc) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http"
			r.Out.URL.Host = r.In.Context().Value(backendKey{}).(netip.AddrPort).String()
			r.Out.Host = r.In.Host
			r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
			r.SetXForwarded()
		},
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				to, err := netip.ParseAddrPort(address)
				if err != nil {
					return nil, err
				}
				ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
				defer cancel()
				return dial(ctx, network, to)
			},
			DisableKeepAlives:     true,
			DisableCompression:    true,
			ResponseHeaderTimeout: 50 * time.Second,
		},
		ErrorLog: builtIn.ErrorLog,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			http.Error(
				w,
				fmt.Sprintf("502: the backend of %s did not answer: %v", hostOf(r), err),
				http.StatusBadGateway,
			)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		backend, ok := (*p.backends.Load())[hostOf(r)]
		if !ok {
			http.Error(w, fmt.Sprintf("404: no site is called %q here", hostOf(r)), http.StatusNotFound)
			return
		}
		proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), backendKey{}, backend)))
	})
}

// hostOf is the host name a request asks for, in lower case, without port or final dot.
func hostOf(r *http.Request) string {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}
