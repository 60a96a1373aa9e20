// Package guestfirewall reads rules of a guest firewall as people write them: in a short form of our own, as a netsh command and as
// the New-NetFirewallRule command of PowerShell. What a rule does to packets is decided elsewhere.
package guestfirewall

import (
	"fmt"
	"net/netip"
	"strings"

	"vnetlab/emu"
)

// Rule allows or blocks connections that come in. It matches a packet when all its conditions do; several ports or remote addresses
// are alternatives. The firewall has no order: block wins over allow, and allow over the default.
type Rule struct {
	Name     string // as the command gave it; empty in the short form
	Allow    bool   // block otherwise
	Protocol string // tcp, udp, icmp; empty: any
	// LocalPorts are of tcp or udp; none: any.
	LocalPorts []emu.PortRange
	// Remote, RemoteRanges (first and last address) and LocalSubnet say who may be at the other end; with none of them, anybody.
	Remote       []netip.Prefix
	RemoteRanges [][2]netip.Addr
	// LocalSubnet means every address in the subnet of the machine itself.
	LocalSubnet bool
	// Inactive says why the rule never matches, though it was accepted: it is disabled, or for other profiles than the machine's.
	// Empty: the rule counts.
	Inactive string
	Text     string // as it was written
}

// AnyRemote says whether the rule is for everybody at the other end.
func (r Rule) AnyRemote() bool {
	return len(r.Remote) == 0 && len(r.RemoteRanges) == 0 && !r.LocalSubnet
}

// String gives the rule in the short form, which Parse takes. Name, Text and Inactive are not part of it.
func (r Rule) String() string {
	var b strings.Builder
	b.WriteString("block ")
	if r.Allow {
		b.Reset()
		b.WriteString("allow ")
	}
	if r.Protocol == "" {
		b.WriteString("any")
	} else {
		b.WriteString(r.Protocol)
	}
	for i, p := range r.LocalPorts {
		b.WriteString(separator(i))
		if p.First == p.Last {
			fmt.Fprint(&b, p.First)
		} else {
			fmt.Fprintf(&b, "%d-%d", p.First, p.Last)
		}
	}
	if r.AnyRemote() {
		return b.String()
	}
	b.WriteString(" from")
	n := 0
	add := func(s string) {
		b.WriteString(separator(n) + s)
		n++
	}
	for _, p := range r.Remote {
		if p.IsSingleIP() {
			add(p.Addr().String())
		} else {
			add(p.String())
		}
	}
	for _, a := range r.RemoteRanges {
		add(a[0].String() + "-" + a[1].String())
	}
	if r.LocalSubnet {
		add("localsubnet")
	}
	return b.String()
}

func separator(i int) string {
	if i == 0 {
		return " "
	}
	return ","
}
