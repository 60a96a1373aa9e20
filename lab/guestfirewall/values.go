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
			return checkICMPType(word{kind, w.offset})
		}
	case "any":
		r.Protocol = ""
	case "icmpv6", "58":
		return fail("protocol %s can't be matched: a lab has IPv4 alone", name).at(w.offset)
	default:
		err := fail("protocol %.60q can't be matched, expected tcp, udp, icmpv4 or any", w.text).at(w.offset)
		err.Hint = spelling.DidYouMean(name, []string{"tcp", "udp", "icmpv4", "any"})
		return err
	}
	return nil
}

// checkICMPType takes echo requests, the only ICMP that starts anything in a lab, and all types; ICMP errors belong to a
// connection and pass with it.
func checkICMPType(w word) *Error {
	if kind := strings.ToLower(w.text); kind == "any" || kind == "8" {
		return nil
	}
	return fail("ICMP type %.60q can't be matched, expected 8 (echo request) or any", w.text).at(w.offset)
}

// portWords are the ports that Windows knows by the program behind them.
var portWords = []string{"rpc", "rpc-epmap", "rpcepmap", "iphttps", "iphttpsin", "iphttpsout", "ply2disc", "playtodiscovery", "teredo"}

// setLocalPorts reads ports and ranges of ports.
func (r *Rule) setLocalPorts(items []word) *Error {
	if len(items) == 1 && strings.EqualFold(items[0].text, "any") {
		return nil
	}
	for _, item := range items {
		if slices.Contains(portWords, strings.ToLower(item.text)) {
			return fail("port %s can't be matched: it stands for whatever port a Windows program was given", item.text).hint("name the port").at(item.offset)
		}
		first, last, isRange := strings.Cut(item.text, "-")
		if !isRange {
			last = first
		}
		low, ok1 := parsePort(first)
		high, ok2 := parsePort(last)
		switch {
		case strings.EqualFold(item.text, "any"):
			return fail("any stands for all ports and can't be in a list").at(item.offset)
		case !ok1 || !ok2 || high == 0:
			return fail("expected a port from 1 to 65535 or a range FIRST-LAST, got %.60q", item.text).at(item.offset)
		case low > high:
			return fail("the range of ports %s runs backwards", item.text).hint("write %d-%d", high, low).at(item.offset)
		}
		r.LocalPorts = append(r.LocalPorts, emu.PortRange{First: low, Last: high})
	}
	return nil
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

// addressWords are the remote addresses that Windows takes from the settings of the machine's network.
var addressWords = []string{"dns", "dhcp", "wins", "defaultgateway", "internet", "intranet", "rmtintranet", "ply2renders", "playtodevice", "captiveportal"}

// setRemote reads who may be at the other end.
func (r *Rule) setRemote(items []word) *Error {
	for _, item := range items {
		text := strings.ToLower(item.text)
		switch {
		case text == "any" || text == "0.0.0.0/0":
			if len(items) > 1 {
				return fail("%s stands for everybody and can't be in a list", item.text).at(item.offset)
			}
		case text == "localsubnet" || text == "localsubnet4":
			r.LocalSubnet = true
		case slices.Contains(addressWords, text):
			return fail("the remote address %s can't be matched: a lab doesn't know it", item.text).hint("name the address").at(item.offset)
		default:
			if err := r.addRemote(item); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Rule) addRemote(item word) *Error {
	bad := func() *Error {
		err := fail("expected an IPv4 address, a prefix, FIRST-LAST, localsubnet or any, got %.60q", item.text).at(item.offset)
		if strings.Contains(item.text, ":") {
			return err.hint("a lab has IPv4 alone")
		}
		err.Hint = spelling.DidYouMean(item.text, []string{"localsubnet", "any"})
		return err
	}
	if first, last, ok := strings.Cut(item.text, "-"); ok {
		low, ok1 := parseAddress(first)
		high, ok2 := parseAddress(last)
		switch {
		case !ok1 || !ok2:
			return bad()
		case high.Less(low):
			return fail("the range of addresses %s runs backwards", item.text).hint("write %s-%s", high, low).at(item.offset)
		case low == high:
			r.Remote = append(r.Remote, netip.PrefixFrom(low, 32))
		default:
			r.RemoteRanges = append(r.RemoteRanges, [2]netip.Addr{low, high})
		}
		return nil
	}
	prefix, ok := parsePrefix(item.text)
	if !ok {
		return bad()
	}
	if prefix.Bits() == 0 {
		return fail("the prefix %s holds every address", item.text).hint("write any").at(item.offset)
	}
	r.Remote = append(r.Remote, prefix)
	return nil
}

func parseAddress(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.TrimSpace(s))
	return addr, err == nil && addr.Is4()
}

// parsePrefix reads an address, ADDRESS/BITS or ADDRESS/MASK. Bits beyond the prefix don't count, as in Windows.
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

// profiles are those that a rule can be for. The network of a virtual machine that is in no domain is public.
var profiles = []string{"public", "private", "domain", "any"}

// setProfiles makes the rule inactive when it isn't for the public profile.
func (r *Rule) setProfiles(items []word) *Error {
	public := false
	for _, item := range items {
		p := strings.ToLower(item.text)
		if !slices.Contains(profiles, p) {
			err := fail("profile %.60q is not known, expected public, private, domain or any", item.text).at(item.offset)
			err.Hint = spelling.DidYouMean(p, profiles)
			return err
		}
		public = public || p == "public" || p == "any"
	}
	if !public {
		r.deactivate("it is not for the public profile, and the network of an Azure virtual machine is public")
	}
	return nil
}

func (r *Rule) deactivate(why string) {
	if r.Inactive == "" {
		r.Inactive = why
	}
}

// condition is a part of a command that a lab can't hold: with any value but the harmless ones the rule is refused.
type condition struct {
	harmless []string
	because  string
}

func (c condition) check(argument string, values []word) *Error {
	for _, v := range values {
		if !slices.Contains(c.harmless, strings.ToLower(v.text)) {
			return fail("the condition %s can't hold in a lab: %s", argument, c.because).hint("remove it").at(v.offset)
		}
	}
	return nil
}

const (
	becauseProgram   = "its firewall sees packets, not the programs behind them"
	becauseInterface = "an instance has one interface alone"
	becauseIPsec     = "there is no IPsec in it"
	becauseLocal     = "an instance has one address alone"
	becauseSource    = "clients use any source port"
	becauseEdge      = "there is no Teredo and no other tunnel in it"
)
