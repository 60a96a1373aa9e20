package emulator

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/kerneltest"
)

// TestRuleIDsNameRules has a network with two rules of one id refused before anything is made, and a change that leads
// to one.
func TestRuleIDsNameRules(t *testing.T) {
	kerneltest.RequireRoot(t)
	twice := func() *emu.Network {
		n := network(builtIn)
		h, _ := n.Namespace(kerneltest.Host(0, 0))
		h.Firewall.Rules = append(
			h.Firewall.Rules,
			emu.FirewallRule{ID: "gossip", Comment: "another", Drop: true, Protocol: "udp"},
		)
		return n
	}
	if e, err := Start(t.Context(), twice(), Options{}, nil); err == nil {
		t.Error("two rules of one id:", e.Close())
	} else if !strings.Contains(err.Error(), `"gossip" is the id`) {
		t.Error(err)
	}
	e := start(t, network(builtIn), Options{})
	before := e.Network()
	if _, err := e.Update(
		t.Context(),
		diff.Networks(before, twice()),
	); err == nil ||
		!strings.Contains(err.Error(), "nothing was changed") {
		t.Error(err)
	}
	if e.Network() != before {
		t.Error("another network")
	}
}

// TestUpdatesAreNoDrift changes rules, hosts and lines all the time, in the very namespaces that report drops. A
// blocked probe is blocked before, between and after, by the rule of the network of that time; never does a change of
// ours pass for one by hand.
func TestUpdatesAreNoDrift(t *testing.T) {
	at := func(step int) *emu.Network {
		n := kerneltest.Subnets(1, 3+step%2)
		h, _ := n.Namespace(kerneltest.Host(0, 0))
		h.Services = []emu.Service{builtIn}
		for i := range h.Firewall.Rules {
			h.Firewall.Rules[i].Origin = emu.Origin{File: "lab.yaml", Line: 1000*step + i}
		}
		if step%3 == 1 {
			h.Firewall.Rules = append(
				[]emu.FirewallRule{{ID: "more", Protocol: "udp", Ports: []emu.PortRange{{First: 9, Last: 9}}}},
				h.Firewall.Rules...)
		}
		if step%3 == 2 {
			h.Firewall.Default.Line = step
		}
		return n
	}
	e := start(t, at(0), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var group sync.WaitGroup
	var mu sync.Mutex
	seen := map[emu.Verdict]int{}
	lines := map[int]bool{}
	for range 4 {
		group.Go(func() {
			for ctx.Err() == nil {
				o := e.Probe(ctx, kerneltest.Host(0, 1), target(7000))
				if ctx.Err() != nil {
					return
				}
				mu.Lock()
				if seen[o.Verdict]++; o.By != nil {
					lines[o.By.Origin.Line] = true
				}
				mu.Unlock()
				if o.Verdict != emu.Blocked && !strings.Contains(o.Detail, "changed while the probe was under way") {
					t.Errorf("%+v", o)
				}
			}
		})
	}
	for step := 1; step <= 12; step++ {
		update(t, e, at(step))
		line := 1000*step + 4 // of the rule that blocks
		o := e.Probe(t.Context(), kerneltest.Host(0, 1), target(7000))
		if o.Verdict != emu.Blocked || o.By.ID != "gossip" || o.By.Origin.Line != line {
			t.Errorf("after step %d: %+v by %+v", step, o, o.By)
		}
		kerneltest.Eventually(t, fmt.Sprintf("a probe names line %d", line), func() bool {
			mu.Lock()
			defer mu.Unlock()
			return lines[line]
		})
	}
	cancel()
	group.Wait()
	t.Logf("%v", seen)
	if seen[emu.Blocked] == 0 {
		t.Error("nothing was blocked")
	}
}

// TestDriftIsSeen changes rules by hand in a running network: the emulator's probes say so, and that all is well again
// after a repair.
func TestDriftIsSeen(t *testing.T) {
	n := network(builtIn)
	e := start(t, n, Options{})
	to := emu.Target{Name: "host", Address: netip.MustParseAddr("10.0.0.4"), Port: 81, Protocol: emu.TCP}
	if o := e.Probe(t.Context(), kerneltest.Host(0, 1), to); o.Verdict != emu.Blocked {
		t.Fatalf("%+v", o)
	}
	ns, _ := e.state.Namespace(kerneltest.Host(0, 0))
	cmd := exec.Command("iptables", "-I", "INPUT", "-p", "tcp", "--dport", "81", "-j", "ACCEPT")
	if err := errors.Join(ns.Start(cmd), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	o := e.Probe(t.Context(), kerneltest.Host(0, 1), to)
	if o.Verdict != emu.Timeout || !strings.Contains(o.Detail, "iptables chain INPUT rule 1 is not wanted") {
		t.Errorf("%+v", o)
	}
	if _, err := e.Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o := e.Probe(t.Context(), kerneltest.Host(0, 1), to); o.Verdict != emu.Blocked {
		t.Errorf("after the repair: %+v", o)
	}
}
