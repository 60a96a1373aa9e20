package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/guestfirewall"
	"vnetlab/lab/spelling"
)

// Parsers of arguments and flags that consist of several parts.

// endpointForm is the hint on how an endpoint is written.
const endpointForm = "PROTO:PUBLIC:LOCAL[,KEY=VALUE]...; lab help endpoint-spec explains it"

// parseEndpoint reads an endpoint such as tcp:57500:1433 or tcp:80:8080,set=web. An empty public port is left to
// the platform.
func parseEndpoint(text string) (lab.Endpoint, error) {
	items := strings.Split(text, ",")
	wrong := func(format string, args ...any) (lab.Endpoint, error) {
		return lab.Endpoint{}, usage("endpoint %q: "+format, append([]any{text}, args...)...).
			orHint("write " + endpointForm)
	}
	ports := strings.Split(items[0], ":")
	if len(ports) != 3 {
		return wrong("it needs a protocol, a public port, which may be empty, and a local port")
	}
	e := lab.Endpoint{Protocol: emu.Protocol(strings.ToLower(ports[0]))}
	if e.Protocol != emu.TCP && e.Protocol != emu.UDP {
		return wrong("the protocol is tcp or udp, not %q", ports[0])
	}
	var ok bool
	if e.PublicPort, ok = port(ports[1]); !ok && ports[1] != "" {
		return wrong("the public port %q is neither a number from 1 to 65535 nor empty, as in %s::%s, "+
			"for one that the platform picks", ports[1], ports[0], ports[2])
	}
	if e.LocalPort, ok = port(ports[2]); !ok {
		return wrong("the local port %q is not a number from 1 to 65535", ports[2])
	}
	interval, timeout := 0, 0
	for _, item := range items[1:] {
		key, value, _ := strings.Cut(item, "=")
		if value == "" && key != "dsr" {
			return wrong("the key %q has no value", key)
		}
		switch key {
		case "name":
			e.Name = value
		case "set":
			e.LoadBalancedSet = value
		case "internal":
			e.InternalLoadBalancer = value
		case "dsr":
			e.DirectServerReturn = true
		case "distribution":
			e.Distribution = lab.Distribution(value)
			if e.Distribution != lab.DistributeNone && e.Distribution != lab.DistributeSourceIP &&
				e.Distribution != lab.DistributeSourceIPProtocol {
				return wrong("the distribution is none, sourceIP or sourceIPProtocol, not %q", value)
			}
		case "probe":
			if e.Probe, ok = parseProbe(value); !ok {
				return wrong("the health probe is tcp, tcp:PORT, http:/PATH or http:PORT:/PATH, not %q", value)
			}
		case "idle", "interval", "timeout":
			n, err := strconv.Atoi(value)
			if err != nil || n <= 0 {
				return wrong("%s=%s is not a positive number", key, value)
			}
			*map[string]*int{"idle": &e.IdleTimeoutInMinutes, "interval": &interval, "timeout": &timeout}[key] = n
		default:
			var keys []string
			for _, k := range endpointKeys {
				keys = append(keys, k.key)
			}
			return wrong("there is no key %q; the keys are %s", key, spelling.And(keys))
		}
	}
	if e.Probe != nil {
		e.Probe.IntervalInSeconds, e.Probe.TimeoutInSeconds = interval, timeout
	} else if interval+timeout > 0 {
		return wrong("interval and timeout are for a health probe, and there is none")
	}
	return e, nil
}

// parseBalancer reads an internal load balancer, NAME[,subnet=SUBNET][,address=ADDRESS]; nothing is none.
func parseBalancer(text string) (*lab.InternalLoadBalancer, error) {
	if text == "" {
		return nil, nil
	}
	items := strings.Split(text, ",")
	b := &lab.InternalLoadBalancer{Name: items[0]}
	for _, item := range items[1:] {
		switch key, value, _ := strings.Cut(item, "="); key {
		case "subnet":
			b.Subnet = value
		case "address":
			var err error
			if b.Address, err = parseAddress("internal-load-balancer", value); err != nil {
				return nil, err
			}
		default:
			return nil, usage("--internal-load-balancer: there is no %q", key).
				orHint("write NAME[,subnet=SUBNET][,address=ADDRESS]")
		}
	}
	return b, nil
}

// parseProbe reads tcp, tcp:PORT, http:/PATH or http:PORT:/PATH.
func parseProbe(text string) (*lab.Probe, bool) {
	protocol, rest, _ := strings.Cut(text, ":")
	p := &lab.Probe{Protocol: protocol}
	if !strings.HasPrefix(rest, "/") && rest != "" {
		number, path, _ := strings.Cut(rest, ":")
		var ok bool
		if p.Port, ok = port(number); !ok {
			return nil, false
		}
		rest = path
	}
	p.Path = rest
	return p, protocol == "tcp" && rest == "" || protocol == "http" && strings.HasPrefix(rest, "/")
}

// port reads a port number from 1 on.
func port(text string) (uint16, bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err == nil && n > 0
}

