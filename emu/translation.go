package emu

import "net/netip"

// Translation is something for which a router translates connections. The rules decide about the first packet of a
// connection only; the kernel keeps translating what is established. So a change that takes a translation away
// closes the connections that had it (emu/diff), and those of a translation that both networks have go on,
// whatever else the change does to the rules.
type Translation struct {
	// Of is the owner: an equal translation of another owner is a different one.
	Of string `json:"of"`
	// Address is the public side; zero: that of a member, at each address where Of has its port.
	Address netip.Addr `json:"address,omitzero"`
	// Protocol and Port are the public port; empty and 0: all of the address.
	Protocol Protocol `json:"protocol,omitempty"`
	Port     uint16   `json:"port,omitempty"`
	// To is the member that is meant, in place of an address.
	To netip.AddrPort `json:"to,omitzero"`
}
