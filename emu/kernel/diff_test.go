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
	host := kerneltest.Host(0, 0)
	want := everything()
	s := apply(t, want)
	again := func() { s = apply(t, want) }
	for _, tt := range []struct{ name, namespace, change, want string }{
		{"mtu", host, "ip link set eth0 mtu 1300", "host-0-0: link eth0 mtu: wanted 1400, found 1300"},
		{
			"mac", host, "ip link set eth0 address 02:00:00:00:00:99",
			"host-0-0: link eth0 mac: wanted 02:00:0a:00:00:04, found 02:00:00:00:00:99",
		},
		{"down", "edge", "ip link set p0 down", "edge: link p0 state: wanted up, found down"},
		{"loopback down", host, "ip link set lo down", "host-0-0: link lo state: wanted up, found down"},
		{"link missing", "edge", "ip link del p1", "edge: link p1 is missing: wanted .*kind veth.*"},
		{
			"link extra", host, "ip link add more type bridge",
			"host-0-0: link more is not wanted: found .*kind bridge.*",
		},
		{"master", "edge", "ip link set p1 master leaf0", "edge: link p1 bridge: wanted main, found leaf0"},
		{"no master", "edge", "ip link set p1 nomaster", "edge: link p1 bridge: wanted main, found none"},
		{"port flag", "edge", "bridge link set dev p0 flood on", "edge: link p0 flood: wanted off, found on"},
		{
			"broadcast flag", "edge", "bridge link set dev p0 bcast_flood on",
			"edge: link p0 bcast_flood: wanted off, found on",
		},
		{
			"proxy arp", "edge", "ip link set p0 type bridge_slave proxy_arp off",
			"edge: link p0 proxy_arp: wanted on, found off",
		},
		{"learning", "edge", "bridge link set dev up0 learning on", "edge: link up0 learning: wanted off, found on"},
		{"arp", "edge", "ip link set leaf0 arp on", "edge: link leaf0 arp: wanted off, found none"},
		{
			"FDB entry missing", "edge", "bridge fdb del 02:00:0a:00:00:04 dev p0 master",
			"edge: FDB entry 02:00:0a:00:00:04 behind p0 is missing: wanted it",
		},
		{
			"FDB entry extra", "edge", "bridge fdb add 02:00:00:00:00:99 dev p0 master static",
			"edge: FDB entry 02:00:00:00:00:99 behind p0 is not wanted: found it",
		},
		{
			"address missing", host, "ip addr add 10.9.0.1/24 dev eth0; ip addr del 10.0.0.4/22 dev eth0",
			"host-0-0: address 10.0.0.4/22 on eth0 is missing: wanted it",
		},
		{
			"address extra", host, "ip addr add 10.9.0.1/24 dev eth0",
			"host-0-0: address 10.9.0.1/24 on eth0 is not wanted: found it",
		},
		{
			"loopback address", "edge", "ip addr del 168.63.129.16/32 dev lo",
			"edge: address 168.63.129.16/32 on lo is missing: wanted it",
		},
		{
			"route missing", host, "ip route del default",
			"host-0-0: route 0.0.0.0/0 is missing: wanted device eth0, gateway 10.0.0.1",
		},
		{
			"route extra", host, "ip route add blackhole 192.0.2.0/24",
			"host-0-0: route 192.0.2.0/24 is not wanted: found .*type 6",
		},
		{
			"gateway", host, "ip route replace default via 10.0.0.5",
			"host-0-0: route 0.0.0.0/0 gateway: wanted 10.0.0.1, found 10.0.0.5",
		},
		{
			"onlink", "edge", "ip route del default; ip addr add 203.0.113.2/24 dev main; ip route add default via 203.0.113.1; ip addr del 203.0.113.2/24 dev main",
			"edge: route 0.0.0.0/0 .*",
		},
		{
			"neighbor missing", "edge", "ip neigh del 10.0.0.4 dev main",
			"edge: neighbor 10.0.0.4 on main is missing: wanted mac 02:00:0a:00:00:04",
		},
		{
			"neighbor changed", "edge", "ip neigh replace 10.0.0.4 dev main lladdr 02:00:00:00:00:99 nud permanent",
			"edge: neighbor 10.0.0.4 on main mac: wanted 02:00:0a:00:00:04, found 02:00:00:00:00:99",
		},
		{
			"neighbor extra", host, "ip neigh add 10.0.0.9 dev eth0 lladdr 02:00:00:00:00:99 nud permanent",
			"host-0-0: neighbor 10.0.0.9 on eth0 is not wanted: found mac 02:00:00:00:00:99",
		},
		{
			"sysctl", "edge", "echo 0 > /proc/sys/net/ipv4/ip_forward",
			"edge: sysctl net/ipv4/ip_forward value: wanted 1, found 0",
		},

		{"table missing", "edge", "nft delete table ip lab", "edge: nftables table ip lab is missing: wanted it"},
		{
			"table extra", host, "nft 'add table ip more; add chain ip more c; add rule ip more c drop'",
			"host-0-0: nftables table ip more is not wanted: found it",
		},
		{"chain extra", "edge", "nft add chain ip lab more", "edge: nftables chain more is not wanted: found it"},
		{
			"chain policy", "edge", "nft chain ip lab forward '{ policy accept; }'",
			"edge: nftables chain forward hook: wanted type filter hook forward priority filter; policy drop;, found .*",
		},
		{
			"set extra", "edge", "nft add set ip lab more '{ type ipv4_addr; }'",
			"edge: nftables set more is not wanted: found interval off, map off",
		},
		{
			"set element missing", "edge", "nft delete element ip lab spaces '{ 10.1.0.0/16 }'",
			"edge: nftables set spaces element 10.1.0.0-10.1.255.255 is missing: wanted it",
		},
		{
			"set element extra", "edge", "nft add element ip lab pairs '{ 10.0.0.7 . 10.0.0.8 }'",
			`edge: nftables set pairs element 10.0.0.7 \. 10.0.0.8 is not wanted: found it`,
		},
		{
			"mark", "edge",
			"nft delete element ip lab marks '{ 10.0.0.4 }'; nft add element ip lab marks '{ 10.0.0.4 : 7 }'",
			"edge: nftables set marks element 10.0.0.4 value: wanted 0x01020304, found 0x00000007",
		},
		{
			"map element", "edge",
			"nft delete element ip lab vips '{ 10.0.0.4 }'; nft add element ip lab vips '{ 10.0.0.4 : 198.18.0.9 }'",
			"edge: nftables set vips element 10.0.0.4 value: wanted 198.18.0.4, found 198.18.0.9",
		},
		{
			"endpoint", "edge", "nft delete element ip lab endpoints '{ 198.18.0.4 . udp . 53 }'; nft add element ip lab endpoints '{ 198.18.0.4 . udp . 53 : goto two }'",
			`edge: nftables set endpoints element 198.18.0.4 \. udp \. 53 value: wanted goto one, found goto two`,
		},
		{
			"rule missing", "edge", "nft flush chain ip lab input",
			"edge: nftables chain input rule 1 is missing: wanted ct state established,related accept",
		},
		{
			"rule extra", "edge", "nft insert rule ip lab forward udp dport 99 accept comment '\"hole\"'",
			`edge: nftables chain forward rule 1 is not wanted: found a rule of meta, cmp, payload, cmp, accept with comment "hole"`,
		},
		{
			"rule changed", "edge", "nft replace rule ip lab input handle $(nft -a list chain ip lab input | sed -n 's/.*accept # handle //p') ct state established accept",
			"edge: nftables chain input rule 1: wanted ct state established,related accept, found a rule of ct, bitwise, cmp, accept",
		},
		{
			"distribution", "edge", "nft flush chain ip lab web.tcp-57500; nft add rule ip lab web.tcp-57500 meta l4proto tcp dnat ip to jhash ip saddr . ip daddr mod 1 seed 0x1 map '{ 0 : 10.0.0.4 . 81 }'",
			"edge: nftables chain web.tcp-57500 rule 1: wanted .*jhash .* found a rule of .*",
		},

		{
			"firewall rule missing", host, "iptables -D INPUT 1",
			"host-0-0: iptables chain INPUT rule 1 is missing: wanted -A INPUT -i lo -j ACCEPT",
		},
		{
			"firewall rule extra", host, "iptables -I INPUT -p tcp --dport 1 -j ACCEPT",
			"host-0-0: iptables chain INPUT rule 1 is not wanted: found -A INPUT -p tcp -m tcp --dport 1 -j ACCEPT",
		},
		{
			"firewall policy", host, "iptables -P INPUT ACCEPT",
			"host-0-0: iptables chain INPUT policy: wanted DROP, found ACCEPT",
		},
		{
			"output", host, "iptables -A OUTPUT -p tcp --dport 80 -j DROP",
			"host-0-0: iptables chain OUTPUT rule 1 is not wanted: found -A OUTPUT -p tcp -m tcp --dport 80 -j DROP",
		},
		{
			"output policy", host, "iptables -P OUTPUT DROP",
			"host-0-0: iptables chain OUTPUT is not wanted: found policy DROP",
		},
		{
			"raw table", host, "iptables -t raw -A PREROUTING -j DROP",
			"host-0-0: nftables table ip raw is not wanted: found it",
		},
		{
			"mangle table", host, "iptables -t mangle -A PREROUTING -j DROP",
			"host-0-0: nftables table ip mangle is not wanted: found it",
		},
		{
			"nat table", host, "iptables -t nat -A OUTPUT -p tcp -j REDIRECT --to-ports 1",
			"host-0-0: nftables table ip nat is not wanted: found it",
		},
		{
			"mangle table of an edge", "edge", "iptables -t mangle -A FORWARD -j DROP",
			"edge: nftables table ip mangle is not wanted: found it",
		},
		{
			"older tables", host, "iptables-legacy -t mangle -A INPUT -j DROP",
			"host-0-0: older iptables table mangle chain INPUT rule 1 is not wanted: found -A INPUT -j DROP",
		},
		{
			"older policy", "edge", "iptables-legacy -P FORWARD DROP",
			"edge: older iptables table filter chain FORWARD is not wanted: found policy DROP",
		},
		{
			"firewall rule by nft", host, "nft insert rule ip filter INPUT ip saddr { 10.0.0.1, 10.0.0.2 } drop",
			"host-0-0: iptables chain INPUT rule 1 is not wanted: found -A INPUT .*",
		},
		{
			"table of another family", host,
			"nft 'add table netdev more; add chain netdev more c; add rule netdev more c drop'",
			"host-0-0: nftables table netdev more is not wanted: found it",
		},
		{
			"bridge table", "edge", "nft 'add table bridge more; add chain bridge more c; add rule bridge more c drop'",
			"edge: nftables table bridge more is not wanted: found it",
		},
		{
			"table asleep", "edge", "nft add table ip lab '{ flags dormant; }'",
			"edge: nftables table ip lab dormant: wanted none, found yes",
		},
		{
			"firewall asleep", host, "nft add table ip filter '{ flags dormant; }'",
			"host-0-0: nftables table ip filter is not wanted: found dormant yes",
		},
		{
			"routing rule", host, "ip rule add from 10.0.0.0/8 priority 100 blackhole",
			"host-0-0: routing rule 100 from 10.0.0.0/8 blackhole is not wanted: found it",
		},
		{
			"routing rule to a table", "edge", "ip rule add fwmark 7 iif main priority 9 lookup 77",
			"edge: routing rule 9 fwmark 0x7 iif main lookup 77 is not wanted: found it",
		},
		{
			"routing rule missing", host, "ip rule del priority 32766",
			"host-0-0: routing rule 32766 lookup main is missing: wanted it",
		},
		{
			"route of another table", host, "ip route add default via 10.0.0.9 table 100",
			"host-0-0: route 0.0.0.0/0 in table 100 is not wanted: found device eth0, gateway 10.0.0.9",
		},
		{
			"local route", host, "ip route add local 10.77.0.0/16 dev lo",
			"host-0-0: route 10.77.0.0/16 in table local is not wanted: found device lo, type 2",
		},
		{
			"route in the kernel's name", host, "ip route add blackhole 10.77.0.0/16 proto kernel",
			"host-0-0: route 10.77.0.0/16 is not wanted: found .*type 6",
		},
		{
			"route of an address", host, "ip route del 10.0.0.0/22 dev eth0",
			"host-0-0: address 10.0.0.4/22 on eth0 lost: wanted none, found 10.0.0.0/22 on eth0",
		},
		{
			"local route of an address", host, "ip route del local 10.0.0.4 dev eth0 table local",
			"host-0-0: address 10.0.0.4/22 on eth0 lost: wanted none, found local 10.0.0.4/32 on eth0",
		},
		{
			"loopback's address", host, "ip addr del 127.0.0.1/8 dev lo",
			"host-0-0: address 127.0.0.1/8 on lo is missing: wanted it",
		},
		{
			"queue", host, "tc qdisc add dev eth0 root pfifo limit 3",
			"host-0-0: queueing discipline pfifo at the root of eth0 is not wanted: found it",
		},
		{
			"filter before the queue", "edge", "tc qdisc add dev main ingress",
			"edge: queueing discipline ingress at the entry of main is not wanted: found it",
		},
		{
			"port that does nothing", "edge", "bridge link set dev p0 state 0",
			"edge: link p0 port: wanted forwarding, found blocked",
		},
		{"isolated port", "edge", "bridge link set dev p0 isolated on", "edge: link p0 isolated: wanted off, found on"},
		{
			"spanning tree", "edge", "ip link set main type bridge stp_state 1",
			"edge: link main stp_state: wanted 0, found 1",
		},
		{
			"bridged packets", "edge", "ip link set main type bridge nf_call_iptables 1",
			"edge: link main nf_call_iptables: wanted 0, found 1",
		},
		{
			"forwarding of a device", "edge", "echo 0 > /proc/sys/net/ipv4/conf/main/forwarding",
			"edge: link main forwarding: wanted 1, found 0",
		},
		{
			"reverse path of a device", "edge", "echo 1 > /proc/sys/net/ipv4/conf/main/rp_filter",
			"edge: link main rp_filter: wanted 0, found 1",
		},
		{
			"forwarding host", host, "echo 1 > /proc/sys/net/ipv4/ip_forward",
			"host-0-0: sysctl net/ipv4/ip_forward value: wanted 0, found 1",
		},
		{
			"TTL", host, "echo 1 > /proc/sys/net/ipv4/ip_default_ttl",
			"host-0-0: sysctl net/ipv4/ip_default_ttl value: wanted 64, found 1",
		},
		{
			"echo", host, "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all",
			"host-0-0: sysctl net/ipv4/icmp_echo_ignore_all value: wanted 0, found 1",
		},
		{
			"deaf host", host, "echo 8 > /proc/sys/net/ipv4/conf/eth0/arp_ignore",
			"host-0-0: link eth0 arp_ignore: wanted 0, found 8",
		},
		{
			"deaf hosts", host, "echo 8 > /proc/sys/net/ipv4/conf/all/arp_ignore",
			"host-0-0: sysctl net/ipv4/conf/all/arp_ignore value: wanted 0, found 8",
		},
		{
			"answers for others", "edge", "echo 1 > /proc/sys/net/ipv4/conf/main/proxy_arp",
			"edge: link main proxy_arp: wanted 0, found 1",
		},
		{
			"forgets flows", "edge", "echo 1 > /proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream",
			"edge: sysctl net/netfilter/nf_conntrack_udp_timeout_stream value: wanted 120, found 1",
		},
		{
			"forgets handshakes", "edge", "echo 1 > /proc/sys/net/netfilter/nf_conntrack_tcp_timeout_syn_sent",
			"edge: sysctl net/netfilter/nf_conntrack_tcp_timeout_syn_sent value: wanted 120, found 1",
		},
		{
			"other source", host, "ip route replace default via 10.0.0.1 src 127.0.0.1",
			"host-0-0: route 0.0.0.0/0 source: wanted none, found 127.0.0.1",
		},
		{
			"encapsulated route", host, "ip route replace default encap ip id 7 dst 10.0.0.9 via 10.0.0.1 dev eth0",
			"host-0-0: route 0.0.0.0/0 encapsulation: wanted none, found .*",
		},
		{"nexthop", host, "ip nexthop add id 7 blackhole", "host-0-0: nexthop 7 is not wanted: found type blackhole"},
		{
			"nexthop of a route", host, "ip nexthop add id 7 via 10.0.0.1 dev eth0; ip route replace default nhid 7",
			"host-0-0: route 0.0.0.0/0 nexthop: wanted none, found 7",
		},
		{
			"nexthop group", host,
			"ip nexthop add id 7 via 10.0.0.9 dev eth0; ip nexthop add id 8 group 7; ip route replace default nhid 8",
			"host-0-0: nexthop 8 is not wanted: found group .*",
		},
		{
			"policy", host, "ip xfrm policy add src 10.0.0.0/8 dst 10.0.0.5/32 proto tcp dport 80 dir out action block",
			"host-0-0: XFRM policy out from 10.0.0.0/8 to 10.0.0.5/32 proto 6 dport 80 is not wanted: found action block",
		},
		{
			"policy of an edge", "edge",
			"ip xfrm policy add src 10.0.0.0/8 dst 0.0.0.0/0 dev main dir fwd action block",
			"edge: XFRM policy fwd from 10.0.0.0/8 to 0.0.0.0/0 dev main is not wanted: found action block",
		},
		{
			"default policy", host, "ip xfrm policy setdefault in block",
			"host-0-0: XFRM default policy in is not wanted: found action block",
		},
		{
			"state", host,
			"ip xfrm state add src 10.0.0.4 dst 10.0.0.5 proto comp spi 0x99 mode tunnel comp deflate || ip xfrm state add src 10.0.0.4 dst 10.0.0.5 proto ipip spi 0 mode tunnel || ip xfrm state allocspi src 10.0.0.4 dst 10.0.0.5 proto esp",
			"host-0-0: XFRM state from 10.0.0.4 to 10.0.0.5 .* is not wanted: found it",
		},
		{
			"link-local frames", "edge", "ip link set main type bridge group_fwd_mask 8",
			"edge: link main group_fwd_mask: wanted 0, found 8",
		},
		{
			"ageing", "edge", "ip link set leaf0 type bridge ageing_time 0",
			"edge: link leaf0 ageing_time: wanted 30000, found 0",
		},
		{
			"multicast snooping", "edge", "ip link set main type bridge mcast_snooping 1",
			"edge: link main mcast_snooping: wanted 0, found 1",
		},
		{
			"bridged ARP", "edge", "ip link set main type bridge nf_call_arptables 1",
			"edge: link main nf_call_arptables: wanted 0, found 1",
		},
		{"hairpin", "edge", "bridge link set dev p0 hairpin on", "edge: link p0 hairpin: wanted off, found on"},
		{
			"locked port", "edge", "ip link set p0 type bridge_slave locked on",
			"edge: link p0 locked: wanted off, found on",
		},
		{
			"suppressed neighbors", "edge", "bridge link set dev p0 neigh_suppress on",
			"edge: link p0 neigh_suppress: wanted 0, found 1",
		},
		{"guarded port", "edge", "bridge link set dev p0 guard on", "edge: link p0 guard: wanted 0, found 1"},
		{
			"multicast router port", "edge", "ip link set p0 type bridge_slave mcast_router 2",
			"edge: link p0 mcast_router: wanted 1, found 2",
		},
		{
			"backup port", "edge", "ip link set p0 type bridge_slave backup_port p1",
			"edge: link p0 backup_port: wanted 0, found .*",
		},
		{
			"learned FDB entry", "edge", "bridge fdb add 02:00:00:00:00:99 dev p0 master dynamic",
			"edge: FDB entry 02:00:00:00:00:99 behind p0 is not wanted: found state learned",
		},
		{
			"local FDB entry", "edge", "bridge fdb add 02:00:00:00:00:99 dev p0 master permanent",
			"edge: FDB entry 02:00:00:00:00:99 behind p0 is not wanted: found state local",
		},
		{
			"firewall of none", "edge", "iptables -A INPUT -j DROP",
			"edge: nftables table ip filter is not wanted: found it",
		},
	} {
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
		{host, "iptables -t raw -F", "iptables -t raw -P PREROUTING DROP", "host-0-0: nftables table ip raw is not wanted"},
		{host, "iptables -t nat -L", "iptables -t nat -A OUTPUT -j ACCEPT", "host-0-0: nftables table ip nat is not wanted"},
		{"edge", "iptables -F", "iptables -P FORWARD DROP", "edge: nftables table ip filter is not wanted"},
		{
			"edge", "nft 'add table inet more; add chain inet more in { type filter hook input priority 0; policy accept; }'",
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
