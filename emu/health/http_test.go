package health

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
)

func TestHTTP(t *testing.T) {
	b := newBench(t)
	l, err := b.host.ListenTCP(netip.AddrPortFrom(netip.IPv4Unspecified(), kerneltest.Port))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for path, status := range map[string]int{
		"/ok": 200, "/created": 201, "/empty": 204, "/moved": 302, "/secret": 401, "/gone": 404, "/broken": 500,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if at := probe("", "", "").Target.String(); r.Method != http.MethodGet || r.Host != at || !r.Close {
				t.Errorf("asked %s of %q, close %t", r.Method, r.Host, r.Close)
			}
			w.Header().Set("Location", "/ok")
			w.WriteHeader(status)
		})
	}
	mux.HandleFunc("/query", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "a=b%20c" {
			w.WriteHeader(400)
		}
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			io.WriteString(w, strings.Repeat("x", 4096)) //nolint:errcheck // until it is gone
		}
	})
	server := &http.Server{Handler: mux}
	go server.Serve(l)
	defer server.Close()

	want := map[string]string{ // what is wrong
		"/ok": "", "ok": "", "/query?a=b%20c": "", "/endless": "",
		"/created": "201", "/empty": "204", "/moved": "302", "/secret": "401", "/gone": "404", "/broken": "500",
		"": "404", "/slow": "no answer within", "/%zz": "invalid URL",
	}
	var all []emu.HealthProbe
	for path := range want {
		p := once(probe(path, "http", path))
		if path == "/slow" {
			p.Interval = 15 // until the question is given up
		}
		all = append(all, p)
	}
	b.set(all...)
	for path, wrong := range want {
		b.waitHealthy(path, wrong == "")
	}
	for _, s := range b.States() {
		if !strings.Contains(s.Detail, want[s.ID]) || (s.Detail == "") != (want[s.ID] == "") {
			t.Errorf("%q: %+v", s.ID, s)
		}
	}
}

func TestHTTPOfWhoDoesNotSpeakIt(t *testing.T) {
	for _, text := range []string{"", "hello\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 2*maxHeader)} {
		b := newBench(t)
		b.listen(func(c net.Conn) { io.WriteString(c, text); io.Copy(io.Discard, c) })
		b.set(probe("web", "http", "/"))
		b.waitHealthy("web", false)
		if b.States()[0].Detail == "" {
			t.Errorf("%.20q: nothing is wrong", text)
		}
	}
}
