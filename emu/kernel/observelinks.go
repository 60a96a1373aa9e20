package kernel

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// portForwards is the state of a bridge port that takes and gives packets: BR_STATE_FORWARDING.
const portForwards = 3

// deviceSwitch is a value below /proc/sys/net/ipv4/conf/DEVICE that a lab decides for the devices of routers. The
// kernel has it at a place of its list of such values (IPV4_DEVCONF_FORWARDING and so on, from 1).
type deviceSwitch struct {
	place  int
	name   string
	wanted uint32
	router bool // only a router's matters
}

var deviceSwitches = []deviceSwitch{
	{1, "forwarding", 1, true}, {3, "proxy_arp", 0, true}, {8, "rp_filter", 0, true}, {19, "arp_ignore", 0, false},
}

// readSwitches reads what of a device nobody sees that lists links: whether a router forwards from it,
// whom it answers, and programs before its queue.
func (r *reader) readSwitches(link properties, attrs attributes) error {
	xdp, err := parseAttributes(attrs[unix.IFLA_XDP])
	if err != nil {
		return err
	}
	if attached := xdp[unix.IFLA_XDP_ATTACHED]; len(attached) > 0 && attached[0] != 0 {
		link["xdp"] = "a program"
	}
	families, err := parseAttributes(attrs[unix.IFLA_AF_SPEC])
	if err != nil {
		return err
	}
	inet, err := parseAttributes(families[unix.AF_INET])
	if err != nil {
		return err
	}
	values := inet[unix.IFLA_INET_CONF]
	for _, s := range deviceSwitches {
		if end := 4 * s.place; end <= len(values) && (r.router || !s.router) {
			if value := binary.NativeEndian.Uint32(values[end-4:]); value != s.wanted {
				link[s.name] = fmt.Sprint(value)
			}
		}
	}
	return nil
}

// readBridge reads what a bridge does beyond joining its ports.
func readBridge(link properties, data []byte) error {
	bridge, err := parseAttributes(data)
	for attribute, name := range bridgeSwitches {
		if value := bridge[attribute]; len(value) > 0 && value[0] != 0 {
			link[name] = "on"
		}
	}
	if stp := bridge.number(nl.IFLA_BR_STP_STATE); stp != 0 {
		link["stp"] = "on"
	}
	return err
}

// bridgeSwitches are those that a lab leaves off.
var bridgeSwitches = map[uint16]string{
	nl.IFLA_BR_VLAN_FILTERING: "vlan_filtering", nl.IFLA_BR_NF_CALL_IPTABLES: "nf_call_iptables",
}
