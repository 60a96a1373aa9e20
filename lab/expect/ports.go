package expect

import (
	"cmp"
	"slices"

	"vnetlab/emu"
)

// portSet is a set of ports: ranges in order that don't overlap.
type portSet []emu.PortRange

var everyPort = portSet{{First: 1, Last: 65535}}

func compareRanges(a, b emu.PortRange) int {
	return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
}

func (s portSet) has(port uint16) bool {
	return slices.ContainsFunc(s, func(r emu.PortRange) bool { return r.First <= port && port <= r.Last })
}

// with returns the union with other ranges, of as few ranges as possible.
func (s portSet) with(more ...emu.PortRange) (all portSet) {
	for _, r := range slices.SortedFunc(slices.Values(slices.Concat(s, more)), compareRanges) {
		if n := len(all); n > 0 && int(r.First) <= int(all[n-1].Last)+1 {
			all[n-1].Last = max(all[n-1].Last, r.Last)
			continue
		}
		all = append(all, r)
	}
	return all
}

// without returns the ports that are not in another set.
func (s portSet) without(other portSet) (all portSet) {
	for _, r := range s {
		first := int(r.First)
		for _, o := range other.with() {
			if int(o.Last) < first || o.First > r.Last {
				continue
			}
			if int(o.First) > first {
				all = append(all, emu.PortRange{First: uint16(first), Last: o.First - 1})
			}
			first = int(o.Last) + 1
		}
		if first <= int(r.Last) {
			all = append(all, emu.PortRange{First: uint16(first), Last: r.Last})
		}
	}
	return all
}

// within returns the ports that are in another set, too.
func (s portSet) within(other portSet) portSet { return s.without(everyPort.without(other)) }
