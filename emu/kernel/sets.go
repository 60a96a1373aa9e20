package kernel

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables"

	"vnetlab/emu"
	"vnetlab/emu/diff"
)

// The kinds of named sets and maps.
var (
	portSet    = nftables.Set{KeyType: nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeIPAddr)}
	prefixSet  = nftables.Set{KeyType: nftables.TypeIPAddr, Interval: true}
	pairSet    = nftables.Set{KeyType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeIPAddr)}
	addressMap = nftables.Set{IsMap: true, KeyType: nftables.TypeIPAddr, DataType: nftables.TypeIPAddr}
	markMap    = nftables.Set{IsMap: true, KeyType: nftables.TypeIPAddr, DataType: nftables.TypeMark}
	socketMap  = nftables.Set{
		IsMap: true, DataType: nftables.TypeVerdict,
		KeyType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService),
	}
)

// filledSet is a named set or map with its elements.
type filledSet struct {
	nftables.Set
	elements []nftables.SetElement
}

// setsOf returns the named sets and maps of a ruleset in the order of its text.
func setsOf(r *emu.Ruleset) []filledSet {
	var all []filledSet
	add := func(kind nftables.Set, name string, elements []nftables.SetElement) {
		kind.Name = name
		all = append(all, filledSet{kind, elements})
	}
	for _, s := range r.Ports {
		add(portSet, s.Name, converted(s.Elements, portElement))
	}
	for _, s := range r.Prefixes {
		add(prefixSet, s.Name, append(leading(s.Elements), bounds(s.Elements)...))
	}
	for _, s := range r.Pairs {
		add(pairSet, s.Name, converted(s.Elements, pairElement))
	}
	for _, m := range r.Addresses {
		add(addressMap, m.Name, converted(m.Elements, addressElement))
	}
	for _, m := range r.Marks {
		add(markMap, m.Name, converted(m.Elements, markElement))
	}
	for _, m := range r.Sockets {
		add(socketMap, m.Name, converted(m.Elements, socketElement))
	}
	return all
}

func converted[E any](in []E, convert func(E) nftables.SetElement) []nftables.SetElement {
	out := make([]nftables.SetElement, len(in))
	for i, e := range in {
		out[i] = convert(e)
	}
	return out
}

func portElement(e emu.PortAddress) nftables.SetElement {
	return nftables.SetElement{Key: append(deviceName(e.Device), e.Address.AsSlice()...)}
}

func pairElement(e [2]netip.Addr) nftables.SetElement {
	return nftables.SetElement{Key: append(e[0].AsSlice(), e[1].AsSlice()...)}
}

func addressElement(e emu.AddressMapElement) nftables.SetElement {
	return nftables.SetElement{Key: e.Key.AsSlice(), Val: e.Value.AsSlice()}
}

func markElement(e emu.MarkMapElement) nftables.SetElement {
	return nftables.SetElement{Key: e.Key.AsSlice(), Val: binary.NativeEndian.AppendUint32(nil, e.Mark)}
}

func socketElement(e emu.SocketMapElement) nftables.SetElement {
	// Each part of a concatenation fills whole 32-bit registers.
	key := append(e.Address.AsSlice(), transports[string(e.Protocol)], 0, 0, 0)
	key = append(binary.BigEndian.AppendUint16(key, e.Port), 0, 0)
	return nftables.SetElement{Key: key, VerdictData: gotoChain(e.Chain)}
}

