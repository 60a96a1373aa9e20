package kernel

import (
	"net/netip"
	"testing"

	"vnetlab/emu/diff"
	"vnetlab/emu/kerneltest"
)

// TestRepairMuch breaks many things at once, and holds that all is mended, that connections of others go on
// meanwhile, and that the state can be changed afterwards.
func TestRepairMuch(t *testing.T) {
	want := kerneltest.Subnets(2, 4)
	edge, _ := want.Namespace(kerneltest.Edge)
	edge.Ruleset = everyStatement()
	s := apply(t, want)
	in := func(name string) *Namespace {
		n, ok := s.Namespace(name)
		if !ok {
			t.Fatalf("no namespace %s", name)
		}
		return n
	}
	at := func(i int) netip.AddrPort { return netip.AddrPortFrom(kerneltest.Address(0, i), kerneltest.Port) }
	for i := range 4 {
		echo(t, in(kerneltest.Host(0, i)), netip.AddrPortFrom(netip.IPv4Unspecified(), kerneltest.Port))
	}
	going := connect(t, in(kerneltest.Host(0, 2)), at(3))
	going.lives(t, "before")
	for name, script := range map[string]string{
		"edge": `ip link del h0-1; ip route flush table main; nft flush ruleset
			echo 0 > /proc/sys/net/ipv4/ip_forward; ip rule add from all blackhole priority 5
			ip neigh flush dev subnet0 nud permanent
			ip link add foreign type dummy 2>/dev/null || ip link add foreign type bridge
			ip rule add from 10.99.0.0/16 blackhole priority 1000`,
		kerneltest.Host(0, 0): `iptables -F; iptables -P INPUT ACCEPT; iptables -A OUTPUT -j DROP
			iptables -t mangle -A INPUT -j DROP; nft add table inet foreign
			ip link set eth0 down; ip addr add 10.98.0.1/16 dev lo; ip route add blackhole 10.97.0.0/16
			tc qdisc add dev lo root pfifo limit 1; ip link set eth0 name eth9`,
	} {
		run(t, in(name), "", "sh", "-c", script)
	}
	done, err := s.Repair(t.Context(), want)
	if err != nil || len(done.Left) > 0 || len(done.Errors) > 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	if got := differences(t, want, s); got != "" {
		t.Errorf("left:\n%s", got)
	}
	if len(done.Repaired) < 20 {
		t.Errorf("only %d differences were seen: %v", len(done.Repaired), done.Repaired)
	}
	going.lives(t, "after")
	connect(t, in(kerneltest.Host(0, 0)), at(1)).lives(t, "anew")

	to := *want
	to.Namespaces = nil
	gone := kerneltest.Host(0, 1)
	for _, n := range want.Namespaces {
		if n.Name != gone {
			to.Namespaces = append(to.Namespaces, n)
		}
	}
	to.Links = nil
	for _, l := range want.Links {
		if l.A.Namespace != gone && l.B.Namespace != gone {
			to.Links = append(to.Links, l)
		}
	}
	if err := s.Update(t.Context(), diff.Networks(want, &to)); err != nil {
		t.Errorf("a change after the repair: %v", err)
	}
	if done, err := s.Repair(t.Context(), &to); err != nil || len(done.Repaired)+len(done.Left) > 0 {
		t.Errorf("nothing is to be done: %+v, %v", done, err)
	}
}
