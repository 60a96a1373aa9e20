package kernel

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// raw is a part of a request as it stands in a message of the kernel.
type raw []byte

func (r raw) Len() int          { return len(r) }
func (r raw) Serialize() []byte { return r }

// readRoutes reads the routes of all tables. Those that the kernel makes with an address are not objects: the address
// is noted as lost if one is missing.
func (r *reader) readRoutes() error {
	ask := nl.NewRtMsg()
	ask.Family, ask.Table, ask.Protocol, ask.Scope, ask.Type = unix.AF_INET, 0, 0, 0, 0
	made := map[string]bool{} // by the kernel
	err := r.dump(unix.RTM_GETROUTE, unix.SizeofRtMsg, []nl.NetlinkRequestData{ask},
		func(m []byte, attrs attributes) error {
			header := nl.DeserializeRtMsg(m)
			if header.Flags&unix.RTM_F_CLONED != 0 {
				return nil // it remembers the MTU of a path
			}
			destination := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
			if a := attrs.address(unix.RTA_DST); a.IsValid() {
				destination = netip.PrefixFrom(a, int(header.Dst_len))
			}
			device := r.device(int(attrs.number(unix.RTA_OIF)))
			table := max(uint32(header.Table), attrs.number(unix.RTA_TABLE))
			if header.Protocol == unix.RTPROT_KERNEL {
				if route := kernelRoute(table, header.Type, destination, device); r.makes[route] != nil {
					made[route] = true
					return nil
				}
			}
			p := routeProperties(attrs.address(unix.RTA_GATEWAY), device, header.Flags&unix.RTNH_F_ONLINK != 0)
			if header.Type != unix.RTN_UNICAST {
				p["type"] = fmt.Sprint(header.Type)
			}
			if source := attrs.address(unix.RTA_PREFSRC); source.IsValid() {
				p["source"] = source.String()
			}
			if nexthop := attrs.number(routeNexthop); nexthop != 0 {
				p["nexthop"] = fmt.Sprint(nexthop)
			}
			for attribute, name := range encodedInRoutes {
				if len(attrs[attribute]) > 0 {
					p[name] = hex.EncodeToString(attrs[attribute])
				}
			}
			object := routeObject(destination, attrs.number(unix.RTA_PRIORITY))
			if header.Tos != 0 {
				object += fmt.Sprintf(" tos %#x", header.Tos)
			}
			if table != unix.RT_TABLE_MAIN {
				object += inTable(table)
			}
			r.objects[object] = p
			r.takeAway(object, unix.RTM_DELROUTE, m, func(b []byte) { clear(b[8:12]) }) // flags are what became of it
			return nil
		})
	for route, address := range r.makes {
		if !made[route] && address.object != "" {
			r.objects[address.object]["lost"] = route
		}
	}
	return err
}

// encodedInRoutes are attributes that no route of a lab has.
var encodedInRoutes = map[uint16]string{
	unix.RTA_MULTIPATH: "hops", unix.RTA_METRICS: "metrics", unix.RTA_VIA: "via", unix.RTA_ENCAP: "encapsulation",
}

// From linux/nexthop.h.
const (
	routeNexthop   = 30 // RTA_NH_ID
	nexthopHeader  = 8  // struct nhmsg
	nexthopID      = 1
	nexthopGroup   = 2
	nexthopDiscard = 4 // NHA_BLACKHOLE
	nexthopDevice  = 5
	nexthopGateway = 6
)

