package dns

import (
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
)

// zone has the names there are, in lower case without the final dot. A name above one of them is there, too, without
// an address, for as long as there is one below it; the root always is.
type zone map[string]entry

type entry struct {
	addresses []netip.Addr // in their order: that of an answer doesn't depend on which names came first
	names     int          // how many were added here and below
}

func newZone(records []emu.NameRecord) zone {
	z := make(zone, len(records))
	z.add("")
	for _, r := range records {
		z.add(r.Name, r.Address)
	}
	return z
}

// add adds a name, with its address or without one.
func (z zone) add(name string, addresses ...netip.Addr) {
	name = canonical(name)
	e := z[name]
	for _, a := range addresses {
		i, _ := slices.BinarySearchFunc(e.addresses, a, netip.Addr.Compare)
		e.addresses = slices.Insert(e.addresses, i, a)
	}
	z[name] = e
	z.count(name, 1)
}

// remove takes back what add has added.
func (z zone) remove(r emu.NameRecord) {
	name := canonical(r.Name)
	e := z[name]
	i, known := slices.BinarySearchFunc(e.addresses, r.Address, netip.Addr.Compare)
	if !known {
		return
	}
	e.addresses = slices.Delete(e.addresses, i, i+1)
	z[name] = e
	z.count(name, -1)
}

// count counts a name, and with it all above it.
func (z zone) count(name string, n int) {
	for above := true; above; _, name, above = strings.Cut(name, ".") {
		e := z[name]
		e.names += n
		if e.names == 0 {
			delete(z, name)
		} else {
			z[name] = e
		}
	}
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
