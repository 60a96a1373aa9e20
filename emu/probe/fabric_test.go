package probe

import (
	"net/netip"
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/emu/kerneltest"
	"vnetlab/emu/listener"
)

// The fabric of the tests: a laptop on the internet, an edge with two public addresses, two subnets behind it, and
// hosts of each kind a probe can meet.
//
//	laptop 203.0.113.10 -- 203.0.113.1 edge -- 10.0.1.1 FrontEnd: web1 .4, web2 .5
//	                                        -- 10.0.2.1 BackEnd:  sql1 .4 (firewall), real1 .5, silent .6, .99 is nobody
//	lonely has no link at all
var (
	vip     = netip.MustParseAddr("198.18.0.10")
	laptop  = netip.MustParseAddr("203.0.113.10")
	web1    = netip.MustParseAddr("10.0.1.4")
	web2    = netip.MustParseAddr("10.0.1.5")
	sql1    = netip.MustParseAddr("10.0.2.4")
	real1   = netip.MustParseAddr("10.0.2.5")
	silent  = netip.MustParseAddr("10.0.2.6")
	nobody  = netip.MustParseAddr("10.0.2.99")
	gateway = map[netip.Addr]netip.Addr{
		laptop: netip.MustParseAddr("203.0.113.1"),
		web1:   netip.MustParseAddr("10.0.1.1"), web2: netip.MustParseAddr("10.0.1.1"),
		sql1: netip.MustParseAddr(
			"10.0.2.1",
		), real1: netip.MustParseAddr("10.0.2.1"), silent: netip.MustParseAddr("10.0.2.1"),
	}
)

func tcp(port uint16) emu.Service {
	return emu.Service{Name: "tcp", Port: port, Protocol: emu.TCP}
}

func program(port uint16) emu.Service {
	return emu.Service{Name: "program", Port: port, Protocol: emu.TCP, Command: "sleep 60"}
}

func host(name string, addr netip.Addr, services ...emu.Service) *emu.Namespace {
	return &emu.Namespace{
		Name: name, Kind: emu.Host, Services: services,
		Routes: []emu.Route{
			{Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: gateway[addr], Device: "eth0"},
		},
	}
}

