package guestfirewall

import (
	"slices"
	"strings"

	"vnetlab/emu"
)

// predefined are groups of rules that Windows Server comes with, disabled or enabled, by their display groups:
// what enabling them lets in.
var predefined = []struct {
	group string
	names []string // of rules, as they begin, and of the group's resource
	rules []Rule
}{
	{"Remote Desktop", []string{"remotedesktop", "remote desktop"}, []Rule{tcp(3389), udp(3389)}},
	{"File and Printer Sharing", []string{"fps-"}, []Rule{{Protocol: "icmp"}, tcp(139, 445), udp(137, 138)}},
	{"File and Printer Sharing (Echo Request - ICMPv4-In)", []string{"fps-icmp4-erq-in"}, []Rule{{Protocol: "icmp"}}},
	{"Windows Remote Management", []string{"winrm-"}, []Rule{tcp(5985)}},
	{"World Wide Web Services (HTTP)", []string{"iis-webserverrole-http"}, []Rule{tcp(80)}},
	{"Secure World Wide Web Services (HTTPS)", []string{"iis-webserverrole-https"}, []Rule{tcp(443)}},
	{"Windows Management Instrumentation (WMI)", []string{"wmi-"}, []Rule{tcp(135)}},
	{"Remote Event Log Management", []string{"remoteeventlogsvc-"}, []Rule{tcp(135)}},
	{"Remote Service Management", []string{"remotesvcadmin-"}, []Rule{tcp(135)}},
	{"Remote Administration", nil, []Rule{tcp(135, 445)}},
}

func tcp(ports ...uint16) Rule { return portRule("tcp", ports) }
func udp(ports ...uint16) Rule { return portRule("udp", ports) }

func portRule(protocol string, ports []uint16) Rule {
	r := Rule{Protocol: protocol}
	for _, p := range ports {
		r.LocalPorts = append(r.LocalPorts, emu.PortRange{First: p, Last: p})
	}
	return r
}

// enablePredefined returns the rules of a group that Windows comes with, or of a rule of a group. An unknown one
// gets a note.
func enablePredefined(name word) (Command, *Error) {
	text := strings.ToLower(strings.TrimRight(name.text, "*"))
	best, length := -1, 0
	for i, p := range predefined {
		for _, known := range append([]string{strings.ToLower(p.group)}, p.names...) {
			// The longest beginning wins: a rule's name continues that of its group.
			if strings.HasPrefix(text, known) && len(known) > length {
				best, length = i, len(known)
			}
		}
	}
	if best < 0 {
		return Command{Notes: []string{"the command has no effect: which ports " + name.text +
			" opens is not known here; add rules for them"}}, nil
	}
	var c Command
	for _, r := range predefined[best].rules {
		r.Name, r.Allow = predefined[best].group, true
		r.LocalPorts = slices.Clone(r.LocalPorts)
		c.Rules = append(c.Rules, r)
	}
	return c, nil
}