// readNexthops reads the nexthop objects, which routes can refer to. Kernels before Linux 5.3 have none.
func (r *reader) readNexthops() error {
	ask := []nl.NetlinkRequestData{raw(make([]byte, nexthopHeader))}
	err := r.dump(unix.RTM_GETNEXTHOP, nexthopHeader, ask, func(m []byte, attrs attributes) error {
		object, p := fmt.Sprintf("nexthop %d", attrs.number(nexthopID)), properties{}
		if device := attrs.number(nexthopDevice); device != 0 {
			p["device"] = r.device(int(device))
		}
		if gateway := attrs.address(nexthopGateway); gateway.IsValid() {
			p["gateway"] = gateway.String()
		}
		if group := attrs[nexthopGroup]; len(group) > 0 {
			p["group"] = hex.EncodeToString(group)
		}
		if _, ok := attrs[nexthopDiscard]; ok {
			p["type"] = "blackhole"
		}
		r.objects[object] = p
		body := nl.NewRtAttr(nexthopID, nl.Uint32Attr(attrs.number(nexthopID))).Serialize()
		r.takeAway(object, unix.RTM_DELNEXTHOP, append(make([]byte, nexthopHeader), body...), nil)
		return nil
	})
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

func inTable(table uint32) string { return " in table " + tableName(table) }

func tableName(table uint32) string {
	switch table {
	case unix.RT_TABLE_LOCAL:
		return "local"
	case unix.RT_TABLE_MAIN:
		return "main"
	case unix.RT_TABLE_DEFAULT:
		return "default"
	}
	return fmt.Sprint(table)
}

// kernelRoute names a route that the kernel makes with an address.
func kernelRoute(table uint32, kind uint8, destination netip.Prefix, device string) string {
	switch {
	case table == unix.RT_TABLE_LOCAL && kind == unix.RTN_LOCAL:
		return fmt.Sprintf("local %s on %s", destination, device)
	case table == unix.RT_TABLE_LOCAL && kind == unix.RTN_BROADCAST:
		return fmt.Sprintf("broadcast %s on %s", destination, device)
	case table == unix.RT_TABLE_MAIN && kind == unix.RTN_UNICAST:
		return fmt.Sprintf("%s on %s", destination, device)
	}
	return ""
}

// madeWith is the address that a route comes with.
type madeWith struct {
	object string  // empty: the route may be missing
	again  request // makes the route
}

// makesRoutes notes the routes that the kernel makes with an address. Of a device that is down some may be gone.
func (r *reader) makesRoutes(a netip.Prefix, device string, index int, up bool) {
	if r.makes == nil {
		r.makes = map[string]*madeWith{}
	}
	note := func(table, kind uint8, scope uint8, destination netip.Prefix) {
		route := kernelRoute(uint32(table), kind, destination, device)
		if r.makes[route] == nil { // of two addresses in one subnet the first makes it
			with := &madeWith{again: addressRoute(table, kind, scope, destination, a.Addr(), index)}
			if up {
				with.object = addressObject(a, device)
			}
			r.makes[route] = with
		}
	}
	for _, last := range [][]byte{
		a.Masked().Addr().AsSlice(),
		broadcast(a),
	} { // of older kernels the first, of all the last
		to, _ := netip.AddrFromSlice(last)
		r.makes[kernelRoute(unix.RT_TABLE_LOCAL, unix.RTN_BROADCAST, hostPrefix(to), device)] = &madeWith{}
	}
	note(unix.RT_TABLE_LOCAL, unix.RTN_LOCAL, unix.RT_SCOPE_HOST, hostPrefix(a.Addr()))
	switch {
	case a.Bits() == 32:
	case a.Addr().IsLoopback():
		note(unix.RT_TABLE_LOCAL, unix.RTN_LOCAL, unix.RT_SCOPE_HOST, a.Masked())
	default:
		note(unix.RT_TABLE_MAIN, unix.RTN_UNICAST, unix.RT_SCOPE_LINK, a.Masked())
	}
}

func addressRoute(table, kind, scope uint8, destination netip.Prefix, source netip.Addr, index int) request {
	m := nl.NewRtMsg()
	m.Family, m.Dst_len, m.Table, m.Protocol = unix.AF_INET, uint8(destination.Bits()), table, unix.RTPROT_KERNEL
	m.Scope, m.Type = scope, kind
	return newRequest(fmt.Sprintf("add route to %s", destination), unix.RTM_NEWROUTE, unix.NLM_F_CREATE, m,
		nl.NewRtAttr(unix.RTA_DST, destination.Addr().AsSlice()),
		nl.NewRtAttr(unix.RTA_PREFSRC, source.AsSlice()),
		nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(index))))
}

// takeAway notes the request that deletes an object: the message that described it, with what is not for deleting
// changed.
func (r *reader) takeAway(object string, kind int, message []byte, change func([]byte)) {
	if r.away == nil {
		return
	}
	body := slices.Clone(message)
	if change != nil {
		change(body)
	}
	r.away[object] = newRequest("delete "+object, kind, 0, raw(body))
}

// ruleHeader is struct fib_rule_hdr.
const ruleHeader = 12

// The rules of policy routing that each namespace begins with.
var firstRules = map[string]uint32{
	ruleObject("0 lookup local"): 0, ruleObject("32766 lookup main"): 32766, ruleObject("32767 lookup default"): 32767,
}

var firstTables = map[uint32]uint32{0: unix.RT_TABLE_LOCAL, 32766: unix.RT_TABLE_MAIN, 32767: unix.RT_TABLE_DEFAULT}

func ruleObject(text string) string { return "routing rule " + text }

// markedRule names the rule that routes packets with a mark by the table of that number, whatever its priority.
func markedRule(mark uint32) string { return ruleObject(fmt.Sprintf("of mark %#x", mark)) }

// readRoutingRules reads the rules of policy routing.
func (r *reader) readRoutingRules() error {
	ask := nl.NewRtMsg()
	ask.Family, ask.Table, ask.Protocol, ask.Scope, ask.Type = unix.AF_INET, 0, 0, 0, 0
	return r.dump(unix.RTM_GETRULE, ruleHeader, []nl.NetlinkRequestData{ask}, func(m []byte, attrs attributes) error {
		object := ruleObject(ruleText(m, attrs))
		table, mark := ruleTable(m, attrs), attrs.number(nl.FRA_FWMARK)
		marked := fmt.Sprintf("%d fwmark %#x lookup %s", attrs.number(nl.FRA_PRIORITY), mark, tableName(table))
		if mark == table && mark != 0 && object == ruleObject(marked) {
			object = markedRule(mark)
		}
		r.objects[object] = properties{}
		r.takeAway(object, unix.RTM_DELRULE, m, nil)
		return nil
	})
}

