package probe

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"vnetlab/emu"
)

// overlapping has two edges with a host of the same address behind each.
func overlapping() *emu.Network {
	shared := netip.MustParsePrefix("10.0.0.4/24")
	n := &emu.Network{}
	for _, side := range []string{"a", "b"} {
		n.Namespaces = append(n.Namespaces,
			&emu.Namespace{Name: "edge-" + side, Kind: emu.Router},
			&emu.Namespace{Name: "vm-" + side, Kind: emu.Host, Services: []emu.Service{tcp(80)}},
			&emu.Namespace{Name: "other-" + side, Kind: emu.Host},
		)
		for name, a := range map[string]netip.Prefix{"vm-": shared, "other-": netip.MustParsePrefix("10.0.0.5/24")} {
			n.Links = append(n.Links, &emu.Link{
				A: emu.LinkEnd{Namespace: "edge-" + side, Name: name, Port: &emu.BridgePort{}},
				B: emu.LinkEnd{Namespace: name + side, Name: "eth0", Addresses: []netip.Prefix{a}},
			})
		}
	}
	n.Namespaces = append(n.Namespaces, &emu.Namespace{Name: "far", Kind: emu.Host})
	n.Namespaces[4].Services[0].Command = "nginx" // vm-b
	return n
}

func TestEnds(t *testing.T) {
	at := netip.MustParseAddrPort
	for _, c := range []struct {
		name    string
		network *emu.Network
		from    string
		to      string
		host    string
		want    []end
		builtIn bool
	}{
		{
			name: "host", network: fabric(), from: "web1", to: "10.0.2.4:1433",
			want: []end{{"sql1", at("10.0.2.4:1433")}}, builtIn: true,
		},
		{
			name: "program", network: fabric(), from: "web1", to: "10.0.2.5:5432",
			want: []end{{"real1", at("10.0.2.5:5432")}},
		},
		{
			name: "no service", network: fabric(), from: "web1", to: "10.0.2.4:99",
			want: []end{{"sql1", at("10.0.2.4:99")}},
		},
		{name: "nobody", network: fabric(), from: "web1", to: "10.0.2.99:80"},
		{
			name: "balanced", network: fabric(), from: "laptop", to: "198.18.0.10:80",
			want: []end{{"web1", at("10.0.1.4:80")}, {"web2", at("10.0.1.5:80")}}, builtIn: true,
		},
		{
			name: "translated port", network: fabric(), from: "laptop", to: "198.18.0.10:57500",
			want: []end{{"sql1", at("10.0.2.4:1433")}}, builtIn: true,
		},
		{name: "no backend", network: fabric(), from: "laptop", to: "198.18.0.10:9160"},
		{name: "no endpoint", network: fabric(), from: "laptop", to: "198.18.0.10:443"},
		{
			name: "proxy", network: fabric(), from: "laptop", to: "203.0.113.1:80",
			host: "Contacts.AzureWebsites.net.", want: []end{{"edge", at("203.0.113.1:80")}}, builtIn: true,
		},
		{
			name: "proxy to a program", network: fabric(), from: "laptop", to: "203.0.113.1:80",
			host: "program.azurewebsites.net", want: []end{{"edge", at("203.0.113.1:80")}},
		},
		{
			name: "proxy without that host", network: fabric(), from: "laptop", to: "203.0.113.1:80", host: "x",
			want: []end{{"edge", at("203.0.113.1:80")}},
		},
		{
			name: "name server", network: fabric(), from: "laptop", to: "168.63.129.16:53",
			want: []end{{"edge", at("168.63.129.16:53")}},
		},
		{
			name: "overlap, one side", network: overlapping(), from: "other-a", to: "10.0.0.4:80",
			want: []end{{"vm-a", at("10.0.0.4:80")}}, builtIn: true,
		},
		{
			name: "overlap, other side", network: overlapping(), from: "other-b", to: "10.0.0.4:80",
			want: []end{{"vm-b", at("10.0.0.4:80")}},
		},
		{
			name: "overlap, itself", network: overlapping(), from: "vm-b", to: "10.0.0.4:80",
			want: []end{{"vm-b", at("10.0.0.4:80")}},
		},
		{
			name: "overlap, from neither", network: overlapping(), from: "far", to: "10.0.0.4:80",
			want: []end{{"vm-a", at("10.0.0.4:80")}, {"vm-b", at("10.0.0.4:80")}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			topology := newTopology(c.network)
			got := topology.ends(c.from, emu.TCP, at(c.to))
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if b := topology.builtIn(got, emu.TCP, c.host); b != c.builtIn {
				t.Errorf("built in: %t", b)
			}
		})
	}
}

