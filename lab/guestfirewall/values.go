package guestfirewall

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab/spelling"
)

// setProtocol reads a protocol as Windows names it: a name, or a number of IANA's.
func (r *Rule) setProtocol(w word) *Error {
	name, icmpType, typed := strings.Cut(strings.ToLower(w.text), ":")
	if typed && name != "icmpv4" && name != "icmpv6" {
		return fail("protocol %.60q is not known", w.text).at(w.offset)
	}
	switch name {
	case "tcp", "6":
		r.Protocol = "tcp"
	case "udp", "17":
		r.Protocol = "udp"
	case "icmpv4", "1":
		r.Protocol = "icmp"
		if typed {
			kind, _, _ := strings.Cut(icmpType, ",")
			r.setICMPType(word{kind, w.offset})
		}
	case "any":
		r.Protocol = ""
	case "icmpv6", "58":
		r.deactivate(onlyIPv4)
	default:
		if _, err := strconv.ParseUint(name, 10, 8); err == nil || slices.Contains(otherProtocols, name) {
			r.deactivate("it is for the protocol " + name + ", and what connects in a lab is TCP, UDP and ICMP")
			return nil
		}
		err := fail("protocol %.60q is not known, expected tcp, udp, icmpv4, any or a number", w.text).at(w.offset)
		err.Hint = spelling.DidYouMean(name, []string{"tcp", "udp", "icmpv4", "any"})
		return err
	}
	return nil
}

// otherProtocols are names of protocols that Windows knows and labs don't have.
var otherProtocols = []string{
	"hopopt", "igmp", "gre", "ipv6", "ipv6-route", "ipv6-frag", "ipv6-nonxt", "ipv6-opts",
	"vrrp", "pgm", "l2tp", "esp", "ah", "sctp",
}

// setICMPType accepts all types and echo requests, the only ICMP that starts anything in a lab. ICMP errors belong
// to a connection and pass with it.
func (r *Rule) setICMPType(w word) {
	kind, _, _ := strings.Cut(strings.ToLower(w.text), ":") // TYPE:CODE
	if kind = strings.TrimSpace(kind); kind == "any" || kind == "8" {
		return
	}
	r.deactivate("it is for ICMP of type " + kind + ", and only echo requests, type 8, begin something in a lab")
}

// onlyIPv4 is why settings for IPv6 have no effect.
const onlyIPv4 = "it is for IPv6, and a lab has only IPv4"

// portWords are the ports that Windows knows by name; 0: one that Windows assigns when a program starts.
var portWords = map[string]uint16{
	"rpc": 0, "rpc-epmap": 135, "rpcepmap": 135, "iphttps": 443, "iphttpsin": 443, "iphttpsout": 443, "ply2disc": 0,
	"playtodiscovery": 0,
	"mdns":            5353, "teredo": 0,
}

// setLocalPorts reads ports and ranges of ports.
func (r *Rule) setLocalPorts(items []word) *Error {
	if len(items) == 1 && strings.EqualFold(items[0].text, "any") {
		return nil
	}
	for _, item := range items {
		if port, ok := portWords[strings.ToLower(item.text)]; ok {
			if port == 0 {
				r.remark("port %s is one that Windows assigns; a lab doesn't know it", item.text)
				continue
			}
			r.LocalPorts = append(r.LocalPorts, emu.PortRange{First: port, Last: port})
			continue
		}
		text := strings.Map(plainDash, item.text)
		first, last, isRange := strings.Cut(text, "-")
		if !isRange {
			last = first
		}
		low, ok1 := parsePort(first)
		high, ok2 := parsePort(last)
		switch {
		case strings.EqualFold(item.text, "any"):
			return fail("any means all ports and can't be in a list").at(item.offset)
		case !ok1 || !ok2 || high == 0:
			return fail("expected a port from 1 to 65535 or a range FIRST-LAST, got %.60q", item.text).at(item.offset)
		case low > high:
			return fail("the range of ports %s is reversed", item.text).hint("write %d-%d", high, low).
				at(item.offset)
		}
		r.LocalPorts = append(r.LocalPorts, emu.PortRange{First: low, Last: high})
	}
	if len(r.LocalPorts) == 0 {
		r.deactivate("a lab knows none of its ports")
	}
	return nil
}

