package guestfirewall

import (
	"slices"
	"strings"

	"vnetlab/lab/spelling"
)

// powerShellConditions are the parameters of New-NetFirewallRule that have no effect in a lab, or keep the rule
// from ever matching in one.
var powerShellConditions = map[string]condition{
	"Program":             {harmless: []string{"any"}, bound: "the program"},
	"Package":             {harmless: []string{"any"}, bound: "the package"},
	"Service":             {harmless: []string{"any"}, bound: "the service"},
	"LocalUser":           {harmless: []string{"any"}, bound: "the user"},
	"Owner":               {harmless: []string{"any"}, bound: "the owner"},
	"RemotePort":          {harmless: []string{"any", "0-65535", "1-65535"}, because: becauseSource},
	"InterfaceAlias":      {},
	"InterfaceType":       {harmless: []string{"any", "wired"}, because: becauseInterface},
	"RemoteUser":          {harmless: []string{"any"}, because: becauseIPsec},
	"RemoteMachine":       {harmless: []string{"any"}, because: becauseIPsec},
	"Authentication":      {harmless: []string{"notrequired"}, because: becauseIPsec},
	"Encryption":          {harmless: []string{"notrequired"}, because: becauseIPsec},
	"OverrideBlockRules":  {harmless: []string{"false"}, because: becauseIPsec},
	"EdgeTraversalPolicy": {},
	"DynamicTarget":       {harmless: []string{"any"}, because: becauseInterface},
	"DynamicTransport":    {harmless: []string{"any"}, because: becauseInterface},
	"PolicyStore":         {harmless: []string{"persistentstore", "activestore", "localhost"}, because: becausePolicy},
	"GPOSession":          {because: becausePolicy},
	"LooseSourceMapping":  {}, "LocalOnlyMapping": {}, "Platform": {},
	// Common parameters, which all commands have.
	"Confirm": {}, "Debug": {}, "Verbose": {}, "AsJob": {}, "ErrorAction": {}, "ErrorVariable": {}, "WarningAction": {},
	"WarningVariable":   {},
	"InformationAction": {}, "InformationVariable": {}, "OutVariable": {}, "OutBuffer": {}, "PipelineVariable": {},
	"ThrottleLimit": {},
	"CimSession":    {},
}

// powerShellSwitches are the parameters that need no value.
var powerShellSwitches = []string{"Confirm", "Debug", "Verbose", "AsJob", "WhatIf", "All", "PassThru"}

// powerShellAliases are short names of parameters.
var powerShellAliases = map[string]string{
	"ea": "ErrorAction", "ev": "ErrorVariable", "wa": "WarningAction", "wv": "WarningVariable",
	"infa": "InformationAction", "iv": "InformationVariable",
	"ov": "OutVariable", "ob": "OutBuffer", "pv": "PipelineVariable", "cf": "Confirm", "wi": "WhatIf", "vb": "Verbose",
	"db": "Debug",
}

var powerShellKnown = known(powerShellConditions,
	"DisplayName", "Name", "Description", "Group", "Direction", "Action", "Enabled", "Profile", "Protocol", "LocalPort",
	"LocalAddress", "RemoteAddress", "IcmpType", "WhatIf")

// parseNewRule reads what follows New-NetFirewallRule.
func parseNewRule(text string, start int) (Rule, *Error) {
	given, err := powerShellParameters(text, start, "New-NetFirewallRule", powerShellKnown)
	if err != nil {
		return Rule{}, err
	}
	if given["DisplayName"] == nil {
		return Rule{}, fail("-DisplayName is missing").at(len(text))
	}
	rule := Rule{Allow: true}
	done := map[string]bool{}
	// whether the rule counts at all, before what it is for
	deciding := []string{"Action", "Enabled", "Profile", "WhatIf"}
	for _, name := range slices.Concat(deciding, []string{"Direction"}, powerShellKnown) {
		values, ok := given[name]
		if !ok || done[name] {
			continue
		}
		done[name] = true
		if err := rule.setPowerShell(name, values); err != nil {
			return Rule{}, err
		}
	}
	if kinds := given["IcmpType"]; kinds != nil && rule.Protocol != "icmp" && rule.Inactive == "" {
		return Rule{}, fail("-IcmpType needs -Protocol ICMPv4").at(kinds[0].offset)
	}
	if ports := given["LocalPort"]; ports != nil {
		return rule, rule.checkPorts(ports[0].offset)
	}
	return rule, nil
}