func fabric() *emu.Network {
	site := netip.MustParseAddrPort("203.0.113.1:80")
	n := &emu.Network{
		Namespaces: []*emu.Namespace{
			{
				Name: "edge", Kind: emu.Router, Ruleset: edgeRules(),
				Loopback: []netip.Addr{netip.MustParseAddr("168.63.129.16")},
				DNS:      &emu.NameServer{Addresses: []netip.Addr{netip.MustParseAddr("168.63.129.16")}},
				Proxies: []emu.HTTPProxy{{Listen: site, Routes: []emu.HTTPProxyRoute{
					{Host: "contacts.azurewebsites.net", Backend: netip.AddrPortFrom(web1, 80)},
					{Host: "program.azurewebsites.net", Backend: netip.AddrPortFrom(real1, 5432)},
				}}},
				Bridges: []emu.Bridge{
					{
						Name:      "FrontEnd",
						MAC:       emu.MACOf(gateway[web1]),
						Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.1.1/24")},
					},
					{
						Name:      "BackEnd",
						MAC:       emu.MACOf(gateway[sql1]),
						Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.2.1/24")},
					},
				},
			},
			host("laptop", laptop, tcp(8080)),
			host("web1", web1, tcp(80), tcp(7000)),
			host("web2", web2, tcp(80)),
			host("sql1", sql1, tcp(1433)),
			host("real1", real1, program(5432)),
			host("silent", silent),
			{Name: "lonely", Kind: emu.Host},
		},
		Links: []*emu.Link{
			{
				A: emu.LinkEnd{
					Namespace: "edge",
					Name:      "uplink",
					MAC:       emu.MACOf(gateway[laptop]),
					Addresses: []netip.Prefix{netip.MustParsePrefix("203.0.113.1/24")},
				},
				B: emu.LinkEnd{
					Namespace: "laptop",
					Name:      "eth0",
					MAC:       emu.MACOf(laptop),
					Addresses: []netip.Prefix{netip.PrefixFrom(laptop, 24)},
				},
			},
			bridged("FrontEnd", "web1", web1), bridged("FrontEnd", "web2", web2),
			bridged(
				"BackEnd", "sql1", sql1,
			), bridged("BackEnd", "real1", real1), bridged("BackEnd", "silent", silent),
		},
		PublicNames: []emu.NameRecord{
			{Name: "contactsql.cloudapp.net", Address: vip},
			{Name: "contacts.azurewebsites.net", Address: site.Addr()},
		},
	}
	for i := range n.Namespaces {
		s := n.Namespaces[i]
		if s.Kind == emu.Host {
			s.Resolver = emu.Resolver{Servers: []netip.Addr{netip.MustParseAddr("168.63.129.16")}}
		}
		for p := range n.Namespaces[0].Bridges {
			b := &n.Namespaces[0].Bridges[p]
			for name, addr := range map[string]netip.Addr{"web1": web1, "web2": web2, "sql1": sql1, "real1": real1, "silent": silent} {
				if s.Name == name && b.Addresses[0].Contains(addr) {
					n.Namespaces[0].Neighbors = append(
						n.Namespaces[0].Neighbors, emu.Neighbor{Device: b.Name, Address: addr, MAC: emu.MACOf(addr)},
					)
				}
			}
		}
		switch s.Name {
		case "sql1":
			s.Firewall = &emu.Firewall{Default: emu.Origin{File: "lab.yaml", Line: 7}, Rules: []emu.FirewallRule{
				{
					ID:       "block-web2",
					Comment:  "block tcp 1433 from 10.0.1.5",
					Drop:     true,
					Protocol: "tcp",
					Ports:    []emu.PortRange{{First: 1433, Last: 1433}},
					From:     netip.PrefixFrom(web2, 32),
					Origin:   emu.Origin{File: "lab.yaml", Line: 9},
				},
				{
					ID:       "allow-frontend",
					Comment:  "allow tcp 1433 from 10.0.1.0/24",
					Protocol: "tcp",
					Ports:    []emu.PortRange{{First: 1433, Last: 1434}},
					From:     netip.MustParsePrefix("10.0.1.0/24"),
				},
			}}
		case "silent": // drops everything and doesn't say so
			s.Ruleset = &emu.Ruleset{Table: "lab", Chains: []*emu.Chain{{Name: "input", Hook: emu.InputHook}}}
		}
	}
	n.Sort()
	return n
}

func bridged(bridge, name string, addr netip.Addr) *emu.Link {
	return &emu.Link{
		A: emu.LinkEnd{
			Namespace: "edge",
			Name:      name,
			MAC:       emu.MAC{2, 1, 0, 0, 0, addr.As4()[3]},
			Port:      &emu.BridgePort{Bridge: bridge, Stations: []emu.MAC{emu.MACOf(addr)}, ProxyARP: true},
		},
		B: emu.LinkEnd{
			Namespace: name,
			Name:      "eth0",
			MAC:       emu.MACOf(addr),
			Addresses: []netip.Prefix{netip.PrefixFrom(addr, 24)},
		},
	}
}

