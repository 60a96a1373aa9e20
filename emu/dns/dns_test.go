package dns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/kernel"
	"vnetlab/emu/kerneltest"
)

var (
	platform = netip.MustParseAddr("168.63.129.16")
	inside   = kerneltest.Address(0, 0) // in the view
	outside  = kerneltest.Address(0, 1)
	vip      = netip.MustParseAddr("198.18.0.10")
)

func network() *emu.Network {
	n := kerneltest.Subnets(1, 2)
	for i := range n.Namespaces {
		s := n.Namespaces[i]
		s.Firewall = nil
		if s.Name == kerneltest.Edge {
			s.Loopback = []netip.Addr{platform}
			s.DNS = &emu.NameServer{Addresses: s.Loopback, Views: []*emu.NameView{{
				Clients: []netip.Addr{inside}, Domain: "contactsql.internal",
				Records: []emu.NameRecord{{Name: "sql1.contactsql.internal", Address: inside}},
			}}}
		}
	}
	n.PublicNames = []emu.NameRecord{
		{Name: "contactsql.cloudapp.net", Address: vip},
		{Name: "Contacts.azurewebsites.net", Address: netip.MustParseAddr("198.18.0.11")},
	}
	for i := range 100 {
		n.PublicNames = append(
			n.PublicNames,
			emu.NameRecord{Name: "many.cloudapp.net", Address: netip.AddrFrom4([4]byte{198, 18, 1, byte(i)})},
		)
	}
	return n
}

func start(t testing.TB, n *emu.Network) (*kernel.State, *Server, io.Closer) {
	t.Helper()
	kerneltest.RequireRoot(t)
	state, err := kernel.Apply(t.Context(), n, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { state.Close() })
	s := New(n)
	edge, _ := state.Namespace(kerneltest.Edge)
	l, err := s.Listen(edge, []netip.Addr{platform})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return state, s, l
}

