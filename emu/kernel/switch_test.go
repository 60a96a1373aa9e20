package kernel

import (
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/kerneltest"
)

// guarded is a network whose ports let in the hosts' own addresses, but for those of one host.
func guarded(without int) *emu.Network {
	n := kerneltest.Subnets(1, 3)
	edge, _ := n.Namespace(kerneltest.Edge)
	ports := emu.PortSet{Name: "machines"}
	for _, l := range n.Links {
		if a := l.B.Addresses[0].Addr(); a != kerneltest.Address(0, without) {
			ports.Elements = append(ports.Elements, emu.PortAddress{Device: l.A.Name, Address: a})
		}
	}
	rules := append([]emu.Rule{
		with(emu.MatchPortAddress{Set: "machines"}, emu.Accept{}),
		with(emu.MatchPortARP{Set: "machines"}, emu.Accept{}),
	}, emu.DropRules("spoofed", "not its own", emu.Origin{}, emu.MatchIPv4{})...)
	edge.Switch = &emu.Ruleset{
		Family: emu.BridgeFamily, Table: "lab", Ports: []emu.PortSet{ports},
		Chains: []*emu.Chain{{Name: "prerouting", Hook: emu.SwitchHook, Rules: rules}},
	}
	// A table of the other family with chains and sets of the same names.
	edge.Ruleset = &emu.Ruleset{Table: "lab", Chains: []*emu.Chain{
		{Name: "prerouting", Hook: emu.RawHook, Rules: []emu.Rule{with(emu.Counter{})}},
	}}
	return n
}

// TestSwitchIsObserved holds that what is missing from, added to and different in the rules of bridges is found.
func TestSwitchIsObserved(t *testing.T) {
	kerneltest.RequirePrograms(t, "nft")
	want := guarded(-1)
	s := apply(t, want)
	if d := differences(t, want, s); d != "" {
		t.Fatal(d)
	}
	edge := namespace(t, s, kerneltest.Edge)
	for _, tt := range []struct{ change, back, found string }{
		{
			`delete element bridge lab machines { "h0-0" . 10.0.0.4 }`,
			`add element bridge lab machines { "h0-0" . 10.0.0.4 }`,
			`nftables bridge set machines element "h0-0" . 10.0.0.4 is missing`,
		},
		{
			`add element bridge lab machines { "h0-0" . 10.0.0.5 }`,
			`delete element bridge lab machines { "h0-0" . 10.0.0.5 }`,
			`element "h0-0" . 10.0.0.5 is not wanted`,
		},
		{`insert rule bridge lab prerouting accept`, "", "nftables bridge chain prerouting rule 1"},
		{`delete table bridge lab`, "", "nftables table bridge lab is missing"},
	} {
		run(t, edge, tt.change, "nft", "-f", "-")
		if d := differences(t, want, s); !strings.Contains(d, tt.found) {
			t.Errorf("%s: want %q, found %s", tt.change, tt.found, d)
		}
		if tt.back != "" {
			run(t, edge, tt.back, "nft", "-f", "-")
			if d := differences(t, want, s); d != "" {
				t.Errorf("%s: %s", tt.back, d)
			}
		}
	}
}

// TestSwitchChanges holds that the rules of bridges come, change and go with an update, and by whom a port is used
// meanwhile.
func TestSwitchChanges(t *testing.T) {
	none := guarded(-1)
	edge, _ := none.Namespace(kerneltest.Edge)
	edge.Switch = nil
	steps := []*emu.Network{guarded(-1), guarded(2), guarded(-1), none, guarded(0)}
	s := apply(t, steps[0])
	for i, to := range steps[1:] {
		if err := s.Update(t.Context(), diff.Networks(steps[i], to)); err != nil {
			t.Fatal(err)
		}
		if d := differences(t, to, s); d != "" {
			t.Errorf("after step %d: %s", i+1, d)
		}
	}
}

// TestWithoutSwitches holds that a kernel which has no rules for bridges has everything else.
func TestWithoutSwitches(t *testing.T) {
	if err := trySwitch(); err != nil {
		t.Skip("this is such a kernel:", err)
	}
	noSwitches.Store(true)
	defer noSwitches.Store(false)
	want := guarded(-1)
	s := apply(t, want)
	if d := differences(t, want, s); d != "" {
		t.Error(d)
	}
	next := guarded(1)
	edge, _ := next.Namespace(kerneltest.Edge)
	edge.Ruleset.Chains[0].Rules = nil
	if err := s.Update(t.Context(), diff.Networks(want, next)); err != nil {
		t.Error(err)
	}
	if d := differences(t, next, s); d != "" {
		t.Error(d)
	}
	if out := run(t, namespace(t, s, kerneltest.Edge), "", "nft", "list", "tables"); strings.Contains(out, "bridge") {
		t.Errorf("there are rules for bridges:\n%s", out)
	}
}