// powerShellParameters reads the parameters of a command and their values.
func powerShellParameters(text string, start int, command string, known []string) (map[string][]word, *Error) {
	tokens, err := powerShellTokens(text, start)
	if err != nil {
		return nil, err
	}
	given := map[string][]word{}
	for len(tokens) > 0 {
		parameter := tokens[0]
		if !parameter.parameter {
			return nil, fail("expected a parameter, -NAME VALUE, got %.60q", parameter.text).
				hint("separate lists with commas, and quote values with spaces").at(parameter.offset)
		}
		name, err := parameterName(parameter.word, command, known)
		if err != nil {
			return nil, err
		}
		if given[name] != nil {
			return nil, fail("-%s is given twice", name).at(parameter.offset)
		}
		if slices.Contains(powerShellSwitches, name) && !parameter.colon {
			given[name], tokens = []word{{"true", parameter.offset}}, tokens[1:]
			continue
		}
		given[name], tokens, err = parameterValues(name, tokens, len(text))
		if err != nil {
			return nil, err
		}
	}
	return given, nil
}

// parameterName returns the parameter of a name or of a unique beginning of one, which PowerShell accepts too.
func parameterName(w word, command string, known []string) (string, *Error) {
	if name, ok := powerShellAliases[strings.ToLower(w.text)]; ok && slices.Contains(known, name) {
		return name, nil
	}
	var matches []string
	for _, k := range known {
		if strings.EqualFold(k, w.text) {
			return k, nil
		}
		if w.text != "" && len(w.text) <= len(k) && strings.EqualFold(k[:len(w.text)], w.text) {
			matches = append(matches, k)
		}
	}
	switch len(matches) {
	case 1:
		return matches[0], nil
	case 0:
		err := fail("%s has no parameter -%.60s", command, w.text).at(w.offset)
		err.Hint = spelling.DidYouMean(w.text, known)
		return "", err
	}
	return "", fail("the parameter -%s is ambiguous: -%s", w.text, strings.Join(matches, ", -")).at(w.offset)
}

// parameterValues takes the list of values after the parameter at the head of the tokens, and returns what is left.
// A list may be in parentheses.
func parameterValues(name string, tokens []token, end int) ([]word, []token, *Error) {
	var values []word
	rest := tokens[1:]
	depth := 0
	for {
		for len(rest) > 0 && rest[0].open {
			depth, rest = depth+1, rest[1:]
		}
		if len(rest) == 0 || rest[0].parameter || rest[0].comma || rest[0].close {
			at := end
			if len(rest) > 0 {
				at = rest[0].offset
			}
			return nil, nil, fail("-%s has no value", name).at(at)
		}
		values = append(values, rest[0].word)
		rest = rest[1:]
		for depth > 0 && len(rest) > 0 && rest[0].close {
			depth, rest = depth-1, rest[1:]
		}
		if len(rest) > 0 && rest[0].comma {
			rest = rest[1:]
			continue
		}
		switch {
		case depth > 0 && len(rest) == 0:
			return nil, nil, fail("the parenthesis is never closed").at(end)
		case depth > 0:
			return nil, nil, fail("expected a comma or the end of the list, got %.60q", rest[0].text).at(rest[0].offset)
		}
		return values, rest, nil
	}
}

func (r *Rule) setPowerShell(name string, values []word) *Error {
	if c, ok := powerShellConditions[name]; ok {
		c.apply(r, "-"+name+" ", values)
		return nil
	}
	switch name {
	case "Profile":
		var all []word
		for _, v := range values { // one string may hold several names
			all = append(all, v.list()...)
		}
		return r.setProfiles(all)
	case "LocalPort":
		return r.setLocalPorts(lists(values))
	case "LocalAddress":
		return r.setLocal(lists(values))
	case "RemoteAddress":
		return r.setRemote(lists(values))
	case "IcmpType":
		echo := false
		for _, v := range values {
			kind := Rule{}
			kind.setICMPType(v)
			echo = echo || kind.Inactive == ""
		}
		if !echo {
			r.setICMPType(values[0])
		}
		return nil
	}
	if len(values) > 1 {
		return fail("-%s takes one value", name).at(values[1].offset)
	}
	switch value := values[0]; name {
	case "DisplayName":
		r.Name = value.text
	case "Direction":
		return r.checkDirection(value, "inbound", "outbound")
	case "WhatIf":
		if whatIf, err := truth("-WhatIf", value); err != nil || whatIf {
			r.deactivate("-WhatIf only shows what the command would do")
		}
	case "Action":
		action, err := oneOf("-Action", value, "allow", "block")
		r.Allow = action == "allow"
		return err
	case "Enabled":
		enabled, err := truth("-Enabled", value)
		if err == nil && !enabled {
			r.deactivate("it is disabled")
		}
		return err
	case "Protocol":
		return r.setProtocol(value)
	}
	return nil
}

// truth reads a truth value of the firewall's commands, which know 1 for true and 2 for false too.
func truth(what string, w word) (bool, *Error) {
	switch w.text {
	case "1":
		return true, nil
	case "2", "0":
		return false, nil
	}
	value, err := oneOf(what, w, "true", "false")
	return value == "true", err
}

// lists splits values at commas: in quotes, PowerShell passes a list as one value, and Windows splits it.
func lists(values []word) (all []word) {
	for _, v := range values {
		all = append(all, v.list()...)
	}
	return all
}
