package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"vnetlab/emu"
)

// sysctl is one value below /proc/sys/net.
type sysctl struct{ key, value string }

// A namespace starts with a copy of some of the host's values, so those that matter are written even where they are the
// default of the kernel.
var (
	hostSysctls = []sysctl{
		{"ipv6/conf/all/disable_ipv6", "1"}, // sets default too
		{"ipv4/ip_forward", "0"},
		unlimitedICMP,
	}
	routerSysctls = []sysctl{
		{"ipv6/conf/all/disable_ipv6", "1"},
		{"ipv4/ip_forward", "1"},
		// Routes of a lab need not be symmetric.
		{"ipv4/conf/all/rp_filter", "0"},
		{"ipv4/conf/default/rp_filter", "0"},
		// A gateway in its own subnet must not tell hosts of a shorter way: every packet passes its rules.
		{"ipv4/conf/all/send_redirects", "0"},
		{"ipv4/conf/default/send_redirects", "0"},
		// The end of an address is not the end of the others of its subnet.
		{"ipv4/conf/all/promote_secondaries", "1"},
		// Packets within a subnet are bridged, and the rules of the router are not for them.
		{"bridge/bridge-nf-call-iptables", "0"},
		// A connection that was forgotten is over: its later packets don't begin it anew in the middle.
		{"netfilter/nf_conntrack_tcp_loose", "0"},
		unlimitedICMP,
	}
)

// unlimitedICMP lifts the kernel's limits of ICMP errors, one in a second to each target: a closed UDP port must refuse everyone who
// asks, however many ask at once.
var unlimitedICMP = sysctl{"ipv4/icmp_ratemask", "0"}

func sysctls(kind emu.Kind) []sysctl {
	if kind == emu.Router {
		return routerSysctls
	}
	return hostSysctls
}

// writeSysctls writes the values of the namespace the calling thread is in. What the kernel doesn't have needs no switching
// off.
func writeSysctls(all []sysctl) error {
	for _, s := range all {
		f, err := os.OpenFile("/proc/sys/net/"+s.key, os.O_WRONLY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = f.WriteString(s.value)
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("sysctl net/%s=%s: %w", s.key, s.value, err)
		}
	}
	return nil
}
