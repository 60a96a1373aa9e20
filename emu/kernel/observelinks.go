package kernel

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// portForwards is the state of a bridge port that forwards packets: BR_STATE_FORWARDING.
const portForwards = 3

// deviceSwitch is a value below /proc/sys/net/ipv4/conf/DEVICE that a lab decides for the devices of routers. The
// kernel has it at a position of its list of such values (IPV4_DEVCONF_FORWARDING and so on, from 1).
type deviceSwitch struct {
	position int
	name     string
	wanted   uint32
	router   bool // only a router's matters
}

var deviceSwitches = []deviceSwitch{
	{1, "forwarding", 1, true}, {3, "proxy_arp", 0, true}, {8, "rp_filter", 0, true}, {19, "arp_ignore", 0, false},
}

// setting is a number that a lab leaves as the kernel makes it, or as the lab makes it for every bridge.
type setting struct {
	attribute uint16
	name      string // as ip link calls it
	bytes     int
	wanted    uint32
}

// bridgeSettings are those of bridges.
var bridgeSettings = []setting{
	{nl.IFLA_BR_VLAN_FILTERING, "vlan_filtering", 1, 0},
	{nl.IFLA_BR_STP_STATE, "stp_state", 4, 0},
	{nl.IFLA_BR_AGEING_TIME, "ageing_time", 4, 30000}, // hundredths of a second
	{nl.IFLA_BR_GROUP_FWD_MASK, "group_fwd_mask", 2, 0},
	{nl.IFLA_BR_MCAST_SNOOPING, "mcast_snooping", 1, 0},
	{nl.IFLA_BR_MCAST_QUERIER, "mcast_querier", 1, 0},
	{nl.IFLA_BR_NF_CALL_IPTABLES, "nf_call_iptables", 1, 0},
	{nl.IFLA_BR_NF_CALL_ARPTABLES, "nf_call_arptables", 1, 0},
}

// portSettings are those of bridge ports, besides the ones that a lab decides for each port; see [portFlags].
var portSettings = []setting{
	{nl.IFLA_BRPORT_GUARD, "guard", 1, 0},
	{nl.IFLA_BRPORT_PROTECT, "root_block", 1, 0},
	{nl.IFLA_BRPORT_FAST_LEAVE, "fastleave", 1, 0},
	{nl.IFLA_BRPORT_PROXYARP_WIFI, "proxy_arp_wifi", 1, 0},
	{nl.IFLA_BRPORT_MULTICAST_ROUTER, "mcast_router", 1, 1},
	{nl.IFLA_BRPORT_MCAST_TO_UCAST, "mcast_to_unicast", 1, 0},
	{nl.IFLA_BRPORT_VLAN_TUNNEL, "vlan_tunnel", 1, 0},
	{nl.IFLA_BRPORT_NEIGH_SUPPRESS, "neigh_suppress", 1, 0},
	{nl.IFLA_BRPORT_BACKUP_PORT, "backup_port", 4, 0},
}

// usual has the values of the link properties that are noted only where they differ from these.
var usual = func() map[string]string {
	all := map[string]string{"port": "forwarding"}
	for _, s := range deviceSwitches {
		all[s.name] = fmt.Sprint(s.wanted)
	}
	for _, settings := range [][]setting{bridgeSettings, portSettings} {
		for _, s := range settings {
			all[s.name] = fmt.Sprint(s.wanted)
		}
	}
	return all
}()

// readSettings notes the settings that differ from what is wanted. What the kernel doesn't have is as wanted.
func readSettings(link properties, settings []setting, attrs attributes) {
	for _, s := range settings {
		if got, ok := s.value(attrs[s.attribute]); ok && got != s.wanted {
			link[s.name] = fmt.Sprint(got)
		}
	}
}

// value decodes a setting.
func (s *setting) value(data []byte) (uint32, bool) {
	switch {
	case len(data) < s.bytes || len(data) == 0:
		return 0, false
	case s.bytes == 4:
		return binary.NativeEndian.Uint32(data), true
	case s.bytes == 2:
		return uint32(binary.NativeEndian.Uint16(data)), true
	}
	return uint32(data[0]), true
}

// addSetting encodes the setting with the name, with the value that is wanted.
func addSetting(data *nl.RtAttr, settings []setting, name string) {
	for _, s := range settings {
		if s.name != name {
			continue
		}
		value := binary.NativeEndian.AppendUint32(nil, s.wanted)
		switch s.bytes {
		case 2:
			value = binary.NativeEndian.AppendUint16(nil, uint16(s.wanted))
		case 1:
			value = []byte{uint8(s.wanted)}
		}
		data.AddRtAttr(int(s.attribute), value)
	}
}

func isSetting(settings []setting, name string) bool {
	return slices.ContainsFunc(settings, func(s setting) bool { return s.name == name })
}

// readSwitches reads what doesn't show in a list of links: whether a router forwards from the device, whom the device
// answers, and programs attached before its queue.
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
		if end := 4 * s.position; end <= len(values) && (r.router || !s.router) {
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
	readSettings(link, bridgeSettings, bridge)
	return err
}
