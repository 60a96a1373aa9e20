package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	wire "github.com/miekg/dns"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
)

var (
	// ErrNoSuchName is returned for a name without an IPv4 address.
	ErrNoSuchName = errors.New("the name has no address")
	// ErrNoAnswer is returned if no name server answered: the name may or may not have an address.
	ErrNoAnswer = errors.New("no name server answered")
)

const attempts = 2 // rounds through the servers, as in resolv.conf(5)

// Lookup finds the IPv4 address of a name as a program inside the namespace would by its C library: a numeric name is
// the address; then come the lines of /etc/hosts; then the servers are asked in their order, from sockets in the
// namespace, for the name itself and with each search domain: a name without a dot with the search domains first, one
// with a dot as it is first (ndots:1), one with a final dot only so. The first address counts.
//
// Limit is how long a server may take for its answer. The error is ErrNoSuchName when the name has no address,
// ErrNoAnswer when no server could tell.
func Lookup(
	ctx context.Context,
	limit time.Duration,
	ns *kernel.Namespace,
	resolver emu.Resolver,
	hosts []emu.NameRecord,
	name string,
) (netip.Addr, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return a, nil
	}
	for _, h := range hosts {
		if canonical(h.Name) == canonical(name) {
			return h.Address, nil
		}
	}
	if canonical(name) == "localhost" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	if len(resolver.Servers) == 0 {
		return netip.Addr{}, fmt.Errorf("%s: %w: %s has no name server", name, ErrNoSuchName, ns.Name)
	}
	for _, full := range candidates(name, resolver.Search) {
		if _, valid := wire.IsDomainName(full); !valid {
			continue // too long with this search domain, or no name at all
		}
		a, err := ask(ctx, limit, ns, resolver.Servers, full)
		if err == nil || !errors.Is(err, ErrNoSuchName) {
			return a, err
		}
	}
	return netip.Addr{}, fmt.Errorf("%s: %w", name, ErrNoSuchName)
}

// candidates lists the full names to ask for, in their order.
func candidates(name string, search []string) []string {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	var all []string
	for _, domain := range search {
		all = append(all, wire.Fqdn(name+"."+domain))
	}
	if strings.Contains(name, ".") {
		return append([]string{wire.Fqdn(name)}, all...)
	}
	return append(all, wire.Fqdn(name))
}

// ask queries the servers in their order until one has the answer.
func ask(
	ctx context.Context,
	limit time.Duration,
	ns *kernel.Namespace,
	servers []netip.Addr,
	full string,
) (netip.Addr, error) {
	var failures []error
	for range attempts {
		failures = failures[:0]
		for _, s := range servers {
			if ctx.Err() != nil {
				return netip.Addr{}, fmt.Errorf("%s: %w: %w", full, ErrNoAnswer, ctx.Err())
			}
			m, err := exchange(ctx, limit, ns, s, full)
			switch {
			case err != nil:
				failures = append(failures, fmt.Errorf("%s: %w", s, reason(err, limit)))
			case m.Rcode == wire.RcodeSuccess, m.Rcode == wire.RcodeNameError:
				return addressIn(m)
			default:
				failures = append(failures, fmt.Errorf("%s: %s", s, wire.RcodeToString[m.Rcode]))
			}
		}
	}
	return netip.Addr{}, fmt.Errorf("%s: %w (%w)", full, ErrNoAnswer, errors.Join(failures...))
}

// exchange queries one server over UDP, and again over TCP if the answer was truncated.
func exchange(
	ctx context.Context,
	limit time.Duration,
	ns *kernel.Namespace,
	server netip.Addr,
	full string,
) (*wire.Msg, error) {
	query := new(wire.Msg).SetQuestion(full, wire.TypeA)
	m, err := exchangeOver(ctx, limit, ns, "udp", server, query)
	if err == nil && m.Truncated {
		return exchangeOver(ctx, limit, ns, "tcp", server, query)
	}
	return m, err
}

func exchangeOver(
	ctx context.Context,
	limit time.Duration,
	ns *kernel.Namespace,
	network string,
	server netip.Addr,
	query *wire.Msg,
) (*wire.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c, err := ns.Dial(ctx, network, netip.AddrPortFrom(server, port))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	m, _, err := (&wire.Client{Net: network, Timeout: limit}).ExchangeWithConnContext(ctx, query, &wire.Conn{Conn: c})
	return m, err
}

func addressIn(m *wire.Msg) (netip.Addr, error) {
	for _, rr := range m.Answer { // of the name, or of the target of its CNAME
		if a, ok := rr.(*wire.A); ok {
			if addr, ok := netip.AddrFromSlice(a.A.To4()); ok {
				return addr, nil
			}
		}
	}
	return netip.Addr{}, ErrNoSuchName
}

// reason shortens an error of the net package to what happened.
func reason(err error, limit time.Duration) error {
	var op *net.OpError
	if errors.As(err, &op) {
		if op.Timeout() {
			return fmt.Errorf("no answer within %s", limit)
		}
		return op.Err
	}
	return err
}
