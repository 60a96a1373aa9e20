package probe

import (
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// neighborTable is what the kernel reports about its IPv4 neighbor table.
type neighborTable struct {
	limit     uint32 // gc_thresh3
	overflows uint64 // how often it was too full for an entry since the machine started, in any namespace
}

// From linux/neighbour.h.
const (
	ndtaThreshold3 = 4
	ndtaStats      = 7

	ndtStatsTableFulls = 10 // place of the counter among those of ndt_stats
)

// readNeighborTable asks rtnetlink. /proc has the same, but only in the first namespace of the machine, and not in
// a container's.
func readNeighborTable() (t neighborTable, err error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return t, err
	}
	defer conn.Close() //nolint:errcheck // read only
	answers, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETNEIGHTBL, Flags: netlink.Request | netlink.Dump},
		Data:   []byte{unix.AF_INET, 0, 0, 0}, // ndtmsg
	})
	if err != nil {
		return t, err
	}
	for _, a := range answers {
		if t, ok := parseNeighborTable(a.Data); ok {
			return t, nil
		}
	}
	return t, errors.New("the kernel reports no neighbor table")
}

// parseNeighborTable reads a message about the table. Those about the parameters of a device have no counters.
func parseNeighborTable(data []byte) (t neighborTable, ok bool) {
	const ndtmsg = 4
	if len(data) < ndtmsg {
		return t, false
	}
	attributes, err := netlink.NewAttributeDecoder(data[ndtmsg:])
	if err != nil {
		return t, false
	}
	for attributes.Next() {
		switch attributes.Type() {
		case ndtaThreshold3:
			t.limit = attributes.Uint32()
		case ndtaStats:
			if b := attributes.Bytes(); len(b) >= 8*(ndtStatsTableFulls+1) {
				t.overflows, ok = binary.NativeEndian.Uint64(b[8*ndtStatsTableFulls:]), true
			}
		}
	}
	return t, ok && attributes.Err() == nil
}

// overflowCounter counts the overflows of the neighbor table.
type overflowCounter struct {
	mu   sync.Mutex
	last uint64
	at   time.Time
}

// count returns the number of overflows as it was some time ago, at most maxAge. Where the kernel doesn't report
// any it stays 0.
func (c *overflowCounter) count(maxAge time.Duration) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.at.IsZero() || now.Sub(c.at) > maxAge {
		if t, err := readNeighborTable(); err == nil {
			c.last = t.overflows
		}
		c.at = now
	}
	return c.last
}
