package guestfirewall

import (
	"slices"
	"strings"

	"vnetlab/lab/spelling"
)

// oldArguments are the arguments of a command of netsh firewall, in their order when they have no names.
var oldArguments = map[string][]string{
	"portopening":                {"protocol", "port", "name", "mode", "scope", "addresses", "profile", "interface"},
	"allowedprogram":             {"program", "name", "mode", "scope", "addresses", "profile"},
	"opmode":                     {"mode", "exceptions", "profile", "interface"},
	"service":                    {"type", "mode", "scope", "addresses", "profile"},
	"icmpsetting":                {"type", "mode", "profile", "interface"},
	"logging":                    {"filelocation", "maxfilesize", "droppedpackets", "connections"},
	"notifications":              {"mode", "profile"},
	"multicastbroadcastresponse": {"mode", "profile"},
}

// parseOldNetsh reads netsh firewall, which Windows keeps from the time before advfirewall.
func parseOldNetsh(words []word, end int) (Command, *Error) {
	const expected = "expected netsh firewall add portopening, add allowedprogram, set opmode, set service or set " +
		"icmpsetting"
	if len(words) < 2 {
		return Command{}, fail("%s", netshArguments).hint(expected).at(end)
	}
	if !netshWord(words[0], "add") && !netshWord(words[0], "set") {
		err := fail("%s, got %.60q", expected, words[0].text).at(words[0].offset)
		if netshWord(words[0], "delete") {
			err.Hint = deleteElsewhere
		}
		return Command{}, err
	}
	command := strings.ToLower(words[1].text)
	arguments, ok := oldArguments[command]
	if !ok {
		err := fail("%s, got %.60q", expected, words[1].text).at(words[1].offset)
		err.Hint = spelling.DidYouMean(command, []string{
			"portopening", "allowedprogram", "opmode", "service",
			"icmpsetting",
		})
		return Command{}, err
	}
	given, err := oldTags(words[2:], arguments, command)
	if err != nil {
		return Command{}, err
	}
	enabled := true
	if mode, ok := given["mode"]; ok {
		text, err := oneOf("mode", mode, "enable", "disable")
		if err != nil {
			return Command{}, err
		}
		enabled = text == "enable"
	}
	switch command {
	case "opmode":
		if _, ok := given["mode"]; !ok {
			return Command{}, fail("%s", netshArguments).hint("expected netsh firewall set opmode disable").at(end)
		}
		if p, ok := given["profile"]; ok && (strings.EqualFold(p.text, "domain") ||
			strings.EqualFold(p.text, "standard")) {
			return Command{Notes: []string{"the command has no effect: " + notForPublic}}, nil
		}
		return Command{Switch: map[bool]Switch{true: TurnOn, false: TurnOff}[enabled]}, nil
	case "logging", "notifications", "multicastbroadcastresponse":
		return Command{Notes: []string{"the command has no effect: a lab has no " + command + " of a firewall"}}, nil
	}
	return oldRules(command, given, enabled, end)
}

// oldTags reads arguments by name or by position.
func oldTags(words []word, arguments []string, command string) (map[string]word, *Error) {
	given := map[string]word{}
	next := 0
	for _, w := range words {
		if strings.Contains(w.text, "=") {
			one, err := netshTags([]word{w}, arguments, "netsh firewall "+command)
			if err != nil {
				return nil, err
			}
			for tag, value := range one {
				given[tag] = value
				next = max(next, slices.Index(arguments, tag)+1)
			}
			continue
		}
		if next >= len(arguments) {
			return nil, fail("%s", netshArguments).at(w.offset)
		}
		given[arguments[next]] = w
		next++
	}
	return given, nil
}

// oldServices are the services that netsh firewall knows by name, with what they open.
var oldServices = map[string][]Rule{
	"remotedesktop": {tcp(3389)},
	"remoteadmin":   {tcp(135, 445)},
	"fileandprint":  {tcp(139, 445), udp(137, 138)},
	"upnp":          {tcp(2869), udp(1900)},
}

// oldRules returns the rules of a command that opens something.
func oldRules(command string, given map[string]word, enabled bool, end int) (Command, *Error) {
	missing := func(what string) (Command, *Error) {
		return Command{}, fail("%s= is missing", what).hint("expected netsh firewall add portopening TCP 80 NAME").
			at(end)
	}
	var rules []Rule
	name, bound := given["name"].text, ""
	switch command {
	case "portopening":
		protocol, ok := given["protocol"]
		if !ok {
			return missing("protocol")
		}
		port, ok := given["port"]
		if !ok {
			return missing("port")
		}
		kind, err := oneOf("the protocol", protocol, "tcp", "udp", "all")
		if err != nil {
			return Command{}, err
		}
		for _, p := range []string{"tcp", "udp"} {
			if kind != p && kind != "all" {
				continue
			}
			r := Rule{Protocol: p}
			if err := r.setLocalPorts(port.list()); err != nil {
				return Command{}, err
			}
			rules = append(rules, r)
		}
	case "allowedprogram":
		program, ok := given["program"]
		if !ok {
			return missing("program")
		}
		rules = []Rule{{Allow: true}}
		bound = "the program " + program.text
	case "icmpsetting":
		rules = []Rule{{Protocol: "icmp"}}
		if kind := given["type"]; kind.text != "" && !strings.EqualFold(kind.text, "all") {
			rules[0].setICMPType(kind)
		}
	case "service":
		kind := given["type"]
		service, err := oneOf("the service", kind, "remotedesktop", "remoteadmin", "fileandprint", "upnp")
		if err != nil {
			return Command{}, err
		}
		rules = slices.Clone(oldServices[service])
		name = kind.text
	}
	for i := range rules {
		r := &rules[i]
		r.Name, r.Allow = name, true
		if !enabled {
			r.deactivate("it is disabled")
		}
		if err := r.setScope(given["scope"], given["addresses"], end); err != nil {
			return Command{}, err
		}
		if p := strings.ToLower(given["profile"].text); p == "domain" || p == "standard" {
			r.deactivate(notForPublic)
		}
		if bound != "" {
			r.bind(bound)
		}
	}
	return Command{Rules: rules}, nil
}

// setScope reads the remote addresses: all, the subnet, or a list.
func (r *Rule) setScope(scope, addresses word, end int) *Error {
	if scope.text == "" {
		return nil
	}
	kind, err := oneOf("scope", scope, "all", "subnet", "custom")
	switch {
	case err != nil || kind == "all":
		return err
	case kind == "subnet":
		r.LocalSubnet = true
		return nil
	case addresses.text == "":
		return fail("addresses= is missing").hint("scope=custom needs addresses=ADDRESS,PREFIX,localsubnet").at(end)
	}
	return r.setRemote(addresses.list())
}
