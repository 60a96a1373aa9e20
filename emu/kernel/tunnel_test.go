package kernel

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
)

// Packets with the mark leave with the source they were given, others with that of the link, and the end of the route
// is the end of all of it.
func TestRouteMarked(t *testing.T) {
	kerneltest.RequireRoot(t)
	n := bridgeless()
	own, there := netip.MustParseAddr("65.52.0.9"), netip.MustParseAddr("131.107.0.9")
	uplink := netip.MustParsePrefix("169.254.0.2/30")
	n.Namespaces[0].Loopback = []netip.Addr{own}
	n.Namespaces[0].Routes = []emu.Route{{
		Destination: netip.MustParsePrefix("0.0.0.0/0"),
		Gateway:     uplink.Addr().Prev(), Device: "eth0",
	}}
	n.Links[0].A.Addresses = []netip.Prefix{uplink}
	s := apply(t, n)
	a := s.Namespaces()[0]
	before := run(t, a, "", "ip", "rule") + run(t, a, "", "ip", "route", "show", "table", "all")
	const mark = 0x1ca6c
	source := func(mark int) netip.Addr {
		fd, err := a.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, mark),
			unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: there.As4()}),
		)
		name, errName := unix.Getsockname(fd)
		if err := errors.Join(err, errName, unix.Close(fd)); err != nil {
			t.Fatal(err)
		}
		return netip.AddrFrom4(name.(*unix.SockaddrInet4).Addr)
	}
	if got := source(mark); got != uplink.Addr() {
		t.Errorf("without a route: %s", got)
	}
	if err := RouteMarked(a, mark, own, there); err != nil {
		t.Fatal(err)
	}
	if got := source(mark); got != own {
		t.Errorf("with the mark: %s", got)
	}
	if got := source(0); got != uplink.Addr() {
		t.Errorf("without the mark: %s", got)
	}
	if err := UnrouteMarked(a, mark, there); err != nil {
		t.Error(err)
	}
	if after := run(t, a, "", "ip", "rule") + run(t, a, "", "ip", "route", "show", "table", "all"); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if err := RouteMarked(a, mark, netip.MustParseAddr("192.0.2.1"), there); err == nil {
		t.Error("a source that the namespace doesn't have was taken")
	}
}

// A TUN device is in the namespace it was made for and ends with its descriptor.
func TestAddTUN(t *testing.T) {
	n := empty(t, "router")
	fd, err := AddTUN(n, "vpn-hq")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := AddTUN(n, "vpn-hq"); err == nil || !strings.Contains(err.Error(), "add TUN device vpn-hq in router") {
		t.Error(err)
	}
	if err := SetUp(n, "vpn-hq"); err != nil {
		t.Error(err)
	}
	if err := RouteInto(n, "vpn-hq", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}); err != nil {
		t.Error(err)
	}
	if got := run(t, n, "", "ip", "route"); strings.TrimSpace(got) != "10.0.0.0/8 dev vpn-hq scope link" {
		t.Errorf("%q", got)
	}
	if err := unix.Close(fd); err != nil {
		t.Error(err)
	}
	if got := run(t, n, "", "ip", "-oneline", "link"); strings.Contains(got, "vpn-hq") {
		t.Error(got)
	}
	if err := RemoveLink(n, "vpn-hq"); err == nil {
		t.Error("a link that isn't there was removed")
	}
}

// The link of type wireguard is made, or the kernel is known to have none.
func TestAddWireGuard(t *testing.T) {
	n := empty(t, "router")
	err := AddWireGuard(n, "vpn-hq")
	if errors.Is(err, errors.ErrUnsupported) {
		t.Log(err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := RemoveLink(n, "vpn-hq"); err != nil {
		t.Error(err)
	}
	if got := run(t, n, "", "ip", "-oneline", "link"); strings.Contains(got, "vpn-hq") {
		t.Error(got)
	}
}
