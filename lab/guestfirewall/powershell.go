package guestfirewall

import (
	"strings"
	"unicode"

	"vnetlab/lab/spelling"
)

// powerShellConditions are the parameters of New-NetFirewallRule that a lab can't hold.
var powerShellConditions = map[string]condition{
	"Program":             {[]string{"any"}, becauseProgram},
	"Package":             {nil, becauseProgram},
	"Service":             {nil, becauseProgram},
	"LocalUser":           {[]string{"any"}, becauseProgram},
	"Owner":               {nil, becauseProgram},
	"LocalAddress":        {[]string{"any"}, becauseLocal},
	"RemotePort":          {[]string{"any"}, becauseSource},
	"InterfaceAlias":      {[]string{"any"}, becauseInterface},
	"InterfaceType":       {[]string{"any"}, becauseInterface},
	"RemoteUser":          {[]string{"any"}, becauseIPsec},
	"RemoteMachine":       {[]string{"any"}, becauseIPsec},
	"Authentication":      {[]string{"notrequired"}, becauseIPsec},
	"Encryption":          {[]string{"notrequired"}, becauseIPsec},
	"OverrideBlockRules":  {[]string{"false"}, becauseIPsec},
	"EdgeTraversalPolicy": {[]string{"block"}, becauseEdge},
	"DynamicTarget":       {[]string{"any"}, becauseInterface},
	"PolicyStore":         {[]string{"persistentstore"}, "there is no group policy in it"},
}

var powerShellKnown = known(powerShellConditions,
	"DisplayName", "Name", "Description", "Group", "Direction", "Action", "Enabled", "Profile", "Protocol", "LocalPort", "RemoteAddress", "IcmpType")

// parsePowerShell reads what follows New-NetFirewallRule.
func parsePowerShell(text string, start int) (Rule, *Error) {
	tokens, err := powerShellTokens(text, start)
	if err != nil {
		return Rule{}, err
	}
	given := map[string][]word{}
	for len(tokens) > 0 {
		parameter := tokens[0]
		if !parameter.parameter {
			return Rule{}, fail("expected a parameter, -NAME VALUE, got %.60q", parameter.text).hint("a list is separated by commas, and what holds a space is quoted").at(parameter.offset)
		}
		name, err := parameterName(parameter.word)
		if err != nil {
			return Rule{}, err
		}
		if given[name] != nil {
			return Rule{}, fail("-%s is given twice", name).at(parameter.offset)
		}
		given[name], tokens, err = parameterValues(name, tokens, len(text))
		if err != nil {
			return Rule{}, err
		}
	}
	if given["DisplayName"] == nil {
		return Rule{}, fail("-DisplayName is missing").at(len(text))
	}
	rule := Rule{Allow: true}
	for _, name := range powerShellKnown {
		values, ok := given[name]
		if !ok {
			continue
		}
		if err := rule.setPowerShell(name, values); err != nil {
			return Rule{}, err
		}
	}
	if kinds := given["IcmpType"]; kinds != nil && rule.Protocol != "icmp" {
		return Rule{}, fail("-IcmpType needs -Protocol ICMPv4").at(kinds[0].offset)
	}
	if ports := given["LocalPort"]; ports != nil {
		return rule, rule.checkPorts(ports[0].offset)
	}
	return rule, nil
}

// parameterName finds the parameter that is meant: PowerShell takes any beginning of a name that only one has.
func parameterName(w word) (string, *Error) {
	var matches []string
	for _, k := range powerShellKnown {
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
		err := fail("New-NetFirewallRule has no parameter -%.60s", w.text).at(w.offset)
		err.Hint = spelling.DidYouMean(w.text, powerShellKnown)
		return "", err
	}
	return "", fail("the parameter -%s is ambiguous: -%s", w.text, strings.Join(matches, ", -")).at(w.offset)
}

// parameterValues takes the list of values after the parameter at the head of the tokens, and gives what is left.
func parameterValues(name string, tokens []token, end int) ([]word, []token, *Error) {
	var values []word
	rest := tokens[1:]
	for {
		if len(rest) == 0 || rest[0].parameter || rest[0].comma {
			at := end
			if len(rest) > 0 {
				at = rest[0].offset
			}
			return nil, nil, fail("-%s has no value", name).at(at)
		}
		values = append(values, rest[0].word)
		rest = rest[1:]
		if len(rest) == 0 || !rest[0].comma {
			return values, rest, nil
		}
		rest = rest[1:]
	}
}

