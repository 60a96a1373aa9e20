package emu

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func small() *Network {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	gateway, host := addr("10.0.0.1"), addr("10.0.0.4")
	return &Network{
		Namespaces: []*Namespace{
			{
				Name: "edge", Kind: Router,
				Loopback:  []netip.Addr{addr("168.63.129.16")},
				Bridges:   []Bridge{{Name: "front", MAC: MACOf(gateway), Addresses: []netip.Prefix{prefix("10.0.0.1/24")}}},
				Routes:    []Route{{Destination: prefix("198.18.0.0/24"), Device: "front"}},
				Neighbors: []Neighbor{{Device: "front", Address: host, MAC: MACOf(host)}},
				Ruleset:   &Ruleset{Table: "lab", Chains: []*Chain{{Name: "c", Rules: []Rule{{Statements: []Statement{Accept{}}}}}}},
				DNS:       &NameServer{Addresses: []netip.Addr{addr("168.63.129.16")}},
			},
			{
				Name: "vm", Kind: Host, Origin: Origin{Line: 3},
				Routes:   []Route{{Destination: prefix("0.0.0.0/0"), Gateway: gateway, Device: "eth0"}},
				Firewall: &Firewall{Rules: []FirewallRule{{ID: "web", Protocol: "tcp", Ports: []PortRange{{80, 80}}}}},
				Services: []Service{{Name: "80", Port: 80, Protocol: TCP}},
			},
		},
		Links: []*Link{{
			A: LinkEnd{Namespace: "edge", Name: "vm", MAC: MACOf(host).Variant(1), Port: &BridgePort{Bridge: "front", Stations: []MAC{MACOf(host)}}},
			B: LinkEnd{Namespace: "vm", Name: "eth0", MAC: MACOf(host), Addresses: []netip.Prefix{prefix("10.0.0.4/24")}},
		}},
		PublicNames: []NameRecord{{Name: "vm.example", Address: host}},
	}
}

