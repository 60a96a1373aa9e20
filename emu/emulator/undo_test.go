package emulator

import (
	"context"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/kerneltest"
)

var (
	platform = netip.MustParseAddr("168.63.129.16")
	balanced = netip.MustParseAddr("198.18.0.10")
)

// balancedHosts has hosts, the last of which drops what comes by its own ruleset, behind an edge that answers names,
// sends a public address to one of the hosts and asks for their health.
func balancedHosts(n, to int) *emu.Network {
	network := hosts(n)
	edge, _ := network.Namespace(kerneltest.Edge)
	edge.Loopback = []netip.Addr{platform, balanced}
	client := kerneltest.Address(0, 0)
	edge.DNS = &emu.NameServer{Addresses: []netip.Addr{platform}, Views: []*emu.NameView{
		{
			Clients: []netip.Addr{
				client,
			},
			Domain:  "internal",
			Records: []emu.NameRecord{{Name: "target.internal", Address: kerneltest.Address(0, to)}},
		},
	}}
	network.PublicNames = []emu.NameRecord{{Name: "balanced.example", Address: balanced}}
	edge.Ruleset = &emu.Ruleset{
		Table: "lab",
		Sockets: []emu.SocketMap{{Name: "endpoints", Elements: []emu.SocketMapElement{
			{Address: balanced, Protocol: emu.TCP, Port: kerneltest.Port, Chain: "to"},
		}}},
		Chains: []*emu.Chain{
			{Name: "to", Rules: []emu.Rule{{ID: "to", Statements: []emu.Statement{
				emu.MatchProtocol{
					Protocol: "tcp",
				},
				emu.DNAT{To: netip.AddrPortFrom(kerneltest.Address(0, to), kerneltest.Port)},
			}}}},
			{
				Name:  "prerouting",
				Hook:  emu.DNATHook,
				Rules: []emu.Rule{{ID: "dispatch", Statements: []emu.Statement{emu.Dispatch{Map: "endpoints"}}}},
			},
			{
				Name: "postrouting",
				Hook: emu.SNATHook,
				Rules: []emu.Rule{
					{ID: "same subnet", Statements: []emu.Statement{emu.MatchDNATed{}, emu.SNAT{To: balanced}}},
				},
			},
		},
	}
	for i := range n {
		h, _ := network.Namespace(kerneltest.Host(0, i))
		h.Resolver = emu.Resolver{Servers: edge.DNS.Addresses}
		edge.HealthProbes = append(edge.HealthProbes, emu.HealthProbe{
			ID:       h.Name,
			Source:   platform,
			Protocol: "tcp",
			Interval: 1,
			Timeout:  60,
			Target:   netip.AddrPortFrom(kerneltest.Address(0, i), kerneltest.Port),
		})
		if i == n-1 {
			h.Firewall = nil
			h.Ruleset = &emu.Ruleset{Table: "lab", Chains: []*emu.Chain{{
				Name: "input", Hook: emu.InputHook, Rules: emu.DropRules("closed", "nobody comes in", emu.Origin{}),
			}}}
		}
	}
	return network
}

// asBefore is what names, probes and health say of balancedHosts(4, 1).
func asBefore(t *testing.T, e *Emulator) {
	t.Helper()
	from := kerneltest.Host(0, 0)
	for _, name := range []string{"balanced.example", "target.internal"} {
		if o := probeName(t, e, from, name); o.Verdict != emu.Open || o.AnsweredBy != kerneltest.Host(0, 1) {
			t.Errorf("%s: %+v", name, o)
		}
	}
	if o := probeName(t, e, from, "new.example"); o.Verdict != emu.Unresolved {
		t.Errorf("a name that was to come: %+v", o)
	}
	began := time.Now()
	closed := emu.Target{Address: kerneltest.Address(0, 3), Port: kerneltest.Port, Protocol: emu.TCP}
	if o := e.Probe(t.Context(), from, closed); o.Verdict != emu.Blocked || o.By.ID != "closed" || o.By.Text == "" {
		t.Errorf("a host with a ruleset: %+v", o)
	}
	if time.Since(began) >= e.prober.TimeLimit {
		t.Error("nobody listened to a ruleset until there was no answer")
	}
	var ids []string
	for _, s := range e.Health() {
		if ids = append(ids, s.ID); s.ID == kerneltest.Host(0, 3) && s.Healthy {
			t.Errorf("health: %+v", s)
		}
	}
	if want := []string{
		kerneltest.Host(0, 0),
		kerneltest.Host(0, 1),
		kerneltest.Host(0, 2),
		kerneltest.Host(0, 3),
	}; !slices.Equal(
		ids,
		want,
	) {
		t.Fatalf("asked for health are %v", ids)
	}
	for _, id := range ids[:3] { // a slow machine may take more than one question
		kerneltest.Eventually(t, id+" to be healthy", func() bool { return e.Healthy(id) })
	}
}

