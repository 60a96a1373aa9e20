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

// Dial connects from a namespace to a target over TCP, as a program there would: it looks the name up there, if it
// has to.
func (e *Emulator) Dial(ctx context.Context, from string, target emu.Target) (net.Conn, error) {
	ns, ok := e.state.Namespace(from)
	spec, known := e.Network().Namespace(from)
	if !ok || !known {
		return nil, fmt.Errorf("there is no namespace %s to start from", from)
	}
	address := target.Address
	if !address.IsValid() {
		var err error
		if address, err = dns.Lookup(ctx, e.prober.NameLimit, ns, spec.Resolver, spec.Hosts, target.Name); err != nil {
			return nil, err
		}
	}
	return ns.Dial(ctx, "tcp4", netip.AddrPortFrom(address, target.Port))
}

const (
	httpTimeout = 10 * time.Second
	maxHTTPBody = 1 << 20 // bytes; the rest of a page is not read
)

// HTTPGet requests a page as a browser in the namespace would: it looks the name up there and connects, but follows
// no redirects. Body is the beginning of the page, at most a mebibyte.
func (e *Emulator) HTTPGet(
	ctx context.Context,
	from string,
	target emu.Target,
	path string,
) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, max(httpTimeout, e.opts.Patience))
	defer cancel()
	transport := &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return e.Dial(ctx, from, target) },
		DisableKeepAlives: true,
	}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	host := net.JoinHostPort(target.Name, strconv.Itoa(int(target.Port)))
	if target.Port == 80 {
		host = target.Name // as browsers send it
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
