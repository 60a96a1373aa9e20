// Package guestfirewall reads rules of a guest firewall as people write them: in a short form of our own, as a
// netsh command and as the commands of PowerShell, with what people put around them. What a rule does to
// packets is decided elsewhere.
//
// What Windows takes is taken. What a command says that a lab can't hold is a note, and a rule that could never
// match here is inactive and says why; what would be wrong in a lab, such as a block of outgoing traffic, is
// refused.
package guestfirewall

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
)

// Rule allows or blocks connections that come in. It matches a packet when all its conditions do; several ports
// or remote addresses are alternatives. The firewall has no order: block wins over allow, and allow over the
// default.
type Rule struct {
	Name     string // as the command gave it; empty in the short form
	Allow    bool   // block otherwise
	Protocol string // tcp, udp, icmp; empty: any
	// LocalPorts are of tcp or udp; none: any.
	LocalPorts []emu.PortRange
	// Remote, RemoteRanges (first and last address) and LocalSubnet say who may be at the other end; with none
	// of them, anybody.
	Remote       []netip.Prefix
	RemoteRanges [][2]netip.Addr
	// LocalSubnet means every address in the subnet of the machine itself.
	LocalSubnet bool
	// Local and LocalRanges are the addresses of the machine that the rule is for; with none of them, all.
	Local       []netip.Prefix
	LocalRanges [][2]netip.Addr
	// Inactive says why the rule never matches, though it was accepted: it is disabled, or for other profiles
	// than the machine's. Empty: the rule counts.
	Inactive string
	// Note says what the rule does on Windows and not in a lab; empty: nothing.
	Note string
	Text string // as it was written
}

// bind restricts a rule, whose action is known, to a program. A lab sees packets, not programs: an allowance
// then counts for every program, and a block for none. So a lab never claims a protection that Windows might
// not give.
func (r *Rule) bind(program string) {
	if r.Inactive != "" { // then it is for no program
		return
	}
	if r.Allow {
		r.remark("the rule is bound to %s; a lab's firewall sees packets, not programs, so it allows every program",
			program)
		return
	}
	r.deactivate("it is bound to " + program + ", and a lab's firewall sees packets, not programs")
}

func (r *Rule) deactivate(why string) {
	if r.Inactive == "" {
		r.Inactive = why
	}
}

func (r *Rule) remark(format string, args ...any) {
	if r.Note != "" {
		r.Note += "; "
	}
	r.Note += fmt.Sprintf(format, args...)
}

// ForAddress reports whether the rule is for an address of the machine.
func (r Rule) ForAddress(a netip.Addr) bool {
	if len(r.Local) == 0 && len(r.LocalRanges) == 0 {
		return true
	}
	return slices.ContainsFunc(r.Local, func(p netip.Prefix) bool { return p.Contains(a) }) ||
		slices.ContainsFunc(r.LocalRanges, func(p [2]netip.Addr) bool {
			return p[0].Compare(a) <= 0 &&
				a.Compare(p[1]) <= 0
		})
}

// AnyRemote reports whether the rule is for everybody at the other end.
func (r Rule) AnyRemote() bool {
	return len(r.Remote) == 0 && len(r.RemoteRanges) == 0 && !r.LocalSubnet
}

// String returns the rule in the short form, which Parse takes. Name, Text, Inactive, Note and the local
// addresses are not part of it.
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
