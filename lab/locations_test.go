package lab_test

import (
	"net/netip"
	"slices"
	"testing"

	"vnetlab/lab"
)

// TestLocationBlocks holds that each location owns addresses that are nobody else's: of no other location, and of no
// VPN device. Those of the first locations stay what they were.
func TestLocationBlocks(t *testing.T) {
	devices := netip.MustParsePrefix("198.19.128.0/17")
	var blocks []netip.Prefix
	for _, location := range lab.Locations {
		b := lab.LocationBlock(location)
		if b.Overlaps(devices) || slices.ContainsFunc(blocks, b.Overlaps) || !lab.OfDatacenter(b.Addr()) {
			t.Errorf("%s has the block %s", location, b)
		}
		blocks = append(blocks, b)
	}
	for location, want := range map[string]string{
		"West US": "198.18.0.0/20", "Australia Southeast": "198.18.224.0/20", "South India": "198.19.0.0/20", "West Central US": "198.19.112.0/20",
	} {
		if got := lab.LocationBlock(location).String(); got != want {
			t.Errorf("%s has the block %s, want %s", location, got, want)
		}
	}
}
