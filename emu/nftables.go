package emu

import (
	"cmp"
	"net/netip"
	"slices"
)

// ProbeDSCP is the differentiated-services code point that the emulator's own probes set on their packets. Rules
// report a drop only of packets that carry it, so that no other traffic, however much, costs more than the drop
// itself.
const ProbeDSCP = 0x2b

// LogGroup is the NFLOG group on which rules report the drops of probe packets.
const LogGroup = 1

// Family is the kind of packets that a table sees.
type Family string

const (
	IPv4         Family = ""       // that the namespace receives, forwards or sends
	BridgeFamily Family = "bridge" // that come in by the ports of its bridges, whatever their protocol
)

// String returns the family as nft names it.
func (f Family) String() string { return cmp.Or(string(f), "ip") }

// Ruleset is an nftables table, the only one of its family in a namespace. Order of chains is without meaning,
// order of rules is the order of evaluation.
type Ruleset struct {
	Family    Family       `json:"family,omitempty"`
	Table     string       `json:"table"`
	Ports     []PortSet    `json:"portSets,omitempty"`
	Prefixes  []PrefixSet  `json:"prefixSets,omitempty"`
	Pairs     []PairSet    `json:"pairSets,omitempty"`
	Addresses []AddressMap `json:"addressMaps,omitempty"`
	Marks     []MarkMap    `json:"markMaps,omitempty"`
	Sockets   []SocketMap  `json:"socketMaps,omitempty"`
	// Timeouts are named policies for how long an idle connection is remembered.
	Timeouts []TimeoutPolicy `json:"timeouts,omitempty"`
	Chains   []*Chain        `json:"chains"`
}

// TimeoutPolicy is a conntrack timeout policy (ct timeout): a connection without a packet for so long is forgotten.
type TimeoutPolicy struct {
	Name     string   `json:"name"`
	Protocol Protocol `json:"protocol"`
	// Seconds is for TCP the timeout of the state established, for UDP of the state replied.
	Seconds int `json:"seconds"`
}

// PrefixSet is a named interval set of IPv4 prefixes.
type PrefixSet struct {
	Name     string         `json:"name"`
	Elements []netip.Prefix `json:"elements"`
}

// PortSet is a named set of devices with the addresses behind each.
type PortSet struct {
	Name     string        `json:"name"`
	Elements []PortAddress `json:"elements"`
}

// PortAddress is an address behind a device.
type PortAddress struct {
	Device  string     `json:"device"`
	Address netip.Addr `json:"address"`
}

// PairSet is a named set of source and destination addresses.
type PairSet struct {
	Name     string          `json:"name"`
	Elements [][2]netip.Addr `json:"elements"`
}

// AddressMap is a named map from an IPv4 address to an IPv4 address.
type AddressMap struct {
	Name     string              `json:"name"`
	Elements []AddressMapElement `json:"elements"`
}

// AddressMapElement is one entry of an AddressMap.
type AddressMapElement struct {
	Key   netip.Addr `json:"key"`
	Value netip.Addr `json:"value"`
}

// MarkMap is a named map from an IPv4 address to a mark.
type MarkMap struct {
	Name     string           `json:"name"`
	Elements []MarkMapElement `json:"elements"`
}

// MarkMapElement is one entry of a MarkMap.
type MarkMapElement struct {
	Key  netip.Addr `json:"key"`
	Mark uint32     `json:"mark"`
}

// SocketMap is a named verdict map from address . protocol . port to the chain that decides.
type SocketMap struct {
	Name     string             `json:"name"`
	Elements []SocketMapElement `json:"elements"`
}

// SocketMapElement is one entry of a SocketMap.
type SocketMapElement struct {
	Address  netip.Addr `json:"address"`
	Protocol Protocol   `json:"protocol"`
	Port     uint16     `json:"port"`
	Chain    string     `json:"chain"`
}

// Chain is a list of rules, hooked into the way of packets or called by other rules.
type Chain struct {
	Name  string `json:"name"`
	Hook  Hook   `json:"hook,omitempty"`
	Rules []Rule `json:"rules"`
}

// Hook is where a base chain stands in the way of packets: its type, hook, priority and policy as one.
type Hook string

const (
	NoHook      Hook = ""
	DNATHook    Hook = "type nat hook prerouting priority dstnat; policy accept;"
	SNATHook    Hook = "type nat hook postrouting priority srcnat; policy accept;"
	RawHook     Hook = "type filter hook prerouting priority raw; policy accept;"
	InputHook   Hook = "type filter hook input priority filter; policy drop;"
	ForwardHook Hook = "type filter hook forward priority filter; policy drop;"
	// SwitchHook is where frames come in by the ports of bridges; it is of the BridgeFamily, and what no rule
	// accepts goes nowhere.
	SwitchHook Hook = "type filter hook prerouting priority filter; policy drop;"
)

// Rule is one nftables rule. Two rules may share an ID where one reports what the other drops.
type Rule struct {
	ID         string // what a report of a drop carries; unique in the namespace but for such a pair
	Comment    string // for people, at most 127 bytes
	Origin     Origin
	Statements []Statement
}

// DropRules returns the pair of rules that reports and drops whatever the matches let through.
func DropRules(id, comment string, origin Origin, matches ...Statement) []Rule {
	report := append(append([]Statement{}, matches...), MatchProbe{}, Log{Prefix: id})
	drop := append(append([]Statement{}, matches...), Counter{}, Drop{})
	return []Rule{
		{ID: id, Comment: comment, Origin: origin, Statements: report},
		{ID: id, Comment: comment, Origin: origin, Statements: drop},
	}
}

