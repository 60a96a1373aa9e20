package emu

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// ProbeDSCP is the differentiated-services code point that the emulator's own probes set on their packets. Rules report a
// drop only of packets that carry it, so that no other traffic, however much, costs more than the drop itself.
const ProbeDSCP = 0x2b

// LogGroup is the NFLOG group on which rules report the drops of probe packets.
const LogGroup = 1

// Ruleset is the one nftables table, family ip, of a namespace. Order of chains is without meaning, order of rules is the
// order of evaluation.
type Ruleset struct {
	Table     string       `json:"table"`
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
)

// Rule is one nftables rule. Two rules may share an ID where one reports what the other drops.
type Rule struct {
	ID         string // what a report of a drop carries; unique in the namespace but for such a pair
	Comment    string // for people, at most 127 bytes
	Origin     Origin
	Statements []Statement
}

// DropRules gives the pair of rules that reports and drops whatever the matches let through.
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

// Direction says which of a packet's two ends, or of a router's two interfaces, is meant.
type Direction string

const (
	Source      Direction = "s"
	Destination Direction = "d"
)

type (
	// MatchInput matches the interface a packet came in on.
	MatchInput struct{ Device string }
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
	// MatchEstablished matches packets of connections that were accepted before, and what relates to them.
	MatchEstablished struct{}
	// MatchDNATed matches packets of connections whose destination was translated.
	MatchDNATed struct{}
	// MatchProbe matches the emulator's own probes (ProbeDSCP).
	MatchProbe struct{}
	// Log reports the packet on LogGroup, under a prefix.
	Log struct{ Prefix string }
	// Counter counts packets and bytes.
	Counter struct{}
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
	// SetMarkByMap marks the packet with what a MarkMap has for its source address; a rule ends where the map has nothing.
	SetMarkByMap struct{ Map string }
	// MatchMark matches packets that are so marked.
	MatchMark struct{ Mark uint32 }
	// MatchMaskedMark matches packets whose mark is so in the bits of the mask.
	MatchMaskedMark struct{ Mark, Mask uint32 }
	// DNAT translates the destination. With a port it needs a MatchProtocol of tcp or udp before it; with port 0 the port stays.
	DNAT struct{ To netip.AddrPort }
	// SetTimeout gives the connection a TimeoutPolicy; it works in the first packet alone.
	SetTimeout struct{ Policy string }
	// DNATByHash translates the destination to one of several, chosen by a hash of the packet's addresses and ports. It needs a MatchProtocol
	// before it, as DNAT with a port does.
	DNATByHash struct {
		By Distribution
		To []netip.AddrPort
	}
	// SNAT translates the source address.
	SNAT struct{ To netip.Addr }
	// SNATByHash translates the source address to one of several, chosen likewise.
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

func (m MatchInput) String() string  { return "iifname " + quote(m.Device) }
func (m MatchOutput) String() string { return "oifname " + quote(m.Device) }
func (m MatchPrefix) String() string {
	if m.Prefix.IsSingleIP() {
		return fmt.Sprintf("ip %saddr %s", m.Of, m.Prefix.Addr())
	}
	return fmt.Sprintf("ip %saddr %s", m.Of, m.Prefix)
}
func (m MatchPrefixSet) String() string { return fmt.Sprintf("ip %saddr @%s", m.Of, m.Set) }
func (m MatchPairSet) String() string   { return fmt.Sprintf("ip saddr . ip daddr @%s", m.Set) }
func (m MatchProtocol) String() string  { return "meta l4proto " + m.Protocol }
func (m MatchPort) String() string      { return fmt.Sprintf("th dport %d", m.Port) }
func (MatchEstablished) String() string { return "ct state established,related" }
func (MatchDNATed) String() string      { return "ct status dnat" }
func (MatchProbe) String() string       { return fmt.Sprintf("ip dscp %#x", ProbeDSCP) }
func (s Log) String() string {
	return fmt.Sprintf("log prefix %s group %d queue-threshold 1", quote(s.Prefix), LogGroup)
}
func (Counter) String() string    { return "counter" }
func (Accept) String() string     { return "accept" }
func (Drop) String() string       { return "drop" }
func (s Goto) String() string     { return "goto " + s.Chain }
func (s Dispatch) String() string { return "ip daddr . meta l4proto . th dport vmap @" + s.Map }

// text is an expression of nft for one of several values.
func (d Distribution) text(values []string) string {
	for i := range values {
		values[i] = fmt.Sprintf("%d : %s", i, values[i])
	}
	return fmt.Sprintf("jhash %s mod %d seed %#x map { %s }", d, len(values), DistributionSeed, strings.Join(values, ", "))
}
func (s DNATByHash) String() string {
	return "dnat ip to " + s.By.text(texts(s.To, func(a netip.AddrPort) string { return fmt.Sprintf("%s . %d", a.Addr(), a.Port()) }))
}
func (s SNATByHash) String() string { return "snat to " + s.By.text(texts(s.To, netip.Addr.String)) }
func (s SetMark) String() string    { return fmt.Sprintf("meta mark set %#x", s.Mark) }
func (s SetMarkByMap) String() string {
	return "meta mark set ip saddr map @" + s.Map
}
func (m MatchMark) String() string { return fmt.Sprintf("meta mark %#x", m.Mark) }
func (m MatchMaskedMark) String() string {
	return fmt.Sprintf("meta mark & %s == %s", MarkText(m.Mask), MarkText(m.Mark))
}
func (s DNAT) String() string {
	if s.To.Port() == 0 {
		return fmt.Sprintf("dnat to %s", s.To.Addr())
	}
	return fmt.Sprintf("dnat to %s", s.To)
}
func (s SetTimeout) String() string { return fmt.Sprintf("ct timeout set %q", s.Policy) }
func (s SNAT) String() string       { return fmt.Sprintf("snat to %s", s.To) }
func (s SNATByMap) String() string  { return "snat to ip saddr map @" + s.Map }

// MarkText gives a mark as nft prints it.
func MarkText(mark uint32) string { return fmt.Sprintf("0x%08x", mark) }

// String gives the rule in the language of nft, with its comment.
func (r Rule) String() string {
	parts := make([]string, 0, len(r.Statements)+1)
	for _, s := range r.Statements {
		parts = append(parts, s.String())
	}
	if r.Comment != "" {
		parts = append(parts, "comment "+quote(r.Comment))
	}
	return strings.Join(parts, " ")
}

// MarshalJSON gives the rule as nft would read it, with its id and origin.
func (r Rule) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID     string `json:"id,omitempty"`
		Origin Origin `json:"origin,omitzero"`
		Rule   string `json:"rule"`
	}{r.ID, r.Origin, r.String()})
}

