package emu_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"vnetlab/emu"
)

func someTunnel() emu.Tunnel {
	return emu.Tunnel{
		ID: "hq",
		A: emu.TunnelEnd{
			Namespace: "edge.Network",
			Device:    "vpn-hq",
			Address:   netip.MustParseAddr("65.52.0.9"),
			Port:      51820,
			AllowedPrefixes: []netip.Prefix{
				netip.MustParsePrefix("192.168.8.0/24"),
				netip.MustParsePrefix("192.168.0.0/22"),
			},
		},
		B: emu.TunnelEnd{
			Namespace: "site.hq", Device: "vpn-azure", Address: netip.MustParseAddr("131.107.0.9"), Port: 51820,
			AllowedPrefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		},
	}
}

func TestCheckTunnels(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*emu.Tunnel)
		want   string // empty: nothing is wrong
	}{
		{"good", func(*emu.Tunnel) {}, ""},
		{"no prefixes", func(x *emu.Tunnel) { x.A.AllowedPrefixes = nil }, ""},
		{"no id", func(x *emu.Tunnel) { x.ID = "" }, `tunnel "": the id is empty`},
		{"same id", func(x *emu.Tunnel) { x.ID = "other" }, `tunnel "other": the id is empty or another tunnel's`},
		{"one namespace", func(x *emu.Tunnel) { x.B.Namespace = "edge.Network" }, "it must join two namespaces"},
		{"no device", func(x *emu.Tunnel) { x.A.Device = "" }, "1 to 15 bytes"},
		{"long device", func(x *emu.Tunnel) { x.A.Device = "vpn-headquarters" }, "1 to 15 bytes"},
		{"IPv6", func(x *emu.Tunnel) { x.A.Address = netip.MustParseAddr("2001:db8::1") }, "no IPv4 address and port"},
		{"no port", func(x *emu.Tunnel) { x.B.Port = 0 }, "site.hq: 131.107.0.9:0 is no IPv4 address and port"},
		{"host bits", func(x *emu.Tunnel) { x.A.AllowedPrefixes[0] = netip.MustParsePrefix("192.168.8.1/24") }, "192.168.8.1/24 is no IPv4 network"},
		{"twice", func(x *emu.Tunnel) { x.A.AllowedPrefixes[0] = x.A.AllowedPrefixes[1] }, "192.168.0.0/22 is there twice"},
		{"own end inside", func(x *emu.Tunnel) { x.B.AllowedPrefixes[0] = netip.MustParsePrefix("131.0.0.0/8") }, "can't pass through the tunnel itself"},
		{"other end inside", func(x *emu.Tunnel) { x.B.AllowedPrefixes[0] = netip.MustParsePrefix("65.0.0.0/8") }, "can't pass through the tunnel itself"},
		{"same device", func(x *emu.Tunnel) { x.A.Namespace, x.A.Device = "edge.Other", "vpn-0" }, "device vpn-0 of edge.Other is that of tunnel other too"},
		{"same port", func(x *emu.Tunnel) { x.A.Namespace, x.A.Port = "edge.Other", 9 }, "port 9 of edge.Other is that of tunnel other too"},
	} {
		t.Run(test.name, func(t *testing.T) {
			other := someTunnel()
			other.ID = "other"
			other.A.Namespace, other.B.Namespace = "edge.Other", "site.other"
			other.A.Device, other.A.Port = "vpn-0", 9
			x := someTunnel()
			test.change(&x)
			err := emu.CheckTunnels([]emu.Tunnel{other, x})
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTunnelEqual(t *testing.T) {
	x := someTunnel()
	slices.Reverse(x.A.AllowedPrefixes)
	if !x.Equal(someTunnel()) {
		t.Error("the order of prefixes counts")
	}
	for _, change := range []func(*emu.Tunnel){
		func(x *emu.Tunnel) { x.ID = "x" },
		func(x *emu.Tunnel) { x.A.Namespace = "x" },
		func(x *emu.Tunnel) { x.B.Device = "x" },
		func(x *emu.Tunnel) { x.A.Address = x.B.Address },
		func(x *emu.Tunnel) { x.B.Port++ },
		func(x *emu.Tunnel) { x.B.AllowedPrefixes = nil },
		func(x *emu.Tunnel) { x.A, x.B = x.B, x.A },
	} {
		y := someTunnel()
		change(&y)
		if y.Equal(someTunnel()) {
			t.Errorf("%+v equals another", y)
		}
	}
}

// Tunnels are sorted and survive JSON.
func TestTunnelsInNetwork(t *testing.T) {
	second := someTunnel()
	second.ID = "a"
	n := &emu.Network{
		Namespaces: []*emu.Namespace{{Name: "edge.Network", Kind: emu.Router}, {Name: "site.hq", Kind: emu.Router}},
		Tunnels:    []emu.Tunnel{someTunnel(), second},
	}
	n.Sort()
	if n.Tunnels[0].ID != "a" || n.Tunnels[1].A.AllowedPrefixes[0].String() != "192.168.0.0/22" {
		t.Errorf("%+v", n.Tunnels)
	}
	text, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	var back emu.Network
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back.Tunnels, n.Tunnels) {
		t.Errorf("%s", text)
	}
}
