// Package guestfirewall reads rules of a guest firewall as people write them: in our short form, as netsh commands
// and as commands of PowerShell, with the shells, prompts and comments around them.
//
// What Windows accepts is accepted. Settings without a meaning in a lab become notes, and a rule that can never
// match in a lab is inactive, with the reason. What a lab would get wrong, such as a block of outgoing traffic, is
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
	// Remote, RemoteRanges (first and last address) and LocalSubnet are the addresses at the other end. Without any
	// of them, the rule is for all addresses.
	Remote       []netip.Prefix
	RemoteRanges [][2]netip.Addr
	// LocalSubnet means every address in the subnet of the machine itself.
	LocalSubnet bool
	// Local and LocalRanges are the addresses of the machine that the rule is for. Without any, it is for all of
	// them.
	Local       []netip.Prefix
	LocalRanges [][2]netip.Addr
	// Inactive is the reason why the rule never matches, though it was accepted, for example because it is
	// disabled. Empty: the rule can match.
	Inactive string
	// Note is what the rule does on Windows and not in a lab; it may be empty.
	Note string
	Text string // as it was written
}

// bind restricts a rule, whose action is known, to a program. A lab sees packets, not programs: the rule then
// allows every program, or blocks none. So a lab never claims a protection that Windows might not provide.
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

// AnyRemote reports whether the rule is for all remote addresses.
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
