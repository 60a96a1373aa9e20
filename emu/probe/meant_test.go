package probe

import (
	"net/netip"
	"testing"

	"vnetlab/emu"
)

// twins is two networks with the same addresses and no way between them: sql1 and its neighbor near1 in one,
// web2, which has the address of sql1, and near2 in the other.
func twins() *emu.Network {
	n := &emu.Network{}
	addEdge(n, "edge-1", gateway[web1], map[string]netip.Addr{"sql1": web1, "near1": web2})
	addEdge(n, "edge-2", gateway[web1], map[string]netip.Addr{"web2": web1, "near2": web2})
	for _, s := range n.Namespaces {
		switch s.Name {
		case "web2":
			s.Services = []emu.Service{
				tcp(80),
				program(90),
				program(91),
				udp(80),
				{Name: "u", Port: 90, Protocol: emu.UDP, Command: "x"},
			}
			s.Firewall = &emu.Firewall{Rules: []emu.FirewallRule{
				{
					ID:       "shut",
					Drop:     true,
					Protocol: "tcp",
					Ports:    []emu.PortRange{{First: 70, Last: 70}},
				}, {ID: "open"},
			}}
		case "sql1":
			s.Services = []emu.Service{tcp(80), udp(80)}
		}
	}
	n.Sort()
	return n
}

// TestWrongHost asks for sql1 where web2 has its address.
func TestWrongHost(t *testing.T) {
	state, p := start(t, twins())
	there := namespace(t, state, "web2")
	plainListener(t, there, 90)
	plainListener(t, there, 92) // of which the network knows nothing
	resettingListener(t, there, 91)
	udpProgram(t, there, 90, "hello")
	for _, c := range []struct {
		name     string
		from     string
		meant    []string
		port     uint16
		protocol emu.Protocol
		verdict  emu.Verdict
		by       string
		detail   string
	}{
		{"nobody in particular", "near2", nil, 80, emu.TCP, emu.Open, "web2", ""},
		{"who is there", "near2", []string{"web2"}, 80, emu.TCP, emu.Open, "web2", ""},
		{"one of those who are meant", "near2", []string{"near2", "web2"}, 80, emu.TCP, emu.Open, "web2", ""},
		{"the twin in its own network", "near1", []string{"sql1"}, 80, emu.TCP, emu.Open, "sql1", ""},
		{
			"another", "near2",
			[]string{"sql1"},
			80, emu.TCP, emu.WrongHost, "web2",
			"another machine than the one meant accepted",
		},
		{
			"one that is gone", "near2",
			[]string{"old"},
			80, emu.TCP, emu.WrongHost, "web2",
			"another machine than the one meant accepted",
		},
		{
			"another's program", "near2",
			[]string{"sql1"},
			90, emu.TCP, emu.WrongHost, "web2",
			"another machine than the one meant accepted",
		},
		{"a program that is meant", "near2", []string{"web2"}, 90, emu.TCP, emu.Open, "web2", ""},
		{
			"another's program that resets", "near2",
			[]string{"sql1"},
			91, emu.TCP, emu.WrongHost, "web2",
			"another machine than the one meant accepted",
		},
		{"a program that resets and is meant", "near2", []string{"web2"}, 91, emu.TCP, emu.Open, "", ""},
		{
			"another's program that nobody knows", "near2",
			[]string{"sql1"},
			92, emu.TCP, emu.WrongHost, "web2",
			"another machine than the one meant accepted",
		},
		{
			"another's refusal", "near2",
			[]string{"sql1"},
			81, emu.TCP, emu.WrongHost, "web2",
			"another machine than the one meant refused",
		},
		{"a refusal by who is meant", "near2", []string{"web2"}, 81, emu.TCP, emu.Refused, "", ""},
		{"another's firewall", "near2", []string{"sql1"}, 70, emu.TCP, emu.Blocked, "", ""},
		{
			"oneself", "web2",
			[]string{"sql1"},
			80, emu.TCP, emu.WrongHost, "web2",
			"another machine than the one meant accepted",
		},
		{"who is there, over UDP", "near2", []string{"web2"}, 80, emu.UDP, emu.Open, "web2", ""},
		{
			"another, over UDP", "near2",
			[]string{"sql1"},
			80, emu.UDP, emu.WrongHost, "web2",
			"another machine than the one meant accepted",
		},
		{
			"another's program, over UDP", "near2",
			[]string{"sql1"},
			90, emu.UDP, emu.WrongHost, "web2",
			"another machine than the one meant accepted",
		},
		{"a program that is meant, over UDP", "near2", []string{"web2"}, 90, emu.UDP, emu.Open, "", ""},
		{
			"another's refusal, over UDP", "near2",
			[]string{"sql1"},
			81, emu.UDP, emu.WrongHost, "web2",
			"another machine than the one meant refused",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := p.Probe(
				t.Context(), c.from, emu.Target{Address: web1, Port: c.port, Protocol: c.protocol, Meant: c.meant},
			)
			if c.port == 91 && got.AnsweredBy == "web2" {
				c.by = "web2" // its socket was still there
			}
			if got.Verdict != c.verdict || got.AnsweredBy != c.by || got.Detail != c.detail {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// TestWrongSite asks a reverse proxy for a host that it serves, and for one that it doesn't: then the proxy itself
// answers.
func TestWrongSite(t *testing.T) {
	state, p := start(t, fabric())
	plainListener(t, namespace(t, state, "real1"), 5432)
	for _, c := range []struct {
		host, meant string
		verdict     emu.Verdict
		by          string
	}{
		{"contacts.azurewebsites.net", "web1", emu.Open, "web1"},
		{"contacts.azurewebsites.net", "web2", emu.WrongHost, "web1"},
		{"program.azurewebsites.net", "real1", emu.Open, ""},
		{"program.azurewebsites.net", "web1", emu.WrongHost, "real1"},
		{"moved.azurewebsites.net", "web2", emu.WrongHost, "edge"},
	} {
		got := p.Probe(
			t.Context(),
			"laptop",
			emu.Target{Name: c.host, Address: gateway[laptop], Port: 80, Protocol: emu.TCP, Meant: []string{c.meant}},
		)
		if got.Verdict != c.verdict || got.AnsweredBy != c.by {
			t.Errorf("%s, meant is %s: %+v", c.host, c.meant, got)
		}
	}
}

// TestWrongMember has a set of which one member isn't meant.
func TestWrongMember(t *testing.T) {
	_, p := start(t, world(out1))
	got := p.Probe(
		t.Context(), "a1", emu.Target{Address: balanced, Port: 80, Protocol: emu.TCP, Meant: []string{"b1", "b2"}},
	)
	if d := described(got); d != "mixed; b1 open; b2 open; b3 wrong-host" {
		t.Error(d)
	}
	got = p.Probe(
		t.Context(), "a1", emu.Target{Address: balanced, Port: 81, Protocol: emu.TCP, Meant: []string{"b1"}},
	)
	if d := described(got); d != "mixed; b1 open; b2 wrong-host; b3 wrong-host" {
		t.Error(d)
	}
}
