package kernel

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/kerneltest"
)

// A router marks packets by their source, and lets through those with some bits in their mark. An update changes who
// that is.
func TestMarkMap(t *testing.T) {
	kerneltest.RequireRoot(t)
	const bits = 0xff00
	network := func(marks ...emu.MarkMapElement) *emu.Network {
		n := kerneltest.Subnets(2, 3)
		edge, _ := n.Namespace(kerneltest.Edge)
		edge.Ruleset = &emu.Ruleset{
			Table: "lab", Marks: []emu.MarkMap{{Name: "sources", Elements: marks}},
			Chains: []*emu.Chain{
				{Name: "raw", Hook: emu.RawHook, Rules: []emu.Rule{with(emu.SetMarkByMap{Map: "sources"})}},
				{Name: "forward", Hook: emu.ForwardHook, Rules: []emu.Rule{
					with(emu.MatchEstablished{}, emu.Accept{}),
					with(emu.MatchMaskedMark{Mark: 0x100, Mask: bits}, emu.Accept{}),
				}},
			},
		}
		return n
	}
	mark := func(host int, mark uint32) emu.MarkMapElement {
		return emu.MarkMapElement{Key: kerneltest.Address(1, host), Mark: mark}
	}
	from := network(mark(0, 0x01000102), mark(1, 0x00010203))
	s := apply(t, from)
	to := netip.AddrPortFrom(kerneltest.Address(0, 0), kerneltest.Port)
	echo(t, namespace(t, s, kerneltest.Host(0, 0)), to)
	expect := func(when string, reach ...bool) {
		t.Helper()
		for i, want := range reach {
			limit := 300 * time.Millisecond // enough to see that nothing answers
			if want {
				limit = kerneltest.Patience
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			c, err := namespace(t, s, kerneltest.Host(1, i)).Dial(ctx, "tcp4", to)
			cancel()
			if err == nil {
				c.Close()
			}
			if (err == nil) != want {
				t.Errorf("%s: host %d: %v", when, i, err)
			}
		}
	}
	expect("at first", true, false, false)
	for _, tt := range []struct {
		when  string
		to    *emu.Network
		reach []bool
	}{
		{"another mark", network(mark(0, 0x01000102), mark(1, 0x1ff)), []bool{true, true, false}},
		{"one goes, one comes", network(mark(1, 0x1ff), mark(2, 0x100)), []bool{false, true, true}},
		{"none", network(), []bool{false, false, false}},
	} {
		change := diff.Networks(from, tt.to)
		if err := s.Update(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		if got := differences(t, tt.to, s); got != "" {
			t.Error(tt.when, got)
		}
		expect(tt.when, tt.reach...)
		from = tt.to
	}
}
