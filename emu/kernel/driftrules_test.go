package kernel

// driftOfRules changes nftables and iptables rules, and some objects beside them.
var driftOfRules = []drift{
	{"table missing", "edge", "nft delete table ip lab", "edge: nftables table ip lab is missing: wanted it"},
	{
		"table extra", driftHost, "nft 'add table ip more; add chain ip more c; add rule ip more c drop'",
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
		"endpoint", "edge", "nft delete element ip lab endpoints '{ 198.18.0.4 . udp . 53 }'; " +
			"nft add element ip lab endpoints '{ 198.18.0.4 . udp . 53 : goto two }'",
		`edge: nftables set endpoints element 198.18.0.4 \. udp \. 53 value: wanted goto one, found goto two`,
	},
	{
		"rule missing", "edge", "nft flush chain ip lab input",
		"edge: nftables chain input rule 1 is missing: wanted ct state established,related accept",
	},
	{
		"rule extra", "edge", "nft insert rule ip lab forward udp dport 99 accept comment '\"hole\"'",
		"edge: nftables chain forward rule 1 is not wanted: found a rule of meta, cmp, payload, cmp, accept " +
			`with comment "hole"`,
	},
	{
		"rule changed", "edge", "nft replace rule ip lab input handle $(nft -a list chain ip lab input | sed -n " +
			"'s/.*accept # handle //p') ct state established accept",
		"edge: nftables chain input rule 1: wanted ct state established,related accept, found a rule of ct, " +
			"bitwise, cmp, accept",
	},
	{
		"distribution", "edge", "nft flush chain ip lab web.tcp-57500; " +
			"nft add rule ip lab web.tcp-57500 meta l4proto tcp dnat ip to jhash ip saddr . ip daddr mod 1 seed 0x1 " +
			"map '{ 0 : 10.0.0.4 . 81 }'",
		"edge: nftables chain web.tcp-57500 rule 1: wanted .*jhash .* found a rule of .*",
	},

	{
		"firewall rule missing", driftHost, "iptables -D INPUT 1",
		"host-0-0: iptables chain INPUT rule 1 is missing: wanted -A INPUT -i lo -j ACCEPT",
	},
	{
		"firewall rule extra", driftHost, "iptables -I INPUT -p tcp --dport 1 -j ACCEPT",
		"host-0-0: iptables chain INPUT rule 1 is not wanted: found -A INPUT -p tcp -m tcp --dport 1 -j ACCEPT",
	},
	{
		"firewall policy", driftHost, "iptables -P INPUT ACCEPT",
		"host-0-0: iptables chain INPUT policy: wanted DROP, found ACCEPT",
	},
	{
		"output", driftHost, "iptables -A OUTPUT -p tcp --dport 80 -j DROP",
		"host-0-0: iptables chain OUTPUT rule 1 is not wanted: found -A OUTPUT -p tcp -m tcp --dport 80 -j DROP",
	},
	{
		"output policy", driftHost, "iptables -P OUTPUT DROP",
		"host-0-0: iptables chain OUTPUT is not wanted: found policy DROP",
	},
	{
		"raw table", driftHost, "iptables -t raw -A PREROUTING -j DROP",
		"host-0-0: nftables table ip raw is not wanted: found it",
	},
	{
		"mangle table", driftHost, "iptables -t mangle -A PREROUTING -j DROP",
		"host-0-0: nftables table ip mangle is not wanted: found it",
	},
	{
		"nat table", driftHost, "iptables -t nat -A OUTPUT -p tcp -j REDIRECT --to-ports 1",
		"host-0-0: nftables table ip nat is not wanted: found it",
	},
	{
		"mangle table of an edge", "edge", "iptables -t mangle -A FORWARD -j DROP",
		"edge: nftables table ip mangle is not wanted: found it",
	},
	{
		"older tables", driftHost, "iptables-legacy -t mangle -A INPUT -j DROP",
		"host-0-0: older iptables table mangle chain INPUT rule 1 is not wanted: found -A INPUT -j DROP",
	},
	{
		"older policy", "edge", "iptables-legacy -P FORWARD DROP",
		"edge: older iptables table filter chain FORWARD is not wanted: found policy DROP",
	},
	{
		"firewall rule by nft", driftHost, "nft insert rule ip filter INPUT ip saddr { 10.0.0.1, 10.0.0.2 } drop",
		"host-0-0: iptables chain INPUT rule 1 is not wanted: found -A INPUT .*",
	},
	{
		"table of another family", driftHost,
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
		"firewall asleep", driftHost, "nft add table ip filter '{ flags dormant; }'",
		"host-0-0: nftables table ip filter is not wanted: found dormant yes",
	},
	{
		"routing rule", driftHost, "ip rule add from 10.0.0.0/8 priority 100 blackhole",
		"host-0-0: routing rule 100 from 10.0.0.0/8 blackhole is not wanted: found it",
	},
	{
		"routing rule to a table", "edge", "ip rule add fwmark 7 iif main priority 9 lookup 77",
		"edge: routing rule 9 fwmark 0x7 iif main lookup 77 is not wanted: found it",
	},
	{
		"routing rule missing", driftHost, "ip rule del priority 32766",
		"host-0-0: routing rule 32766 lookup main is missing: wanted it",
	},
	{
		"route of another table", driftHost, "ip route add default via 10.0.0.9 table 100",
		"host-0-0: route 0.0.0.0/0 in table 100 is not wanted: found device eth0, gateway 10.0.0.9",
	},
	{
		"local route", driftHost, "ip route add local 10.77.0.0/16 dev lo",
		"host-0-0: route 10.77.0.0/16 in table local is not wanted: found device lo, type 2",
	},
	{
		"route in the kernel's name", driftHost, "ip route add blackhole 10.77.0.0/16 proto kernel",
		"host-0-0: route 10.77.0.0/16 is not wanted: found .*type 6",
	},
	{
		"route of an address", driftHost, "ip route del 10.0.0.0/22 dev eth0",
		"host-0-0: address 10.0.0.4/22 on eth0 lost: wanted none, found 10.0.0.0/22 on eth0",
	},
	{
		"local route of an address", driftHost, "ip route del local 10.0.0.4 dev eth0 table local",
		"host-0-0: address 10.0.0.4/22 on eth0 lost: wanted none, found local 10.0.0.4/32 on eth0",
	},
	{
		"loopback's address", driftHost, "ip addr del 127.0.0.1/8 dev lo",
		"host-0-0: address 127.0.0.1/8 on lo is missing: wanted it",
	},
	{
		"queue", driftHost, "tc qdisc add dev eth0 root pfifo limit 3",
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
		"forwarding host", driftHost, "echo 1 > /proc/sys/net/ipv4/ip_forward",
		"host-0-0: sysctl net/ipv4/ip_forward value: wanted 0, found 1",
	},
	{
		"TTL", driftHost, "echo 1 > /proc/sys/net/ipv4/ip_default_ttl",
		"host-0-0: sysctl net/ipv4/ip_default_ttl value: wanted 64, found 1",
	},
	{
		"echo", driftHost, "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all",
		"host-0-0: sysctl net/ipv4/icmp_echo_ignore_all value: wanted 0, found 1",
	},
	{
		"deaf host", driftHost, "echo 8 > /proc/sys/net/ipv4/conf/eth0/arp_ignore",
		"host-0-0: link eth0 arp_ignore: wanted 0, found 8",
	},
	{
		"deaf hosts", driftHost, "echo 8 > /proc/sys/net/ipv4/conf/all/arp_ignore",
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
		"firewall of none", "edge", "iptables -A INPUT -j DROP",
		"edge: nftables table ip filter is not wanted: found it",
	},
}
