package diff

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"vnetlab/emu"
)

// Closed are connections that end with a change, in a router that stays. Those that are translated have four ends,
// two as the caller and two as the server sees them.
type Closed struct {
	// Machines are the addresses behind the router that are no longer those of whom they were; every connection
	// from or to them ends.
	Machines netip.Prefix
	// Address, Protocol and Port are what an [emu.Translation] translates; To is the one member behind it that is
	// meant, zero: all.
	Address  netip.Addr
	Protocol emu.Protocol
	Port     uint16
	To       netip.AddrPort
}

// String names the connections.
func (c Closed) String() string {
	port := fmt.Sprintf("port %d/%s", c.Port, c.Protocol)
	switch {
	case c.Machines.IsSingleIP():
		return fmt.Sprintf("connections of %s", c.Machines.Addr())
	case c.Machines.IsValid():
		return fmt.Sprintf("connections of %s", c.Machines)
	case c.To.IsValid():
		return fmt.Sprintf("connections to %s of %s that are with %s", port, c.Address, c.To)
	case c.Port != 0:
		return fmt.Sprintf("connections to %s of %s", port, c.Address)
	}
	return fmt.Sprintf("connections by %s", c.Address)
}

// Closed lists the connections that end with the change, by the router that tracks them. They are the connections of
// what is removed: of a machine whose link is removed, even if another gets its address in the same change, of an
// address of the router itself, of what is behind a tunnel, and of an [emu.Translation]. What a host tracks is its
// own business.
func (c *Change) Closed() map[string][]Closed {
	all := closures{routers: c.routersThatStay()}
	for _, l := range c.RemovedLinks {
		for _, e := range []emu.LinkEnd{l.A, l.B} {
			all.interfaces(l.A.Namespace, e.Addresses)
			all.interfaces(l.B.Namespace, e.Addresses)
		}
	}
	for _, t := range c.RemovedTunnels {
		all.machines(t.A.Namespace, t.A.AllowedPrefixes)
		all.machines(t.B.Namespace, t.B.AllowedPrefixes)
	}
	for i := range c.Changed {
		n := &c.Changed[i]
		name := n.To.Name
		for _, a := range n.RemovedLoopback {
			all.machines(name, []netip.Prefix{netip.PrefixFrom(a, a.BitLen())})
		}
		for _, b := range n.RemovedBridges {
			all.interfaces(name, b.Addresses)
		}
		for _, b := range n.ChangedBridges {
			gone, _ := difference(b.From.Addresses, b.To.Addresses)
			all.interfaces(name, gone)
		}
		for _, t := range n.RemovedTranslations {
			for _, a := range publicSides(t, n.From.Translations) {
				all.add(name, Closed{Address: a, Protocol: t.Protocol, Port: t.Port, To: t.To})
			}
		}
	}
	for name, closed := range all.of {
		all.of[name] = withoutCovered(closed)
	}
	return all.of
}

// publicSides are the addresses that a translation translates: its own, or those of the port of which it is a member.
// A connection keeps the address that it began with, so there may be several.
func publicSides(t emu.Translation, all []emu.Translation) []netip.Addr {
	if t.Address.IsValid() {
		return []netip.Addr{t.Address}
	}
	var addresses []netip.Addr
	for _, o := range all {
		if o.Of == t.Of && o.Address.IsValid() && o.Protocol == t.Protocol && o.Port == t.Port {
			addresses = append(addresses, o.Address)
		}
	}
	return addresses
}

// routersThatStay has the names of the namespaces in which something could end and which track connections before
// and after.
func (c *Change) routersThatStay() map[string]bool {
	asked := map[string]bool{}
	for _, l := range c.RemovedLinks {
		asked[l.A.Namespace], asked[l.B.Namespace] = true, true
	}
	for _, t := range c.RemovedTunnels {
		asked[t.A.Namespace], asked[t.B.Namespace] = true, true
	}
	stay := map[string]bool{}
	if len(asked) > 0 {
		for _, n := range c.To.Namespaces {
			if n.Kind == emu.Router && asked[n.Name] {
				stay[n.Name] = true
			}
		}
	}
	for _, n := range c.Changed {
		if n.To.Kind == emu.Router {
			stay[n.To.Name] = true
		}
	}
	for _, n := range c.Added {
		delete(stay, n.Name)
	}
	return stay
}

// closures are what Closed collects.
type closures struct {
	routers map[string]bool
	of      map[string][]Closed
}

// interfaces adds all connections of addresses that interfaces have.
func (all *closures) interfaces(namespace string, addresses []netip.Prefix) {
	for _, p := range addresses {
		all.machines(namespace, []netip.Prefix{netip.PrefixFrom(p.Addr(), p.Addr().BitLen())})
	}
}

// machines adds all connections of addresses. Link-local addresses are those of links between routers, not of
// machines.
func (all *closures) machines(namespace string, addresses []netip.Prefix) {
	for _, p := range addresses {
		if !p.Addr().IsLinkLocalUnicast() {
			all.add(namespace, Closed{Machines: p})
		}
	}
}

func (all *closures) add(namespace string, c Closed) {
	if !all.routers[namespace] {
		return
	}
	if all.of == nil {
		all.of = map[string][]Closed{}
	}
	if !slices.Contains(all.of[namespace], c) {
		all.of[namespace] = append(all.of[namespace], c)
	}
}

// withoutCovered leaves out the ports of addresses, and the members, of which all connections end anyway, and sets
// an order.
func withoutCovered(all []Closed) []Closed {
	whole := map[netip.Addr]bool{}
	for _, c := range all {
		if c.Machines.IsSingleIP() {
			whole[c.Machines.Addr()] = true
		} else if c.Port == 0 {
			whole[c.Address] = true
		}
	}
	all = slices.DeleteFunc(all, func(c Closed) bool {
		return c.Port != 0 && (whole[c.Address] || whole[c.To.Addr()])
	})
	slices.SortFunc(all, func(a, b Closed) int {
		return cmp.Or(a.Machines.Addr().Compare(b.Machines.Addr()),
			cmp.Compare(a.Machines.Bits(), b.Machines.Bits()), a.Address.Compare(b.Address),
			cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port), a.To.Compare(b.To))
	})
	return all
}
