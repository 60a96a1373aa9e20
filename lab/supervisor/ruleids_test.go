package supervisor

import (
	"fmt"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/emulator"
	"vnetlab/emu/kerneltest"
	"vnetlab/lab"
	"vnetlab/lab/compile"
	"vnetlab/lab/expect"
	"vnetlab/lab/labtest"
	"vnetlab/lab/oracle"
)

// TestSameEndpointNames has endpoints of one name at several machines, roles and slots: the rule that dropped a packet
// is that of the machine or role which was asked, in its text and in the line of the lab file, before and after a swap.
func TestSameEndpointNames(t *testing.T) {
	kerneltest.RequireRoot(t)
	l := labtest.SameNames(t)
	e, err := emulator.Start(t.Context(), compile.Network(l), emulator.Options{Patience: kerneltest.Patience}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	check := func(to string, line int, text string) {
		t.Helper()
		target, err := lab.ParseTarget(to)
		if err != nil {
			t.Fatal(err)
		}
		for from, want := range map[string]int{"denied": line, "stranger": 1000 + line} {
			p, err := oracle.Predict(l, from, target)
			if err != nil {
				t.Fatal(err)
			}
			wanted, err := l.EmuTarget(target)
			if err != nil {
				t.Fatal(err)
			}
			o := e.Probe(t.Context(), from, wanted)
			if o.Verdict != emu.Blocked || o.By == nil || o.By.Origin.Line != want ||
				!strings.Contains(o.By.Text, text) {
				t.Errorf("%s to %s: %+v by %+v, want line %d and %q", from, to, o, o.By, want, text)
			}
			if d := expect.Difference(p, o); d != "" {
				t.Errorf("%s to %s: %s", from, to, d)
			}
		}
	}
	slots := func(production, staging int) {
		t.Helper()
		shop, _ := l.CloudService("shop")
		for port, role := range map[int]string{301: "Web", 302: "Admin"} {
			text := fmt.Sprintf("Endpoint1 of %s (tcp %d)", role, port)
			check(fmt.Sprintf("%s:%d", shop.Production.VIP, port), port+production, text)
			check(fmt.Sprintf("%s:%d", shop.Staging.VIP, port), port+staging, text)
		}
	}
	for _, c := range []struct {
		service, machine string
		port             int
	}{{"one", "one-a", 101}, {"one", "one-b", 111}, {"two", "two-a", 102}, {"two", "two-b", 112}} {
		check(
			fmt.Sprintf("desk-%s.cloudapp.net:%d", c.service, c.port),
			c.port,
			fmt.Sprintf("RDP of %s (tcp %d)", c.machine, c.port),
		)
	}
	slots(0, 100)
	swapped, err := l.Apply(lab.SwapDeploymentOp{Service: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Update(t.Context(), diff.Networks(e.Network(), compile.Network(swapped))); err != nil {
		t.Fatal(err)
	}
	l = swapped
	slots(100, 0)
}
