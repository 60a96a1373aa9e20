package kernel

import (
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
)

// TestWatch checks that each change of what decides in a namespace makes another version, even if it is undone at once,
// and that traffic and reading make none.
func TestWatch(t *testing.T) {
	state := apply(t, kerneltest.Subnets(1, 2))
	host, ok := state.Namespace(kerneltest.Host(0, 0))
	if !ok {
		t.Fatal("no host")
	}
	w, err := host.Watch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	version := func() Version {
		t.Helper()
		v, err := w.Version()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, command := range []string{
		"iptables -A INPUT -p tcp --dport 1433 -j ACCEPT", "iptables -D INPUT -p tcp --dport 1433 -j ACCEPT",
		"iptables -P INPUT ACCEPT", "iptables -P INPUT DROP",
		"iptables -A OUTPUT -j ACCEPT", "nft add table inet x", "nft delete table inet x",
		"ip address add 10.9.9.9/32 dev lo", "ip address del 10.9.9.9/32 dev lo",
		"ip route add 10.8.0.0/16 dev eth0", "ip route del 10.8.0.0/16 dev eth0",
		"ip rule add from 10.8.0.0/16 table main", "ip link set eth0 mtu 1300",
		"tc qdisc add dev eth0 root pfifo limit 3", "ip nexthop add id 7 blackhole", "ip nexthop del id 7",
		"sysctl -qw net.ipv4.conf.eth0.forwarding=1",
	} {
		before := version()
		run(t, host, "", "sh", "-c", command)
		if after := version(); after == before {
			t.Errorf("%s: the same version", command)
		}
	}
	for _, command := range []string{
		"iptables -S", "nft list ruleset", "ip address",
		"ping -c 1 -W 1 10.0.0.5 || true", "cat /proc/net/tcp",
	} {
		before := version()
		run(t, host, "", "sh", "-c", command)
		if after := version(); after != before {
			t.Errorf("%s: another version", command)
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if _, err := w.Version(); err == nil {
		t.Error("a closed watch knows a version")
	}
}

// TestDiffNamespace checks that one namespace is compared as all are, including the other chains of its filter table.
func TestDiffNamespace(t *testing.T) {
	want := kerneltest.Subnets(2, 2)
	state := apply(t, want)
	comparer := NewComparer()
	compare := func(want *emu.Network, n *Namespace) ([]Difference, error) {
		c, err := comparer.Compare(t.Context(), want, n)
		if c.Unwatched {
			t.Error("the rules are in nftables")
		}
		return c.Differences, err
	}
	for _, n := range state.Namespaces() {
		for range 2 {
			if got, err := compare(want, n); err != nil || len(got) > 0 {
				t.Fatalf("%s: %v, %v", n.Name, err, got)
			}
		}
	}
	host, _ := state.Namespace(kerneltest.Host(0, 0))
	for _, tt := range []struct{ change, undo, want string }{
		{
			"iptables -A OUTPUT -p tcp -j REJECT", "iptables -F OUTPUT",
			"host-0-0: iptables chain OUTPUT rule 1 is not wanted: found -A OUTPUT -p tcp -j REJECT --reject-with " +
				"icmp-port-unreachable",
		},
		{
			"iptables -P FORWARD DROP", "iptables -P FORWARD ACCEPT",
			"host-0-0: iptables chain FORWARD is not wanted: found policy DROP",
		},
		{"iptables -N more", "iptables -X more", "host-0-0: iptables chain more is not wanted: found it"},
		{
			"iptables -I INPUT -j ACCEPT", "iptables -D INPUT -j ACCEPT",
			"host-0-0: iptables chain INPUT rule 1 is not wanted: found -A INPUT -j ACCEPT",
		},
		{
			"ip route add 10.8.0.0/16 dev eth0", "ip route del 10.8.0.0/16",
			"host-0-0: route 10.8.0.0/16 is not wanted: found device eth0",
		},
	} {
		run(t, host, "", "sh", "-c", tt.change)
		got, err := compare(want, host)
		found := false
		for _, d := range got {
			found = found || d.String() == tt.want
		}
		if err != nil || !found {
			t.Errorf("%s: %v, %v, want %s", tt.change, err, got, tt.want)
		}
		run(t, host, "", "sh", "-c", tt.undo)
		if got, err := DiffNamespace(t.Context(), want, host); err != nil || len(got) > 0 {
			t.Errorf("%s: %v, %v", tt.undo, err, got)
		}
	}
	got, err := compare(&emu.Network{}, host)
	if err != nil || len(got) != 1 || got[0].Object != "namespace" {
		t.Errorf("%v, %v", err, got)
	}
}