// TestEndsOfTranslatedAddresses has rules of base chains that translate an address by themselves.
func TestEndsOfTranslatedAddresses(t *testing.T) {
	n := fabric()
	edge, _ := n.Namespace("edge")
	own, other := netip.MustParseAddr("198.18.0.11"), netip.MustParseAddr("198.18.0.12")
	to := func(a netip.Addr) emu.MatchPrefix {
		return emu.MatchPrefix{Of: emu.Destination, Prefix: netip.PrefixFrom(a, 32)}
	}
	i := slices.IndexFunc(edge.Ruleset.Chains, func(c *emu.Chain) bool { return c.Name == "prerouting" })
	edge.Ruleset.Chains[i].Rules = append(
		edge.Ruleset.Chains[i].Rules,
		emu.Rule{
			Statements: []emu.Statement{to(own), emu.SetMark{Mark: 1}, emu.DNAT{To: netip.AddrPortFrom(sql1, 0)}},
		},
		emu.Rule{
			Statements: []emu.Statement{
				to(other),
				emu.MatchProtocol{Protocol: "tcp"},
				emu.MatchPort{Port: 90},
				emu.DNAT{To: netip.AddrPortFrom(web1, 80)},
			},
		},
		emu.Rule{
			Statements: []emu.Statement{
				emu.MatchPrefix{Of: emu.Source, Prefix: netip.PrefixFrom(nobody, 32)},
				emu.DNAT{To: netip.AddrPortFrom(web1, 80)},
			},
		},
	)
	topology := newTopology(n)
	for _, c := range []struct {
		protocol emu.Protocol
		to       netip.AddrPort
		want     []end
	}{
		{emu.TCP, netip.AddrPortFrom(own, 1433), []end{{"sql1", netip.AddrPortFrom(sql1, 1433)}}},
		{emu.UDP, netip.AddrPortFrom(own, 53), []end{{"sql1", netip.AddrPortFrom(sql1, 53)}}},
		{emu.TCP, netip.AddrPortFrom(other, 90), []end{{"web1", netip.AddrPortFrom(web1, 80)}}},
		{emu.UDP, netip.AddrPortFrom(other, 90), nil},
		{emu.TCP, netip.AddrPortFrom(other, 91), nil},
		{emu.TCP, netip.AddrPortFrom(nobody, 80), nil},
	} {
		if got := topology.ends("laptop", c.protocol, c.to); !slices.Equal(got, c.want) {
			t.Errorf("%s to %s: got %v, want %v", c.protocol, c.to, got, c.want)
		}
	}
}

