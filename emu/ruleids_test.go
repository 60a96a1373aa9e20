package emu

import (
	"strings"
	"testing"
)

// TestCheckRules holds that what names two rules, or a report without its drop, is an error that names the id.
func TestCheckRules(t *testing.T) {
	chain := func(name string, rules ...[]Rule) *Chain {
		c := &Chain{Name: name}
		for _, r := range rules {
			c.Rules = append(c.Rules, r...)
		}
		return c
	}
	tcp := MatchProtocol{Protocol: "tcp"}
	accept := []Rule{{Statements: []Statement{Accept{}}}}
	drop := func(id string) []Rule { return DropRules(id, id, Origin{Line: 1}, tcp) }
	named := []Rule{{ID: "a", Statements: []Statement{Goto{Chain: "b"}}}}
	split := drop("a")
	split = []Rule{split[0], accept[0], split[1]}
	other := append(drop("a")[:1:1], DropRules("a", "a", Origin{Line: 1}, MatchProtocol{Protocol: "udp"})[1])
	misnamed := drop("a")
	misnamed[0].ID, misnamed[1].ID = "b", "b"
	guest := func(rules ...FirewallRule) *Firewall { return &Firewall{Rules: rules} }
	block := FirewallRule{ID: "a", Drop: true, Protocol: "tcp", Comment: "block tcp"}
	elsewhere := block
	elsewhere.Origin.Line = 2
	for _, tt := range []struct {
		name     string
		chains   []*Chain
		firewall *Firewall
		want     string // empty: all is well
	}{
		{"pairs", []*Chain{chain("one", drop("a"), accept, drop("b")), chain("two", drop("c"))}, nil, ""},
		{"rules without ids", []*Chain{chain("one", accept, accept)}, nil, ""},
		{"twice in a chain", []*Chain{chain("one", drop("a"), drop("a"))}, nil, `"a" is the id`},
		{"in two chains", []*Chain{chain("one", drop("a")), chain("two", drop("a"))}, nil, `"a" is the id`},
		{"of what permits too", []*Chain{chain("one", named, drop("a"))}, nil, `"a" is the id`},
		{"report alone", []*Chain{chain("one", drop("a")[:1])}, nil, `"a" is not followed`},
		{"something between report and drop", []*Chain{chain("one", split)}, nil, `"a" is not followed`},
		{"report of other packets", []*Chain{chain("one", other)}, nil, `"a" is not followed`},
		{"report under another id", []*Chain{chain("one", misnamed)}, nil, `"b" reports as "a"`},
		{"too long", []*Chain{chain("one", drop(strings.Repeat("x", 128)))}, nil, "more than 127"},
		{"parts of a firewall rule", nil, guest(block, block), ""},
		{"firewall rules", nil, guest(block, elsewhere), `"a" is the id`},
		{"parts of a firewall rule apart", nil, guest(block, FirewallRule{ID: "b"}, block), `"a" is the id`},
		{"the firewall's default", nil, guest(FirewallRule{ID: FirewallDefault}), `"firewall-default" is the id`},
		{"firewall rule without id", nil, guest(FirewallRule{Drop: true}), "has no id"},
		{"firewall rule too long", nil, guest(FirewallRule{ID: strings.Repeat("x", 64)}), "more than 63"},
		{"both kinds", []*Chain{chain("one", drop("a"))}, guest(block), `"a" is the id`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Namespace{Name: "space", Firewall: tt.firewall}
			if tt.chains != nil {
				s.Ruleset = &Ruleset{Chains: tt.chains}
			}
			err := CheckRules(&Network{Namespaces: []*Namespace{s}})
			if tt.want == "" && err != nil {
				t.Errorf("got %v", err)
			}
			if tt.want != "" &&
				(err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "space")) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}