// Statement is one step of a rule: a match, or an action. String gives it in the language of nft.
type Statement interface{ String() string }

// EqualStatements reports whether two statements are the same.
func EqualStatements(a, b Statement) bool {
	switch a := a.(type) { // those with a slice, which == can't compare
	case DNATByHash:
		b, ok := b.(DNATByHash)
		return ok && a.By == b.By && slices.Equal(a.To, b.To)
	case SNATByHash:
		b, ok := b.(SNATByHash)
		return ok && a.By == b.By && slices.Equal(a.To, b.To)
	}
	return a == b
}

// Direction is one of a packet's two ends, or of a router's two interfaces.
type Direction string

const (
	Source      Direction = "s"
	Destination Direction = "d"
)

type (
	// MatchInput matches the interface a packet came in on; a name that ends with * stands for all that begin so.
	MatchInput struct{ Device string }
	// MatchPortAddress matches a packet's interface and source address against a PortSet, MatchPortARP those of an
	// ARP packet's sender, both in the BridgeFamily.
	MatchPortAddress struct{ Set string }
	MatchPortARP     struct{ Set string }
	// MatchIPv4 and MatchARP match packets of these protocols, in the BridgeFamily.
	MatchIPv4 struct{}
	MatchARP  struct{}
	// MatchForgedSource matches packets that come in by another interface than the one by which their source is
	// reached.
	MatchForgedSource struct{}
	// MatchOutput matches the interface a packet leaves by.
	MatchOutput struct{ Device string }
	// MatchPrefix matches the source or destination address.
	MatchPrefix struct {
		Of     Direction
		Prefix netip.Prefix
	}
	// MatchPrefixSet matches the source or destination address against a PrefixSet.
	MatchPrefixSet struct {
		Of  Direction
		Set string
	}
	// MatchPairSet matches source and destination address against a PairSet.
	MatchPairSet struct{ Set string }
	// MatchProtocol matches the transport protocol: tcp, udp or icmp.
	MatchProtocol struct{ Protocol string }
	// MatchPort matches the destination port; it needs a MatchProtocol of tcp or udp before it.
	MatchPort struct{ Port uint16 }
	// MatchSourcePort matches the source port; it needs what MatchPort needs.
	MatchSourcePort struct{ Port uint16 }
	// MatchEstablished matches packets of connections that were accepted before, and what relates to them.
	MatchEstablished struct{}
	// MatchInvalid matches packets that are of no connection and begin none: they are not translated.
	MatchInvalid struct{}
	// MatchDNATed matches packets of connections whose destination was translated.
	MatchDNATed struct{}
	// MatchProbe matches the emulator's own probes (ProbeDSCP).
	MatchProbe struct{}
	// Log reports the packet on LogGroup, under a prefix.
	Log struct{ Prefix string }
	// Counter counts packets and bytes.
	Counter struct{}
	// NoTrack keeps the packet out of connection tracking; it works in a [RawHook].
	NoTrack struct{}
	// Accept ends the hook: the packet goes on.
	Accept struct{}
	// Drop ends the packet, silently.
	Drop struct{}
	// Goto continues in another chain and doesn't come back.
	Goto struct{ Chain string }
	// Dispatch continues in the chain that a SocketMap has for destination address, protocol and port.
	Dispatch struct{ Map string }
	// SetMark marks the packet for rules it meets later in the same namespace.
	SetMark struct{ Mark uint32 }
	// SetMarkByMap marks the packet with what a MarkMap has for its source address; a rule ends where the map has
	// nothing.
	SetMarkByMap struct{ Map string }
	// MatchMark matches packets that are so marked.
	MatchMark struct{ Mark uint32 }
	// MatchMaskedMark matches packets whose mark equals Mark in the bits of Mask.
	MatchMaskedMark struct{ Mark, Mask uint32 }
	// DNAT translates the destination. With a port it needs a MatchProtocol of tcp or udp before it; with port 0 the
	// port stays.
	DNAT struct{ To netip.AddrPort }
	// SetTimeout sets the TimeoutPolicy of the connection. It only works in the first packet.
	SetTimeout struct{ Policy string }
	// DNATByHash translates the destination to one of several, chosen by a hash of the packet's addresses and ports.
	// It needs a MatchProtocol before it, as DNAT with a port does.
	DNATByHash struct {
		By Distribution
		To []netip.AddrPort
	}
	// SNAT translates the source address.
	SNAT struct{ To netip.Addr }
	// SNATByHash translates the source address to one of several, chosen in the same way.
	SNATByHash struct {
		By Distribution
		To []netip.Addr
	}
	// SNATByMap translates the source address to what an AddressMap has for it; a source not in the map stays.
	SNATByMap struct{ Map string }
)

// Distribution is what is hashed to choose one of several.
type Distribution string

const (
	// FiveTuple: addresses, ports, and by what the rule matches the protocol.
	FiveTuple            Distribution = "ip saddr . ip daddr . th sport . th dport"
	AddressesAndProtocol Distribution = "ip saddr . ip daddr . meta l4proto"
	// AddressPair: source and destination address.
	AddressPair Distribution = "ip saddr . ip daddr"
)

// DistributionSeed keys the hash; it is fixed so that equal labs distribute equally.
const DistributionSeed = 1
