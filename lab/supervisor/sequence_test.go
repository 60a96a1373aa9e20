package supervisor

import (
	"context"
	"flag"
	"testing"

	"pgregory.net/rapid"

	"vnetlab/emu/diff"
	"vnetlab/emu/emulator"
	"vnetlab/emu/kerneltest"
	"vnetlab/emu/text"
	"vnetlab/lab/compile"
	"vnetlab/lab/labtest"
)

// TestRandomOperationsOnARunningLab does operations at random, valid and not, on one running lab. After each one
// packets and oracle agree over all pairs; at the end the kernel has what a fresh start of the same resources would
// have.
func TestRandomOperationsOnARunningLab(t *testing.T) {
	kerneltest.RequireRoot(t)
	checks := flag.Lookup("rapid.checks")
	before := checks.Value.String()
	if err := checks.Value.Set("6"); err != nil {
		t.Fatal(err)
	}
	defer checks.Value.Set(before)
	rapid.Check(t, func(rt *rapid.T) {
		ctx := context.Background()
		l := labtest.Sequence(t)
		compiled := new(compile.Compilation).Next(l)
		e, err := emulator.Start(ctx, compiled.Network, emulator.Options{}, func(emulator.Progress) {})
		if err != nil {
			rt.Fatal(err)
		}
		defer e.Close()
		for n := range rapid.IntRange(1, 10).Draw(rt, "operations") {
			o := labtest.Operation(rt)
			next, err := l.Apply(o)
			if err != nil {
				continue // refused: nothing changed
			}
			before := compiled.Network
			l, compiled = next, compiled.Next(next)
			if _, err := e.Update(ctx, diff.Networks(before, compiled.Network)); err != nil {
				rt.Fatalf("operation %d, %s: %v", n, o, err)
			}
			if bad := disagreementsIn(t, e, l); len(bad) > 0 {
				rt.Fatalf("after operation %d, %s: %d disagreements, the first: %s", n, o, len(bad), bad[0])
			}
		}
		if c := diff.Networks(e.Network(), compile.Network(l)); !c.IsEmpty() {
			rt.Fatalf("the network differs from that of a fresh start:\n%s", text.Change(c))
		}
		differences, err := e.Diff(ctx)
		if err != nil || len(differences) > 0 {
			rt.Fatalf("the kernel differs from a fresh start: %v %v", differences, err)
		}
	})
}
