package probe

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/emu/kerneltest"
)

// The world of these tests: callers a1 and a2 behind an edge that leaves by the addresses out1 and out2, as web
// sites do, or by out1 alone; and b1, b2 and b3 behind another with load-balanced sets on the address set.
//
//	a1 10.0.1.4, a2 10.0.1.5 -- edge-a 203.0.113.1 -- 203.0.113.2 edge-b -- b1 10.0.2.4, b2 10.0.2.5, b3 10.0.2.6
var (
	out1     = netip.MustParseAddr("198.18.0.10")
	out2     = netip.MustParseAddr("198.18.0.11")
	balanced = netip.MustParseAddr("198.18.1.10")
	b1       = netip.MustParseAddr("10.0.2.4")
	b2       = netip.MustParseAddr("10.0.2.5")
	b3       = netip.MustParseAddr("10.0.2.6")
)

// set is a load-balanced set of the tests.
type set struct {
	port     uint16
	protocol emu.Protocol
	by       emu.Distribution
	to       []netip.AddrPort
	denied   netip.Prefix
}

// sets: on each of the members 80 answers, 81 doesn't, 82 is kept shut by a firewall on b2 and b3, and 90 belongs
// to programs.
var sets = []set{
	{port: 80, to: all(80, b1, b2, b3)},
	{
		port: 81,
		to:   []netip.AddrPort{netip.AddrPortFrom(b1, 80), netip.AddrPortFrom(b2, 81), netip.AddrPortFrom(b3, 80)},
	},
	{port: 82, to: all(82, b1, b2, b3)},
	{port: 83, to: all(82, b2, b3)},
	{port: 84, to: all(80, b1, b2), denied: netip.PrefixFrom(out2, 32)},
	{port: 85, to: all(80, b1, b2, b3), by: emu.AddressPair},
	{port: 86, to: all(82, b1, b2, b3), by: emu.AddressPair},
	{port: 87, to: all(80, b1), denied: netip.PrefixFrom(out2, 32)},
	{port: 90, to: all(90, b1, b2, b3)},
	{port: 91, to: all(91, b1, b2)},
	{port: 80, to: all(80, b1, b2, b3), protocol: emu.UDP},
	{port: 82, to: all(82, b1, b2, b3), protocol: emu.UDP},
}

func all(port uint16, members ...netip.Addr) (to []netip.AddrPort) {
	for _, a := range members {
		to = append(to, netip.AddrPortFrom(a, port))
	}
	return to
}

