package kernel

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// takeAway deletes what is not wanted, and what differs and can only be replaced.
func (r *repairRun) takeAway(node *repairNode) {
	// Users before what they use.
	order := []string{
		ruleObject(""), "queueing discipline ", "route ", "nexthop ", "neighbor ", ofFDB, "address ", linkObject(""),
	}
	for _, kind := range order {
		var done []string
		for _, d := range node.differences {
			away, ok := node.reader.away[d.of]
			if !ok || !strings.HasPrefix(d.of, kind) || slices.Contains(done, d.of) || d.of == linkObject("lo") {
				continue
			}
			replaced := kind == "route " || kind == ofFDB || kind == linkObject("") && d.property == "kind"
			if d.property == "" && d.Wanted == "" || replaced && d.property != "" {
				done = append(done, d.of)
				r.do(node, away)
				delete(node.reader.objects, d.of)
				node.links = node.links || kind == linkObject("")
			}
		}
	}
}

// links makes missing bridges and links again, and changes those that differ.
func (r *repairRun) links() {
	for _, node := range r.nodes {
		for _, b := range node.spec.Bridges {
			r.bridge(node, b)
		}
		if node.differs(func(d Difference) bool { return d.of == linkObject("lo") }) {
			r.do(node, linkUp("lo", node.index["lo"]))
			node.links = true
		}
	}
	for _, t := range r.want.Tunnels { // only existing ones: emu/tunnel makes them
		for _, e := range []emu.TunnelEnd{t.A, t.B} {
			if node := r.nodes[e.Namespace]; node != nil && node.has(linkObject(e.Device)) &&
				node.differs(func(d Difference) bool { return d.of == linkObject(e.Device) }) {
				mtu := nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(emu.TunnelMTU))
				r.do(node, setLink(e.Device, node.index[e.Device], unix.IFF_UP, unix.IFF_UP, mtu))
			}
		}
	}
	for _, l := range r.want.Links {
		ends := []emu.LinkEnd{l.A, l.B}
		broken := slices.ContainsFunc(ends, func(e emu.LinkEnd) bool {
			node := r.nodes[e.Namespace]
			return node != nil && !node.has(linkObject(e.Name))
		})
		if broken {
			r.link(l)
			continue
		}
		for _, e := range ends {
			if node := r.nodes[e.Namespace]; node != nil {
				r.linkEnd(node, e)
			}
		}
	}
}

func (r *repairRun) bridge(node *repairNode, b emu.Bridge) {
	object, index := linkObject(b.Name), node.index[b.Name]
	if !node.has(object) {
		r.do(node, newBridge(b, index), setMTU(b, index))
		node.links = true
		return
	}
	for _, d := range node.differences {
		if d.of != object {
			continue
		}
		node.links = true
		switch d.property {
		case "state":
			r.do(node, linkUp(b.Name, index))
		case "mac", "arp":
			r.do(node, setBridge(b, index))
		case "mtu":
			r.do(node, setMTU(b, index))
		case "bridge":
			r.do(node, setMaster(b.Name, index, 0))
		default:
			if isSetting(bridgeSettings, d.property) {
				r.do(node, setBridgeSetting(b.Name, index, d.property))
			}
		}
		r.common(node, b.Name, index, d)
	}
}

// setBridgeSetting sets the setting of a bridge with the name to what is wanted.
func setBridgeSetting(bridge string, index int, name string) request {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	addSetting(info.AddRtAttr(nl.IFLA_INFO_DATA, nil), bridgeSettings, name)
	return newRequest("set the bridge "+bridge, unix.RTM_NEWLINK, 0, linkInfo(unix.AF_UNSPEC, index, 0, 0), info)
}

// setPortSetting sets the setting of a bridge port with the name to what is wanted.
func setPortSetting(port string, index int, name string) request {
	info := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	addSetting(info, portSettings, name)
	return newRequest("set the bridge port "+port, unix.RTM_SETLINK, 0, linkInfo(unix.AF_BRIDGE, index, 0, 0), info)
}

// common changes what all kinds of links have.
func (r *repairRun) common(node *repairNode, name string, index int, d Difference) {
	if d.property != "xdp" {
		return
	}
	xdp := nl.NewRtAttr(unix.IFLA_XDP|unix.NLA_F_NESTED, nil)
	xdp.AddRtAttr(unix.IFLA_XDP_FD, nl.Uint32Attr(^uint32(0)))
	r.do(node, newRequest("take the program off "+name, unix.RTM_SETLINK, 0, linkInfo(unix.AF_UNSPEC, index, 0, 0),
		xdp))
}

// link makes a link again.
func (r *repairRun) link(l *emu.Link) {
	a, b := r.node(l.A.Namespace), r.node(l.B.Namespace)
	if a == nil || b == nil {
		return
	}
	for _, end := range []struct {
		node *repairNode
		name string
	}{{a, l.A.Name}, {b, l.B.Name}} {
		if away, ok := end.node.reader.away[linkObject(end.name)]; ok && end.node.has(linkObject(end.name)) {
			r.do(end.node, away)
		}
		if number := r.state.devices[end.node.Name][end.name]; number != 0 {
			end.node.index[end.name] = number
		}
		end.node.links = true
	}
	end := func(node *repairNode, e emu.LinkEnd) linkEnd {
		end := linkEnd{LinkEnd: e, index: node.index[e.Name], home: node.Namespace}
		if e.Port != nil {
			end.master = node.index[e.Port.Bridge]
		}
		return end
	}
	near, far, here, there := end(a, l.A), end(b, l.B), a, b
	if near.Port == nil && far.Port != nil {
		near, far, here, there = far, near, there, here
	}
	far.far = true
	r.do(here, newVeth(near, far))
	r.do(here, near.requests()...)
	r.do(there, far.requests()...)
}

