package kernel

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// takeAway takes away what isn't wanted, and what is there otherwise than wanted and can't be changed.
func (r *repairRun) takeAway(site *repairSite) {
	// Users before what they use.
	order := []string{
		ruleObject(""), "queueing discipline ", "route ", "nexthop ", "neighbor ", ofFDB, "address ", linkObject(""),
	}
	for _, kind := range order {
		var done []string
		for _, d := range site.differences {
			away, ok := site.reader.away[d.of]
			if !ok || !strings.HasPrefix(d.of, kind) || slices.Contains(done, d.of) || d.of == linkObject("lo") {
				continue
			}
			replaced := kind == "route " || kind == ofFDB || kind == linkObject("") && d.property == "kind"
			if d.property == "" && d.Wanted == "" || replaced && d.property != "" {
				done = append(done, d.of)
				r.do(site, away)
				delete(site.reader.objects, d.of)
				site.links = site.links || kind == linkObject("")
			}
		}
	}
}

// links makes missing bridges and links again, and changes those that are otherwise.
func (r *repairRun) links() {
	for _, site := range r.sites {
		for _, b := range site.spec.Bridges {
			r.bridge(site, b)
		}
		if site.differs(func(d Difference) bool { return d.of == linkObject("lo") }) {
			r.do(site, linkUp("lo", site.index["lo"]))
			site.links = true
		}
	}
	for _, t := range r.want.Tunnels { // those that are there: making them is not of this package
		for _, e := range []emu.TunnelEnd{t.A, t.B} {
			if site := r.sites[e.Namespace]; site != nil && site.has(linkObject(e.Device)) &&
				site.differs(func(d Difference) bool { return d.of == linkObject(e.Device) }) {
				mtu := nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(emu.TunnelMTU))
				r.do(site, setLink(e.Device, site.index[e.Device], unix.IFF_UP, unix.IFF_UP, mtu))
			}
		}
	}
	for _, l := range r.want.Links {
		ends := []emu.LinkEnd{l.A, l.B}
		broken := slices.ContainsFunc(ends, func(e emu.LinkEnd) bool {
			site := r.sites[e.Namespace]
			return site != nil && !site.has(linkObject(e.Name))
		})
		if broken {
			r.link(l)
			continue
		}
		for _, e := range ends {
			if site := r.sites[e.Namespace]; site != nil {
				r.linkEnd(site, e)
			}
		}
	}
}

func (r *repairRun) bridge(site *repairSite, b emu.Bridge) {
	object, index := linkObject(b.Name), site.index[b.Name]
	if !site.has(object) {
		r.do(site, newBridge(b, index), setMTU(b, index))
		site.links = true
		return
	}
	for _, d := range site.differences {
		if d.of != object {
			continue
		}
		site.links = true
		switch d.property {
		case "state":
			r.do(site, linkUp(b.Name, index))
		case "mac", "arp":
			r.do(site, setBridge(b, index))
		case "mtu":
			r.do(site, setMTU(b, index))
		case "bridge":
			r.do(site, setMaster(b.Name, index, 0))
		default:
			if isSetting(bridgeSettings, d.property) {
				r.do(site, setBridgeSetting(b.Name, index, d.property))
			}
		}
		r.common(site, b.Name, index, d)
	}
}

// setBridgeSetting sets the setting of a bridge with the name to what is wanted.
func setBridgeSetting(bridge string, index int, name string) request {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	addSetting(info.AddRtAttr(nl.IFLA_INFO_DATA, nil), bridgeSettings, name)
	return newRequest("set the bridge "+bridge, unix.RTM_NEWLINK, 0, linkInfo(unix.AF_UNSPEC, index, 0, 0), info)
}

// setPortSetting does so for a bridge port.
func setPortSetting(port string, index int, name string) request {
	info := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	addSetting(info, portSettings, name)
	return newRequest("set the bridge port "+port, unix.RTM_SETLINK, 0, linkInfo(unix.AF_BRIDGE, index, 0, 0), info)
}

// common changes what all kinds of links have.
func (r *repairRun) common(site *repairSite, name string, index int, d Difference) {
	if d.property != "xdp" {
		return
	}
	xdp := nl.NewRtAttr(unix.IFLA_XDP|unix.NLA_F_NESTED, nil)
	xdp.AddRtAttr(unix.IFLA_XDP_FD, nl.Uint32Attr(^uint32(0)))
	r.do(site, newRequest("take the program off "+name, unix.RTM_SETLINK, 0, linkInfo(unix.AF_UNSPEC, index, 0, 0),
		xdp))
}