// dig runs dig inside a host.
func dig(t *testing.T, state *kernel.State, host string, args ...string) string {
	t.Helper()
	ns, _ := state.Namespace(host)
	var out strings.Builder
	cmd := exec.CommandContext(
		t.Context(),
		"dig",
		append([]string{"@" + platform.String(), "+tries=1", "+time=30"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := ns.Start(cmd); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() //nolint:errcheck // what it says counts
	return out.String()
}

func TestDig(t *testing.T) {
	state, _, _ := start(t, network())
	if _, err := exec.LookPath("dig"); err != nil {
		t.Fatal("needs dig: install bind9-dnsutils")
	}
	in, out := kerneltest.Host(0, 0), kerneltest.Host(0, 1)
	for _, c := range []struct {
		name  string
		from  string
		query string
		want  []string
	}{
		{"public name", out, "ContactSQL.cloudapp.NET", []string{"status: NOERROR", "flags: qr aa rd ra;", "198.18.0.10"}},
		{"over TCP", out, "+tcp contactsql.cloudapp.net", []string{"status: NOERROR", "198.18.0.10", "(TCP)"}},
		{"without EDNS", out, "+noedns contacts.azurewebsites.net", []string{"status: NOERROR", "198.18.0.11"}},
		{"later EDNS", out, "+edns=1 +noednsnegotiation contactsql.cloudapp.net", []string{"status: BADVERS"}},
		{"unknown name", out, "nobody.cloudapp.net", []string{"status: NXDOMAIN", "flags: qr aa rd ra;", "SOA"}},
		{"name of the view for its client", in, "SQL1.contactsql.internal", []string{"status: NOERROR", inside.String()}},
		{"public name for a client of the view", in, "contactsql.cloudapp.net", []string{"status: NOERROR", "198.18.0.10"}},
		{"name of the view for another", out, "sql1.contactsql.internal", []string{"status: NXDOMAIN"}},
		{"domain of the view", in, "contactsql.internal", []string{"status: NOERROR", "ANSWER: 0", "contactsql.internal.	5	IN	SOA"}},
		{"unknown in the view", in, "sql2.contactsql.internal", []string{"status: NXDOMAIN", "contactsql.internal.	5	IN	SOA"}},
		{"other type of a name", out, "contactsql.cloudapp.net AAAA", []string{"status: NOERROR", "ANSWER: 0"}},
		{"above a name", out, "cloudapp.net", []string{"status: NOERROR", "ANSWER: 0"}},
		{"root", out, ". NS", []string{"status: NOERROR", "ANSWER: 0"}},
		{"reverse lookup", out, "-x 198.18.0.10", []string{"status: NXDOMAIN"}},
		{"zone transfer", out, "AXFR cloudapp.net", []string{"Transfer failed"}},
		{"other class", out, "-c CH version.bind TXT", []string{"status: REFUSED"}},
		{"other opcode", out, "+opcode=4 contactsql.cloudapp.net SOA", []string{"status: NOTIMP"}},
		{"too long for UDP", out, "+ignore many.cloudapp.net", []string{"status: NOERROR", "flags: qr aa tc rd ra;"}},
		{"again over TCP", out, "many.cloudapp.net", []string{"Truncated, retrying in TCP mode", "198.18.1.99"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := dig(t, state, c.from, strings.Fields(c.query)...)
			for _, w := range c.want {
				if !strings.Contains(got, w) {
					t.Errorf("no %q in\n%s", w, got)
				}
			}
		})
	}
}

func TestMalformedPacketsDoNoHarm(t *testing.T) {
	state, _, _ := start(t, network())
	ns, _ := state.Namespace(kerneltest.Host(0, 0))
	for _, over := range []string{"udp", "tcp"} {
		c, err := ns.Dial(t.Context(), over, netip.AddrPortFrom(platform, 53))
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range [][]byte{{0}, make([]byte, 11), make([]byte, 12), []byte(strings.Repeat("\xff", 600)), {0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 0x0c}} {
			c.Write(b) //nolint:errcheck // the server may have hung up
		}
		c.Close()
	}
	if got := dig(t, state, kerneltest.Host(0, 0), "contactsql.cloudapp.net"); !strings.Contains(got, "198.18.0.10") {
		t.Error(got)
	}
}

func TestUpdateChangesAnswersAtOnce(t *testing.T) {
	n := network()
	state, s, l := start(t, n)
	ns, _ := state.Namespace(kerneltest.Host(0, 1))
	ask := func() (netip.Addr, error) {
		return Lookup(
			t.Context(),
			kerneltest.Patience,
			ns,
			emu.Resolver{Servers: []netip.Addr{platform}},
			nil,
			"contactsql.cloudapp.net",
		)
	}
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for range 50 {
				if a, err := ask(); err != nil || a != vip && a != outside {
					t.Errorf("%s, %v", a, err)
				}
			}
		})
	}
	changed := network()
	changed.PublicNames[0].Address = outside
	there, back := diff.Networks(n, changed), diff.Networks(changed, n)
	s.Update(there)
	for range 50 {
		s.Update(back)
		s.Update(there)
	}
	asking.Wait()
	if a, err := ask(); err != nil || a != outside {
		t.Errorf("after the change: %s, %v", a, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("after Close: %v", err)
	}
	edge, _ := state.Namespace(kerneltest.Edge)
	if _, err := s.Listen(edge, []netip.Addr{platform}); err != nil {
		t.Errorf("again after Close: %v", err)
	}
	if _, err := s.Listen(
		edge,
		[]netip.Addr{vip},
	); err == nil ||
		!strings.Contains(err.Error(), "edge: answer DNS at 198.18.0.10") {
		t.Errorf("at an address that isn't there: %v", err)
	}
}

func TestLookup(t *testing.T) {
	state, _, _ := start(t, network())
	hosts := []emu.NameRecord{{Name: "Sql9", Address: outside}, {Name: "contactsql.cloudapp.net.", Address: outside}}
	resolver := emu.Resolver{Servers: []netip.Addr{platform}, Search: []string{"cloudapp.net", "contactsql.internal"}}
	dead := emu.Resolver{Servers: []netip.Addr{outside, platform}, Search: resolver.Search}
	deaf := emu.Resolver{Servers: []netip.Addr{outside}}
	long := strings.Repeat("a", 300)
	for _, c := range []struct {
		name     string
		resolver emu.Resolver
		hosts    []emu.NameRecord
		want     netip.Addr
		err      error
	}{
		{name: "198.18.0.99", want: netip.MustParseAddr("198.18.0.99")},
		{name: "localhost", want: netip.MustParseAddr("127.0.0.1")},
		{name: "SQL9", resolver: deaf, hosts: hosts, want: outside},
		{name: "contactsql.cloudapp.net", resolver: resolver, hosts: hosts, want: outside},
		{name: "contactsql.cloudapp.net", resolver: resolver, want: vip},
		{name: "contactsql.cloudapp.net.", resolver: resolver, want: vip},
		{name: "contactsql", resolver: resolver, want: vip},
		{name: "contactsql.", resolver: resolver, err: ErrNoSuchName},
		{name: "sql1", resolver: resolver, want: inside},
		{name: "sql1", resolver: dead, want: inside},
		{name: "sql1.contactsql", resolver: resolver, err: ErrNoSuchName},
		{name: "sql1.contactsql", resolver: emu.Resolver{Servers: resolver.Servers, Search: []string{"internal"}}, want: inside},
		{name: "many.cloudapp.net", resolver: resolver, want: netip.MustParseAddr("198.18.1.0")},
		{name: "cloudapp.net", resolver: resolver, err: ErrNoSuchName},
		{name: "nobody", resolver: resolver, err: ErrNoSuchName},
		{name: "nobody", resolver: emu.Resolver{}, err: ErrNoSuchName},
		{name: "nobody", resolver: deaf, err: ErrNoAnswer},
		{name: long, resolver: resolver, err: ErrNoSuchName},
		{name: "a..b", resolver: resolver, err: ErrNoSuchName},
		{name: "", resolver: resolver, err: ErrNoSuchName},
	} {
		t.Run(fmt.Sprintf("%.20s", c.name), func(t *testing.T) {
			ns, _ := state.Namespace(kerneltest.Host(0, 0))
			got, err := Lookup(t.Context(), kerneltest.Patience, ns, c.resolver, c.hosts, c.name)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("%s, %v; want %s, %v", got, err, c.want, c.err)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ns, _ := state.Namespace(kerneltest.Host(0, 0))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		silent := emu.Resolver{Servers: []netip.Addr{netip.MustParseAddr("10.0.3.250")}}
		if _, err := Lookup(ctx, time.Second, ns, silent, nil, "x"); !errors.Is(err, ErrNoAnswer) {
			t.Error(err)
		}
	})
}

func TestCandidates(t *testing.T) {
	for name, want := range map[string]string{
		"sql1":     "sql1.a. sql1.b.c. sql1.",
		"sql1.x":   "sql1.x. sql1.x.a. sql1.x.b.c.",
		"sql1.x.":  "sql1.x.",
		"contacts": "contacts.a. contacts.b.c. contacts.",
	} {
		if got := strings.Join(candidates(name, []string{"a", "b.c"}), " "); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// FuzzAnswer has any packet that the library accepts answered with one that can be sent.
func FuzzAnswer(f *testing.F) {
	n := newNames(network())
	for _, q := range []struct {
		name  string
		qtype uint16
	}{{"contactsql.cloudapp.net.", wire.TypeA}, {".", wire.TypeANY}, {"many.cloudapp.net.", wire.TypeAXFR}} {
		b, err := new(wire.Msg).SetQuestion(q.name, q.qtype).SetEdns0(4096, true).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, packet []byte, udp bool) {
		query := new(wire.Msg)
		if query.Unpack(packet) != nil || len(query.Question) != 1 {
			return
		}
		m := n.answer(kerneltest.Edge, inside, query, udp)
		b, err := m.Pack()
		if err != nil {
			t.Fatalf("%v: %v", query, err)
		}
		if udp && len(b) > udpSize {
			t.Fatalf("%d bytes", len(b))
		}
	})
}

// TestStopAndStart has the name server of a namespace end and begin again while a client stays connected, and the
// network change meanwhile.
func TestStopAndStart(t *testing.T) {
	n := network()
	state, s, l := start(t, n)
	edge, _ := state.Namespace(kerneltest.Edge)
	client, _ := state.Namespace(kerneltest.Host(0, 1))
	for i := range 5 {
		c, err := client.Dial(t.Context(), "tcp", netip.AddrPortFrom(platform, 53))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if out := dig(
			t,
			state,
			kerneltest.Host(0, 1),
			"+short",
			"contactsql.cloudapp.net",
		); !strings.Contains(
			out,
			"refused",
		) {
			t.Errorf("it answers after Close: %s", out)
		}
		next := *n
		next.PublicNames = []emu.NameRecord{
			{Name: "contactsql.cloudapp.net", Address: netip.AddrFrom4([4]byte{198, 18, 2, byte(i)})},
		}
		s.Update(diff.Networks(n, &next))
		n = &next
		if l, err = s.Listen(edge, []netip.Addr{platform}); err != nil {
			t.Fatal(err)
		}
		if out := dig(
			t,
			state,
			kerneltest.Host(0, 1),
			"+short",
			"contactsql.cloudapp.net",
		); out != fmt.Sprintf(
			"198.18.2.%d\n",
			i,
		) {
			t.Errorf("after another start: %s", out)
		}
	}
}
