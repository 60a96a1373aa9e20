package kernel

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
)

// everything is a small network with each kind of object.
func everything() *emu.Network {
	n, _ := leafNetwork()
	n.Namespaces[0].Firewall = everyRule()
	n.Namespaces[1].Firewall = everyRule()
	edge := n.Namespaces[len(n.Namespaces)-1]
	edge.Ruleset = everyStatement()
	edge.Loopback = []netip.Addr{addr("168.63.129.16")}
	edge.Routes = []emu.Route{
		{Destination: prefix("198.18.0.0/24"), Device: "main"},
		{Destination: prefix("0.0.0.0/0"), Gateway: addr("203.0.113.1"), Device: "main", OnLink: true},
	}
	n.Sort()
	return n
}

func differences(t *testing.T, want *emu.Network, s *State) string {
	t.Helper()
	all, err := Diff(t.Context(), want, s)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, d := range all {
		lines = append(lines, d.String())
	}
	return strings.Join(lines, "\n")
}

func TestDiffAfterApply(t *testing.T) {
	for name, want := range map[string]*emu.Network{
		"everything": everything(), "subnets": kerneltest.Subnets(3, 4), "nothing": {},
		"bare": {Namespaces: []*emu.Namespace{{Name: "a", Kind: emu.Host}, {Name: "b", Kind: emu.Router}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := differences(t, want, apply(t, want)); got != "" {
				t.Error(got)
			}
		})
	}
}

// TestDiffNamesWhatChanged checks that whatever is changed from outside is found, named and repaired.
func TestDiffNamesWhatChanged(t *testing.T) {
	want := everything()
	s := apply(t, want)
	again := func() { s = apply(t, want) }
	for _, tt := range append(driftOfObjects, driftOfRules...) {
		t.Run(tt.name, func(t *testing.T) {
			n := namespace(t, s, tt.namespace)
			if out := run(t, n, "", "sh", "-ec", tt.change); out != "" {
				t.Log(out)
			}
			got := differences(t, want, s)
			if !regexp.MustCompile("(?m)^" + tt.want + "$").MatchString(got) {
				t.Errorf("wanted a line like\n%s\ngot\n%s", tt.want, got)
			}
			done, err := s.Repair(t.Context(), want)
			if err != nil || len(done.Left) > 0 || len(done.Errors) > 0 || len(done.Repaired) == 0 {
				t.Errorf("repaired: %+v, %v", done, err)
			}
			if got := differences(t, want, s); got != "" {
				t.Errorf("after the repair:\n%s", got)
				again() // for the next change
			}
		})
	}
}

// TestIdleTablesAreNoDifference checks that tables which decide nothing don't count, and that they do as soon as they
// decide something.
func TestIdleTablesAreNoDifference(t *testing.T) {
	host := kerneltest.Host(0, 0)
	want := everything()
	s := apply(t, want)
	for _, tt := range []struct{ namespace, idle, busy, want string }{
		{
			host, "iptables -t raw -F", "iptables -t raw -P PREROUTING DROP",
			"host-0-0: nftables table ip raw is not wanted",
		},
		{
			host, "iptables -t nat -L", "iptables -t nat -A OUTPUT -j ACCEPT",
			"host-0-0: nftables table ip nat is not wanted",
		},
		{"edge", "iptables -F", "iptables -P FORWARD DROP", "edge: nftables table ip filter is not wanted"},
		{
			"edge", "nft 'add table inet more; add chain inet more in { type filter hook input priority 0; " +
				"policy accept; }'",
			"nft add chain inet more in '{ policy drop; }'", "edge: nftables table inet more is not wanted",
		},
		{
			"edge", "nft 'add table bridge more; add chain bridge more regular'",
			"nft add rule bridge more regular drop", "edge: nftables table bridge more is not wanted",
		},
	} {
		n := namespace(t, s, tt.namespace)
		run(t, n, "", "sh", "-ec", tt.idle)
		if got := differences(t, want, s); got != "" {
			t.Errorf("%s: %s", tt.idle, got)
		}
		run(t, n, "", "sh", "-ec", tt.busy)
		if got := differences(t, want, s); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.busy, got, tt.want)
		}
		if done, err := s.Repair(t.Context(), want); err != nil || len(done.Left) > 0 {
			t.Errorf("%s: repaired: %+v, %v", tt.busy, done, err)
		}
	}
}

// What packets count is no difference.
func TestDiffIgnoresCounters(t *testing.T) {
	want := everything()
	s := apply(t, want)
	n, _ := s.Namespace(kerneltest.Host(0, 0))
	c, err := n.Dial(t.Context(), "udp4", netip.MustParseAddrPort("192.0.2.1:53"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := differences(t, want, s); got != "" {
		t.Error(got)
	}
}
