package probe

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"vnetlab/emu/kernel"
)

// TestNeighborsStayInTheirShare has probes that need more entries than the share holds: those left behind go
// first, one in use never goes, and where all are in use a probe waits.
func TestNeighborsStayInTheirShare(t *testing.T) {
	n := newNeighbors(func(string) (*kernel.Namespace, bool) { return nil, false })
	n.limit = func() int { return 4 * neighborShare }
	entries := func(last ...byte) (all []neighbor) {
		for _, b := range last {
			all = append(all, neighbor{"a", "eth0", netip.AddrFrom4([4]byte{10, 0, 0, b})})
		}
		return all
	}
	acquire := func(last ...byte) (release func()) {
		t.Helper()
		release, err := n.acquire(t.Context(), entries(last...))
		if err != nil {
			t.Fatal(err)
		}
		return release
	}
	check := func(last ...byte) {
		t.Helper()
		for _, e := range entries(last...) {
			if n.entries[e] == nil {
				t.Errorf("%s is forgotten", e.address)
			}
		}
		if len(n.entries) != len(last) {
			t.Errorf("%d entries, want %d", len(n.entries), len(last))
		}
	}
	acquire()()
	if n.entries != nil {
		t.Error("a probe without entries is counted")
	}
	acquire(1, 2)()
	three := acquire(3, 2)
	check(1, 2, 3)
	four := acquire(4, 5)
	check(2, 3, 4, 5) // not 2, which was left behind, but is in use again
	full, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.acquire(full, entries(6)); !errors.Is(err, context.Canceled) {
		t.Errorf("there is room for more: %v", err)
	}
	three()
	four()
	check(2, 3, 4, 5)
	acquire(2)() // the newest now
	acquire(6, 7)()
	check(5, 2, 6, 7)
	acquire(1, 2, 3, 4, 5, 6)() // more than the share holds
	acquire(6)()
	check(3, 4, 5, 6)
}

func TestNeighborTable(t *testing.T) {
	table, err := readNeighborTable()
	if err != nil || table.limit == 0 {
		t.Errorf("%+v, %v", table, err)
	}
	for _, data := range [][]byte{
		nil, {0}, {2, 0, 0, 0}, {2, 0, 0, 0, 8, 0, 4, 0, 0, 4, 0, 0}, {2, 0, 0, 0, 3, 0, 7, 0},
	} {
		if table, ok := parseNeighborTable(data); ok {
			t.Errorf("%v: %+v", data, table)
		}
	}
}
