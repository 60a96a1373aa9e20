package tunnel

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/emu/kerneltest"
)

var secret = []byte("what only the two hosts may read; ")

// Hosts behind the two ends reach each other by their own addresses while the tunnel is open, and not before or
// after. What the internet sees of it are the ends' UDP packets, and nothing in them can be read.
func TestTunnel(t *testing.T) {
	for name, way := range ways(t) {
		t.Run(name, func(t *testing.T) {
			l := start(t)
			before, goroutines := l.contents(), runtime.NumGoroutine()
			if _, err := l.exchange(parts[0], parts[1], secret, 300*time.Millisecond); err == nil {
				t.Fatal("the hosts reach each other without a tunnel")
			}
			c, err := open(t.Context(), l.namespace(left), l.namespace(right), between(), way)
			if err != nil {
				t.Fatal(err)
			}
			l.same(between())
			seen := l.sniff(internet)
			// Long enough for full packets, which don't fit the tunnel before the sender learns its MTU.
			text := bytes.Repeat(secret, 30_000)
			for i, client := range parts {
				source, err := l.exchange(client, parts[1-i], text, kerneltest.Patience)
				if err != nil {
					t.Errorf("from %s: %v", client.host, err)
				}
				if source != client.address {
					t.Errorf("%s was seen as %s", client.address, source)
				}
			}
			encrypted(t, seen.packets(), 2*2*len(text))

			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if _, err := l.exchange(parts[0], parts[1], secret, 300*time.Millisecond); err == nil {
				t.Error("the hosts reach each other although the tunnel is closed")
			}
			if d := cmp.Diff(before, l.contents()); d != "" {
				t.Error("closing left something:", d)
			}
			settled(t, goroutines)
		})
	}
}

// encrypted checks what the internet saw of so many bytes, or more, that passed.
func encrypted(t *testing.T, packets [][]byte, size int) {
	t.Helper()
	total, largest := 0, 0
	for _, p := range packets {
		header := int(p[0]&15) * 4
		if p[9] != 17 {
			t.Fatalf("a packet of protocol %d: % x", p[9], p)
		}
		ports := map[netip.Addr]uint16{parts[0].public: port, parts[1].public: port + 1}
		source, _ := netip.AddrFromSlice(p[12:16])
		destination, _ := netip.AddrFromSlice(p[16:20])
		from, to := binary.BigEndian.Uint16(p[header:]), binary.BigEndian.Uint16(p[header+2:])
		if source == destination || ports[source] != from || ports[destination] != to {
			t.Fatalf("a packet from %s:%d to %s:%d", source, from, destination, to)
		}
		if bytes.Contains(p, secret) || bytes.Contains(p, parts[0].address.AsSlice()) ||
			bytes.Contains(p, secret[:10]) {
			t.Fatalf("a packet can be read: %q", p)
		}
		total, largest = total+len(p), max(largest, len(p))
	}
	t.Logf("%d packets, %d bytes, the largest %d", len(packets), total, largest)
	if total < size {
		t.Errorf("%d bytes passed, but %d were sent", total, size)
	}
	if largest > emu.MTU {
		t.Errorf("a packet of %d bytes", largest)
	}
}

// The sniffer sees what is not encrypted.
func TestSniffer(t *testing.T) {
	l := start(t)
	seen := l.sniff(internet)
	c, err := l.namespace(left).ListenUDP(netip.AddrPortFrom(parts[0].public, port))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteToUDPAddrPort(secret, netip.AddrPortFrom(parts[1].public, port)); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	is := func(p []byte) bool { return bytes.Contains(p, secret) }
	if !kerneltest.Becomes(func() bool { return slices.ContainsFunc(seen.packets(), is) }) {
		t.Fatalf("%q", seen.packets())
	}
}

// same checks that the kernel has the network with these tunnels and nothing else.
func (l *lab) same(tunnels ...emu.Tunnel) {
	l.Helper()
	want := *l.network
	want.Tunnels = tunnels
	differences, err := kernel.Diff(l.Context(), &want, l.state)
	if err != nil {
		l.Fatal(err)
	}
	for _, d := range differences {
		l.Error(d)
	}
}

// What fails says where and why, and leaves nothing.
func TestOpenFails(t *testing.T) {
	for name, way := range ways(t) {
		t.Run(name, func(t *testing.T) { openFails(t, way) })
	}
}