// String gives the table as a file that nft -f reads.
func (t *Ruleset) String() string { return t.text(Rule.String) }

// Annotated is String with the place each rule comes from.
func (t *Ruleset) Annotated() string {
	return t.text(func(r Rule) string { return r.String() + from(r.Origin) })
}

func (t *Ruleset) text(rule func(Rule) string) string {
	var b strings.Builder
	block := func(head string, lines ...string) {
		fmt.Fprintf(&b, "\t%s {\n", head)
		for _, l := range lines {
			fmt.Fprintf(&b, "\t\t%s\n", l)
		}
		b.WriteString("\t}\n")
	}
	elements := func(all []string) string {
		return "elements = { " + strings.Join(all, ", ") + " }"
	}
	fmt.Fprintf(&b, "table ip %s {\n", t.Table)
	for _, s := range t.Prefixes {
		lines := []string{"type ipv4_addr; flags interval;"}
		if len(s.Elements) > 0 {
			lines = append(lines, elements(texts(s.Elements, netip.Prefix.String)))
		}
		block("set "+s.Name, lines...)
	}
	for _, s := range t.Pairs {
		lines := []string{"type ipv4_addr . ipv4_addr;"}
		if len(s.Elements) > 0 {
			lines = append(lines, elements(texts(s.Elements, func(e [2]netip.Addr) string { return e[0].String() + " . " + e[1].String() })))
		}
		block("set "+s.Name, lines...)
	}
	for _, m := range t.Addresses {
		lines := []string{"type ipv4_addr : ipv4_addr;"}
		if len(m.Elements) > 0 {
			lines = append(lines, elements(texts(m.Elements, func(e AddressMapElement) string { return e.Key.String() + " : " + e.Value.String() })))
		}
		block("map "+m.Name, lines...)
	}
	for _, m := range t.Marks {
		lines := []string{"type ipv4_addr : mark;"}
		if len(m.Elements) > 0 {
			lines = append(lines, elements(texts(m.Elements, func(e MarkMapElement) string { return e.Key.String() + " : " + MarkText(e.Mark) })))
		}
		block("map "+m.Name, lines...)
	}
	for _, p := range t.Timeouts {
		state := "established"
		if p.Protocol == UDP {
			state = "replied"
		}
		block("ct timeout "+p.Name, "protocol "+string(p.Protocol)+"; l3proto ip;", fmt.Sprintf("policy = { %s : %d }", state, p.Seconds))
	}
	for _, c := range t.Chains { // chains before the map that leads to them
		var lines []string
		if c.Hook != NoHook {
			lines = append(lines, string(c.Hook))
		}
		if c.Hook == NoHook {
			lines = append(lines, texts(c.Rules, rule)...)
			block("chain "+c.Name, lines...)
		}
	}
	for _, m := range t.Sockets {
		lines := []string{"type ipv4_addr . inet_proto . inet_service : verdict;"}
		if len(m.Elements) > 0 {
			lines = append(lines, elements(texts(m.Elements, func(e SocketMapElement) string {
				return fmt.Sprintf("%s . %s . %d : goto %s", e.Address, e.Protocol, e.Port, e.Chain)
			})))
		}
		block("map "+m.Name, lines...)
	}
	for _, c := range t.Chains {
		if c.Hook != NoHook {
			block("chain "+c.Name, append([]string{string(c.Hook)}, texts(c.Rules, rule)...)...)
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// Quotable gives a text as it can stand between the quotes of nft, which knows no escapes: a double quote becomes a single
// one, a control character a space.
func Quotable(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '"':
			return '\''
		case c < ' ' || c == 0x7f:
			return ' '
		}
		return c
	}, s)
}

func quote(s string) string { return `"` + Quotable(s) + `"` }

func texts[T any](in []T, text func(T) string) []string {
	out := make([]string, len(in))
	for i, v := range in {
		out[i] = text(v)
	}
	return out
}
