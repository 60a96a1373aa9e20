package oracle_test

import (
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/labtest"
	"vnetlab/lab/oracle"
)

func TestMembersTruthTable(t *testing.T) {
	l := labtest.Unlike(t)
	const members = "mixed: web1 open, seen as SOURCE; web2 blocked by web2 firewall-default; web3 refused"
	for _, tt := range []struct{ from, to, want string }{
		{"host0", "web.cloudapp.net:80", strings.Replace(members, "SOURCE", "203.0.113.4", 1)},
		{"host0", "web.cloudapp.net:80/udp", strings.Replace(members, "SOURCE", "203.0.113.4", 1)},
		{"firstOne", "web.cloudapp.net:80", strings.Replace(members, "SOURCE", "198.18.0.17", 1)},
		{"web2", "web.cloudapp.net:80", "mixed: web1 open, seen as 198.18.0.16; web2 blocked by edge.web.cloudapp.net hairpin-to-self; web3 refused"},
		{"site", "web.cloudapp.net:80", strings.Replace(members, "SOURCE", "198.18.16.2", 1)},
		{"site", "web.cloudapp.net:83", strings.Replace(members, "SOURCE", "198.18.16.2", 1) + "; edge.web.cloudapp.net blocked by edge.web.cloudapp.net acl:web/listed:tcp/83:1"},
		{"firstOne", "secondOne:1433", "open by secondOne, seen as 10.0.1.4"},
		{"firstOne", "secondTwo:1433", "wrong-host by secondOne, seen as 10.0.1.4"},
		{"firstOne", "secondTwo:1434", "wrong-host by secondOne"},
		{"firstOne", "secondTwo:1435", "blocked by secondOne firewall-default"},
		{"firstOne", "firstTwo:1433", "wrong-host by firstOne, seen as 10.0.1.4"},
		{"firstOne", "10.0.1.5:1433", "open by secondOne, seen as 10.0.1.4"},
		{"firstOne", "10.0.1.5:1434", "refused"},
	} {
		got, err := oracle.Predict(l, tt.from, target(t, tt.to))
		if err != nil || got.String() != tt.want {
			t.Errorf("%s to %s: %v\ngot  %s\nwant %s", tt.from, tt.to, err, got, tt.want)
		}
	}
}

// TestOneMemberPerSource has a set give each source one member, and different sources different ones.
func TestOneMemberPerSource(t *testing.T) {
	l := labtest.Unlike(t)
	for _, port := range []string{"81", "82"} {
		verdicts := map[emu.Verdict]bool{}
		for _, h := range l.InternetHosts {
			p, err := oracle.Predict(l, h.Name, target(t, "web.cloudapp.net:"+port))
			if err != nil || len(p.Members) > 0 {
				t.Errorf("%s: %s, %v", h.Name, p, err)
			}
			verdicts[p.Verdict] = true
		}
		if len(verdicts) != 3 {
			t.Errorf("port %s: %v", port, verdicts)
		}
		if p, err := oracle.Predict(l, "site", target(t, "web.cloudapp.net:"+port)); err != nil || len(p.Members) > 3 {
			t.Errorf("port %s from a web site: %s, %v", port, p, err)
		}
	}
}

func target(t *testing.T, text string) lab.Target {
	t.Helper()
	to, err := lab.ParseTarget(text)
	if err != nil {
		t.Fatal(err)
	}
	return to
}
