package listener

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/emu/kerneltest"
)

var (
	here  = kerneltest.Address(0, 0)
	there = kerneltest.Address(0, 1)
)

// hosts returns two hosts of one subnet, without firewalls.
func hosts(t testing.TB) (a, b *kernel.Namespace) {
	t.Helper()
	kerneltest.RequireRoot(t)
	n := kerneltest.Subnets(1, 2)
	for i := range n.Namespaces {
		n.Namespaces[i].Firewall = nil
	}
	state, err := kernel.Apply(t.Context(), n, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { state.Close() })
	a, _ = state.Namespace(kerneltest.Host(0, 0))
	b, _ = state.Namespace(kerneltest.Host(0, 1))
	return a, b
}

// clientIn is an HTTP client whose connections start in the namespace.
func clientIn(ns *kernel.Namespace) *http.Client {
	return &http.Client{Timeout: kerneltest.Patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return ns.Dial(ctx, network, netip.MustParseAddrPort(address))
		},
	}}
}

func get(t *testing.T, c *http.Client, url, host, accept string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	r.Header.Set("Accept", accept)
	response, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(b)
}

func TestServeTellsPeopleAndProgramsWhoAnswered(t *testing.T) {
	a, b := hosts(t)
	l, err := Serve(b, emu.Service{Name: "sql", Port: 1433, Protocol: emu.TCP})
	if err != nil {
		t.Fatal(err)
	}
	status, text := get(t, clientIn(a), "http://"+there.String()+":1433/any/path?x=1", "", "text/html")
	if want := "host-0-1 (" + there.String() + ") answered on port 1433; it saw you as " + here.String() + ":"; status != 200 ||
		!strings.HasPrefix(text, want) {
		t.Errorf("%d %q, want %q", status, text, want)
	}
	_, text = get(t, clientIn(a), "http://"+there.String()+":1433/", "", "application/json")
	var got Answer
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if got.Instance != "host-0-1" || got.Address != there || got.Port != 1433 || got.SeenAs.Addr() != here ||
		got.SeenAs.Port() == 0 {
		t.Errorf("%+v", got)
	}
	if _, err := Serve(
		b,
		emu.Service{Name: "other", Port: 1433, Protocol: emu.TCP},
	); err == nil ||
		!strings.Contains(err.Error(), "host-0-1: listen on port 1433 for other") {
		t.Errorf("a port that is in use: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Dial(t.Context(), "tcp", netip.AddrPortFrom(there, 1433)); err == nil {
		t.Error("it still listens after Close")
	}
}

func TestServeSurvivesBadClients(t *testing.T) {
	a, b := hosts(t)
	l, err := Serve(b, emu.Service{Port: 80, Protocol: emu.TCP})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, sent := range []string{"", "\x00\xff\x16\x03", "GET / HTTP/9.9\r\n\r\n", strings.Repeat("a", 100_000)} {
		c, err := a.Dial(t.Context(), "tcp", netip.AddrPortFrom(there, 80))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, sent) //nolint:errcheck // it may have been closed already
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	if status, _ := get(t, clientIn(a), "http://"+there.String()+"/", "", ""); status != 200 {
		t.Errorf("status %d", status)
	}
}

func TestServeUDP(t *testing.T) {
	a, b := hosts(t)
	l, err := Serve(b, emu.Service{Port: 5000, Protocol: emu.UDP})
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Dial(t.Context(), "udp", netip.AddrPortFrom(there, 5000))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(kerneltest.Patience))
	for range 2 {
		if _, err := io.WriteString(c, "hello"); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		var got Answer
		if err := errors.Join(err, json.Unmarshal([]byte(line), &got)); err != nil {
			t.Fatal(err)
		}
		if got.Address != there || got.Port != 5000 || got.SeenAs.String() != c.LocalAddr().String() {
			t.Errorf("%+v", got)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestServeProxy(t *testing.T) {
	a, b := hosts(t)
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Host+" "+r.URL.String()+" for "+r.Header.Get("X-Forwarded-For"))
	}))
	l, err := b.ListenTCP(netip.MustParseAddrPort("127.0.0.1:8000"))
	if err != nil {
		t.Fatal(err)
	}
	backend.Listener.Close()
	backend.Listener = l
	backend.Start()
	defer backend.Close()

	proxy, err := ServeProxy(b, emu.HTTPProxy{Listen: netip.AddrPortFrom(there, 80), Routes: []emu.HTTPProxyRoute{
		{Host: "contacts.azurewebsites.net", Backend: netip.MustParseAddrPort("127.0.0.1:8000")},
		{Host: "dead.azurewebsites.net", Backend: netip.MustParseAddrPort("127.0.0.1:8001")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	for _, c := range []struct {
		host   string
		status int
		body   string
	}{
		{"contacts.azurewebsites.net", 200, "contacts.azurewebsites.net /a?b=c for " + here.String()},
		{"Contacts.AzureWebsites.NET:80", 200, "Contacts.AzureWebsites.NET:80 /a?b=c for " + here.String()},
		{"dead.azurewebsites.net", 502, "502: the backend of dead.azurewebsites.net did not answer"},
		{"nobody.azurewebsites.net", 404, `404: no site is called "nobody.azurewebsites.net" here`},
		{"", 404, `404: no site is called "` + there.String() + `" here`},
	} {
		status, body := get(t, clientIn(a), "http://"+there.String()+"/a?b=c", c.host, "")
		if status != c.status || !strings.HasPrefix(body, c.body) {
			t.Errorf("%s: %d %q", c.host, status, body)
		}
	}
}

// TestListenersAreLight has one thousand listeners cost less than a fifth of what an instance may.
func TestListenersAreLight(t *testing.T) {
	_, b := hosts(t)
	const count = 1000
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before, goroutines := memory(), runtime.NumGoroutine()
	var all []io.Closer
	for i := range count {
		l, err := Serve(b, emu.Service{Port: uint16(2000 + i), Protocol: emu.TCP})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	each := (int64(memory()) - int64(before)) / count
	t.Logf("%d bytes each", each)
	if each > 10<<10 {
		t.Errorf("a listener costs %d bytes", each)
	}
	for _, l := range all {
		l.Close()
	}
	if !kerneltest.Becomes(func() bool { return runtime.NumGoroutine() <= goroutines }) {
		t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
	}
}