// parseEndpoints reads endpoints and names those that have no name: by protocol and local port.
func parseEndpoints(texts []string) ([]lab.Endpoint, error) {
	var all []lab.Endpoint
	for _, text := range texts {
		e, err := parseEndpoint(text)
		if err != nil {
			return nil, err
		}
		if e.Name == "" {
			e.Name = string(e.Protocol) + "-" + strconv.Itoa(int(e.LocalPort))
			for i := 2; slices.ContainsFunc(all, func(other lab.Endpoint) bool { return other.Name == e.Name }); i++ {
				// Two on one local port are the platform's to refuse, not two of one name.
				e.Name = fmt.Sprintf("%s-%d-%d", e.Protocol, e.LocalPort, i)
			}
		}
		all = append(all, e)
	}
	return all, nil
}

// parseListeners reads PORT or PORT/PROTO, each a built-in listener. The command, if there is one, serves the
// first instead.
func parseListeners(texts []string, command, dir string) ([]lab.Service, error) {
	if command != "" && len(texts) == 0 {
		return nil, usage("--run needs the port on which the program listens").orHint("--listen PORT")
	}
	var all []lab.Service
	for _, text := range texts {
		number, protocol, has := strings.Cut(text, "/")
		s := lab.Service{Protocol: emu.Protocol(protocol)}
		if !has {
			s.Protocol = emu.TCP
		}
		var ok bool
		if s.Port, ok = port(number); !ok || s.Protocol != emu.TCP && s.Protocol != emu.UDP {
			return nil, usage("%q is not a port to listen on", text).
				orHint("write PORT or PORT/udp, with a number from 1 to 65535")
		}
		all = append(all, s)
	}
	if command != "" {
		all[0].Command, all[0].Dir = command, dir
	}
	return all, nil
}

// parseACL reads access control rules, each as one word in quotes or as three.
func parseACL(args []string) ([]lab.ACLRule, error) {
	var all []lab.ACLRule
	for len(args) > 0 {
		words := strings.Fields(args[0])
		args = args[1:]
		if len(words) == 1 {
			n := min(2, len(args))
			words, args = append(words, args[:n]...), args[n:]
		}
		r, ok := parseACLRule(words)
		if !ok {
			return nil, usage("%q is not a rule of an access control list", strings.Join(words, " ")).
				orHint(`write "ORDER permit|deny PREFIX [DESCRIPTION]", for example "100 permit 203.0.113.0/24"`)
		}
		all = append(all, r)
	}
	return all, nil
}

func parseACLRule(words []string) (r lab.ACLRule, ok bool) {
	if len(words) < 3 || words[1] != "permit" && words[1] != "deny" {
		return r, false
	}
	order, err := strconv.Atoi(words[0])
	if err != nil {
		return r, false
	}
	prefix, ok := parsePrefix(words[2])
	return lab.ACLRule{
		Order: order, Permit: words[1] == "permit", RemoteSubnet: prefix,
		Description: strings.Join(words[3:], " "),
	}, ok
}

// parsePrefix reads a prefix, or an address as a prefix of one address.
func parsePrefix(text string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p, true
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(address, address.BitLen()), true
}

// parseFirewallCommand reads a firewall rule, either as one argument or as the words into which the shell split it.
func parseFirewallCommand(args []string) (guestfirewall.Command, error) {
	text := args[0]
	if len(args) > 1 {
		words := make([]string, len(args))
		for i, word := range args {
			words[i] = quoted(word)
		}
		text = strings.Join(words, " ")
	}
	command, err := guestfirewall.ParseCommand(text)
	if err != nil {
		var hint string
		if wrong, ok := err.(*guestfirewall.Error); ok { //nolint:errorlint // as documented
			err, hint = &guestfirewall.Error{Message: wrong.Message}, wrong.Hint
		}
		return command, usage("firewall rule '%s': %v", text, err).orHint(hint)
	}
	return command, nil
}

// quoted restores the quotes that the shell removed from a word. Those of netsh follow the equals sign.
func quoted(word string) string {
	if word != "" &&
		(!strings.ContainsAny(word, " \t") || strings.HasSuffix(word, `"`) && strings.Count(word, `"`) == 2) {
		return word
	}
	if key, value, ok := strings.Cut(word, "="); ok && !strings.ContainsAny(key, " \t") {
		return key + `="` + value + `"`
	}
	return `"` + word + `"`
}

// parseSubnets reads subnets written as NAME=PREFIX.
func parseSubnets(texts []string) ([]lab.Subnet, error) {
	var all []lab.Subnet
	for _, text := range texts {
		equals := max(0, strings.LastIndex(text, "=")) // the name may have one
		name, prefix := text[:equals], strings.TrimPrefix(text[equals:], "=")
		p, err := netip.ParsePrefix(prefix)
		if err != nil || name == "" {
			return nil, usage("%q is not a subnet", text).orHint("write NAME=PREFIX, for example web=10.1.1.0/24")
		}
		all = append(all, lab.Subnet{Name: name, AddressPrefix: p})
	}
	return all, nil
}

// parseAddress reads the address of a flag; an empty one is none.
func parseAddress(flag, text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return address, usage("--%s: %q is not an address", flag, text)
	}
	return address, nil
}
