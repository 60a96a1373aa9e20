package text_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/internal/emutest"
	"vnetlab/emu/text"
)

func TestChangesText(t *testing.T) {
	addr := netip.MustParseAddr
	for _, tt := range []struct {
		name   string
		change func(*emu.Network)
		want   string
	}{
		{"nothing", func(n *emu.Network) {}, ""},
		{"another place in the file", func(n *emu.Network) {
			n.Namespaces[1].Origin.Line = 9
			n.Namespaces[1].Services[0].Origin.Line = 9
			n.Namespaces[1].Firewall.Rules[0].Origin.Line = 9
			n.Namespaces[0].Ruleset.Chains[0].Rules[0].Origin.Line = 9
		}, ""},
		{"another boundary", func(n *emu.Network) { n.Namespaces[1].Boundary.Limits.Memory = emu.GiB }, "~ vm: boundary: what runs there is started anew\n"},
		{"host gone", func(n *emu.Network) { n.Namespaces, n.Links = n.Namespaces[:1], nil }, `- namespace vm
- edge: link vm 02:01:0a:00:00:04 port of front, to vm eth0
- edge: connections of 10.0.0.4
`},
		{"another kind", func(n *emu.Network) { n.Namespaces[1].Kind = emu.Router }, `- namespace vm
+ namespace vm
- edge: link vm 02:01:0a:00:00:04 port of front, to vm eth0
+ edge: link vm 02:01:0a:00:00:04 port of front, to vm eth0
- edge: connections of 10.0.0.4
`},
		{"another address", func(n *emu.Network) { n.Links[0].B.Addresses[0] = netip.MustParsePrefix("10.0.0.5/24") }, `- edge: link vm 02:01:0a:00:00:04 port of front, to vm eth0
+ edge: link vm 02:01:0a:00:00:04 port of front, to vm eth0
- vm: route default via 10.0.0.1 dev eth0
+ vm: route default via 10.0.0.1 dev eth0
- edge: connections of 10.0.0.4
`},
		{"bridge", func(n *emu.Network) {
			n.Namespaces[0].Bridges[0].MAC = emu.MACOf(addr("10.0.0.9"))
			n.Namespaces[0].Bridges = append(n.Namespaces[0].Bridges, emu.Bridge{Name: "back"})
			n.Namespaces[0].Loopback = nil
		}, `- edge: address 168.63.129.16 on lo
+ edge: bridge back 00:00:00:00:00:00
- edge: bridge front 02:00:0a:00:00:01 10.0.0.1/24
+ edge: bridge front 02:00:0a:00:00:09 10.0.0.1/24
- edge: connections of 168.63.129.16
`},
		{"rules", func(n *emu.Network) {
			n.Namespaces[0].Ruleset.Chains[0].Rules = append(n.Namespaces[0].Ruleset.Chains[0].Rules, emu.Rule{Statements: []emu.Statement{emu.Drop{}}})
			n.Namespaces[1].Firewall.Rules[0].Ports[0] = emu.PortRange{First: 81, Last: 81}
			n.PublicNames = nil
		}, `+ edge: drop
- vm: -A INPUT -p tcp -m tcp --dport 80 -j ACCEPT
+ vm: -A INPUT -p tcp -m tcp --dport 81 -j ACCEPT
- public name vm.example 10.0.0.4
`},
		{"served", func(n *emu.Network) {
			n.Namespaces[0].DNS = nil
			n.Namespaces[0].Neighbors = nil
			n.Namespaces[1].Services = nil
			n.Namespaces[1].Hostname = "x"
			n.Namespaces[1].Firewall = nil
		}, `- edge: neighbor 10.0.0.4 02:00:0a:00:00:04 on front
~ edge: name server
- vm: *filter
- vm: :INPUT DROP [0:0]
- vm: :FORWARD ACCEPT [0:0]
- vm: :OUTPUT ACCEPT [0:0]
- vm: -A INPUT -i lo -j ACCEPT
- vm: -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
- vm: -A INPUT -p tcp -m tcp --dport 80 -j ACCEPT
- vm: -A INPUT -m dscp --dscp 0x2b -j NFLOG --nflog-prefix firewall-default --nflog-group 1 --nflog-threshold 1
- vm: -A INPUT -j DROP
- vm: COMMIT
~ vm: services
~ vm: host name, hosts, resolver
`},
		{"tunnel", func(n *emu.Network) {
			n.Tunnels = []emu.Tunnel{{ID: "t", A: emu.TunnelEnd{Namespace: "edge"}, B: emu.TunnelEnd{Namespace: "vm"}}}
		}, "+ tunnel t between edge and vm\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, to := emutest.Small(), emutest.Small()
			tt.change(to)
			c := diff.Networks(from, to)
			if diff := cmp.Diff(tt.want, text.Change(c)); diff != "" {
				t.Errorf("-wanted +got\n%s", diff)
			}
			if c.IsEmpty() != (tt.want == "") {
				t.Error("empty:", c.IsEmpty())
			}
		})
	}
}