// edgeRules: 198.18.0.10 has port 80 balanced over web1 and web2, 7000 to web1 but not for the laptop, 57500 to
// sql1, 9160 without a backend and 81 to a port of web1 where nothing listens. Whoever leaves is seen as
// 198.18.0.10.
func edgeRules() *emu.Ruleset {
	to := func(name string, a netip.Addr, port uint16) *emu.Chain {
		return &emu.Chain{
			Name: name,
			Rules: []emu.Rule{
				{
					ID: name,
					Statements: []emu.Statement{
						emu.MatchProtocol{Protocol: "tcp"},
						emu.DNAT{To: netip.AddrPortFrom(a, port)},
					},
				},
			},
		}
	}
	guarded := to("guarded", web1, 7000)
	guarded.Rules = append(emu.DropRules("acl", "deny 203.0.113.0/24", emu.Origin{File: "lab.yaml", Line: 30},
		emu.MatchPrefix{Of: emu.Source, Prefix: netip.MustParsePrefix("203.0.113.0/24")}), guarded.Rules...)
	inside := netip.MustParsePrefix("10.0.0.0/8")
	element := func(port uint16, chain string) emu.SocketMapElement {
		return emu.SocketMapElement{Address: vip, Protocol: emu.TCP, Port: port, Chain: chain}
	}
	return &emu.Ruleset{
		Table: "lab",
		Sockets: []emu.SocketMap{
			{
				Name: "endpoints",
				Elements: []emu.SocketMapElement{
					element(80, "balanced"),
					element(81, "closed"),
					element(7000, "guarded"),
					element(9160, "dead"),
					element(57500, "sql"),
				},
			},
		},
		Chains: []*emu.Chain{
			{Name: "balanced", Rules: []emu.Rule{{ID: "balanced", Statements: []emu.Statement{
				emu.MatchProtocol{
					Protocol: "tcp",
				}, emu.DNATByHash{By: emu.FiveTuple, To: []netip.AddrPort{netip.AddrPortFrom(web1, 80), netip.AddrPortFrom(web2, 80)}},
			}}}},
			to("closed", web1, 81), to("sql", sql1, 1433), guarded,
			{
				Name: "dead",
				Rules: emu.DropRules(
					emu.NoBackendPrefix+"thrift", "no healthy backend", emu.Origin{File: "lab.yaml", Line: 40},
				),
			},
			{
				Name:  "prerouting",
				Hook:  emu.DNATHook,
				Rules: []emu.Rule{{ID: "dispatch", Statements: []emu.Statement{emu.Dispatch{Map: "endpoints"}}}},
			},
			{Name: "forward", Hook: emu.ForwardHook, Rules: append([]emu.Rule{
				{ID: "established", Statements: []emu.Statement{emu.MatchEstablished{}, emu.Accept{}}},
				{ID: "endpoint", Statements: []emu.Statement{emu.MatchDNATed{}, emu.Accept{}}},
				{
					ID:         "inside",
					Statements: []emu.Statement{emu.MatchPrefix{Of: emu.Source, Prefix: inside}, emu.Accept{}},
				},
			}, emu.DropRules("no-endpoint", "no endpoint leads inside", emu.Origin{File: "lab.yaml", Line: 20})...)},
			{Name: "input", Hook: emu.InputHook, Rules: append([]emu.Rule{
				{ID: "established-in", Statements: []emu.Statement{emu.MatchEstablished{}, emu.Accept{}}},
				{
					ID: "name-server",
					Statements: []emu.Statement{
						emu.MatchProtocol{Protocol: "udp"},
						emu.MatchPort{Port: 53},
						emu.Accept{},
					},
				},
				{
					ID: "web-sites",
					Statements: []emu.Statement{
						emu.MatchProtocol{Protocol: "tcp"},
						emu.MatchPort{Port: 80},
						emu.MatchPrefix{Of: emu.Destination, Prefix: netip.MustParsePrefix("203.0.113.1/32")},
						emu.Accept{},
					},
				},
			}, emu.DropRules("nothing-here", "the address has no endpoint at this port", emu.Origin{File: "lab.yaml", Line: 21})...)},
			{Name: "postrouting", Hook: emu.SNATHook, Rules: []emu.Rule{{ID: "outbound", Statements: []emu.Statement{
				emu.MatchOutput{Device: "uplink"}, emu.MatchPrefix{Of: emu.Source, Prefix: inside}, emu.SNAT{To: vip},
			}}}},
		},
	}
}

// start makes a network real, with its built-in listeners and proxies, for the time of a test. Its prober is
// patient: a test that waits for silence sets a limit of its own.
func start(t testing.TB, n *emu.Network) (*kernel.State, *Prober) {
	t.Helper()
	kerneltest.RequireRoot(t)
	state, err := kernel.Apply(t.Context(), n, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := state.Close(); err != nil {
			t.Error(err)
		}
	})
	// As the emulator does: a network that isn't what was wanted must not answer questions.
	if found, err := kernel.Diff(t.Context(), n, state); err != nil || len(found) > 0 {
		t.Fatal(err, found)
	}
	for _, s := range n.Namespaces {
		ns, _ := state.Namespace(s.Name)
		for _, service := range s.Services {
			if service.BuiltIn() {
				closeAfter(t)(listener.Serve(ns, service))
			}
		}
		for _, p := range s.Proxies {
			closeAfter(t)(listener.ServeProxy(ns, p))
		}
	}
	p := New(n, state.Namespace)
	p.TimeLimit, p.AnswerLimit, p.NameLimit = 2*kerneltest.Patience, kerneltest.Patience, kerneltest.Patience // UDP has half of it
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return state, p
}

func closeAfter(t testing.TB) func(interface{ Close() error }, error) {
	return func(c interface{ Close() error }, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
}