// TestEndsOfLoops has translations and chains that lead back to themselves.
func TestEndsOfLoops(t *testing.T) {
	a, b := netip.MustParseAddrPort("198.18.0.1:80"), netip.MustParseAddrPort("198.18.0.2:80")
	element := func(a netip.AddrPort, chain string) emu.SocketMapElement {
		return emu.SocketMapElement{Address: a.Addr(), Protocol: emu.TCP, Port: a.Port(), Chain: chain}
	}
	n := &emu.Network{Namespaces: []*emu.Namespace{{Name: "edge", Kind: emu.Router, Ruleset: &emu.Ruleset{
		Sockets: []emu.SocketMap{{Elements: []emu.SocketMapElement{element(a, "a"), element(b, "b")}}},
		Chains: []*emu.Chain{
			{Name: "a", Rules: []emu.Rule{{Statements: []emu.Statement{emu.DNAT{To: b}, emu.Goto{Chain: "b"}}}}},
			{
				Name: "b",
				Rules: []emu.Rule{
					{
						Statements: []emu.Statement{
							emu.DNAT{To: a},
							emu.DNATByHash{To: []netip.AddrPort{a}},
							emu.Goto{Chain: "gone"},
						},
					},
				},
			},
		},
	}}}}
	if got := newTopology(n).ends("edge", emu.TCP, a); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestNeighborsOf(t *testing.T) {
	n := fabric()
	topology := newTopology(n)
	for _, c := range []struct {
		from string
		to   netip.Addr
		want []neighbor
	}{
		{"web1", web2, []neighbor{{"web1", "eth0", web2}, {"web2", "eth0", web1}}},
		{"web1", sql1, nil},
		{"web1", web1, nil},
		{"web1", netip.Addr{}, nil},
		{"laptop", gateway[laptop], []neighbor{{"laptop", "eth0", gateway[laptop]}}}, // not the router's
	} {
		if got := topology.neighborsOf(c.from, c.to); !slices.Equal(got, c.want) {
			t.Errorf("%s to %s: %v, want %v", c.from, c.to, got, c.want)
		}
	}
	s, _ := n.Namespace("web2")
	s.Neighbors = []emu.Neighbor{{Device: "eth0", Address: web1}}
	if got := newTopology(n).neighborsOf("web1", web2); len(got) != 1 {
		t.Errorf("a permanent neighbor counts: %v", got)
	}
}

func TestFlightsHaveTheirOwnPorts(t *testing.T) {
	var all attempts
	seen := map[uint16]*attempt{}
	claim := func(sequence uint32) *attempt {
		t.Helper()
		a := &attempt{sequence: sequence}
		if err := all.claim(a, netip.AddrPortFrom(web1, 1)); err != nil {
			t.Fatal(err)
		}
		return a
	}
	for range lastPort - firstPort + 1 {
		c := claim(7)
		if c.port < firstPort || c.port > lastPort || seen[c.port] != nil {
			t.Fatalf("port %d", c.port)
		}
		seen[c.port] = c
	}
	if err := all.claim(&attempt{sequence: 7}, netip.AddrPortFrom(web1, 1)); !errors.Is(err, errNoPort) {
		t.Errorf("all are taken: %v", err)
	}
	all.release(25000)
	if err := all.claim(&attempt{sequence: 7}, netip.AddrPortFrom(web1, 25000)); !errors.Is(err, errNoPort) {
		t.Errorf("a connection to itself: %v", err)
	}
	c := claim(7)
	if c.port != 25000 {
		t.Fatalf("port %d", c.port)
	}
	syn := func(port uint16, sequence uint32) packet {
		return packet{protocol: emu.TCP, source: netip.AddrPortFrom(web1, port), sequence: sequence}
	}
	for _, p := range []packet{
		syn(1, 7), syn(lastPort+1, 7), syn(25000, 8), syn(25000, 0),
		{protocol: emu.UDP, source: netip.AddrPortFrom(web1, 25000), nonce: 25000 << 48},
	} {
		if all.find(p) != nil {
			t.Errorf("%+v is of an attempt", p)
		}
	}
	if all.find(syn(25000, 7)) != c {
		t.Error("the attempt's own packet is not found")
	}
	c.deliver(report{"edge", "first", web1})
	c.deliver(report{"edge", "second", web1})
	if got := c.reported(); got == nil || got.id != "first" {
		t.Errorf("reported %v", got)
	}
	c.ignore(true, time.Now())
	if c.deliver(report{"edge", "third", web1}); c.reported() != nil {
		t.Error("a report after one that proved nothing")
	}
	if seen[25001].reported() != nil {
		t.Error("another attempt got the report")
	}
	all.release(c.port)
	if c = claim(0); all.find(syn(25000, 9)) != c {
		t.Error("an attempt without a number of its own takes its packets by their port")
	}
	all.release(c.port)
	c = &attempt{scope: &scope{from: "web1"}, nonce: newNonce()}
	if err := all.claimUDP(c, "web1", netip.AddrPortFrom(sql1, 1)); err != nil || c.port != 25000 {
		t.Fatal(c.port, err)
	}
	datagram := packet{protocol: emu.UDP, source: netip.AddrPortFrom(web1, 9), nonce: c.nonce}
	if all.find(datagram) != c || all.find(syn(25000, 0)) != nil {
		t.Error("a datagram is found by its nonce")
	}
	if datagram.nonce++; all.find(datagram) != nil {
		t.Error("another nonce")
	}
}

// A report may come before the socket is known: the kernel drops the packet while connect is still under way.
func TestReportBeforeAttachEndsTheWait(t *testing.T) {
	c := &attempt{sequence: 7}
	if err := new(attempts).claim(c, netip.AddrPortFrom(web1, 1)); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	c.deliver(report{"edge", "x", web1})
	c.attach(r)
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

func TestAcceptedIn(t *testing.T) {
	const v4 = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 19 1 0 100 0 0 10 0
   1: 0502000A:1538 0401000A:4E20 01 00000000:00000000 00:00000000 00000000     0        0 20 1 0 20 4 30 10 -1
`
	const v6 = `  sl  local_address                         remote_address                        st
   0: 0000000000000000FFFF00000502000A:1538 0000000000000000FFFF00000401000A:4E21 01
`
	for _, c := range []struct {
		table  string
		local  uint16
		remote uint16
		ok     bool
	}{
		{v4, 5432, 20000, true},
		{v6, 5432, 20001, true},
		{v4, 5433, 20000, false},
		{v4, 5432, 20001, false},
		{"", 1, 1, false},
		{"x y z :\n1: 2 3 4\n", 1, 1, false},
	} {
		got, ok := acceptedIn([]byte(c.table), c.local, c.remote)
		if ok != c.ok || ok && got != web1 {
			t.Errorf("%d from %d: %s %t", c.local, c.remote, got, ok)
		}
	}
}
