package diff

import (
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/internal/emutest"
)

// A change is checked where it adds or changes rules, and nowhere else: what is there already was checked before.
func TestCheckRulesOfChange(t *testing.T) {
	twice := append(emu.DropRules("a", "a", emu.Origin{}), emu.DropRules("a", "a", emu.Origin{})...)
	spoilt := func() *emu.Network {
		n := emutest.Small()
		n.Namespaces[0].Ruleset.Chains[0].Rules = twice
		return n
	}
	renamed := spoilt()
	renamed.Namespaces[0].Hostname = "other"
	guest := emutest.Small()
	guest.Namespaces[1].Firewall.Rules[0].ID = emu.FirewallDefault
	for _, tt := range []struct {
		name     string
		from, to *emu.Network
		refused  bool
	}{
		{"added", &emu.Network{}, spoilt(), true},
		{"changed", emutest.Small(), spoilt(), true},
		{"changed firewall", emutest.Small(), guest, true},
		{"removed", spoilt(), &emu.Network{}, false},
		{"good rules", &emu.Network{}, emutest.Small(), false},
		{"something else changed", spoilt(), renamed, false},
	} {
		if err := Networks(tt.from, tt.to).CheckRules(); (err != nil) != tt.refused {
			t.Errorf("%s: %v, want refused: %v", tt.name, err, tt.refused)
		}
	}
}
