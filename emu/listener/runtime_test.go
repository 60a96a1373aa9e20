package listener

import (
	"io"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/emu/kerneltest"
)

// serveHTTP serves with a handler of the test's own.
func serveHTTP(t *testing.T, ns *kernel.Namespace, at string, f http.HandlerFunc) {
	t.Helper()
	l, err := ns.ListenTCP(netip.MustParseAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: f}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
}

// TestProxyChangesItsRoutes changes them while a request is under way.
func TestProxyChangesItsRoutes(t *testing.T) {
	a, b := hosts(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	serveHTTP(t, b, "127.0.0.1:8000", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "old, ")
		w.(http.Flusher).Flush()
		close(arrived)
		<-release
		io.WriteString(w, "to its end")
	})
	serveHTTP(t, b, "127.0.0.1:8001", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "new") })
	routes := func(host, backend string) emu.HTTPProxy {
		return emu.HTTPProxy{
			Listen: netip.AddrPortFrom(there, 80),
			Routes: []emu.HTTPProxyRoute{{Host: host, Backend: netip.MustParseAddrPort(backend)}},
		}
	}
	proxy, err := ServeProxy(b, routes("a.azurewebsites.net", "127.0.0.1:8000"))
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	check := func(host string, wantStatus int, want string) {
		t.Helper()
		status, body := get(t, clientIn(a), "http://"+there.String()+"/", host, "")
		if status != wantStatus || want != "" && body != want {
			t.Errorf("%s: %d %q", host, status, body)
		}
	}
	slow := make(chan string)
	go func() {
		defer close(slow) // without an answer too
		_, body := get(t, clientIn(a), "http://"+there.String()+"/", "a.azurewebsites.net", "")
		slow <- body
	}()
	<-arrived
	proxy.Set(routes("A.azurewebsites.net", "127.0.0.1:8001"))
	check("a.azurewebsites.net", 200, "new")
	proxy.Set(routes("b.azurewebsites.net", "127.0.0.1:8001"))
	check("a.azurewebsites.net", 404, "")
	check("b.azurewebsites.net", 200, "new")
	close(release)
	if body := <-slow; body != "old, to its end" {
		t.Errorf("the request under way got %q", body)
	}
	if err := proxy.Close(); err != nil {
		t.Error(err)
	}
	again, err := ServeProxy(b, routes("a.azurewebsites.net", "127.0.0.1:8001"))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	check("a.azurewebsites.net", 200, "new")
}

// TestServicesStopAndStart has a port change hands again and again, with a client connected.
func TestServicesStopAndStart(t *testing.T) {
	a, b := hosts(t)
	for _, protocol := range []emu.Protocol{emu.TCP, emu.UDP} {
		for range 10 {
			l, err := Serve(b, emu.Service{Name: "web", Port: 80, Protocol: protocol})
			if err != nil {
				t.Fatal(err)
			}
			c, err := a.Dial(t.Context(), string(protocol), netip.AddrPortFrom(there, 80))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			c.SetDeadline(time.Now().Add(kerneltest.Patience))
			if n, err := c.Read(make([]byte, 1024)); n == 0 {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