func openFails(t *testing.T, way maker) {
	l := start(t)
	before, goroutines := l.contents(), runtime.NumGoroutine()
	taken, err := l.namespace(right).ListenUDP(netip.AddrPortFrom(parts[1].public, 999))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := taken.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, test := range []struct {
		name   string
		change func(*emu.Tunnel)
		want   string
	}{
		{"address elsewhere", func(t *emu.Tunnel) { t.B.Address = addr("131.107.0.8") }, "right needs the address 131.107.0.8"},
		{"port taken", func(t *emu.Tunnel) { t.B.Port = 999 }, "address already in use"},
		{"device taken", func(t *emu.Tunnel) { t.B.Device = "inside" }, "inside in right"},
		{"route taken", func(t *emu.Tunnel) { t.B.AllowedPrefixes = []netip.Prefix{parts[1].inside} }, "route to 192.168.7.0/24: file exists"},
		{"itself inside", func(t *emu.Tunnel) { t.A.AllowedPrefixes = []netip.Prefix{prefix("131.107.0.0/16")} }, "can't pass through the tunnel itself"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bad := between()
			test.change(&bad)
			c, err := open(t.Context(), l.namespace(left), l.namespace(right), bad, way)
			if err == nil {
				t.Fatal(errors.Join(errors.New("it opened"), c.Close()))
			}
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "tunnel left-right: ") {
				t.Error(err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, l.namespace(left), l.namespace(right), between()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if d := cmp.Diff(before, l.contents()); d != "" {
		t.Error("something is left:", d)
	}
	settled(t, goroutines)
}

// A tunnel whose packets don't pass is none.
func TestNothingPasses(t *testing.T) {
	n := network()
	middle, _ := n.Namespace(internet)
	middle.Ruleset = &emu.Ruleset{Table: "closed", Chains: []*emu.Chain{{Name: "forward", Hook: emu.ForwardHook}}}
	for name, way := range ways(t) {
		t.Run(name, func(t *testing.T) {
			l := startNetwork(t, n)
			before := l.contents()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			gaveUp := errors.New("the test gave up")
			ends := 0
			_, err := open(ctx, l.namespace(left), l.namespace(right), between(), func(s side) (end, error) {
				e, err := way(s)
				if ends++; ends == 2 { // and none is to be made with an ended context
					time.AfterFunc(200*time.Millisecond, func() { cancel(gaveUp) })
				}
				return e, err
			})
			if !errors.Is(err, gaveUp) ||
				!strings.Contains(
					err.Error(),
					"UDP between 65.52.0.9:51820 of left and 131.107.0.9:51821 of right doesn't pass",
				) {
				t.Error(err)
			}
			if d := cmp.Diff(before, l.contents()); d != "" {
				t.Error("something is left:", d)
			}
		})
	}
}

// The set opens and closes what changed and nothing else, and goes back when something fails.
func TestSet(t *testing.T) {
	for name, way := range ways(t) {
		t.Run(name, func(t *testing.T) { useSet(t, way) })
	}
}

func useSet(t *testing.T, way maker) {
	l := start(t)
	set := NewSet(l.state.Namespace)
	opened := 0
	set.way = func(s side) (end, error) { opened++; return way(s) }
	change := func(want ...emu.Tunnel) {
		t.Helper()
		if err := set.Change(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		l.same(want...)
	}
	reach := func() {
		t.Helper()
		if _, err := l.exchange(parts[0], parts[1], secret, kerneltest.Patience); err != nil {
			t.Error(err)
		}
	}
	second := emu.Tunnel{
		ID: "second",
		A: emu.TunnelEnd{
			Namespace:       left,
			Device:          "vpn-2",
			Address:         parts[0].public,
			Port:            2000,
			AllowedPrefixes: []netip.Prefix{prefix("172.16.0.0/16")},
		},
		B: emu.TunnelEnd{
			Namespace:       right,
			Device:          "vpn-2",
			Address:         parts[1].public,
			Port:            2000,
			AllowedPrefixes: []netip.Prefix{prefix("172.17.0.0/16")},
		},
	}
	change()
	change(between())
	reach()
	change(second, between())
	if opened != 4 {
		t.Errorf("%d ends were made", opened)
	}
	reach()

	more := between()
	more.A.AllowedPrefixes = append(more.A.AllowedPrefixes, prefix("192.168.8.0/24"))
	change(more)
	if opened != 6 {
		t.Errorf("%d ends were made", opened)
	}
	reach()

	bad := second
	bad.B.Address = addr("131.107.0.8")
	if err := set.Change(t.Context(), []emu.Tunnel{between(), bad}); err == nil {
		t.Error("a bad tunnel opened")
	}
	l.same(more)
	reach()
	absent := second
	absent.B.Namespace = "nowhere"
	if err := set.Change(
		t.Context(),
		[]emu.Tunnel{more, absent},
	); err == nil ||
		!strings.Contains(err.Error(), "nowhere") {
		t.Error(err)
	}
	if got := set.Tunnels(); len(got) != 1 || !got[0].Equal(more) {
		t.Errorf("%+v", got)
	}
	if err := set.Close(); err != nil {
		t.Error(err)
	}
	l.same()
}

// Nobody learns a key: what people see is the tunnel's data, and errors tell of nothing else.
func TestKeysAreNew(t *testing.T) {
	first, err := sides(nil, nil, between())
	if err != nil {
		t.Fatal(err)
	}
	again, err := sides(nil, nil, between())
	if err != nil {
		t.Fatal(err)
	}
	if first[0].private == again[0].private || first[0].private == first[1].private ||
		first[0].shared == again[0].shared {
		t.Error("keys repeat")
	}
	if first[0].greets == first[1].greets {
		t.Error("one end must greet, the other not")
	}
	if first[0].public != first[1].private.PublicKey() || first[1].public != first[0].private.PublicKey() ||
		first[0].shared != first[1].shared {
		t.Error("the ends don't know each other")
	}
}
