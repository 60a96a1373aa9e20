package kernel

import "vnetlab/emu/kerneltest"

// drift is a change made by hand in a namespace, and the difference that it causes, as a regular expression.
type drift struct{ name, namespace, change, want string }

// driftHost is a host of the network that everything returns.
var driftHost = kerneltest.Host(0, 0)

// driftOfObjects changes links, addresses, routes and other objects outside nftables and iptables.
var driftOfObjects = []drift{
	{"mtu", driftHost, "ip link set eth0 mtu 1300", "host-0-0: link eth0 mtu: wanted 1400, found 1300"},
	{
		"mac", driftHost, "ip link set eth0 address 02:00:00:00:00:99",
		"host-0-0: link eth0 mac: wanted 02:00:0a:00:00:04, found 02:00:00:00:00:99",
	},
	{"down", "edge", "ip link set p0 down", "edge: link p0 state: wanted up, found down"},
	{"loopback down", driftHost, "ip link set lo down", "host-0-0: link lo state: wanted up, found down"},
	{"link missing", "edge", "ip link del p1", "edge: link p1 is missing: wanted .*kind veth.*"},
	{
		"link extra", driftHost, "ip link add more type bridge",
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
		"address missing", driftHost, "ip addr add 10.9.0.1/24 dev eth0; ip addr del 10.0.0.4/22 dev eth0",
		"host-0-0: address 10.0.0.4/22 on eth0 is missing: wanted it",
	},
	{
		"address extra", driftHost, "ip addr add 10.9.0.1/24 dev eth0",
		"host-0-0: address 10.9.0.1/24 on eth0 is not wanted: found it",
	},
	{
		"loopback address", "edge", "ip addr del 168.63.129.16/32 dev lo",
		"edge: address 168.63.129.16/32 on lo is missing: wanted it",
	},
	{
		"route missing", driftHost, "ip route del default",
		"host-0-0: route 0.0.0.0/0 is missing: wanted device eth0, gateway 10.0.0.1",
	},
	{
		"route extra", driftHost, "ip route add blackhole 192.0.2.0/24",
		"host-0-0: route 192.0.2.0/24 is not wanted: found .*type 6",
	},
	{
		"gateway", driftHost, "ip route replace default via 10.0.0.5",
		"host-0-0: route 0.0.0.0/0 gateway: wanted 10.0.0.1, found 10.0.0.5",
	},
	{
		"onlink", "edge", "ip route del default; ip addr add 203.0.113.2/24 dev main; " +
			"ip route add default via 203.0.113.1; ip addr del 203.0.113.2/24 dev main",
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
		"neighbor extra", driftHost, "ip neigh add 10.0.0.9 dev eth0 lladdr 02:00:00:00:00:99 nud permanent",
		"host-0-0: neighbor 10.0.0.9 on eth0 is not wanted: found mac 02:00:00:00:00:99",
	},
	{
		"sysctl", "edge", "echo 0 > /proc/sys/net/ipv4/ip_forward",
		"edge: sysctl net/ipv4/ip_forward value: wanted 1, found 0",
	},

	{
		"other source", driftHost, "ip route replace default via 10.0.0.1 src 127.0.0.1",
		"host-0-0: route 0.0.0.0/0 source: wanted none, found 127.0.0.1",
	},
	{
		"encapsulated route", driftHost, "ip route replace default encap ip id 7 dst 10.0.0.9 via 10.0.0.1 dev eth0",
		"host-0-0: route 0.0.0.0/0 encapsulation: wanted none, found .*",
	},
	{"nexthop", driftHost, "ip nexthop add id 7 blackhole", "host-0-0: nexthop 7 is not wanted: found type blackhole"},
	{
		"nexthop of a route", driftHost, "ip nexthop add id 7 via 10.0.0.1 dev eth0; ip route replace default nhid 7",
		"host-0-0: route 0.0.0.0/0 nexthop: wanted none, found 7",
	},
	{
		"nexthop group", driftHost,
		"ip nexthop add id 7 via 10.0.0.9 dev eth0; ip nexthop add id 8 group 7; ip route replace default nhid 8",
		"host-0-0: nexthop 8 is not wanted: found group .*",
	},
	{
		"policy", driftHost, "ip xfrm policy add src 10.0.0.0/8 dst 10.0.0.5/32 proto tcp dport 80 dir out action " +
			"block",
		"host-0-0: XFRM policy out from 10.0.0.0/8 to 10.0.0.5/32 proto 6 dport 80 is not wanted: found action block",
	},
	{
		"policy of an edge", "edge",
		"ip xfrm policy add src 10.0.0.0/8 dst 0.0.0.0/0 dev main dir fwd action block",
		"edge: XFRM policy fwd from 10.0.0.0/8 to 0.0.0.0/0 dev main is not wanted: found action block",
	},
	{
		"default policy", driftHost, "ip xfrm policy setdefault in block",
		"host-0-0: XFRM default policy in is not wanted: found action block",
	},
	{
		"state", driftHost,
		"ip xfrm state add src 10.0.0.4 dst 10.0.0.5 proto comp spi 0x99 mode tunnel comp deflate || " +
			"ip xfrm state add src 10.0.0.4 dst 10.0.0.5 proto ipip spi 0 mode tunnel || " +
			"ip xfrm state allocspi src 10.0.0.4 dst 10.0.0.5 proto esp",
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
}
