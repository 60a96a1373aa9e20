package compile_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vnetlab/emu"
	"vnetlab/emu/text"
	"vnetlab/lab"
	"vnetlab/lab/compile"
	"vnetlab/lab/labtest"
)

var update = flag.Bool("update", false, "write the golden files")

func TestGolden(t *testing.T) {
	network := compile.Network(labtest.Everything(t))
	network.Sort()
	var listing bytes.Buffer
	if err := text.WriteNetwork(&listing, network); err != nil {
		t.Fatal(err)
	}
	data, err := json.MarshalIndent(network, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	compareGolden(t, "everything.txt", listing.Bytes())
	compareGolden(t, "everything.json", append(data, '\n'))
}

func compareGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs; if that is meant, run the test with -update:\n%s", name, diff)
	}
}

func TestSameLabSameBytes(t *testing.T) {
	print := func() string {
		var b bytes.Buffer
		if err := text.WriteNetwork(&b, compile.Network(labtest.Everything(t))); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	first := print()
	for range 20 {
		if print() != first {
			t.Fatal("two compilations of one lab differ")
		}
	}
}

// TestLargeSubnet has more instances in a subnet than one bridge can have ports.
func TestLargeSubnet(t *testing.T) {
	l, err := lab.New("large", lab.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	do := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	do(l.CreateVirtualNetwork(lab.VirtualNetwork{
		Name:         "A-network-with-a-long-name",
		Location:     "West US",
		AddressSpace: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Subnets: []lab.Subnet{
			{Name: "a-subnet-with-a-long-name", AddressPrefix: netip.MustParsePrefix("10.0.0.0/16")},
		},
	}))
	do(l.CreateHostedService(lab.HostedService{Name: "workers", Location: "West US"}))
	do(
		l.CreateDeployment(
			"workers",
			lab.PackageDeployment{VirtualNetwork: "A-network-with-a-long-name", Roles: []lab.Role{
				{Name: "Worker", InstanceCount: 1500, Subnet: "a-subnet-with-a-long-name"},
			}},
		),
	)
	network := compile.Network(l)
	check(t, network)
	ports := map[string]int{}
	for _, link := range network.Links {
		for _, e := range []emu.LinkEnd{link.A, link.B} {
			if e.Port != nil {
				ports[e.Port.Bridge]++
			}
		}
	}
	if len(ports) != 6 {
		t.Errorf("got bridges with %v ports, want 6 bridges", ports)
	}
	for bridge, n := range ports {
		if n > 300 {
			t.Errorf("the bridge %s has %d ports", bridge, n)
		}
	}
}

func TestConsistent(t *testing.T) { check(t, compile.Network(labtest.Everything(t))) }

// check holds what the kernel would refuse, or what would be ambiguous.
func check(t *testing.T, n *emu.Network) {
	t.Helper()
	fit := regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
	spaces, interfaces := map[string]bool{}, map[string]bool{}
	for _, s := range n.Namespaces {
		if spaces[s.Name] || !fit.MatchString(s.Name) {
			t.Errorf("the namespace name %q is taken or not fit for a file", s.Name)
		}
		spaces[s.Name] = true
		for _, b := range s.Bridges {
			interfaces[s.Name+" "+b.Name] = true
		}
	}
	for _, l := range n.Links {
		for _, e := range []emu.LinkEnd{l.A, l.B} {
			key := e.Namespace + " " + e.Name
			if !spaces[e.Namespace] || interfaces[key] || len(e.Name) > 15 {
				t.Errorf("the interface %s is taken, too long or in no namespace", key)
			}
			interfaces[key] = true
		}
		if l.A.MAC == l.B.MAC {
			t.Errorf("both ends of %s %s have the same address", l.A.Namespace, l.A.Name)
		}
	}
	if err := emu.CheckRules(n); err != nil {
		t.Error(err)
	}
	for _, s := range n.Namespaces {
		for _, r := range s.Routes {
			if !interfaces[s.Name+" "+r.Device] {
				t.Errorf("%s: %s: no such device", s.Name, r)
			}
		}
		if s.Ruleset != nil {
			checkRuleset(t, s.Name, s.Ruleset)
		}
		if s.Firewall != nil {
			for _, r := range s.Firewall.Rules {
				if len(r.ID) > 60 || len(r.Comment) > 200 {
					t.Errorf("%s: id or comment too long: %v", s.Name, r)
				}
			}
		}
	}
}

func checkRuleset(t *testing.T, where string, r *emu.Ruleset) {
	t.Helper()
	chains := map[string]bool{}
	for _, c := range r.Chains {
		if chains[c.Name] {
			t.Errorf("%s: two chains %s", where, c.Name)
		}
		chains[c.Name] = true
	}
	called := func(name string) {
		if !chains[name] {
			t.Errorf("%s: no chain %s", where, name)
		}
	}
	for _, m := range r.Sockets {
		for _, e := range m.Elements {
			called(e.Chain)
		}
	}
	for _, c := range r.Chains {
		for _, rule := range c.Rules {
			if len(rule.ID) > 127 || len(rule.Comment) > 127 {
				t.Errorf("%s: id or comment too long: %s", where, rule)
			}
			for _, s := range rule.Statements {
				if s, ok := s.(emu.Goto); ok {
					called(s.Chain)
				}
			}
		}
	}
}
