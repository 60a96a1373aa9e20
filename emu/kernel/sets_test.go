package kernel

import (
	"encoding/hex"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"vnetlab/emu"
	"vnetlab/emu/diff"
)

// What comes to and goes from the sets of one ruleset makes them those of another, also what the kernel keeps beside
// the elements.
func TestSetChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := drawRuleset(t), drawRuleset(t)
		to.Table = from.Table
		if rapid.Bool().Draw(t, "no prefixes") {
			from.Prefixes = nil
		}
		if rapid.Bool().Draw(t, "another kind") {
			to.Addresses, to.Marks = nil, []emu.MarkMap{{Name: to.Addresses[0].Name}}
		}
		change := diff.Rulesets(from, to)
		if change == nil {
			return
		}
		got := contentsOf(from)
		changes := setChanges(change)
		for _, s := range changes {
			if s.gone {
				delete(got, s.Name)
				continue
			}
			for _, e := range s.removed {
				k := elementKey(e)
				if _, ok := got[s.Name][k]; !ok {
					t.Fatalf("%s: %x goes and isn't there", s.Name, k)
				}
				delete(got[s.Name], k)
			}
		}
		for _, s := range changes {
			if s.made {
				got[s.Name] = map[string]string{}
			}
			for _, e := range s.added {
				k := elementKey(e)
				if _, ok := got[s.Name][k]; ok {
					t.Fatalf("%s: %x comes and is there", s.Name, k)
				}
				got[s.Name][k] = hex.EncodeToString(e.Val) + value(e)
			}
		}
		if diff := cmp.Diff(contentsOf(to), got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// contentsOf returns the elements of each set of a ruleset, and where they lead.
func contentsOf(r *emu.Ruleset) map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, s := range setsOf(r) {
		all[s.Name] = map[string]string{}
		for _, e := range s.elements {
			all[s.Name][elementKey(e)] = hex.EncodeToString(e.Val) + value(e)
		}
	}
	return all
}
