package emulator

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/dns"
)

// Probe finds out by a connection whether a namespace reaches a target; see [probe.Prober.Probe].
func (e *Emulator) Probe(ctx context.Context, from string, target emu.Target) emu.Observation {
	return e.prober.Probe(ctx, from, target)
}

const (
	httpTimeout = 10 * time.Second
	maxHTTPBody = 1 << 20 // bytes; the rest of a page is not read
)

// HTTPGet asks for a page as a browser in the namespace would: it looks the name up there, connects and follows no redirects. Body is
// the beginning of the page, a mebibyte at most.
func (e *Emulator) HTTPGet(ctx context.Context, from string, target emu.Target, path string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, httpTimeout)
	defer cancel()
	ns, ok := e.state.Namespace(from)
	spec, known := e.network.Namespace(from)
	if !ok || !known {
		return 0, nil, fmt.Errorf("there is no namespace %s to start from", from)
	}
	address := target.Address
	if !address.IsValid() {
		if address, err = dns.Lookup(ctx, ns, spec.Resolver, spec.Hosts, target.Name); err != nil {
			return 0, nil, err
		}
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return ns.Dial(ctx, "tcp4", netip.AddrPortFrom(address, target.Port))
		},
		DisableKeepAlives: true,
	}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	host := net.JoinHostPort(target.Name, strconv.Itoa(int(target.Port)))
	if target.Port == 80 {
		host = target.Name // as browsers say it
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+path, nil)
	if err != nil {
		return 0, nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxHTTPBody))
	return response.StatusCode, body, err
}