func TestChangesText(t *testing.T) {
	addr := netip.MustParseAddr
	for _, tt := range []struct {
		name   string
		change func(*Network)
		want   string
	}{
		{"nothing", func(n *Network) {}, ""},
		{"another place in the file", func(n *Network) {
			n.Namespaces[1].Origin.Line = 9
			n.Namespaces[1].Services[0].Origin.Line = 9
			n.Namespaces[1].Firewall.Rules[0].Origin.Line = 9
			n.Namespaces[0].Ruleset.Chains[0].Rules[0].Origin.Line = 9
		}, ""},
		{"another boundary", func(n *Network) { n.Namespaces[1].Boundary.Limits.Memory = GiB }, "~ vm: boundary: what runs there is started anew\n"},
		{"host gone", func(n *Network) { n.Namespaces, n.Links = n.Namespaces[:1], nil }, `- namespace vm
- edge: link vm 02:01:0a:00:00:04 port of front, to vm eth0
- edge: connections of 10.0.0.4
`},
		{"another kind", func(n *Network) { n.Namespaces[1].Kind = Router }, `- namespace vm
+ namespace vm
- edge: link vm 02:01:0a:00:00:04 port of front, to vm eth0
+ edge: link vm 02:01:0a:00:00:04 port of front, to vm eth0
- edge: connections of 10.0.0.4
`},
		{"another address", func(n *Network) { n.Links[0].B.Addresses[0] = netip.MustParsePrefix("10.0.0.5/24") }, `- edge: link vm 02:01:0a:00:00:04 port of front, to vm eth0
+ edge: link vm 02:01:0a:00:00:04 port of front, to vm eth0
- vm: route default via 10.0.0.1 dev eth0
+ vm: route default via 10.0.0.1 dev eth0
- edge: connections of 10.0.0.4
`},
		{"bridge", func(n *Network) {
			n.Namespaces[0].Bridges[0].MAC = MACOf(addr("10.0.0.9"))
			n.Namespaces[0].Bridges = append(n.Namespaces[0].Bridges, Bridge{Name: "back"})
			n.Namespaces[0].Loopback = nil
		}, `- edge: address 168.63.129.16 on lo
+ edge: bridge back 00:00:00:00:00:00
- edge: bridge front 02:00:0a:00:00:01 10.0.0.1/24
+ edge: bridge front 02:00:0a:00:00:09 10.0.0.1/24
- edge: connections of 168.63.129.16
`},
		{"rules", func(n *Network) {
			n.Namespaces[0].Ruleset.Chains[0].Rules = append(n.Namespaces[0].Ruleset.Chains[0].Rules, Rule{Statements: []Statement{Drop{}}})
			n.Namespaces[1].Firewall.Rules[0].Ports[0] = PortRange{81, 81}
			n.PublicNames = nil
		}, `+ edge: drop
- vm: -A INPUT -p tcp -m tcp --dport 80 -j ACCEPT
+ vm: -A INPUT -p tcp -m tcp --dport 81 -j ACCEPT
- public name vm.example 10.0.0.4
`},
		{"served", func(n *Network) {
			n.Namespaces[0].DNS = nil
			n.Namespaces[0].Neighbors = nil
			n.Namespaces[1].Services = nil
			n.Namespaces[1].Hostname = "x"
			n.Namespaces[1].Firewall = nil
		}, `- edge: neighbour 10.0.0.4 02:00:0a:00:00:04 on front
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
		{"tunnel", func(n *Network) {
			n.Tunnels = []Tunnel{{ID: "t", A: TunnelEnd{Namespace: "edge"}, B: TunnelEnd{Namespace: "vm"}}}
		}, "+ tunnel t between edge and vm\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, to := small(), small()
			tt.change(to)
			c := Changes(from, to)
			if diff := cmp.Diff(tt.want, c.String()); diff != "" {
				t.Errorf("-wanted +got\n%s", diff)
			}
			if c.IsEmpty() != (tt.want == "") {
				t.Error("empty:", c.IsEmpty())
			}
		})
	}
}

// Whatever a namespace may have is compared: no field is forgotten.
func TestChangesSeeEveryField(t *testing.T) {
	for _, tt := range []struct {
		of      string
		type_   reflect.Type
		ignored []string
		in      func(*Network) reflect.Value
	}{
		{"network", reflect.TypeFor[Network](), nil, func(n *Network) reflect.Value { return reflect.ValueOf(n).Elem() }},
		{"namespace", reflect.TypeFor[Namespace](), []string{"Origin"}, func(n *Network) reflect.Value { return reflect.ValueOf(n.Namespaces[0]).Elem() }},
		{"boundary", reflect.TypeFor[Boundary](), nil, func(n *Network) reflect.Value { return reflect.ValueOf(&n.Namespaces[1].Boundary).Elem() }},
		{"limits", reflect.TypeFor[Limits](), nil, func(n *Network) reflect.Value { return reflect.ValueOf(&n.Namespaces[1].Boundary.Limits).Elem() }},
		{"link end", reflect.TypeFor[LinkEnd](), nil, func(n *Network) reflect.Value { return reflect.ValueOf(&n.Links[0].A).Elem() }},
		{"port", reflect.TypeFor[BridgePort](), nil, func(n *Network) reflect.Value { return reflect.ValueOf(n.Links[0].A.Port).Elem() }},
		{"bridge", reflect.TypeFor[Bridge](), nil, func(n *Network) reflect.Value { return reflect.ValueOf(&n.Namespaces[0].Bridges[0]).Elem() }},
		{"ruleset", reflect.TypeFor[Ruleset](), nil, func(n *Network) reflect.Value { return reflect.ValueOf(n.Namespaces[0].Ruleset).Elem() }},
		{"chain", reflect.TypeFor[Chain](), nil, func(n *Network) reflect.Value { return reflect.ValueOf(n.Namespaces[0].Ruleset.Chains[0]).Elem() }},
		{"firewall rule", reflect.TypeFor[FirewallRule](), []string{"Origin"}, func(n *Network) reflect.Value { return reflect.ValueOf(&n.Namespaces[1].Firewall.Rules[0]).Elem() }},
	} {
		for i := range tt.type_.NumField() {
			name := tt.type_.Field(i).Name
			if slices.Contains(tt.ignored, name) {
				continue
			}
			from, to := small(), small()
			mutate(t, tt.in(to).Field(i))
			if Changes(from, to).IsEmpty() {
				t.Errorf("another %s of a %s is no change", name, tt.of)
			}
		}
	}
}

// mutate makes a value another one.
func mutate(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Slice:
		more := reflect.Zero(v.Type().Elem())
		if more.Kind() == reflect.Pointer {
			more = reflect.New(v.Type().Elem().Elem())
		}
		v.Set(reflect.Append(v, more))
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		} else {
			v.SetZero()
		}
	case reflect.Array:
		mutate(t, v.Index(0))
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint8:
		v.SetUint(v.Uint() + 1)
	case reflect.Struct:
		switch v.Interface().(type) {
		case Boundary:
			v.Set(reflect.ValueOf(Boundary{Privileged: true}))
		case Limits:
			v.Set(reflect.ValueOf(Limits{PIDs: 100}))
		case Resolver:
			v.Set(reflect.ValueOf(Resolver{Search: []string{"x"}}))
		case netip.Prefix:
			v.Set(reflect.ValueOf(netip.MustParsePrefix("192.0.2.0/24")))
		case netip.Addr:
			v.Set(reflect.ValueOf(netip.MustParseAddr("192.0.2.1")))
		default:
			t.Fatalf("mutate: %s", v.Type())
		}
	default:
		t.Fatalf("mutate: %s", v.Type())
	}
}

// An edit script has every line of both lists once, in their order, and shares only equal ones; it is short where it can be.
func TestEditScript(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 12)
		from, to := letters.Draw(t, "from"), letters.Draw(t, "to")
		var old, now []string
		shared := 0
		for _, e := range EditScript(from, to) {
			if e.Old >= 0 {
				old = append(old, from[e.Old])
			}
			if e.New >= 0 {
				now = append(now, to[e.New])
			}
			if e.Old >= 0 && e.New >= 0 {
				shared++
				if from[e.Old] != to[e.New] {
					t.Fatalf("%q and %q are shared", from[e.Old], to[e.New])
				}
			}
		}
		if strings.Join(old, "") != strings.Join(from, "") || strings.Join(now, "") != strings.Join(to, "") {
			t.Fatalf("%v, %v", old, now)
		}
		if best := int(longestShared(from, to)[0][0]); shared != best {
			t.Fatalf("%d of %d lines shared", shared, best)
		}
	})
}

func BenchmarkChanges(b *testing.B) {
	network := func() *Network {
		n := small()
		for i := range 1000 {
			m := small()
			m.Namespaces[1].Name += strings.Repeat("x", i%10) + string(rune('a'+i%26)) + netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String()
			n.Namespaces = append(n.Namespaces, m.Namespaces[1])
			m.Links[0].A.Name, m.Links[0].B.Namespace = m.Namespaces[1].Name, m.Namespaces[1].Name
			n.Links = append(n.Links, m.Links[0])
		}
		return n
	}
	from, to := network(), network()
	for b.Loop() {
		if c := Changes(from, to); !c.IsEmpty() {
			b.Fatal(c)
		}
	}
}
