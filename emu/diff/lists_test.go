package diff

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"vnetlab/emu"
)

// Removed and added elements turn one list into the other, whatever their order.
func TestDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lists := rapid.SliceOfNDistinct(rapid.IntRange(0, 12), 0, 12, rapid.ID[int])
		from, to := lists.Draw(t, "from"), lists.Draw(t, "to")
		removed, added := difference(from, to)
		checkDifference(t, from, to, removed, added)
		if slices.ContainsFunc(removed, func(v int) bool { return slices.Contains(to, v) }) {
			t.Fatalf("%v of %v -> %v are removed", removed, from, to)
		}

		lost := map[string]bool{}
		for _, v := range rapid.SliceOfDistinct(rapid.IntRange(0, 12), rapid.ID[int]).Draw(t, "lost") {
			lost[fmt.Sprint(v)] = true
		}
		removed, added = differenceAfter(from, to, lost, func(v int) string { return fmt.Sprint(v) })
		checkDifference(t, from, to, removed, added)
		for _, v := range from {
			if lost[fmt.Sprint(v)] &&
				(!slices.Contains(removed, v) || slices.Contains(to, v) != slices.Contains(added, v)) {
				t.Fatalf("%d is lost, but not made again: -%v +%v", v, removed, added)
			}
		}
	})
}

func checkDifference(t *rapid.T, from, to, removed, added []int) {
	got := slices.DeleteFunc(slices.Clone(from), func(v int) bool { return slices.Contains(removed, v) })
	got = append(got, added...)
	slices.Sort(got)
	want := slices.Sorted(slices.Values(to))
	if !slices.Equal(got, want) {
		t.Fatalf("%v -> %v: -%v +%v gives %v", from, to, removed, added, got)
	}
}

// A change of sets and chains turns one ruleset into the other, and is the same for rulesets that share their parts
// as for copies.
func TestCompareRulesets(t *testing.T) {
	name := rapid.StringMatching("[a-d]")
	chain := rapid.Custom(func(t *rapid.T) *emu.Chain {
		c := &emu.Chain{
			Name: name.Draw(t, "chain"),
			Hook: rapid.SampledFrom([]emu.Hook{emu.NoHook, emu.InputHook}).Draw(t, "hook"),
		}
		for _, mark := range rapid.SliceOfN(rapid.Uint32Range(1, 3), 0, 3).Draw(t, "rules") {
			c.Rules = append(
				c.Rules,
				emu.Rule{
					Statements: []emu.Statement{
						emu.SetMark{Mark: mark},
						emu.DNATByHash{To: []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(mark))}},
					},
				},
			)
		}
		return c
	})
	element := rapid.Custom(func(t *rapid.T) emu.AddressMapElement {
		at := func(n string) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, rapid.ByteRange(1, 5).Draw(t, n)}) }
		return emu.AddressMapElement{Key: at("key"), Value: at("value")}
	})
	maps := rapid.Custom(func(t *rapid.T) emu.AddressMap {
		elements := rapid.SliceOfNDistinct(element, 0, 4, func(e emu.AddressMapElement) netip.Addr { return e.Key })
		return emu.AddressMap{Name: name.Draw(t, "map"), Elements: elements.Draw(t, "elements")}
	})
	rulesets := rapid.Custom(func(t *rapid.T) *emu.Ruleset {
		return &emu.Ruleset{
			Table: "t",
			Chains: rapid.SliceOfNDistinct(chain, 0, 5, func(c *emu.Chain) string { return c.Name }).
				Draw(t, "chains"),
			Addresses: rapid.SliceOfNDistinct(maps, 0, 3, func(m emu.AddressMap) string { return m.Name }).
				Draw(t, "maps"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		from, to := rulesets.Draw(t, "from"), rulesets.Draw(t, "to")
		if rapid.Bool().Draw(t, "share") {
			to.Chains = append(
				slices.Clone(from.Chains[:len(from.Chains)/2]),
				slices.DeleteFunc(to.Chains, func(c *emu.Chain) bool {
					return slices.ContainsFunc(
						from.Chains[:len(from.Chains)/2],
						func(o *emu.Chain) bool { return o.Name == c.Name },
					)
				})...)
		}
		chains, elements := map[string]*emu.Chain{}, map[string]map[emu.AddressMapElement]bool{}
		for _, c := range from.Chains {
			chains[c.Name] = c
		}
		for _, m := range from.Addresses {
			elements[m.Name] = map[emu.AddressMapElement]bool{}
			for _, e := range m.Elements {
				elements[m.Name][e] = true
			}
		}
		if c := Rulesets(from, to); c != nil {
			for _, x := range c.Chains {
				if x.From != nil {
					delete(chains, x.From.Name)
				}
				if x.To != nil {
					chains[x.To.Name] = x.To
				}
				if x.From != nil && x.To != nil && EqualChains(x.From, x.To) {
					t.Fatalf("chain %s is no other one", x.To.Name)
				}
			}
			for _, s := range c.Addresses {
				if s.Made {
					elements[s.Name] = map[emu.AddressMapElement]bool{}
				}
				for _, e := range s.Removed {
					if !elements[s.Name][e] {
						t.Fatalf("%s: %v isn't there", s.Name, e)
					}
					delete(elements[s.Name], e)
				}
				for _, e := range s.Added {
					elements[s.Name][e] = true
				}
				if s.Gone {
					if len(elements[s.Name]) > 0 {
						t.Fatalf("%s goes with elements that aren't named", s.Name)
					}
					delete(elements, s.Name)
				}
			}
		}
		if len(chains) != len(to.Chains) || len(elements) != len(to.Addresses) {
			t.Fatalf(
				"%d chains and %d maps instead of %d and %d",
				len(chains),
				len(elements),
				len(to.Chains),
				len(to.Addresses),
			)
		}
		for _, c := range to.Chains {
			if chains[c.Name] == nil || !EqualChains(chains[c.Name], c) {
				t.Fatalf("chain %s isn't as wanted", c.Name)
			}
		}
		for _, m := range to.Addresses {
			if len(elements[m.Name]) != len(m.Elements) ||
				slices.ContainsFunc(m.Elements, func(e emu.AddressMapElement) bool { return !elements[m.Name][e] }) {
				t.Fatalf("map %s has %v, want %v", m.Name, elements[m.Name], m.Elements)
			}
		}
	})
}

// What is left of two lists has whatever isn't in both, in order; what is left out is the same in both.
func TestUnshared(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lists := rapid.SliceOfN(rapid.IntRange(0, 5), 0, 80)
		from := lists.Draw(t, "from")
		to := slices.Clone(from)
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			at, n := rapid.IntRange(0, len(to)).Draw(t, "at"), rapid.IntRange(0, 40).Draw(t, "n")
			to = slices.Replace(to, at, min(at+n, len(to)), lists.Draw(t, "instead")...)
		}
		a, b := unshared(from, to, func(a, b int) bool { return a == b })
		if !slices.Equal(leftOut(t, from, a), leftOut(t, to, b)) {
			t.Fatalf("of %v and %v are left %v and %v", from, to, a, b)
		}
	})
}

// leftOut returns what a part of a list hasn't, in the order of the list, if it is one.
func leftOut(t *rapid.T, all, part []int) []int {
	count := map[int]int{}
	for _, v := range all {
		count[v]++
	}
	for _, v := range part {
		count[v]--
		if count[v] < 0 {
			t.Fatalf("%v isn't a part of %v", part, all)
		}
	}
	var out []int
	for v, n := range count {
		for range n {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}
