package compile

import (
	"net/netip"

	"vnetlab/emu"
	"vnetlab/lab/rules"
)

// What a machine sends from an address that isn't its own goes no further than its own port, as on the platform, so
// that no rule by remote address can be deceived. A port of a bridge is guarded by the bridge's rules, which see
// what stays within a subnet too; the port of a machine that hangs on a router by itself by the router's routes.

const ownSourceOnly = "a machine sends only from its own address"

// Ports between bridges begin so; those of machines have the names of addresses.
const (
	downPort = "dn-" // of a subnet's bridge, to a leaf
	upPort   = "up-" // of a leaf, to the subnet's bridge
)

// switchRules let in by each port what comes from an address behind it, in IPv4 and in ARP, and nothing else at
// all. ARP is answered by the bridges, so a machine needs none but for its own address; others would believe it if
// it answered for another one.
func switchRules(origin emu.Origin, behind []emu.PortAddress, leaves bool) *emu.Ruleset {
	const machines = "machines"
	all := []emu.Rule{accept(emu.MatchPortAddress{Set: machines}), accept(emu.MatchPortARP{Set: machines})}
	if leaves { // what comes from another bridge has been seen there
		all = append(all,
			accept(emu.MatchInput{Device: downPort + "*"}), accept(emu.MatchInput{Device: upPort + "*"}))
	}
	drop := func(id, text string, matches ...emu.Statement) emu.Rule {
		return emu.Rule{ID: id, Comment: text, Origin: origin, Statements: append(matches, emu.Counter{}, emu.Drop{})}
	}
	all = append(all, emu.DropRules(rules.SpoofedSource, ownSourceOnly, origin, emu.MatchIPv4{})...)
	all = append(all,
		drop(rules.SpoofedARP, ownSourceOnly, emu.MatchARP{}), drop(rules.NotIPv4, "ports pass only IPv4 and ARP"))
	return &emu.Ruleset{
		Family: emu.BridgeFamily, Table: "switch", Ports: []emu.PortSet{{Name: machines, Elements: behind}},
		Chains: []*emu.Chain{{Name: "prerouting", Hook: emu.SwitchHook, Rules: all}},
	}
}

// forgedSources drop what comes by the ports of machines, which begin with the prefix, from another address than is
// routed there. The chain is where the rule leads.
func forgedSources(ports string) (*emu.Chain, emu.Rule) {
	c := &emu.Chain{Name: "spoofed", Rules: emu.DropRules(rules.SpoofedSource, ownSourceOnly, emu.Origin{})}
	return c, emu.Rule{Statements: []emu.Statement{
		emu.MatchInput{Device: ports + "*"}, emu.MatchForgedSource{}, emu.Goto{Chain: c.Name},
	}}
}

// behindPort is a machine at the port that has the name of its address.
func behindPort(a netip.Addr) emu.PortAddress { return emu.PortAddress{Device: a.String(), Address: a} }

// untranslated drops what would leave with an address from inside: the rest of a connection that was closed.
func untranslated() emu.Rule {
	return emu.Rule{Comment: "of no connection, so without a public source", Statements: []emu.Statement{
		emu.MatchOutput{Device: uplink}, emu.MatchInvalid{}, emu.Counter{}, emu.Drop{},
	}}
}
