package probe

import (
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
)

func udp(port uint16) emu.Service {
	return emu.Service{Name: "udp", Port: port, Protocol: emu.UDP}
}

// udpFabric is fabric with UDP services: web1 and web2 serve 5000 behind 198.18.0.10:5000, which the laptop
// reaches, real1 has a program, and the firewall of sql1 lets web1 in at 1434. 198.18.0.10:5001 has no backend,
// :5002 a backend that doesn't listen, :5003 an access control list.
func udpFabric() *emu.Network {
	n := fabric()
	for i := range n.Namespaces {
		s := n.Namespaces[i]
		switch s.Name {
		case "web1", "web2", "sql1", "laptop":
			s.Services = append(s.Services, udp(5000))
		case "real1":
			s.Services = append(
				s.Services, emu.Service{Name: "program", Port: 5432, Protocol: emu.UDP, Command: "sleep 60"},
			)
		case "edge":
			udpEndpoints(s.Ruleset)
		}
		if s.Name == "sql1" {
			s.Services = append(s.Services, udp(1434))
			s.Firewall.Rules = append(s.Firewall.Rules, emu.FirewallRule{
				ID:       "udp",
				Protocol: "udp",
				Ports:    []emu.PortRange{{First: 1434, Last: 1435}},
				From:     netip.PrefixFrom(web1, 32),
			})
		}
	}
	return n
}

func udpEndpoints(rules *emu.Ruleset) {
	to := func(name string, a netip.Addr, port uint16) *emu.Chain {
		return &emu.Chain{
			Name: name,
			Rules: []emu.Rule{
				{
					ID: name,
					Statements: []emu.Statement{
						emu.MatchProtocol{Protocol: "udp"},
						emu.DNAT{To: netip.AddrPortFrom(a, port)},
					},
				},
			},
		}
	}
	guarded := to("guarded-udp", web1, 5000)
	guarded.Rules = append(emu.DropRules("acl-udp", "deny 203.0.113.0/24", emu.Origin{File: "lab.yaml", Line: 50},
		emu.MatchPrefix{Of: emu.Source, Prefix: netip.MustParsePrefix("203.0.113.0/24")}), guarded.Rules...)
	rules.Chains = append([]*emu.Chain{
		{Name: "balanced-udp", Rules: []emu.Rule{{ID: "balanced-udp", Statements: []emu.Statement{
			emu.MatchProtocol{
				Protocol: "udp",
			}, emu.DNATByHash{By: emu.FiveTuple, To: []netip.AddrPort{netip.AddrPortFrom(web1, 5000), netip.AddrPortFrom(web2, 5000)}},
		}}}},
		to("closed-udp", web1, 5002), guarded,
		{
			Name: "dead-udp",
			Rules: emu.DropRules(
				emu.NoBackendPrefix+"udp", "no healthy backend", emu.Origin{File: "lab.yaml", Line: 51},
			),
		},
	}, rules.Chains...)
	for port, chain := range map[uint16]string{5000: "balanced-udp", 5001: "dead-udp", 5002: "closed-udp", 5003: "guarded-udp"} {
		rules.Sockets[0].Elements = append(
			rules.Sockets[0].Elements,
			emu.SocketMapElement{Address: vip, Protocol: emu.UDP, Port: port, Chain: chain},
		)
	}
}

