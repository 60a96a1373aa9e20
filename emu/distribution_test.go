package emu

import (
	"net/netip"
	"testing"
)

// TestChoose has what the kernel chose, as TestChooseIsWhatTheKernelChooses of emu/probe sees it.
func TestChoose(t *testing.T) {
	source, destination := netip.MustParseAddrPort("203.0.113.10:21007"), netip.MustParseAddrPort("198.18.0.10:1000")
	for d, want := range map[Distribution][2]int{FiveTuple: {261, 261}, AddressesAndProtocol: {455, 619}, AddressPair: {339, 339}} {
		if got := [2]int{
			d.Choose(source, destination, TCP, 1000),
			d.Choose(source, destination, UDP, 1000),
		}; got != want {
			t.Errorf("%s: %v, want %v", d, got, want)
		}
	}
}

// TestChooseIsFair has the ports of probes spread over the members of a set as evenly as chance would.
func TestChooseIsFair(t *testing.T) {
	source, destination := netip.MustParseAddr("203.0.113.4"), netip.MustParseAddrPort("198.18.0.16:80")
	for _, n := range []int{2, 3, 10, 50} {
		got := make([]int, n)
		const ports = 12768
		for port := range ports {
			got[FiveTuple.Choose(netip.AddrPortFrom(source, uint16(20000+port)), destination, TCP, n)]++
		}
		for i, count := range got {
			if fair := ports / n; count < fair*3/4 || count > fair*5/4 {
				t.Errorf("%d of %d is chosen %d times of %d", i, n, count, ports)
			}
		}
	}
}

func TestChooseLooksAtItsParts(t *testing.T) {
	a, b := netip.MustParseAddrPort("203.0.113.4:20000"), netip.MustParseAddrPort("203.0.113.4:20001")
	to := netip.MustParseAddrPort("198.18.0.16:80")
	for _, d := range []Distribution{AddressPair, AddressesAndProtocol} {
		if d.ByPort() || d.Choose(a, to, TCP, 1<<30) != d.Choose(b, to, TCP, 1<<30) {
			t.Errorf("%s looks at ports", d)
		}
	}
	if !FiveTuple.ByPort() || FiveTuple.Choose(a, to, TCP, 1<<30) == FiveTuple.Choose(b, to, TCP, 1<<30) {
		t.Error("the 5-tuple is blind to ports")
	}
	if AddressPair.Choose(a, to, TCP, 1<<30) != AddressPair.Choose(a, to, UDP, 1<<30) ||
		AddressesAndProtocol.Choose(a, to, TCP, 1<<30) == AddressesAndProtocol.Choose(a, to, UDP, 1<<30) {
		t.Error("one of the modes by address is blind to protocols, the other isn't")
	}
}