// bounds returns prefixes as the starts and ends that the kernel keeps: the end is the first address after the prefix.
// Those of one prefix do not depend on the others.
func bounds(prefixes []netip.Prefix) []nftables.SetElement {
	var out []nftables.SetElement
	sorted := slices.SortedFunc(slices.Values(prefixes),
		func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	for _, p := range sorted {
		first := p.Masked().Addr().AsSlice()
		out = append(out, nftables.SetElement{Key: first})
		if end := uint64(binary.BigEndian.Uint32(first)) + 1<<(32-p.Bits()); end < 1<<32 {
			out = append(out, nftables.SetElement{
				Key:         binary.BigEndian.AppendUint32(nil, uint32(end)),
				IntervalEnd: true,
			})
		}
	}
	return out
}

// leading returns what a set of prefixes begins with, like that of nft: an end at 0, before which nothing matches. A
// set that is empty or contains addresses from 0 on has none.
func leading(prefixes []netip.Prefix) []nftables.SetElement {
	if len(prefixes) == 0 || slices.ContainsFunc(prefixes,
		func(p netip.Prefix) bool { return p.Masked().Addr().As4() == [4]byte{} }) {
		return nil
	}
	return []nftables.SetElement{{Key: make([]byte, 4), IntervalEnd: true}}
}

// setChange is the difference of a set, or of all of it if it is made or gone.
type setChange struct {
	nftables.Set
	made, gone     bool
	removed, added []nftables.SetElement
}

// setChanges returns the sets that differ, each with what differs.
func setChanges(c *diff.RulesetChange) []setChange {
	all := changesOf(nil, c.Prefixes, prefixSet, bounds)
	for i := range all {
		s := &all[i]
		removed, added := elementChanges(leading(prefixesOf(c.From, s.Name)), leading(prefixesOf(c.To, s.Name)))
		s.removed, s.added = append(s.removed, removed...), append(added, s.added...)
	}
	all = changesOf(all, c.Ports, portSet, func(e []emu.PortAddress) []nftables.SetElement {
		return converted(e, portElement)
	})
	all = changesOf(all, c.Pairs, pairSet, func(e [][2]netip.Addr) []nftables.SetElement {
		return converted(e,
			pairElement)
	})
	all = changesOf(all, c.Addresses, addressMap,
		func(e []emu.AddressMapElement) []nftables.SetElement { return converted(e, addressElement) })
	all = changesOf(all, c.Marks, markMap, func(e []emu.MarkMapElement) []nftables.SetElement {
		return converted(e,
			markElement)
	})
	return changesOf(all, c.Sockets, socketMap,
		func(e []emu.SocketMapElement) []nftables.SetElement { return converted(e, socketElement) })
}

func changesOf[E comparable](all []setChange, changes []diff.SetChange[E], kind nftables.Set,
	elements func([]E) []nftables.SetElement,
) []setChange {
	for _, c := range changes {
		s := setChange{Set: kind, made: c.Made, gone: c.Gone}
		s.Name = c.Name
		s.removed, s.added = elementChanges(elements(c.Removed), elements(c.Added))
		all = append(all, s)
	}
	return all
}

func prefixesOf(r *emu.Ruleset, set string) []netip.Prefix {
	for _, s := range r.Prefixes {
		if s.Name == set {
			return s.Elements
		}
	}
	return nil
}

// elementChanges returns the elements that only the old or only the new list has. One with another value is in both.
func elementChanges(from, to []nftables.SetElement) (gone, come []nftables.SetElement) {
	old := make(map[string]nftables.SetElement, len(from))
	for _, e := range from {
		old[elementKey(e)] = e
	}
	for _, e := range to {
		k := elementKey(e)
		was, ok := old[k]
		delete(old, k)
		if ok && bytes.Equal(was.Val, e.Val) && value(was) == value(e) {
			continue
		}
		if ok {
			gone = append(gone, onlyKey(was))
		}
		come = append(come, e)
	}
	for _, e := range from {
		if _, ok := old[elementKey(e)]; ok {
			gone = append(gone, onlyKey(e))
		}
	}
	return gone, come
}

// elementKey distinguishes the end of an interval from the start of another.
func elementKey(e nftables.SetElement) string {
	if e.IntervalEnd {
		return string(e.Key) + "end"
	}
	return string(e.Key)
}

func onlyKey(e nftables.SetElement) nftables.SetElement {
	return nftables.SetElement{Key: e.Key, IntervalEnd: e.IntervalEnd}
}