// udpProgram answers each datagram that says something with the text; silent when there is none.
func udpProgram(t testing.TB, ns *kernel.Namespace, port uint16, text string) {
	t.Helper()
	c, err := ns.ListenUDP(netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go answerUDP(c, text)
}

func answerUDP(c *net.UDPConn, text string) {
	for buf := make([]byte, 100); ; {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if n > 0 && text != "" {
			c.WriteToUDPAddrPort([]byte(text), from) //nolint:errcheck // the prober tells
		}
	}
}

func TestUDP(t *testing.T) {
	state, p := start(t, udpFabric())
	names := dns.New(udpFabric())
	closeAfter(t)(names.Listen(namespace(t, state, "edge"), []netip.Addr{netip.MustParseAddr("168.63.129.16")}))
	udpProgram(t, namespace(t, state, "real1"), 5432, "hello")
	udpProgram(t, namespace(t, state, "real1"), 5433, "")
	udpProgram(t, namespace(t, state, "web2"), 5999, `{"instance":"old","nonce":"1"}`)
	type question struct {
		name    string
		from    string
		address netip.Addr
		port    uint16
		verdict emu.Verdict
		by      string // namespace and rule, or who answered
		seenAs  netip.Addr
		detail  string
	}
	ask := func(name string, questions []question) {
		t.Run(name, func(t *testing.T) {
			for _, c := range questions {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					got := p.Probe(
						t.Context(), c.from, emu.Target{Address: c.address, Port: c.port, Protocol: emu.UDP},
					)
					by := got.AnsweredBy
					if got.By != nil {
						by = got.By.Namespace + " " + got.By.ID
					}
					if got.Verdict != c.verdict || by != c.by || got.SeenAs != c.seenAs ||
						!strings.HasPrefix(got.Detail, c.detail) ||
						(c.detail == "") != (got.Detail == "") {
						t.Errorf("got %+v by %q", got, by)
					}
					if got.Verdict == emu.Open && got.RTT <= 0 {
						t.Errorf("round trip of %s", got.RTT)
					}
				})
			}
		})
	}
	ask("answered", []question{
		{
			name:    "built-in listener",
			from:    "web1",
			address: sql1,
			port:    1434,
			verdict: emu.Open,
			by:      "sql1",
			seenAs:  web1,
		},
		{name: "program", from: "web1", address: real1, port: 5432, verdict: emu.Open},
		{
			name:    "name server",
			from:    "web1",
			address: netip.MustParseAddr("168.63.129.16"),
			port:    53,
			verdict: emu.Open,
		},
		{name: "nothing listens", from: "web1", address: web2, port: 81, verdict: emu.Refused},
		{
			name:    "nothing listens behind the firewall's allow",
			from:    "web1",
			address: sql1,
			port:    1435,
			verdict: emu.Refused,
		},
		{
			name:    "firewall's default",
			from:    "web2",
			address: sql1,
			port:    1434,
			verdict: emu.Blocked,
			by:      "sql1 " + emu.FirewallDefault,
		},
		{
			name:    "firewall's default, nothing listens",
			from:    "web1",
			address: sql1,
			port:    9,
			verdict: emu.Blocked,
			by:      "sql1 " + emu.FirewallDefault,
		},
		{name: "router", from: "laptop", address: sql1, port: 1434, verdict: emu.Blocked, by: "edge no-endpoint"},
		{
			name:    "address of the router",
			from:    "laptop",
			address: gateway[laptop],
			port:    1434,
			verdict: emu.Blocked,
			by:      "edge nothing-here",
		},
		{
			name:    "access control list",
			from:    "laptop",
			address: vip,
			port:    5003,
			verdict: emu.Blocked,
			by:      "edge acl-udp",
		},
		{
			name:    "no backend",
			from:    "laptop",
			address: vip,
			port:    5001,
			verdict: emu.NoBackend,
			by:      "edge " + emu.NoBackendPrefix + "udp",
		},
		{name: "backend that doesn't listen", from: "laptop", address: vip, port: 5002, verdict: emu.Refused},
		{
			name:    "translated source",
			from:    "web1",
			address: laptop,
			port:    5000,
			verdict: emu.Open,
			by:      "laptop",
			seenAs:  vip,
		},
		{name: "to itself", from: "sql1", address: sql1, port: 1434, verdict: emu.Open, by: "sql1", seenAs: sql1},
		{name: "to itself, nothing listens", from: "sql1", address: sql1, port: 25000, verdict: emu.Refused},
		{
			name:    "no route",
			from:    "lonely",
			address: sql1,
			port:    9,
			verdict: emu.Timeout,
			detail:  "no route leads to 10.0.2.4 (ENETUNREACH)",
		},
	})

	// Silence lasts as long as the limit.
	p.TimeLimit = 1200 * time.Millisecond
	const silence = "UDP: no answer; a silent service looks the same"
	ask("silence", []question{
		{
			name:    "program that keeps silent",
			from:    "web1",
			address: real1,
			port:    5433,
			verdict: emu.Timeout,
			detail:  silence,
		},
		{
			name:    "answer to another's question",
			from:    "web1",
			address: web2,
			port:    5999,
			verdict: emu.Timeout,
			detail:  silence,
		},
		{
			name:    "host that drops without a word",
			from:    "web1",
			address: silent,
			port:    9,
			verdict: emu.Timeout,
			detail:  silence,
		},
	})
}

func TestNoHostOverUDP(t *testing.T) {
	findsNoHost(t, udpFabric(), emu.Target{Address: nobody, Port: 9, Protocol: emu.UDP})
}

func TestCancelledUDPProbeIsAnErrorAtOnce(t *testing.T) {
	cancels(t, udpFabric(), emu.Target{Address: silent, Port: 9, Protocol: emu.UDP})
}