func world(outbound ...netip.Addr) *emu.Network {
	n := &emu.Network{}
	upA, upB := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2")
	a := addEdge(n, "edge-a", gateway[web1], map[string]netip.Addr{"a1": web1, "a2": web2})
	a.Routes = []emu.Route{{Destination: netip.MustParsePrefix("198.18.1.0/24"), Gateway: upB, Device: "up"}}
	b := addEdge(n, "edge-b", gateway[sql1], map[string]netip.Addr{"b1": b1, "b2": b2, "b3": b3})
	b.Routes = []emu.Route{{Destination: netip.MustParsePrefix("198.18.0.0/24"), Gateway: upA, Device: "up"}}
	n.Links = append(n.Links, &emu.Link{
		A: emu.LinkEnd{
			Namespace: "edge-a",
			Name:      "up",
			MAC:       emu.MACOf(upA),
			Addresses: []netip.Prefix{netip.PrefixFrom(upA, 24)},
		},
		B: emu.LinkEnd{
			Namespace: "edge-b",
			Name:      "up",
			MAC:       emu.MACOf(upB),
			Addresses: []netip.Prefix{netip.PrefixFrom(upB, 24)},
		},
	})
	a.Ruleset, b.Ruleset = &emu.Ruleset{Table: "lab"}, &emu.Ruleset{Table: "lab"}
	var snat emu.Statement = emu.SNATByHash{By: emu.FiveTuple, To: outbound}
	if len(outbound) == 1 {
		snat = emu.SNAT{To: outbound[0]}
	}
	a.Ruleset.Chains = []*emu.Chain{
		{
			Name:  "postrouting",
			Hook:  emu.SNATHook,
			Rules: []emu.Rule{{Statements: []emu.Statement{emu.MatchOutput{Device: "up"}, snat}}},
		},
	}
	b.Ruleset.Sockets = []emu.SocketMap{{Name: "endpoints"}}
	for _, s := range sets {
		if s.protocol == "" {
			s.protocol = emu.TCP
		}
		if s.by == "" {
			s.by = emu.FiveTuple
		}
		c := &emu.Chain{Name: fmt.Sprintf("%s-%d", s.protocol, s.port)}
		if s.denied.IsValid() {
			c.Rules = emu.DropRules("acl", "denied", emu.Origin{}, emu.MatchPrefix{Of: emu.Source, Prefix: s.denied})
		}
		c.Rules = append(
			c.Rules,
			emu.Rule{
				Statements: []emu.Statement{
					emu.MatchProtocol{Protocol: string(s.protocol)},
					emu.DNATByHash{By: s.by, To: s.to},
				},
			},
		)
		b.Ruleset.Chains = append(b.Ruleset.Chains, c)
		b.Ruleset.Sockets[0].Elements = append(
			b.Ruleset.Sockets[0].Elements,
			emu.SocketMapElement{Address: balanced, Protocol: s.protocol, Port: s.port, Chain: c.Name},
		)
	}
	b.Ruleset.Pairs = []emu.PairSet{{Name: "self", Elements: [][2]netip.Addr{{b1, b1}, {b2, b2}, {b3, b3}}}}
	b.Ruleset.Chains = append(
		b.Ruleset.Chains,
		&emu.Chain{
			Name:  "prerouting",
			Hook:  emu.DNATHook,
			Rules: []emu.Rule{{Statements: []emu.Statement{emu.Dispatch{Map: "endpoints"}}}},
		},
		&emu.Chain{Name: "forward", Hook: emu.ForwardHook, Rules: append(
			emu.DropRules(
				"self", "the caller itself", emu.Origin{}, emu.MatchPairSet{Set: "self"},
			),
			emu.Rule{Statements: []emu.Statement{emu.Accept{}}},
		)},
		// So that answers come back to callers that are members themselves.
		&emu.Chain{Name: "postrouting", Hook: emu.SNATHook, Rules: []emu.Rule{{Statements: []emu.Statement{
			emu.MatchPrefix{Of: emu.Source, Prefix: netip.MustParsePrefix("10.0.2.0/24")}, emu.SNAT{To: balanced},
		}}}},
	)
	for i := range n.Namespaces {
		s := n.Namespaces[i]
		if strings.HasPrefix(s.Name, "b") {
			s.Services = []emu.Service{
				tcp(80),
				tcp(82),
				program(90),
				program(91),
				{Name: "udp80", Port: 80, Protocol: emu.UDP},
				{Name: "udp82", Port: 82, Protocol: emu.UDP},
			}
		}
		if s.Name == "b2" || s.Name == "b3" {
			s.Firewall = &emu.Firewall{Rules: []emu.FirewallRule{
				{ID: "block", Drop: true, Protocol: "tcp", Ports: []emu.PortRange{{First: 82, Last: 82}}},
				{ID: "block-udp", Drop: true, Protocol: "udp", Ports: []emu.PortRange{{First: 82, Last: 82}}},
				{ID: "allow", Ports: nil},
			}}
		}
	}
	n.Sort()
	return n
}

// addEdge adds a router with a bridge and hosts on it.
func addEdge(n *emu.Network, name string, bridge netip.Addr, hosts map[string]netip.Addr) *emu.Namespace {
	s := &emu.Namespace{
		Name: name,
		Kind: emu.Router,
		Bridges: []emu.Bridge{
			{Name: "br", MAC: emu.MACOf(bridge), Addresses: []netip.Prefix{netip.PrefixFrom(bridge, 24)}},
		},
	}
	n.Namespaces = append(n.Namespaces, s)
	for host, a := range hosts {
		s.Neighbors = append(s.Neighbors, emu.Neighbor{Device: "br", Address: a, MAC: emu.MACOf(a)})
		n.Namespaces = append(
			n.Namespaces,
			&emu.Namespace{
				Name: host,
				Kind: emu.Host,
				Routes: []emu.Route{
					{Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: bridge, Device: "eth0"},
				},
			},
		)
		n.Links = append(n.Links, &emu.Link{
			A: emu.LinkEnd{
				Namespace: name,
				Name:      host,
				MAC:       emu.MACOf(a).Variant(9),
				Port:      &emu.BridgePort{Bridge: "br", Stations: []emu.MAC{emu.MACOf(a)}, ProxyARP: true},
			},
			B: emu.LinkEnd{
				Namespace: host,
				Name:      "eth0",
				MAC:       emu.MACOf(a),
				Addresses: []netip.Prefix{netip.PrefixFrom(a, 24)},
			},
		})
	}
	return s
}

