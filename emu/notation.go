package emu

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// The parts of a ruleset in the language of nft. A rule is written here, since its text is part of its JSON form; whole
// tables are written by emu/text.

func (m MatchInput) String() string       { return "iifname " + quote(m.Device) }
func (e PortAddress) String() string      { return quote(e.Device) + " . " + e.Address.String() }
func (m MatchPortAddress) String() string { return "iifname . ip saddr @" + m.Set }
func (m MatchPortARP) String() string     { return "iifname . arp saddr ip @" + m.Set }
func (MatchIPv4) String() string          { return "meta protocol ip" }
func (MatchARP) String() string           { return "meta protocol arp" }
func (MatchForgedSource) String() string  { return "fib saddr . iif oif missing" }
func (m MatchOutput) String() string      { return "oifname " + quote(m.Device) }
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
func (m MatchSourcePort) String() string {
	return fmt.Sprintf("th sport %d", m.Port)
}
func (MatchEstablished) String() string { return "ct state established,related" }
func (MatchInvalid) String() string     { return "ct state invalid" }
func (MatchDNATed) String() string      { return "ct status dnat" }
func (MatchProbe) String() string       { return fmt.Sprintf("ip dscp %#x", ProbeDSCP) }
func (s Log) String() string {
	return fmt.Sprintf("log prefix %s group %d queue-threshold 1", quote(s.Prefix), LogGroup)
}
func (Counter) String() string    { return "counter" }
func (NoTrack) String() string    { return "notrack" }
func (Accept) String() string     { return "accept" }
func (Drop) String() string       { return "drop" }
func (s Goto) String() string     { return "goto " + s.Chain }
func (s Dispatch) String() string { return "ip daddr . meta l4proto . th dport vmap @" + s.Map }

// text is an expression of nft for one of several values.
func (d Distribution) text(values []string) string {
	for i := range values {
		values[i] = fmt.Sprintf("%d : %s", i, values[i])
	}
	return fmt.Sprintf(
		"jhash %s mod %d seed %#x map { %s }",
		d,
		len(values),
		DistributionSeed,
		strings.Join(values, ", "),
	)
}

func (s DNATByHash) String() string {
	return "dnat ip to " + s.By.text(
		texts(s.To, func(a netip.AddrPort) string { return fmt.Sprintf("%s . %d", a.Addr(), a.Port()) }),
	)
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

// MarkText returns a mark as nft prints it.
func MarkText(mark uint32) string { return fmt.Sprintf("0x%08x", mark) }

// String returns the rule in the language of nft, with its comment.
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

// MarshalJSON returns the rule as nft would read it, with its id and origin.
func (r Rule) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID     string `json:"id,omitempty"`
		Origin Origin `json:"origin,omitzero"`
		Rule   string `json:"rule"`
	}{r.ID, r.Origin, r.String()})
}

// Quotable returns a text that can stand between the quotes of nft, which has no escapes: a double quote becomes a
// single one, a control character a space.
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
