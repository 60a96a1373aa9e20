package emu

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// Firewall is the guest firewall of a host: the INPUT chain of the iptables filter table. Loopback and the packets of
// connections that exist already always pass; then its rules decide in their order; what none of them matches is
// dropped, by the last rule of the chain: the rule before it reports the drop, and nothing can come between them
// unseen. A nil Firewall lets everything in.
type Firewall struct {
	Rules []FirewallRule `json:"rules"`
	// Default is where the drop of everything else is decided.
	Default Origin `json:"default,omitzero"`
}

// FirewallDefault is the id under which a firewall reports the drop of what no rule matched.
const FirewallDefault = "firewall-default"

// FirewallRule admits or drops what it matches.
type FirewallRule struct {
	ID       string // what a report of a drop carries; unique in the namespace but for the parts of one rule, at most 63 bytes
	Comment  string // the rule as a person wrote it, at most 200 bytes
	Origin   Origin
	Drop     bool          // accept otherwise
	Protocol string        // tcp, udp, icmp; empty: any
	Ports    []PortRange   // of tcp or udp; none: any. At most 15, a range counting as two
	From     netip.Prefix  // zero: anywhere
	FromTo   [2]netip.Addr // an inclusive range of sources instead of From; zero: none
}

// PortRange is an inclusive range of ports.
type PortRange struct{ First, Last uint16 }

func (p PortRange) String() string {
	if p.First == p.Last {
		return fmt.Sprint(p.First)
	}
	return fmt.Sprintf("%d:%d", p.First, p.Last)
}

// Lines returns the rules of the INPUT chain as `iptables -S` prints them.
func (f *Firewall) Lines() []string {
	lines := []string{
		"-A INPUT -i lo -j ACCEPT",
		"-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
	}
	for _, r := range f.Rules {
		lines = append(lines, r.Lines()...)
	}
	return append(lines, "-A INPUT "+reportTarget(FirewallDefault), "-A INPUT -j DROP")
}

// Lines returns one line for a rule that accepts, two for a rule that drops: the report and the drop.
func (r FirewallRule) Lines() []string {
	match := r.match()
	if !r.Drop {
		return []string{"-A INPUT " + match + "-j ACCEPT"}
	}
	return []string{
		"-A INPUT " + match + reportTarget(r.ID),
		"-A INPUT " + match + "-j DROP",
	}
}

func (r FirewallRule) match() string {
	var b strings.Builder
	if r.From.IsValid() && r.From.Bits() > 0 {
		fmt.Fprintf(&b, "-s %s ", r.From.Masked())
	}
	if r.Protocol != "" {
		fmt.Fprintf(&b, "-p %s ", r.Protocol)
	}
	if r.FromTo[0].IsValid() {
		fmt.Fprintf(&b, "-m iprange --src-range %s-%s ", r.FromTo[0], r.FromTo[1])
	}
	switch {
	case len(r.Ports) == 1 && r.Ports[0] == PortRange{0, 65535}:
		fmt.Fprintf(&b, "-m %s ", r.Protocol) // iptables leaves out what matches every port
	case len(r.Ports) == 1:
		fmt.Fprintf(&b, "-m %s --dport %s ", r.Protocol, r.Ports[0])
	case len(r.Ports) > 1:
		fmt.Fprintf(&b, "-m multiport --dports %s ", strings.Join(texts(r.Ports, PortRange.String), ","))
	}
	if r.Comment != "" {
		fmt.Fprintf(&b, "-m comment --comment %s ", quoteOption(r.Comment))
	}
	return b.String()
}

// quoteOption quotes as iptables-save does: only what needs it.
func quoteOption(s string) string {
	if s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == "" {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `\'`).Replace(s) + `"`
}

func reportTarget(id string) string {
	return fmt.Sprintf(
		"-m dscp --dscp %#02x -j NFLOG --nflog-prefix %s --nflog-group %d --nflog-threshold 1",
		ProbeDSCP,
		quoteOption(id),
		LogGroup,
	)
}

// MarshalJSON returns the rule as iptables would read it, with its id and origin.
func (r FirewallRule) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID     string   `json:"id"`
		Origin Origin   `json:"origin,omitzero"`
		Rules  []string `json:"rules"`
	}{r.ID, r.Origin, r.Lines()})
}