func plainDash(r rune) rune {
	if isDash(r) {
		return '-'
	}
	return r
}

func parsePort(s string) (uint16, bool) {
	s = strings.TrimSpace(s)
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil
}

// checkPorts refuses ports without a protocol that has them.
func (r *Rule) checkPorts(offset int) *Error {
	if len(r.LocalPorts) > 0 && r.Protocol != "tcp" && r.Protocol != "udp" {
		return fail("ports need the protocol tcp or udp").hint("for both, write two rules").at(offset)
	}
	return nil
}

// addressWords are names for remote addresses, with the addresses that they mean in a lab. They have none if
// nothing in a lab connects from there.
var addressWords = map[string][][2]netip.Addr{
	"dns": nil, "dns4": nil, "dhcp": nil, "dhcp4": nil, "wins": nil, "wins4": nil, "defaultgateway": nil,
	"defaultgateway4": nil,
	"ply2renders":     nil, "playtodevice": nil, "captiveportal": nil,
	"intranet": private, "rmtintranet": private, "intranetremoteaccess": private, "internet": outside(private),
}

// private are the address spaces of RFC 1918 and, for deployments outside any virtual network, of RFC 6598, in order.
var private = [][2]netip.Addr{
	{netip.MustParseAddr("10.0.0.0"), netip.MustParseAddr("10.255.255.255")},
	{netip.MustParseAddr("100.64.0.0"), netip.MustParseAddr("100.127.255.255")},
	{netip.MustParseAddr("172.16.0.0"), netip.MustParseAddr("172.31.255.255")},
	{netip.MustParseAddr("192.168.0.0"), netip.MustParseAddr("192.168.255.255")},
}

// outside returns the ranges between some ranges, which are in order.
func outside(ranges [][2]netip.Addr) (all [][2]netip.Addr) {
	next := netip.IPv4Unspecified()
	for _, r := range ranges {
		all = append(all, [2]netip.Addr{next, r[0].Prev()})
		next = r[1].Next()
	}
	return append(all, [2]netip.Addr{next, netip.AddrFrom4([4]byte{255, 255, 255, 255})})
}

// setRemote reads the remote addresses.
func (r *Rule) setRemote(items []word) *Error {
	for _, item := range items {
		text := strings.ToLower(item.text)
		ranges, isWord := addressWords[text]
		switch {
		case text == "any" || text == "0.0.0.0/0" || text == "*":
			if len(items) > 1 {
				return fail("%s means all addresses and can't be in a list", item.text).at(item.offset)
			}
			return nil
		case text == "localsubnet" || text == "localsubnet4":
			r.LocalSubnet = true
		case isWord && len(ranges) > 0:
			r.remark("the remote address %s is taken as %s", item.text,
				map[bool]string{
					true:  "every address that is not private",
					false: "the private addresses",
				}[text == "internet"])
			r.RemoteRanges = append(r.RemoteRanges, ranges...)
		case isWord:
			r.remark("nothing in a lab connects from the remote address %s", item.text)
		case isIPv6(text):
			r.remark("the remote address %s is IPv6, and a lab has only IPv4", item.text)
		default:
			if err := addAddress(item, &r.Remote, &r.RemoteRanges); err != nil {
				return err
			}
		}
	}
	if r.AnyRemote() {
		r.deactivate("nothing in a lab connects from its remote addresses")
	}
	return nil
}

// setLocal reads the addresses of the machine that the rule is for.
func (r *Rule) setLocal(items []word) *Error {
	for _, item := range items {
		text := strings.ToLower(item.text)
		switch {
		case (text == "any" || text == "0.0.0.0/0" || text == "*") && len(items) == 1:
			return nil
		case isIPv6(text):
			r.remark("the local address %s is IPv6, and a lab has only IPv4", item.text)
		default:
			if err := addAddress(item, &r.Local, &r.LocalRanges); err != nil {
				return err
			}
		}
	}
	if len(r.Local) == 0 && len(r.LocalRanges) == 0 {
		r.deactivate(onlyIPv4)
	}
	return nil
}

// isIPv6 reports whether a text is an address, a prefix or a range of IPv6, or Windows' word for the subnet there.
func isIPv6(text string) bool {
	if strings.HasSuffix(text, "6") && slices.Contains([]string{
		"localsubnet6", "dns6", "dhcp6", "wins6",
		"defaultgateway6",
	}, text) {
		return true
	}
	first, _, _ := strings.Cut(text, "-")
	first, _, _ = strings.Cut(first, "/")
	addr, err := netip.ParseAddr(strings.TrimSpace(first))
	return err == nil && !addr.Is4()
}

