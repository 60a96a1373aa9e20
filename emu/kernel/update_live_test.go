package kernel

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/kerneltest"
)

// published is a network with an endpoint for each of the first hosts: port 1000+i of the VIP reaches host i of subnet
// 0.
func published(subnets, hostsPer, endpoints int) *emu.Network {
	n := kerneltest.Subnets(subnets, hostsPer)
	edge, _ := n.Namespace(kerneltest.Edge)
	tcp := emu.MatchProtocol{Protocol: "tcp"}
	r := &emu.Ruleset{Table: "lab", Sockets: []emu.SocketMap{{Name: "endpoints"}}, Chains: []*emu.Chain{
		{Name: "pre", Hook: emu.DNATHook, Rules: []emu.Rule{with(emu.Dispatch{Map: "endpoints"})}},
		{Name: "forward", Hook: emu.ForwardHook, Rules: []emu.Rule{
			with(emu.MatchEstablished{}, emu.Counter{}, emu.Accept{}),
			with(emu.MatchDNATed{}, emu.Counter{}, emu.Accept{}),
			with(tcp, emu.MatchPort{Port: 1}, emu.Counter{}, emu.Drop{}),
		}},
	}}
	for i := range endpoints {
		chain := fmt.Sprintf("endpoint-%d", i)
		r.Chains = append(r.Chains, &emu.Chain{Name: chain, Rules: []emu.Rule{
			with(tcp, emu.Counter{}, emu.DNAT{To: netip.AddrPortFrom(kerneltest.Address(0, i%hostsPer),
				kerneltest.Port)}),
		}})
		r.Sockets[0].Elements = append(r.Sockets[0].Elements,
			emu.SocketMapElement{Address: vip, Protocol: emu.TCP, Port: uint16(1000 + i), Chain: chain})
	}
	edge.Ruleset = r
	return n
}

var vip = addr("198.18.0.1")

// server knows the connections that it has accepted.
type server struct {
	mu       sync.Mutex
	accepted map[string]net.Conn // by the addresses of their other ends
}

// end returns the server's end of a connection that no router on the way has translated.
func (s *server) end(t *testing.T, c net.Conn) (end net.Conn) {
	t.Helper()
	if !kerneltest.Becomes(func() (ok bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		end, ok = s.accepted[c.LocalAddr().String()]
		return ok
	}) {
		t.Fatal("nobody has accepted the connection from ", c.LocalAddr())
	}
	return end
}

// echo answers each line with itself.
func echo(t *testing.T, n *Namespace, at netip.AddrPort) *server {
	t.Helper()
	s := &server{accepted: map[string]net.Conn{}}
	l, err := n.ListenTCP(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.accepted[c.RemoteAddr().String()] = c
			s.mu.Unlock()
			go func() {
				defer c.Close()
				io.Copy(c, c) //nolint:errcheck // ends with the connection
			}()
		}
	}()
	return s
}

type connection struct {
	net.Conn
	answers *bufio.Reader
}

func connect(t *testing.T, from *Namespace, to netip.AddrPort) connection {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), kerneltest.Patience)
	defer cancel()
	c, err := from.Dial(ctx, "tcp4", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return connection{c, bufio.NewReader(c)}
}

// lives sends a line over the connection and waits for the answer.
func (c connection) lives(t *testing.T, when string) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(kerneltest.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintln(c, when); err != nil {
		t.Fatal(when, err)
	}
	if got, err := c.answers.ReadString('\n'); err != nil || got != when+"\n" {
		t.Fatalf("%s: %q, %v", when, got, err)
	}
}

