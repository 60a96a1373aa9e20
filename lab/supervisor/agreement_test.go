package supervisor

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"vnetlab/emu"
	"vnetlab/emu/dns"
	"vnetlab/emu/emulator"
	"vnetlab/emu/kerneltest"
	"vnetlab/lab"
	"vnetlab/lab/compile"
	"vnetlab/lab/engine"
	"vnetlab/lab/expect"
	"vnetlab/lab/labtest"
	"vnetlab/lab/oracle"
)

// TestPacketsAgreeWithTheOracle asks both witnesses about every pair of members and every port that matters in a lab
// with one of each thing.
func TestPacketsAgreeWithTheOracle(t *testing.T) {
	kerneltest.RequireRoot(t)
	if bad := disagreements(t, labtest.Everything(t)); len(bad) > 0 {
		for _, b := range bad {
			t.Error(b)
		}
	}
}

// TestPacketsAgreeInAConnectedLab does so where networks are joined, some machines are stopped and one is unhealthy.
func TestPacketsAgreeInAConnectedLab(t *testing.T) {
	kerneltest.RequireRoot(t)
	l := labtest.Connected(t)
	l.SetHealth("data1/cql", true) // data2 isn't healthy, data3 doesn't run
	for _, b := range disagreements(t, l) {
		t.Error(b)
	}
}

// TestPacketsAgreeOnUnlikeMembers does so where the members of sets don't fare alike and two networks have the same
// addresses. It must see verdicts that no other lab has.
func TestPacketsAgreeOnUnlikeMembers(t *testing.T) {
	kerneltest.RequireRoot(t)
	l := labtest.Unlike(t)
	for _, b := range disagreements(t, l) {
		t.Error(b)
	}
	seen := map[emu.Verdict]bool{}
	for _, from := range l.Members() {
		for _, target := range targets(l) {
			if p, err := oracle.Predict(l, from.ID(), target); err == nil {
				seen[p.Verdict] = true
			}
		}
	}
	if !seen[emu.Mixed] || !seen[emu.WrongHost] {
		t.Errorf("verdicts: %v", seen)
	}
}

// TestPacketsAgreeInRandomLabs does the same in labs that nobody thought of.
func TestPacketsAgreeInRandomLabs(t *testing.T) {
	kerneltest.RequireRoot(t)
	checks := flag.Lookup("rapid.checks")
	before := checks.Value.String()
	if err := checks.Value.Set("15"); err != nil {
		t.Fatal(err)
	}
	defer checks.Value.Set(before)
	rapid.Check(t, func(rt *rapid.T) {
		if bad := disagreements(t, randomLab(rt)); len(bad) > 0 {
			rt.Fatalf("%d disagreements, the first: %s", len(bad), bad[0])
		}
	})
}

// disagreements runs a lab and lists where packets and oracle differ.
func disagreements(t *testing.T, l *lab.Lab) (bad []string) {
	t.Helper()
	ctx := context.Background()
	e, err := emulator.Start(ctx, compile.Network(l), emulator.Options{}, func(emulator.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	return disagreementsIn(t, e, l)
}

// disagreementsIn lists where packets and oracle differ in a lab that runs already.
func disagreementsIn(t *testing.T, e *emulator.Emulator, l *lab.Lab) (bad []string) {
	t.Helper()
	ctx := context.Background()
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, 32)
	for _, from := range l.Members() {
		if _, err := l.Namespace(from.ID()); err != nil {
			continue // it doesn't run
		}
		for _, target := range targets(l) {
			wg.Add(1)
			slots <- struct{}{}
			go func() {
				defer func() { <-slots; wg.Done() }()
				predicted, err := oracle.Predict(l, from.ID(), target)
				if err != nil {
					t.Error(err)
					return
				}
				wanted, err := l.EmuTarget(target)
				if err != nil {
					t.Error(err)
					return
				}
				if predicted.Verdict == emu.Timeout {
					return // takes seconds each
				}
				var got emu.Observation
				var anonymous bool
				for try := range patientTries {
					got = e.Probe(ctx, from.ID(), wanted)
					// All that listens here is built in, so it can always be told who answered.
					anonymous = got.Verdict == emu.Open && got.AnsweredBy == "" && predicted.AnsweredBy != ""
					if !anonymous && (predicted.Agrees(got) || !mayBeSlow(got)) {
						break
					}
					t.Logf("%s to %s, try %d: %s (%s)", from.ID(), target, try+1, got.Verdict, got.Detail)
				}
				if !predicted.Agrees(got) || anonymous {
					mu.Lock()
					bad = append(
						bad,
						fmt.Sprintf(
							"%s to %s: got %s by %v (answered by %q, seen as %v, %s; %s), predicted %s",
							from.ID(),
							target,
							got.Verdict,
							got.By,
							got.AnsweredBy,
							got.SeenAs,
							got.Detail,
							expect.DescribeMembers(got.Members),
							predicted,
						),
					)
					mu.Unlock()
				}
			}()
		}
	}
	wg.Wait()
	return append(bad, exposureDisagreements(e, l)...)
}

// exposureDisagreements lists what is wrong with the exposure of a lab that runs: an address that only the network or
// only the model knows, and questions to which packets don't answer as the model does.
func exposureDisagreements(e *emulator.Emulator, l *lab.Lab) (bad []string) {
	x := expect.NewExposure(l)
	for _, c := range x.Unaccounted(compile.RoutedAddresses(e.Network())) {
		bad = append(bad, c.Name+": "+c.Message)
	}
	for _, q := range x.Questions(nil) {
		var letIn bool // by packets
		c := x.Check(q, func(p expect.ExposureProbe) (o emu.Observation) {
			for range patientTries {
				if o = engine.AskFromInternet(context.Background(), e, p); !mayBeSlow(o) {
					break
				}
			}
			for _, ports := range q.Ports {
				letIn = letIn || ports.First <= p.Target.Port && p.Target.Port <= ports.Last && reached(o)
			}
			return o
		})
		switch {
		case strings.Contains(c.Message, "differ") || strings.Contains(c.Message, "not known"):
			bad = append(bad, c.Name+": "+c.Message)
		case letIn && len(c.Exposed) == 0:
			bad = append(bad, c.Name+" counts as closed, and packets get in")
		case !letIn && len(c.Exposed) > 0 && c.Verdict != emu.NoBackend && !strings.HasPrefix(c.Answers, "let in by some"):
			bad = append(bad, c.Name+" counts as exposed, and no packet gets in: "+c.Answers)
		}
	}
	return bad
}

// reached reports whether a machine, or some member of a set, got the packet.
func reached(o emu.Observation) bool {
	return o.Verdict == emu.Open || o.Verdict == emu.Refused ||
		slices.ContainsFunc(o.Members, func(m emu.MemberObservation) bool {
			return m.Verdict == emu.Open || m.Verdict == emu.Refused
		})
}

// patientTries is how often a probe is made that has no answer, some seconds each time: under load the machine may
// have been too slow for it. Some probes have none at all, so to wait longer for every one would take long.
const patientTries = 8

func mayBeSlow(o emu.Observation) bool {
	return o.Verdict == emu.Timeout ||
		o.Verdict == emu.Error &&
			(strings.Contains(o.Detail, dns.ErrNoAnswer.Error()) || strings.Contains(o.Detail, "neighbor table"))
}
