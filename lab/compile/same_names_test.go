package compile_test

import (
	"fmt"
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/lab"
	"vnetlab/lab/compile"
	"vnetlab/lab/labtest"
	"vnetlab/lab/oracle"
)

// TestSameNames holds that a prediction names the rule of the very machine or role, whatever others are called: the
// rule that the network has under that id comes from that line. A swap of the VIPs moves no rule and renames none.
func TestSameNames(t *testing.T) {
	l := labtest.SameNames(t)
	check := func(to string, line int) {
		t.Helper()
		network := compile.Network(l)
		if err := emu.CheckRules(network); err != nil {
			t.Fatal(err)
		}
		target, err := lab.ParseTarget(to)
		if err != nil {
			t.Fatal(err)
		}
		for from, want := range map[string]int{"denied": line, "stranger": 1000 + line} {
			p, err := oracle.Predict(l, from, target)
			if err != nil || len(p.Members) > 0 || p.By == nil {
				t.Fatalf("%s to %s: %v, %v", from, to, p, err)
			}
			by := p.By
			rule, ok := network.Rule(by.Namespace, by.ID)
			if !ok || rule.Origin.Line != want {
				t.Errorf(
					"%s to %s: %s: got %t, line %d (%s), want line %d",
					from,
					to,
					by.ID,
					ok,
					rule.Origin.Line,
					rule.Text,
					want,
				)
			}
		}
	}
	vips := func(production, staging int) {
		t.Helper()
		shop, _ := l.CloudService("shop")
		for port := 301; port <= 302; port++ {
			check(fmt.Sprintf("%s:%d", shop.Production.VIP, port), port+production)
			check(fmt.Sprintf("%s:%d", shop.Staging.VIP, port), port+staging)
		}
	}
	for _, service := range []struct {
		name string
		port int
	}{{"one", 101}, {"two", 102}} {
		check(fmt.Sprintf("desk-%s.cloudapp.net:%d", service.name, service.port), service.port)
		check(fmt.Sprintf("desk-%s.cloudapp.net:%d", service.name, service.port+10), service.port+10)
	}
	vips(0, 100)
	swapped, err := l.Apply(lab.SwapDeploymentOp{Service: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range diff.Networks(compile.Network(l), compile.Network(swapped)).Changed {
		if n.Ruleset != nil && len(n.Ruleset.Chains) > 0 {
			t.Errorf("a swap changes %d chains of %s", len(n.Ruleset.Chains), n.To.Name)
		}
	}
	l = swapped
	vips(100, 0)
}