// counts returns what the rules that match have counted.
func counts(t *testing.T, n *Namespace, match, program string, args ...string) (all []int) {
	t.Helper()
	for _, m := range regexp.MustCompile(match).FindAllStringSubmatch(run(t, n, "", program, args...), -1) {
		v, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	if len(all) == 0 {
		t.Fatalf("no rule %s", match)
	}
	return all
}

// What an update doesn't touch goes on: connections, direct and through an endpoint, and what rules have counted.
func TestUpdateLeavesTheRest(t *testing.T) {
	kerneltest.RequireRoot(t)
	from := published(2, 4, 3)
	s := apply(t, from)
	client, _ := s.Namespace(kerneltest.Host(1, 0))
	server, _ := s.Namespace(kerneltest.Host(0, 0))
	edge, _ := s.Namespace(kerneltest.Edge)
	echo(t, server, netip.AddrPortFrom(kerneltest.Address(0, 0), kerneltest.Port))
	neighbor, _ := s.Namespace(kerneltest.Host(0, 1))
	direct := connect(t, neighbor, netip.AddrPortFrom(kerneltest.Address(0, 0), kerneltest.Port))
	through := connect(t, client, netip.AddrPortFrom(vip, 1000))
	lives := func(when string) {
		t.Helper()
		direct.lives(t, when)
		through.lives(t, when)
	}
	lives("before")
	forwarded := func() []int {
		return counts(t, edge, `established,related counter packets (\d+)`, "nft", "list", "table", "ip", "lab")
	}
	translated := func() []int {
		return counts(t, edge, `counter packets (\d+) bytes \d+ dnat to 10.0.0.4`, "nft", "list", "chain", "ip",
			"lab", "endpoint-0")
	}
	admitted := func() []int {
		return counts(t, server, `(?m)^\[(\d+):\d+\] -A INPUT -p tcp -m tcp --dport 8080`, "iptables-save", "-c",
			"-t", "filter")
	}
	forwardedBefore, translatedBefore, admittedBefore := forwarded(), translated(), admitted()
	if forwardedBefore[0] == 0 || translatedBefore[0] == 0 || admittedBefore[0] == 0 {
		t.Fatal(forwardedBefore, translatedBefore, admittedBefore)
	}
	update := func(to *emu.Network) *diff.Change {
		t.Helper()
		change := diff.Networks(from, to)
		if err := s.Update(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		if got := differences(t, to, s); got != "" {
			t.Fatal(got)
		}
		from = to
		return change
	}

	// Instances come and go, rules before and after those that count, endpoints.
	to := published(2, 5, 4)
	ruleset(to).Chains[1].Rules = append([]emu.Rule{with(emu.MatchProtocol{Protocol: "icmp"}, emu.Drop{})},
		ruleset(to).Chains[1].Rules[:2]...)
	firewall(to, server.Name).Rules = append([]emu.FirewallRule{{
		ID: "first", Comment: "block icmp", Drop: true,
		Protocol: "icmp",
	}}, firewall(to, server.Name).Rules[:2]...)
	change := update(to)
	if diff := cmp.Diff([]string{kerneltest.Host(0, 4), kerneltest.Host(1, 4)}, names(change.Added)); diff != "" ||
		len(change.Removed) != 0 {
		t.Error(change.Removed, diff)
	}
	lives("after additions")
	again := connect(t, client, netip.AddrPortFrom(vip, 1000))
	again.lives(t, "new")
	echo(t, namespace(t, s, kerneltest.Host(0, 3)), netip.AddrPortFrom(kerneltest.Address(0, 3), kerneltest.Port))
	connect(t, namespace(t, s, kerneltest.Host(1, 4)), netip.AddrPortFrom(vip, 1003)).lives(t,
		"the new endpoint, from the new host")
	if f, tr, a := forwarded(), translated(),
		admitted(); f[0] < forwardedBefore[0] || tr[0] != translatedBefore[0]+1 || a[0] != admittedBefore[0]+1 {
		t.Errorf("counted %d, %d, %d; before %d, %d, %d", f, tr, a, forwardedBefore, translatedBefore, admittedBefore)
	}

	change = update(published(2, 4, 2))
	if diff := cmp.Diff([]string{kerneltest.Host(0, 4), kerneltest.Host(1, 4)}, names(change.Removed)); diff != "" {
		t.Error(diff)
	}
	lives("after removals")
	// An endpoint leads elsewhere, and then ends: its connections stay.
	to = published(2, 4, 2)
	ruleset(to).Sockets[0].Elements[0].Chain = "endpoint-1"
	update(to)
	lives("the endpoint leads elsewhere")
	update(published(2, 4, 0))
	lives("the endpoint is gone")
	// Without a firewall, and with one.
	to = published(2, 4, 0)
	host, _ := to.Namespace(server.Name)
	host.Firewall = nil
	update(to)
	lives("without firewall")
	update(published(2, 4, 0))
	lives("with firewall")
}

// A tunnel that is missing while the network changes is the concern of others.
func TestUpdateFailsWithTunnels(t *testing.T) {
	kerneltest.RequireRoot(t)
	from, to := published(1, 2, 1), published(1, 2, 1)
	from.Tunnels = []emu.Tunnel{{
		ID: "vpn", A: emu.TunnelEnd{
			Namespace: kerneltest.Edge, Device: "vpn0",
			AllowedPrefixes: []netip.Prefix{prefix("192.168.0.0/24")},
		},
		B: emu.TunnelEnd{Namespace: kerneltest.Host(0, 0), Device: "vpn0"},
	}}
	s := apply(t, from)
	ruleset(to).Chains[1].Rules[0].Statements = []emu.Statement{emu.MatchPairSet{Set: "unknown"}}
	if err := s.Update(t.Context(), diff.Networks(from, to)); err == nil ||
		!strings.HasSuffix(err.Error(), "; the network is as before") {
		t.Error(err)
	}
}

func names(all []*emu.Namespace) []string {
	var names []string
	for _, n := range all {
		names = append(names, n.Name)
	}
	return names
}

func ruleset(n *emu.Network) *emu.Ruleset {
	edge, _ := n.Namespace(kerneltest.Edge)
	return edge.Ruleset
}

func firewall(n *emu.Network, host string) *emu.Firewall {
	h, _ := n.Namespace(host)
	return h.Firewall
}

func namespace(t *testing.T, s *State, name string) *Namespace {
	t.Helper()
	n, ok := s.Namespace(name)
	if !ok {
		t.Fatal("there is no namespace ", name)
	}
	return n
}

// Updates leave no descriptor.
func TestUpdateLeavesNoDescriptor(t *testing.T) {
	kerneltest.RequireRoot(t)
	a, b := published(1, 2, 1), published(1, 3, 2)
	s := apply(t, a)
	before := 0
	for i := range 6 {
		for _, step := range [][2]*emu.Network{{a, b}, {b, a}} {
			if err := s.Update(t.Context(), diff.Networks(step[0], step[1])); err != nil {
				t.Fatal(err)
			}
		}
		if i == 1 {
			before = descriptors(t)
		}
	}
	noMoreDescriptors(t, before, "after twelve updates")
}