// described is an observation in one line: the verdict, then each member's.
func described(o emu.Observation) string {
	text := string(o.Verdict)
	if o.By != nil {
		text += " by " + o.By.Namespace + " " + o.By.ID
	}
	members := slices.Clone(o.Members)
	slices.SortStableFunc(
		members, func(a, b emu.MemberObservation) int { return strings.Compare(a.Namespace, b.Namespace) },
	)
	for _, m := range members {
		text += fmt.Sprintf("; %s %s", m.Namespace, m.Verdict)
		if m.By != nil {
			text += " by " + m.By.Namespace + " " + m.By.ID
		}
	}
	return text
}

func TestMembers(t *testing.T) {
	state, p := start(t, world(out1))
	for i, name := range []string{"b1", "b2", "b3"} {
		ns := namespace(t, state, name)
		plainListener(t, ns, 90)
		if i < 2 {
			resettingListener(t, ns, 91)
		}
	}
	sites, q := start(t, world(out1, out2))
	_ = sites
	const all80 = "open; b1 open; b2 open; b3 open"
	for _, c := range []struct {
		name     string
		p        *Prober
		from     string
		port     uint16
		protocol emu.Protocol
		want     string
	}{
		{"all alike", p, "a1", 80, emu.TCP, all80},
		{"nothing listens on one", p, "a1", 81, emu.TCP, "mixed; b1 open; b2 refused; b3 open"},
		{"firewalls on two", p, "a1", 82, emu.TCP, "mixed; b1 open; b2 blocked by b2 block; b3 blocked by b3 block"},
		{
			"firewalls on all", p, "a1", 83, emu.TCP,
			"blocked by b2 block; b2 blocked by b2 block; b3 blocked by b3 block",
		},
		{"a list that lets this source in", p, "a1", 84, emu.TCP, "open; b1 open; b2 open"},
		{"one of its own set", p, "b1", 80, emu.TCP, "mixed; b1 blocked by edge-b self; b2 open; b3 open"},
		{
			"one of its own set, the others shut", p, "b1", 82, emu.TCP,
			"blocked by edge-b self; b1 blocked by edge-b self; b2 blocked by b2 block; b3 blocked by b3 block",
		},
		{"programs", p, "a1", 90, emu.TCP, all80},
		{"programs that reset what they accept", p, "a1", 91, emu.TCP, "open; b1 open; b2 open"},
		{"alike over UDP", p, "a1", 80, emu.UDP, all80},
		{
			"firewalls over UDP", p, "a1", 82, emu.UDP,
			"mixed; b1 open; b2 blocked by b2 block-udp; b3 blocked by b3 block-udp",
		},
		{"one of its own set over UDP", p, "b1", 80, emu.UDP, "mixed; b1 blocked by edge-b self; b2 open; b3 open"},
		{"two sources, all alike", q, "a1", 80, emu.TCP, all80},
		{"two sources, one let in", q, "a1", 84, emu.TCP, "mixed; b1 open; b2 open; edge-b blocked by edge-b acl"},
		{
			"two sources, one let in to a single member", q, "a1", 87, emu.TCP,
			"mixed; b1 open; edge-b blocked by edge-b acl",
		},
		{
			"two sources, firewalls on two", q, "a1", 82, emu.TCP,
			"mixed; b1 open; b2 blocked by b2 block; b3 blocked by b3 block",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for range 5 {
				got := c.p.Probe(
					t.Context(), c.from, emu.Target{Address: balanced, Port: c.port, Protocol: c.protocol},
				)
				if d := described(got); d != c.want {
					t.Fatalf("got  %s (%s)\nwant %s", d, got.Detail, c.want)
				}
				if (got.Verdict == emu.Mixed) != (got.Detail != "") || got.Address != balanced {
					t.Errorf("%+v", got)
				}
			}
		})
	}
}