// linkEnd changes an end of a link that differs.
func (r *repairRun) linkEnd(node *repairNode, e emu.LinkEnd) {
	index, port := node.index[e.Name], false
	for _, d := range node.differences {
		if d.of != linkObject(e.Name) {
			continue
		}
		node.links = true
		switch d.property {
		case "state":
			r.do(node, linkUp(e.Name, index))
		case "mac":
			r.do(node, setLink(e.Name, index, 0, 0, nl.NewRtAttr(unix.IFLA_ADDRESS, e.MAC[:])))
		case "mtu":
			r.do(node, setLink(e.Name, index, 0, 0, nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(emu.MTU))))
		case "arp":
			r.do(node, setLink(e.Name, index, 0, unix.IFF_NOARP))
		case "bridge":
			master := 0
			if port = e.Port != nil; port {
				master = node.index[e.Port.Bridge]
			}
			r.do(node, setMaster(e.Name, index, master))
		default:
			port = port || e.Port != nil
			if isSetting(portSettings, d.property) {
				r.do(node, setPortSetting(e.Name, index, d.property))
			}
		}
		r.common(node, e.Name, index, d)
	}
	if port {
		r.do(node, setPort(e.Name, index, e.Port), forwardAgain(e.Name, index))
		for _, mac := range e.Port.Stations {
			r.do(node, moveFDBEntry(e.Name, index, mac))
		}
	}
}

func setLink(name string, index int, set, change uint32, attrs ...*nl.RtAttr) request {
	parts := []nl.NetlinkRequestData{linkInfo(unix.AF_UNSPEC, index, set, change)}
	for _, a := range attrs {
		parts = append(parts, a)
	}
	return newRequest("set "+name, unix.RTM_NEWLINK, 0, parts...)
}

func forwardAgain(name string, index int) request {
	info := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	info.AddRtAttr(nl.IFLA_BRPORT_STATE, nl.Uint8Attr(portForwards))
	return newRequest("let the bridge port "+name+" forward", unix.RTM_SETLINK, 0,
		linkInfo(unix.AF_BRIDGE, index, 0, 0), info)
}

// objects adds missing addresses, neighbors, FDB entries, routes and routing rules.
func (r *repairRun) objects(node *repairNode) {
	differs := func(object string) bool { return node.differs(func(d Difference) bool { return d.of == object }) }
	address := func(device string, a string, q request) {
		object := fmt.Sprintf("address %s on %s", a, device)
		if !differs(object) {
			return
		}
		r.do(node, q)
		for _, with := range node.reader.makes {
			if with.object == object {
				r.do(node, with.again)
			}
		}
	}
	if lo := addressObject(loopback, "lo"); differs(lo) {
		address("lo", loopback.String(), loopbackAddress(node.index["lo"]))
	}
	for _, a := range node.spec.Loopback {
		address("lo", hostPrefix(a).String(), addAddress("lo", node.index["lo"], hostPrefix(a)))
	}
	for _, b := range node.spec.Bridges {
		for _, a := range b.Addresses {
			address(b.Name, a.String(), addAddress(b.Name, node.index[b.Name], a))
		}
	}
	for _, e := range endsIn(r.want, node.Name) {
		for _, a := range e.Addresses {
			address(e.Name, a.String(), addAddress(e.Name, node.index[e.Name], a))
		}
		if e.Port == nil {
			continue
		}
		for _, mac := range e.Port.Stations {
			if differs(fdbObject(mac.String(), e.Name)) {
				r.do(node, moveFDBEntry(e.Name, node.index[e.Name], mac))
			}
		}
	}
	for _, n := range node.spec.Neighbors {
		if differs(neighborObject(n.Address, n.Device)) {
			r.do(node, setNeighbor(n, node.index[n.Device]))
		}
	}
	for _, route := range slices.Concat(node.spec.Routes, tunnelRoutes(r.want, node.Name)) {
		if differs(routeObject(route.Destination, 0)) && node.index[route.Device] != 0 {
			r.do(node, setRoute(route, node.index[route.Device]))
		}
	}
	for rule, priority := range firstRules {
		if differs(rule) {
			r.do(node, newRule(priority))
		}
	}
}

// loopbackAddress adds the address that each loopback has.
func loopbackAddress(index int) request {
	q := addAddress("lo", index, loopback)
	q.Data[0].(*nl.IfAddrmsg).Scope = unix.RT_SCOPE_HOST
	return q
}

// tunnelRoutes are the routes into the tunnels of a namespace.
func tunnelRoutes(want *emu.Network, namespace string) (all []emu.Route) {
	for _, t := range want.Tunnels {
		for _, e := range []emu.TunnelEnd{t.A, t.B} {
			if e.Namespace != namespace {
				continue
			}
			for _, p := range e.AllowedPrefixes {
				all = append(all, emu.Route{Destination: p, Device: e.Device})
			}
		}
	}
	return all
}
