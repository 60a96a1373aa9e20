package guestfirewall

import (
	"regexp"
	"slices"
	"strings"
)

// linuxPrograms are the programs that set up the firewall of a Linux guest.
var linuxPrograms = []string{"iptables", "ufw", "firewall-cmd", "nft"}

// Commands of these programs that have a short form, and what it is made of.
var (
	ufwPort = regexp.MustCompile(`^ufw (allow|deny|reject)(?: in)? ([0-9]+)(?:/(tcp|udp))?$`)
	ufwFrom = regexp.MustCompile(`^ufw (allow|deny|reject)(?: in)?(?: proto (tcp|udp))? from (\S+)(?: to ` +
		`any)?(?: port ([0-9]+))?(?: proto (tcp|udp))?$`)
	addPort = regexp.MustCompile(
		`^firewall-cmd(?: --permanent)?(?: --zone[= ]\w+)? --add-port[= ]([0-9-]+)/(tcp|udp)(?: --permanent)?$`)
	linuxOff = regexp.MustCompile(
		`^(ufw disable|service (iptables|firewalld) stop|systemctl (stop|disable) (iptables|firewalld|ufw))$`)
	iptablesRule = regexp.MustCompile(`^iptables (-A|-I|--append|--insert) INPUT(?: [0-9]+)? `)
)

// parseLinux refuses a command for the firewall of a Linux guest. Its rules have an order, and those of a lab
// don't, so a single command has no certain meaning here. The hint has the short form of the likely one.
func parseLinux(words []word) (*Error, bool) {
	if len(words) > 1 && words[0].text == "sudo" {
		words = words[1:]
	}
	program := programName(words[0].text)
	texts := []string{program}
	for _, w := range words[1:] {
		texts = append(texts, w.text)
	}
	text := strings.Join(texts, " ")
	off := linuxOff.MatchString(text)
	if !off && !slices.Contains(linuxPrograms, program) {
		return nil, false
	}
	err := fail("%.60q is a command for the firewall of a Linux guest, which is not read here", words[0].text).
		at(words[0].offset)
	if off {
		return err.hint("write firewall: off"), true
	}
	if short := linuxShortForm(text); len(short) > 0 {
		return err.hint("write %s", strings.Join(short, " and ")), true
	}
	return err.hint("the short form is: %s", shortForm), true
}

// linuxShortForm returns the rules that mean the same as a command; none where it isn't a plain one.
func linuxShortForm(text string) (rules []string) {
	each := func(action, protocol, port, from string) {
		protocols := []string{protocol}
		if protocol == "" && port != "" {
			protocols = []string{"tcp", "udp"}
		}
		for _, p := range protocols {
			if p == "" {
				p = "any"
			}
			rule := map[bool]string{true: "allow ", false: "block "}[strings.EqualFold(action, "allow") ||
				action == "ACCEPT"] + p
			if port != "" {
				rule += " " + strings.ReplaceAll(port, ":", "-")
			}
			if from != "" && from != "any" {
				rule += " from " + from
			}
			if _, err := Parse(rule); err == nil {
				rules = append(rules, rule)
			}
		}
	}
	switch {
	case ufwPort.MatchString(text):
		m := ufwPort.FindStringSubmatch(text)
		each(m[1], m[3], m[2], "")
	case ufwFrom.MatchString(text):
		m := ufwFrom.FindStringSubmatch(text)
		each(m[1], m[2]+m[5], m[4], m[3])
	case addPort.MatchString(text):
		m := addPort.FindStringSubmatch(text)
		each("allow", m[2], m[1], "")
	case iptablesRule.MatchString(text):
		if given, ok := iptablesOptions(strings.Fields(iptablesRule.ReplaceAllString(text, ""))); ok {
			each(given["-j"], given["-p"], given["--dport"], given["-s"])
		}
	}
	return rules
}

// iptablesOptions reads the options of a plain rule; false where it has others, or a target that a lab doesn't have.
func iptablesOptions(words []string) (map[string]string, bool) {
	names := map[string]string{
		"-p": "-p", "--protocol": "-p", "-s": "-s", "--source": "-s", "--dport": "--dport", "--dports": "--dport",
		"--destination-port": "--dport", "-j": "-j", "--jump": "-j",
		"-m": "", "--state": "", "--ctstate": "",
	}
	given := map[string]string{}
	for len(words) > 1 {
		name, known := names[words[0]]
		if !known {
			return nil, false
		}
		given[name], words = words[1], words[2:]
	}
	return given, len(words) == 0 && slices.Contains([]string{"ACCEPT", "DROP", "REJECT"}, given["-j"])
}