// TestOneMemberPerSource has sets that give all connections of a source to one member: only that is asked.
func TestOneMemberPerSource(t *testing.T) {
	_, p := start(t, world(out1))
	to := netip.AddrPortFrom(balanced, 85)
	member := sets[5].to[emu.AddressPair.Choose(netip.AddrPortFrom(out1, 1), to, emu.TCP, 3)].Addr()
	for range 5 {
		got := p.Probe(t.Context(), "a1", emu.Target{Address: balanced, Port: 85, Protocol: emu.TCP})
		if got.Verdict != emu.Open || got.SeenAs != out1 || len(got.Members) > 0 ||
			got.AnsweredBy != fmt.Sprintf("b%d", member.As4()[3]-3) {
			t.Errorf("%+v, want %s", got, member)
		}
	}
	// Each of the two addresses of a caller has a member of its own.
	_, q := start(t, world(out1, out2))
	to = netip.AddrPortFrom(balanced, 86)
	given := map[int]bool{}
	for _, out := range []netip.Addr{out1, out2} {
		given[emu.AddressPair.Choose(netip.AddrPortFrom(out, 1), to, emu.TCP, 3)] = true
	}
	got := q.Probe(t.Context(), "a1", emu.Target{Address: balanced, Port: 86, Protocol: emu.TCP})
	if want := max(len(given), 1); len(got.Members) != want && (want != 1 || len(got.Members) != 0) {
		t.Errorf("%s, want %d members: %v", described(got), want, given)
	}
}

// TestChangedPorts has a router change the source ports of most connections, because another caller behind it has
// them already, so that they are given to somebody else than they should. No verdict may come from one of those.
func TestChangedPorts(t *testing.T) {
	state, p := start(t, world(out1))
	const left, taken = 48, 36
	var free []uint16
	for port := range p.attempts.ports { // few are left
		if port < firstPort || port >= firstPort+left {
			p.attempts.ports[port].Store(&attempt{})
		} else {
			free = append(free, uint16(port))
		}
	}
	other := namespace(t, state, "a2")
	for _, port := range free[:taken] {
		hold(t, other, port, netip.AddrPortFrom(balanced, 80))
		hold(t, other, port, netip.AddrPortFrom(balanced, 81))
	}
	for _, c := range []struct {
		port uint16
		want string
	}{
		{80, "open; b1 open; b2 open; b3 open"},
		{81, "mixed; b1 open; b2 refused; b3 open"},
	} {
		for range 20 {
			got := p.Probe(t.Context(), "a1", emu.Target{Address: balanced, Port: c.port, Protocol: emu.TCP})
			if d := described(got); d != c.want {
				t.Fatalf("got  %s (%s)\nwant %s", d, got.Detail, c.want)
			}
		}
	}
}

// hold connects from a port and keeps the connection, if there is one. The port may have others.
func hold(t *testing.T, ns *kernel.Namespace, port uint16, to netip.AddrPort) {
	t.Helper()
	ns.Do(func() error { //nolint:errcheck // refused is as good
		reuse := func(_, _ string, raw syscall.RawConn) error {
			return raw.Control(func(fd uintptr) {
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) //nolint:errcheck // bind fails
			})
		}
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{Port: int(port)}, Timeout: kerneltest.Patience, Control: reuse}
		c, err := dialer.Dial("tcp4", to.String())
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
		return err
	})
}

// resettingListener resets each connection as soon as it has accepted it, so that no socket is left of it.
func resettingListener(t testing.TB, ns *kernel.Namespace, port uint16) {
	t.Helper()
	l, err := ns.ListenTCP(netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			c.SetLinger(0) //nolint:errcheck // then it ends in another way
			c.Close()
		}
	}()
}