// TestUpdateThatFailsLeavesWhatAnswers has changes of all that answers fail in the kernel, and after it.
func TestUpdateThatFailsLeavesWhatAnswers(t *testing.T) {
	e := start(t, balancedHosts(4, 1), Options{})
	asBefore(t, e)
	next := func(spoil func(edge, host *emu.Namespace)) *diff.Change {
		n := balancedHosts(4, 2)
		n.PublicNames = append(n.PublicNames[:0], emu.NameRecord{Name: "new.example", Address: balanced})
		edge, _ := n.Namespace(kerneltest.Edge)
		edge.HealthProbes = edge.HealthProbes[1:]
		edge.HealthProbes[0].Target = netip.AddrPortFrom(kerneltest.Address(0, 1), 99)
		n.Namespaces = slices.DeleteFunc(
			n.Namespaces,
			func(s *emu.Namespace) bool { return s.Name == kerneltest.Host(0, 3) },
		)
		n.Links = slices.DeleteFunc(n.Links, func(l *emu.Link) bool { return l.B.Namespace == kerneltest.Host(0, 3) })
		host, _ := n.Namespace(kerneltest.Host(0, 2))
		spoil(edge, host)
		return diff.Networks(e.Network(), n)
	}
	for what, spoil := range map[string]func(edge, host *emu.Namespace){
		"a rule that the kernel refuses": func(edge, _ *emu.Namespace) {
			edge.Ruleset.Chains[0].Rules[0].Statements = []emu.Statement{emu.Goto{Chain: "nowhere"}}
		},
		"a port that is taken": func(_, host *emu.Namespace) {
			host.Services = append(host.Services, emu.Service{Name: "again", Port: kerneltest.Port, Protocol: emu.TCP})
		},
		"an address that isn't there": func(edge, _ *emu.Namespace) {
			edge.DNS.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
		},
	} {
		t.Run(what, func(t *testing.T) {
			before := e.Health()
			if _, err := e.Update(
				t.Context(),
				next(spoil),
			); err == nil ||
				!strings.Contains(err.Error(), "nothing was changed") {
				t.Fatalf("got %v", err)
			}
			for i, s := range e.Health() {
				if s.Since != before[i].Since {
					t.Errorf("%+v began anew, was %+v", s, before[i])
				}
			}
			asWanted(t, e)
			asBefore(t, e)
		})
	}
	good := next(func(_, _ *emu.Namespace) {})
	back := diff.Networks(good.To, good.From)
	done, err := e.Update(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{kerneltest.Host(0, 3)}; !reflect.DeepEqual(done.Removed, want) || done.Added != nil {
		t.Errorf("removed are %v, added %v", done.Removed, done.Added)
	}
	for name, want := range map[string]string{"new.example": kerneltest.Host(0, 2), "target.internal": kerneltest.Host(0, 2), "balanced.example": ""} {
		o := probeName(t, e, kerneltest.Host(0, 0), name)
		if o.AnsweredBy != want || (o.Verdict == emu.Unresolved) != (want == "") {
			t.Errorf("%s after the change: %+v", name, o)
		}
	}
	if len(e.Health()) != 3 {
		t.Errorf("asked for health are %+v", e.Health())
	}
	if _, err := e.Update(t.Context(), back); err != nil {
		t.Fatal(err)
	}
	asWanted(t, e)
}

// TestProbesDuringUpdates probes between hosts that stay, and a host that comes and goes.
func TestProbesDuringUpdates(t *testing.T) {
	few, many := balancedHosts(4, 1), balancedHosts(5, 1)
	e := start(t, few, Options{})
	e.prober.AnswerLimit = 2 * time.Second // nobody answers any more where a host goes
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	var probing sync.WaitGroup
	for range 2 {
		probing.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if v := verdict(t, e, 0, 1); v != emu.Open {
					t.Errorf("between hosts that stay: %s", v)
				}
				o := e.Probe(
					ctx,
					kerneltest.Host(0, 4),
					emu.Target{Address: kerneltest.Address(0, 1), Port: kerneltest.Port, Protocol: emu.TCP},
				)
				if o.Verdict != emu.Open && o.Verdict != emu.Error && o.Verdict != emu.Timeout {
					t.Errorf("from a host that comes and goes: %+v", o)
				}
			}
		})
	}
	for range 5 {
		for _, to := range []*emu.Network{many, few} {
			if _, err := e.Update(t.Context(), diff.Networks(e.Network(), to)); err != nil {
				t.Error(err)
			}
		}
	}
	close(done)
	cancel() // a probe from a host that went may wait for long
	probing.Wait()
	asWanted(t, e)
}