func ruleTable(m []byte, attrs attributes) uint32 {
	return max(uint32(m[4]), attrs.number(nl.FRA_TABLE))
}

// ruleText returns a rule in the words of ip rule, as far as there are some.
func ruleText(m []byte, attrs attributes) string {
	const lookup, inverted = 1, 1 << 1 // FR_ACT_TO_TBL, FIB_RULE_INVERT
	actions := map[byte]string{2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
	parts := []string{fmt.Sprint(attrs.number(nl.FRA_PRIORITY))}
	if m[8]&inverted != 0 {
		parts = append(parts, "not")
	}
	if a := attrs.address(nl.FRA_SRC); a.IsValid() {
		parts = append(parts, fmt.Sprintf("from %s/%d", a, m[2]))
	}
	if a := attrs.address(nl.FRA_DST); a.IsValid() {
		parts = append(parts, fmt.Sprintf("to %s/%d", a, m[1]))
	}
	if m[3] != 0 {
		parts = append(parts, fmt.Sprintf("tos %#x", m[3]))
	}
	if mark := attrs.number(nl.FRA_FWMARK); mark != 0 {
		parts = append(parts, fmt.Sprintf("fwmark %#x", mark))
		if mask := attrs.number(nl.FRA_FWMASK); mask != ^uint32(0) {
			parts = append(parts, fmt.Sprintf("mask %#x", mask))
		}
	}
	for t, name := range map[uint16]string{nl.FRA_IIFNAME: "iif", nl.FRA_OIFNAME: "oif"} {
		if device := attrs.text(t); device != "" {
			parts = append(parts, name+" "+device)
		}
	}
	slices.Sort(parts[1:])
	if action := m[7]; action == lookup {
		parts = append(parts, "lookup "+tableName(ruleTable(m, attrs)))
	} else if name, ok := actions[action]; ok {
		parts = append(parts, name)
	} else {
		parts = append(parts, fmt.Sprintf("action %d", action))
	}
	known := []uint16{
		nl.FRA_PRIORITY, nl.FRA_SRC, nl.FRA_DST, nl.FRA_FWMARK, nl.FRA_FWMASK, nl.FRA_IIFNAME, nl.FRA_OIFNAME,
		nl.FRA_TABLE, nl.FRA_PROTOCOL, nl.FRA_PAD,
	}
	for _, t := range slices.Sorted(maps.Keys(attrs)) {
		unset := t == nl.FRA_SUPPRESS_PREFIXLEN && attrs.number(t) == ^uint32(0) ||
			strings.Trim(string(attrs[t]), "\x00") == ""
		if !slices.Contains(known, t) && !unset {
			parts = append(parts, fmt.Sprintf("attribute %d %x", t, attrs[t]))
		}
	}
	return strings.Join(parts, " ")
}

// newRule makes one of the rules that each namespace begins with.
func newRule(priority uint32) request {
	table := firstTables[priority]
	m := nl.NewRtMsg() // as long as a rule's header, and alike but for the action
	m.Family, m.Table, m.Type, m.Protocol, m.Scope = unix.AF_INET, uint8(table), unix.RTN_UNICAST, 0, 0
	return newRequest(fmt.Sprintf("add routing rule %d", priority), unix.RTM_NEWRULE, create, m,
		nl.NewRtAttr(nl.FRA_PRIORITY, nl.Uint32Attr(priority)), nl.NewRtAttr(nl.FRA_TABLE, nl.Uint32Attr(table)))
}

func queueObject(kind, device, position string) string {
	return fmt.Sprintf("queueing discipline %s at the %s of %s", kind, position, device)
}

// readQueues reads the queueing disciplines that were added to devices. Those that the kernel adds have no handle.
func (r *reader) readQueues() error {
	return r.dump(unix.RTM_GETQDISC, nl.SizeofTcMsg, []nl.NetlinkRequestData{&nl.TcMsg{}},
		func(m []byte, attrs attributes) error {
			header := nl.DeserializeTcMsg(m)
			if header.Handle == 0 || header.Parent != netlink.HANDLE_ROOT && header.Parent != netlink.HANDLE_INGRESS {
				return nil // children come and go with their root
			}
			position := "root"
			if header.Parent == netlink.HANDLE_INGRESS {
				position = "entry"
			}
			object := queueObject(attrs.text(nl.TCA_KIND), r.device(int(header.Ifindex)), position)
			r.objects[object] = properties{}
			r.takeAway(object, unix.RTM_DELQDISC, m[:nl.SizeofTcMsg], nil)
			return nil
		})
}
