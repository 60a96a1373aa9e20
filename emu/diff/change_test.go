package diff

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/internal/emutest"
)

// Whatever a namespace may have is compared: no field is forgotten.
func TestChangesSeeEveryField(t *testing.T) {
	for _, tt := range []struct {
		of      string
		type_   reflect.Type
		ignored []string
		in      func(*emu.Network) reflect.Value
	}{
		{"network", reflect.TypeFor[emu.Network](), nil, func(n *emu.Network) reflect.Value { return reflect.ValueOf(n).Elem() }},
		{"namespace", reflect.TypeFor[emu.Namespace](), []string{"Origin"}, func(n *emu.Network) reflect.Value { return reflect.ValueOf(n.Namespaces[0]).Elem() }},
		{"boundary", reflect.TypeFor[emu.Boundary](), nil, func(n *emu.Network) reflect.Value { return reflect.ValueOf(&n.Namespaces[1].Boundary).Elem() }},
		{"limits", reflect.TypeFor[emu.Limits](), nil, func(n *emu.Network) reflect.Value { return reflect.ValueOf(&n.Namespaces[1].Boundary.Limits).Elem() }},
		{"link end", reflect.TypeFor[emu.LinkEnd](), nil, func(n *emu.Network) reflect.Value { return reflect.ValueOf(&n.Links[0].A).Elem() }},
		{"port", reflect.TypeFor[emu.BridgePort](), nil, func(n *emu.Network) reflect.Value { return reflect.ValueOf(n.Links[0].A.Port).Elem() }},
		{"bridge", reflect.TypeFor[emu.Bridge](), nil, func(n *emu.Network) reflect.Value { return reflect.ValueOf(&n.Namespaces[0].Bridges[0]).Elem() }},
		{"ruleset", reflect.TypeFor[emu.Ruleset](), nil, func(n *emu.Network) reflect.Value { return reflect.ValueOf(n.Namespaces[0].Ruleset).Elem() }},
		{"chain", reflect.TypeFor[emu.Chain](), nil, func(n *emu.Network) reflect.Value { return reflect.ValueOf(n.Namespaces[0].Ruleset.Chains[0]).Elem() }},
		{"firewall rule", reflect.TypeFor[emu.FirewallRule](), []string{"Origin"}, func(n *emu.Network) reflect.Value { return reflect.ValueOf(&n.Namespaces[1].Firewall.Rules[0]).Elem() }},
	} {
		for i := range tt.type_.NumField() {
			name := tt.type_.Field(i).Name
			if slices.Contains(tt.ignored, name) {
				continue
			}
			from, to := emutest.Small(), emutest.Small()
			mutate(t, tt.in(to).Field(i))
			if Networks(from, to).IsEmpty() {
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
		case emu.Boundary:
			v.Set(reflect.ValueOf(emu.Boundary{Privileged: true}))
		case emu.Limits:
			v.Set(reflect.ValueOf(emu.Limits{PIDs: 100}))
		case emu.Resolver:
			v.Set(reflect.ValueOf(emu.Resolver{Search: []string{"x"}}))
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

func BenchmarkChanges(b *testing.B) {
	network := func() *emu.Network {
		n := emutest.Small()
		for i := range 1000 {
			m := emutest.Small()
			m.Namespaces[1].Name += strings.Repeat(
				"x",
				i%10,
			) + string(
				rune('a'+i%26),
			) + netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).
				String()
			n.Namespaces = append(n.Namespaces, m.Namespaces[1])
			m.Links[0].A.Name, m.Links[0].B.Namespace = m.Namespaces[1].Name, m.Namespaces[1].Name
			n.Links = append(n.Links, m.Links[0])
		}
		return n
	}
	from, to := network(), network()
	for b.Loop() {
		if c := Networks(from, to); !c.IsEmpty() {
			b.Fatal("equal networks differ")
		}
	}
}
