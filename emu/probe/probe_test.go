package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/dns"
	"vnetlab/emu/kernel"
	"vnetlab/emu/kerneltest"
)

func namespace(t testing.TB, s *kernel.State, name string) *kernel.Namespace {
	t.Helper()
	ns, ok := s.Namespace(name)
	if !ok {
		t.Fatalf("no namespace %s", name)
	}
	return ns
}

// plainListener accepts and says nothing, as a program that waits for its own protocol.
func plainListener(t testing.TB, ns *kernel.Namespace, port uint16) (got func() []byte) {
	t.Helper()
	l, err := ns.ListenTCP(netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var mu sync.Mutex
	var all []byte
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func(c net.Conn) {
				defer c.Close()
				buf := make([]byte, 64)
				n, _ := c.Read(buf)
				mu.Lock()
				defer mu.Unlock()
				all = append(all, buf[:n]...)
			}(c)
		}
	}()
	return func() []byte {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

func TestProbe(t *testing.T) {
	state, p := start(t, fabric())
	names := dns.New(fabric())
	closeAfter(t)(names.Listen(namespace(t, state, "edge"), []netip.Addr{netip.MustParseAddr("168.63.129.16")}))
	received := plainListener(t, namespace(t, state, "real1"), 5432)

	by := func(namespace, id string) *emu.RuleReference {
		return &emu.RuleReference{Namespace: namespace, ID: id}
	}
	for _, c := range []struct {
		name   string
		from   string
		target emu.Target
		want   emu.Observation
		line   int // of the rule
	}{
		{
			name: "built-in listener in another subnet", from: "web1", target: emu.Target{Address: sql1, Port: 1433},
			want: emu.Observation{Verdict: emu.Open, AnsweredBy: "sql1", SeenAs: web1},
		},
		{
			name: "program that is not ours", from: "web1", target: emu.Target{Address: real1, Port: 5432},
			want: emu.Observation{Verdict: emu.Open, AnsweredBy: "real1", SeenAs: web1},
		},
		{
			name: "nothing listens", from: "web1", target: emu.Target{Address: web2, Port: 81},
			want: emu.Observation{Verdict: emu.Refused},
		},
		{
			name: "firewall's default", from: "real1", target: emu.Target{Address: sql1, Port: 1433},
			want: emu.Observation{Verdict: emu.Blocked, By: by("sql1", emu.FirewallDefault)}, line: 7,
		},
		{
			name: "firewall's block before its allow", from: "web2", target: emu.Target{Address: sql1, Port: 1433},
			want: emu.Observation{Verdict: emu.Blocked, By: by("sql1", "block-web2")}, line: 9,
		},
		{
			name: "router between subnets and the internet", from: "laptop", target: emu.Target{Address: sql1, Port: 1433},
			want: emu.Observation{Verdict: emu.Blocked, By: by("edge", "no-endpoint")}, line: 20,
		},
		{
			name: "address of the router itself", from: "laptop", target: emu.Target{
				Address: gateway[laptop], Port: 1433,
			},
			want: emu.Observation{Verdict: emu.Blocked, By: by("edge", "nothing-here")}, line: 21,
		},
		{
			name: "endpoint whose backend's firewall drops", from: "laptop", target: emu.Target{Address: vip, Port: 57500},
			want: emu.Observation{Verdict: emu.Blocked, By: by("sql1", emu.FirewallDefault)}, line: 7,
		},
		{
			name: "access control list before translation", from: "laptop", target: emu.Target{Address: vip, Port: 7000},
			want: emu.Observation{Verdict: emu.Blocked, By: by("edge", "acl")}, line: 30,
		},
		{
			name: "endpoint without the list's source", from: "real1", target: emu.Target{Address: vip, Port: 7000},
			want: emu.Observation{Verdict: emu.Open, AnsweredBy: "web1", SeenAs: real1},
		},
		{
			name: "no backend", from: "laptop", target: emu.Target{Address: vip, Port: 9160},
			want: emu.Observation{Verdict: emu.NoBackend, By: by("edge", emu.NoBackendPrefix+"thrift")}, line: 40,
		},
		{
			name: "backend that doesn't listen", from: "laptop", target: emu.Target{Address: vip, Port: 81},
			want: emu.Observation{Verdict: emu.Refused},
		},
		{
			name: "translated source", from: "web1", target: emu.Target{Address: laptop, Port: 8080},
			want: emu.Observation{Verdict: emu.Open, AnsweredBy: "laptop", SeenAs: vip},
		},
		{
			name: "by DNS name", from: "laptop", target: emu.Target{Name: "ContactSQL.cloudapp.net", Port: 9160},
			want: emu.Observation{Verdict: emu.NoBackend, Address: vip, By: by("edge", emu.NoBackendPrefix+"thrift")}, line: 40,
		},
		{
			name: "name nobody has", from: "laptop", target: emu.Target{Name: "nowhere.cloudapp.net", Port: 80},
			want: emu.Observation{Verdict: emu.Unresolved, Detail: "nowhere.cloudapp.net: the name has no address"},
		},
		{
			name: "web site", from: "laptop", target: emu.Target{Name: "contacts.azurewebsites.net", Port: 80},
			want: emu.Observation{
				Verdict: emu.Open, Address: gateway[laptop], AnsweredBy: "web1", SeenAs: gateway[web1],
			},
		},
		{
			name: "web site with a program", from: "laptop", target: emu.Target{
				Name: "program.azurewebsites.net", Address: gateway[laptop], Port: 80,
			},
			want: emu.Observation{Verdict: emu.Open},
		},
		{
			name: "to itself", from: "sql1", target: emu.Target{Address: sql1, Port: 1433},
			want: emu.Observation{Verdict: emu.Open, AnsweredBy: "sql1", SeenAs: sql1},
		},
		{
			name: "no route", from: "lonely", target: emu.Target{Address: sql1, Port: 80},
			want: emu.Observation{Verdict: emu.Timeout, Detail: "no route leads to 10.0.2.4 (ENETUNREACH)"},
		},
		{
			name: "no name server", from: "lonely", target: emu.Target{Name: "sql1", Port: 80},
			want: emu.Observation{Verdict: emu.Error, Detail: "sql1.: no name server answered"},
		},
		{
			name: "unknown protocol", from: "web1", target: emu.Target{Address: sql1, Port: 53, Protocol: "icmp"},
			want: emu.Observation{Verdict: emu.Error, Detail: `a probe is TCP or UDP, not "icmp"`},
		},
		{
			name: "unknown namespace", from: "sql9", target: emu.Target{Address: sql1, Port: 53},
			want: emu.Observation{Verdict: emu.Error, Detail: `there is no namespace "sql9" to start from`},
		},
		{
			name: "no port", from: "web1", target: emu.Target{Address: sql1},
			want: emu.Observation{Verdict: emu.Error, Detail: "a probe needs a port"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.target.Protocol == "" {
				c.target.Protocol = emu.TCP
			}
			want, got := c.want, p.Probe(t.Context(), c.from, c.target)
			if !strings.HasPrefix(got.Detail, want.Detail) || (want.Detail == "") != (got.Detail == "") {
				t.Errorf("detail %q, want %q", got.Detail, want.Detail)
			}
			if want.Verdict == emu.Open && got.RTT <= 0 {
				t.Errorf("round trip of %s", got.RTT)
			}
			if ref := got.By; ref != nil && (ref.Text == "" || ref.Origin.Line != c.line) {
				t.Errorf("rule %+v, want line %d", ref, c.line)
			}
			if c.target.Address.IsValid() && got.Address.IsValid() && got.Address != c.target.Address ||
				want.Address.IsValid() && got.Address != want.Address {
				t.Errorf("address %s", got.Address)
			}
			if got.Verdict != want.Verdict || got.AnsweredBy != want.AnsweredBy || got.SeenAs != want.SeenAs ||
				(got.By == nil) != (want.By == nil) ||
				got.By != nil && (got.By.Namespace != want.By.Namespace || got.By.ID != want.By.ID) {
				t.Errorf("got %+v by %+v\nwant %+v by %+v", got, got.By, want, want.By)
			}
		})
	}
	t.Cleanup(func() {
		if b := received(); len(b) > 0 {
			t.Errorf("a program was sent %q", b)
		}
	})
}

func TestHostThatDropsWithoutAWord(t *testing.T) {
	_, p := start(t, fabric())
	p.TimeLimit = 300 * time.Millisecond
	got := p.Probe(t.Context(), "web1", emu.Target{Address: silent, Port: 80, Protocol: emu.TCP})
	if got.Verdict != emu.Timeout || got.By != nil ||
		got.Detail != "no answer from 10.0.2.6:80 within 300ms, and no rule reported a drop" {
		t.Errorf("got %+v", got)
	}
}

func TestSecondProberSaysWhatIsWrong(t *testing.T) {
	state, p := start(t, fabric())
	at := emu.Target{Address: sql1, Port: 1433, Protocol: emu.TCP}
	if got := p.Probe(t.Context(), "web1", at); got.Verdict != emu.Open {
		t.Fatalf("got %+v", got)
	}
	second := New(fabric(), state.Namespace)
	second.TimeLimit, second.AnswerLimit = p.TimeLimit, p.AnswerLimit
	defer second.Close()
	if got := second.Probe(t.Context(), "web1", at); got.Verdict != emu.Error ||
		!strings.Contains(got.Detail, "does another prober have it?") {
		t.Errorf("got %+v", got)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if got := second.Probe(t.Context(), "web1", at); got.Verdict != emu.Open {
		t.Errorf("after the first one's Close: %+v", got)
	}
}

func TestNoHost(t *testing.T) {
	findsNoHost(t, fabric(), emu.Target{Address: nobody, Port: 80, Protocol: emu.TCP})
}

// findsNoHost waits for the kernel to give up looking for an address, which takes it about three seconds.
func findsNoHost(t *testing.T, n *emu.Network, target emu.Target) {
	t.Helper()
	t.Parallel()
	_, p := start(t, n)
	got := p.Probe(t.Context(), "sql1", target)
	if got.Verdict != emu.Timeout || got.Detail != "no host answers at 10.0.2.99 (EHOSTUNREACH)" {
		t.Errorf("got %+v", got)
	}
}

func TestCancelledProbeIsAnErrorAtOnce(t *testing.T) {
	cancels(t, fabric(), emu.Target{Address: silent, Port: 80, Protocol: emu.TCP})
}

// cancels asks a target that never answers, and would wait for an hour.
func cancels(t *testing.T, n *emu.Network, target emu.Target) {
	t.Helper()
	_, p := start(t, n)
	p.TimeLimit = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	got := p.Probe(ctx, "web1", target)
	if got.Verdict != emu.Error || !strings.Contains(got.Detail, "canceled") {
		t.Errorf("got %+v", got)
	}
}

// TestListenerThatDoesNotAnswer has a port taken by somebody who is not the built-in listener the network knows of.
func TestListenerThatDoesNotAnswer(t *testing.T) {
	n, next := fabric(), fabric()
	s, _ := next.Namespace("web2")
	s.Services = append(s.Services, tcp(2000))
	state, p := start(t, n)
	p.Update(diff.Networks(n, next))
	p.AnswerLimit = 50 * time.Millisecond
	plainListener(t, namespace(t, state, "web2"), 2000)
	l, err := namespace(t, state, "web2").ListenTCP(netip.AddrPortFrom(netip.IPv4Unspecified(), 2001))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := p.Probe(t.Context(), "web1", emu.Target{Address: web2, Port: 2000, Protocol: emu.TCP})
	if got.Verdict != emu.Open || !strings.Contains(got.Detail, "did not say who it is") {
		t.Errorf("got %+v", got)
	}
}

// TestManyAtOnce has 500 probes at once from three places, each to be dropped by a rule of its own.
func TestManyAtOnce(t *testing.T) {
	n := fabric()
	s, _ := n.Namespace("sql1")
	rule := func(port int) string { return fmt.Sprintf("block-%d", port) }
	for port := 2000; port < 2167; port++ {
		s.Firewall.Rules = append(s.Firewall.Rules, emu.FirewallRule{
			ID: rule(
				port,
			), Drop: true, Protocol: "tcp", Ports: []emu.PortRange{{First: uint16(port), Last: uint16(port)}},
		})
	}
	_, p := start(t, n)
	var wg sync.WaitGroup
	begun := time.Now()
	for i := range 501 {
		from, port := []string{"web1", "web2", "real1"}[i%3], 2000+i/3
		wg.Go(func() {
			got := p.Probe(t.Context(), from, emu.Target{Address: sql1, Port: uint16(port), Protocol: emu.TCP})
			if got.Verdict != emu.Blocked || got.By.Namespace != "sql1" || got.By.ID != rule(port) {
				t.Errorf("%s to %d: %+v by %+v", from, port, got, got.By)
			}
		})
	}
	wg.Wait()
	t.Logf("501 probes in %s", time.Since(begun))
}

// TestBalancedEndpointReachesEveryBackend also shows that each probe has a source port of its own.
func TestBalancedEndpointReachesEveryBackend(t *testing.T) {
	_, p := start(t, fabric())
	for range 64 {
		got := p.Probe(t.Context(), "laptop", emu.Target{Address: vip, Port: 80, Protocol: emu.TCP})
		if d := described(got); d != "open; web1 open; web2 open" || got.AnsweredBy != "web1" ||
			got.SeenAs != laptop ||
			got.Members[1].SeenAs != laptop {
			t.Fatalf("got %+v", got)
		}
	}
}

// TestReportsAreHeardAfterChange replaces the kernel's namespaces by new ones of the same names.
func TestReportsAreHeardAfterChange(t *testing.T) {
	n := fabric()
	current, _ := start(t, n)
	p := New(n, func(name string) (*kernel.Namespace, bool) { return current.Namespace(name) })
	defer p.Close()
	p.TimeLimit = 2 * kerneltest.Patience
	blocked := func() {
		t.Helper()
		got := p.Probe(t.Context(), "web2", emu.Target{Address: sql1, Port: 1433, Protocol: emu.TCP})
		if got.Verdict != emu.Blocked {
			t.Fatalf("got %+v", got)
		}
	}
	blocked()
	current, _ = start(t, n)
	p.Update(
		&diff.Change{
			From:         n,
			To:           n,
			Removed:      n.Namespaces,
			RemovedLinks: n.Links,
			Added:        n.Namespaces,
			AddedLinks:   n.Links,
		},
	)
	blocked()
}