// addAddress reads an address, a prefix or a range of addresses.
func addAddress(item word, prefixes *[]netip.Prefix, ranges *[][2]netip.Addr) *Error {
	text := strings.Map(plainDash, item.text)
	bad := func() *Error {
		err := fail("expected an IPv4 address, a prefix, FIRST-LAST, localsubnet or any, got %.60q", item.text).
			at(item.offset)
		err.Hint = spelling.DidYouMean(item.text, []string{"localsubnet", "any"})
		return err
	}
	if first, last, ok := strings.Cut(text, "-"); ok {
		low, ok1 := parseAddress(first)
		high, ok2 := parseAddress(last)
		switch {
		case !ok1 || !ok2:
			return bad()
		case high.Less(low):
			return fail("the range of addresses %s is reversed", item.text).hint("write %s-%s", high, low).
				at(item.offset)
		case low == high:
			*prefixes = append(*prefixes, netip.PrefixFrom(low, 32))
		default:
			*ranges = append(*ranges, [2]netip.Addr{low, high})
		}
		return nil
	}
	prefix, ok := parsePrefix(text)
	if !ok {
		return bad()
	}
	if prefix.Bits() == 0 {
		return fail("the prefix %s contains every address", item.text).hint("write any").at(item.offset)
	}
	*prefixes = append(*prefixes, prefix)
	return nil
}

func parseAddress(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.TrimSpace(s))
	return addr, err == nil && addr.Is4()
}

// parsePrefix reads an address, ADDRESS/BITS or ADDRESS/MASK. Bits beyond the prefix are ignored, as in Windows.
func parsePrefix(s string) (netip.Prefix, bool) {
	address, length, ok := strings.Cut(s, "/")
	addr, valid := parseAddress(address)
	if !valid {
		return netip.Prefix{}, false
	}
	if !ok {
		return netip.PrefixFrom(addr, 32), true
	}
	if mask, ok := parseAddress(length); ok {
		ones, bits := net.IPMask(mask.AsSlice()).Size()
		return netip.PrefixFrom(addr, ones).Masked(), bits == 32
	}
	prefix, err := netip.ParsePrefix(s)
	return prefix.Masked(), err == nil
}

// profiles are the profiles that a rule can have. The network of a virtual machine outside a domain is public.
var profiles = []string{"public", "private", "domain", "any", "all", "notapplicable"}

// notForPublic is why settings for other profiles have no effect.
const notForPublic = "it is not for the public profile, and the network of an Azure virtual machine is public"

// setProfiles makes the rule inactive when it isn't for the public profile.
func (r *Rule) setProfiles(items []word) *Error {
	public := false
	for _, item := range items {
		p := strings.ToLower(item.text)
		if !slices.Contains(profiles, p) {
			err := fail("profile %.60q is not known, expected public, private, domain or any", item.text).
				at(item.offset)
			err.Hint = spelling.DidYouMean(p, profiles)
			return err
		}
		public = public || p == "public" || p == "any" || p == "all"
	}
	if !public {
		r.deactivate(notForPublic)
	}
	return nil
}

// condition is a condition of a rule on something that a lab doesn't have.
type condition struct {
	harmless []string // values that change nothing
	// bound is what the rule is bound to, to which the value is added. Empty: with other values the rule never
	// matches.
	bound   string
	because string // why it never matches; empty: no value changes anything
}

// apply adds the condition to a rule.
func (c condition) apply(r *Rule, argument string, values []word) {
	for _, v := range values {
		switch {
		case slices.Contains(c.harmless, strings.ToLower(v.text)):
		case c.bound != "":
			r.bind(strings.TrimSpace(c.bound + " " + v.text))
		case c.because != "":
			r.deactivate("its condition " + argument + v.text + " never holds: " + c.because)
			return
		}
	}
}

const (
	becauseInterface = "an instance has one interface, of a LAN"
	becauseIPsec     = "there is no IPsec in a lab"
	becauseSource    = "clients in a lab connect from any port"
	becausePolicy    = "there is no group policy in a lab"
)
