package kernel

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/kerneltest"
)

// TestEdits checks that an edit leaves foreign rules between those of a chain, and ignores missing ones.
func TestEdits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.StringMatching("[a-f]"), 0, 8)
		from, to := append(lines.Draw(t, "from"), "end"), append(lines.Draw(t, "to"), "end")
		var actual []string
		lost, foreign := 0, 0
		for _, l := range from {
			for rapid.IntRange(0, 3).Draw(t, "foreign") == 0 {
				actual = append(actual, fmt.Sprint("foreign ", foreign))
				foreign++
			}
			if l != "end" && rapid.IntRange(0, 5).Draw(t, "lost") == 0 {
				lost++
				continue
			}
			actual = append(actual, l)
		}
		inserts, deletes := edits(from, to, actual)
		got := slices.Clone(actual)
		for _, i := range inserts {
			got = slices.Insert(got, i.position-1, i.line)
		}
		for _, d := range deletes {
			if got[d.position-1] != d.line {
				t.Fatalf("deletes %q at %d of %q", d.line, d.position, got)
			}
			got = slices.Delete(got, d.position-1, d.position)
		}
		var own, others []string
		for _, l := range got {
			if strings.HasPrefix(l, "foreign") {
				others = append(others, l)
			} else {
				own = append(own, l)
			}
		}
		if len(others) != foreign || !slices.IsSorted(others) && foreign < 10 {
			t.Fatalf("%q: the others were %d", got, foreign)
		}
		if lost == 0 && !slices.Equal(own, to) {
			t.Fatalf("from %q by way of %q: got %q, want %q", from, actual, own, to)
		}
		if len(own) == 0 || own[len(own)-1] != "end" {
			t.Fatalf("%q: the end is not the end", got)
		}
	})
}

// TestUpdateOfAChangedFirewall checks that a firewall changed by hand is edited in position: foreign rules stay and are
// found, and the last rule stays the last.
func TestUpdateOfAChangedFirewall(t *testing.T) {
	from := kerneltest.Subnets(1, 1)
	s := apply(t, from)
	host, _ := s.Namespace(kerneltest.Host(0, 0))
	run(t, host, "", "iptables", "-I", "INPUT", "2", "-p", "tcp", "--dport", "1", "-j", "ACCEPT")
	run(t, host, "", "iptables", "-A", "INPUT", "-p", "tcp", "--dport", "2", "-j", "ACCEPT")
	to := kerneltest.Subnets(1, 1)
	f := firewall(to, host.Name)
	f.Rules = append([]emu.FirewallRule{{ID: "first", Drop: true, Protocol: "udp"}}, f.Rules[1:3]...)
	if err := s.Update(t.Context(), diff.Networks(from, to)); err != nil {
		t.Fatal(err)
	}
	var by []string
	for _, port := range []string{"1", "2"} {
		rule := "-p tcp -m tcp --dport " + port + " -j ACCEPT"
		if got := differences(t, to, s); !strings.Contains(got, "found -A INPUT "+rule) {
			t.Errorf("the rule %s is gone: %s", rule, got)
		}
		by = append(by, rule)
	}
	for _, rule := range by {
		run(t, host, "", "sh", "-c", "iptables -D INPUT "+rule)
	}
	if left := differences(t, to, s); left != "" {
		t.Errorf("without what was done by hand there is left:\n%s", left)
	}
}