// link makes a link anew.
func (r *repairRun) link(l *emu.Link) {
	a, b := r.site(l.A.Namespace), r.site(l.B.Namespace)
	if a == nil || b == nil {
		return
	}
	for _, end := range []struct {
		site *repairSite
		name string
	}{{a, l.A.Name}, {b, l.B.Name}} {
		if away, ok := end.site.reader.away[linkObject(end.name)]; ok && end.site.has(linkObject(end.name)) {
			r.do(end.site, away)
		}
		if number := r.state.devices[end.site.Name][end.name]; number != 0 {
			end.site.index[end.name] = number
		}
		end.site.links = true
	}
	end := func(site *repairSite, e emu.LinkEnd) linkEnd {
		end := linkEnd{LinkEnd: e, index: site.index[e.Name], home: site.Namespace}
		if e.Port != nil {
			end.master = site.index[e.Port.Bridge]
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

// linkEnd changes an end of a link that is otherwise than wanted.
func (r *repairRun) linkEnd(site *repairSite, e emu.LinkEnd) {
	index, port := site.index[e.Name], false
	for _, d := range site.differences {
		if d.of != linkObject(e.Name) {
			continue
		}
		site.links = true
		switch d.property {
		case "state":
			r.do(site, linkUp(e.Name, index))
		case "mac":
			r.do(site, setLink(e.Name, index, 0, 0, nl.NewRtAttr(unix.IFLA_ADDRESS, e.MAC[:])))
		case "mtu":
			r.do(site, setLink(e.Name, index, 0, 0, nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(emu.MTU))))
		case "arp":
			r.do(site, setLink(e.Name, index, 0, unix.IFF_NOARP))
		case "bridge":
			master := 0
			if port = e.Port != nil; port {
				master = site.index[e.Port.Bridge]
			}
			r.do(site, setMaster(e.Name, index, master))
		default:
			port = port || e.Port != nil
			if isSetting(portSettings, d.property) {
				r.do(site, setPortSetting(e.Name, index, d.property))
			}
		}
		r.common(site, e.Name, index, d)
	}
	if port {
		r.do(site, setPort(e.Name, index, e.Port), forwardAgain(e.Name, index))
		for _, mac := range e.Port.Stations {
			r.do(site, moveFDBEntry(e.Name, index, mac))
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

// objects adds missing addresses, neighbors, stations, routes and routing rules.
func (r *repairRun) objects(site *repairSite) {
	differs := func(object string) bool { return site.differs(func(d Difference) bool { return d.of == object }) }
	address := func(device string, a string, q request) {
		object := fmt.Sprintf("address %s on %s", a, device)
		if !differs(object) {
			return
		}
		r.do(site, q)
		for _, with := range site.reader.makes {
			if with.object == object {
				r.do(site, with.again)
			}
		}
	}
	if lo := addressObject(loopback, "lo"); differs(lo) {
		address("lo", loopback.String(), loopbackAddress(site.index["lo"]))
	}
	for _, a := range site.spec.Loopback {
		address("lo", hostPrefix(a).String(), addAddress("lo", site.index["lo"], hostPrefix(a)))
	}
	for _, b := range site.spec.Bridges {
		for _, a := range b.Addresses {
			address(b.Name, a.String(), addAddress(b.Name, site.index[b.Name], a))
		}
	}
	for _, e := range endsIn(r.want, site.Name) {
		for _, a := range e.Addresses {
			address(e.Name, a.String(), addAddress(e.Name, site.index[e.Name], a))
		}
		if e.Port == nil {
			continue
		}
		for _, mac := range e.Port.Stations {
			if differs(fdbObject(mac.String(), e.Name)) {
				r.do(site, moveFDBEntry(e.Name, site.index[e.Name], mac))
			}
		}
	}
	for _, n := range site.spec.Neighbors {
		if differs(neighborObject(n.Address, n.Device)) {
			r.do(site, setNeighbor(n, site.index[n.Device]))
		}
	}
	for _, route := range slices.Concat(site.spec.Routes, tunnelRoutes(r.want, site.Name)) {
		if differs(routeObject(route.Destination, 0)) && site.index[route.Device] != 0 {
			r.do(site, setRoute(route, site.index[route.Device]))
		}
	}
	for rule, priority := range firstRules {
		if differs(rule) {
			r.do(site, newRule(priority))
		}
	}
}

// loopbackAddress is the address that the kernel gives each loopback.
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