func (r *Rule) setPowerShell(name string, values []word) *Error {
	if c, ok := powerShellConditions[name]; ok {
		return c.check("-"+name, values)
	}
	switch name {
	case "Profile":
		var all []word
		for _, v := range values { // one string may hold several names
			all = append(all, v.list()...)
		}
		return r.setProfiles(all)
	case "LocalPort":
		return r.setLocalPorts(values)
	case "RemoteAddress":
		return r.setRemote(values)
	case "IcmpType":
		for _, v := range values {
			if err := checkICMPType(v); err != nil {
				return err
			}
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
		return checkDirection(value, "inbound", "outbound")
	case "Action":
		action, err := oneOf("-Action", value, "allow", "block")
		r.Allow = action == "allow"
		return err
	case "Enabled":
		enabled, err := oneOf("-Enabled", value, "true", "false")
		if err == nil && enabled == "false" {
			r.deactivate("it is disabled")
		}
		return err
	case "Protocol":
		return r.setProtocol(value)
	}
	return nil
}

// token is a word of PowerShell; a parameter is without its hyphen.
type token struct {
	word
	parameter, comma bool
}

// powerShellTokens takes a command apart: words, quoted strings, parameters and commas. It knows no variables but $true and
// $false, no expressions and no pipes.
func powerShellTokens(text string, i int) ([]token, *Error) {
	var tokens []token
	for i < len(text) {
		c := text[i]
		switch {
		case isSpace(c):
			i++
		case c == '`' && (i+1 == len(text) || isSpace(text[i+1])): // continues on the next line
			i++
		case c == ',':
			tokens = append(tokens, token{word: word{",", i}, comma: true})
			i++
		case constant(text[i:]) != "":
			value := constant(text[i:])
			tokens = append(tokens, token{word: word{value, i}})
			i += len("$") + len(value)
		case strings.IndexByte("$|;&<>(){}@#", c) >= 0:
			return nil, fail("%q is not understood: write plain values, without variables, expressions and pipes", string(c)).at(i)
		case c == '"' || c == '\'':
			value, end, err := powerShellString(text, i)
			if err != nil {
				return nil, err
			}
			tokens = append(tokens, token{word: word{value, i}})
			i = end
		default:
			end := i
			for end < len(text) && !isSpace(text[end]) && strings.IndexByte(",$|;&<>(){}@\"'`", text[end]) < 0 {
				end++
			}
			if end == i { // a lone backtick before a letter
				return nil, fail("%q is not understood", string(c)).at(i)
			}
			w := word{text[i:end], i}
			if name, ok := strings.CutPrefix(w.text, "-"); ok && name != "" && unicode.IsLetter(rune(name[0])) {
				name, value, colon := strings.Cut(name, ":") // -Name:Value
				tokens = append(tokens, token{word: word{name, i}, parameter: true})
				if colon && value != "" {
					tokens = append(tokens, token{word: word{value, i + len(name) + 2}})
				}
			} else {
				tokens = append(tokens, token{word: w})
			}
			i = end
		}
	}
	return tokens, nil
}

// constant gives the truth value that a text begins with, in the letters of a plain one; empty: it begins with none.
func constant(text string) string {
	for _, value := range []string{"true", "false"} {
		end := len("$") + len(value)
		if len(text) >= end && strings.EqualFold(text[:end], "$"+value) && (len(text) == end || isSpace(text[end]) || text[end] == ',') {
			return value
		}
	}
	return ""
}

// powerShellString reads a quoted string and gives its value and where it ends. A quotation mark is doubled inside; double
// quotes know the backtick too.
func powerShellString(text string, start int) (string, int, *Error) {
	quote := text[start]
	var b strings.Builder
	for i := start + 1; i < len(text); i++ {
		c := text[i]
		switch {
		case c == quote && i+1 < len(text) && text[i+1] == quote:
			b.WriteByte(quote)
			i++
		case c == quote:
			return b.String(), i + 1, nil
		case quote == '"' && c == '$':
			return "", 0, fail("variables in strings are not understood").hint("write the value, or single quotes").at(i)
		case quote == '"' && c == '`' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, fail("the quotation mark is never closed").at(start)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