// TestLostDatagramIsSentAgain has a program that never heard of the first datagram. No ICMP error tells of it.
func TestLostDatagramIsSentAgain(t *testing.T) {
	n := udpFabric()
	s, _ := n.Namespace("silent")
	s.Ruleset.Chains[0].Rules = []emu.Rule{{ID: "in", Statements: []emu.Statement{emu.Accept{}}}}
	state, p := start(t, n)
	c, err := namespace(t, state, "silent").ListenUDP(netip.MustParseAddrPort("0.0.0.0:7"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 100)
		if _, _, err := c.ReadFromUDPAddrPort(buf); err == nil {
			answerUDP(c, "now")
		}
	}()
	begun := time.Now()
	got := p.Probe(t.Context(), "web1", emu.Target{Address: silent, Port: 7, Protocol: emu.UDP})
	if took := time.Since(begun); got.Verdict != emu.Open || took < resendAfter {
		t.Errorf("after %s: %+v", took, got)
	}
}

// TestManyRefusalsAtOnce has a host refuse more datagrams in a second than the kernel's limits of ICMP errors
// allow by default.
func TestManyRefusalsAtOnce(t *testing.T) {
	_, p := start(t, udpFabric())
	var wg sync.WaitGroup
	begun := time.Now()
	for i := range 600 {
		wg.Go(func() {
			got := p.Probe(
				t.Context(),
				[]string{"web1", "real1"}[i%2],
				emu.Target{Address: web2, Port: uint16(6000 + i), Protocol: emu.UDP},
			)
			if got.Verdict != emu.Refused {
				t.Errorf("port %d: %+v", 6000+i, got)
			}
		})
	}
	wg.Wait()
	t.Logf("600 probes in %s", time.Since(begun))
}

// TestRuleOfAnOpenPortChanges asks from the same place again and again: no memory of an earlier answer may let a
// datagram pass.
func TestRuleOfAnOpenPortChanges(t *testing.T) {
	n := udpFabric()
	state, p := start(t, n)
	at := emu.Target{Address: sql1, Port: 1434, Protocol: emu.UDP}
	for range 50 {
		if got := p.Probe(t.Context(), "web1", at); got.Verdict != emu.Open {
			t.Fatalf("got %+v", got)
		}
	}
	next := udpFabric()
	s, _ := next.Namespace("sql1")
	s.Firewall.Rules = s.Firewall.Rules[:len(s.Firewall.Rules)-1]
	change := diff.Networks(n, next)
	if err := state.Update(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	p.Update(change)
	for range 50 {
		if got := p.Probe(t.Context(), "web1", at); got.Verdict != emu.Blocked {
			t.Fatalf("got %+v", got)
		}
	}
}

// TestSweepOverUDP sweeps UDP targets of every verdict, and TCP targets among them.
func TestSweepOverUDP(t *testing.T) {
	_, p := start(t, udpFabric())
	var pairs, silence []pair
	var want []emu.Verdict
	for range 20 {
		for _, c := range []struct {
			from    string
			to      netip.Addr
			port    uint16
			over    emu.Protocol
			verdict emu.Verdict
		}{
			{"web1", web2, 5000, emu.UDP, emu.Open},
			{"web2", web1, 5000, emu.UDP, emu.Open},
			{"laptop", vip, 5000, emu.UDP, emu.Open},
			{"web1", web2, 80, emu.UDP, emu.Refused},
			{"web1", web2, 80, emu.TCP, emu.Open},
			{"web1", web2, 5000, emu.TCP, emu.Refused},
			{"lonely", sql1, 9, emu.UDP, emu.Timeout},
			{"laptop", vip, 5001, emu.UDP, emu.NoBackend},
			{"web2", sql1, 1434, emu.UDP, emu.Blocked},
		} {
			pairs = append(
				pairs, pair{From: c.from, Target: emu.Target{Address: c.to, Port: c.port, Protocol: c.over}},
			)
			want = append(want, c.verdict)
		}
		silence = append(silence, pair{From: "web1", Target: emu.Target{Address: silent, Port: 9, Protocol: emu.UDP}})
	}
	for i, o := range sweep(t.Context(), p, pairs, 16) {
		if o.Verdict != want[i] {
			t.Errorf("%+v: %+v, want %s", pairs[i], o, want[i])
		}
	}
	p.TimeLimit = 200 * time.Millisecond
	for _, o := range sweep(t.Context(), p, silence, 16) {
		if o.Verdict != emu.Timeout || o.Address != silent {
			t.Errorf("silence: %+v", o)
		}
	}
}
