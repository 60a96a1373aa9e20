package guestfirewall

import (
	"maps"
	"slices"
	"strings"

	"vnetlab/lab/spelling"
)

// netshArguments is netsh's error for a command line that it can't parse.
const netshArguments = "The number of arguments provided is not valid. Check help for the correct syntax."

// netshConditions are the arguments of add rule that have no effect in a lab, or keep the rule from ever
// matching in one.
var netshConditions = map[string]condition{
	"program":        {harmless: []string{"any"}, bound: "the program"},
	"service":        {harmless: []string{"any"}, bound: "the service"},
	"remoteport":     {harmless: []string{"any", "0-65535", "1-65535"}, because: becauseSource},
	"interfacetype":  {harmless: []string{"any", "lan"}, because: becauseInterface},
	"rmtcomputergrp": {because: becauseIPsec},
	"rmtusrgrp":      {because: becauseIPsec},
	"edge":           {harmless: []string{"no", "yes", "deferapp", "deferuser"}},
	"security":       {harmless: []string{"notrequired"}, because: becauseIPsec},
}

var netshKnown = known(netshConditions, "name", "dir", "action", "description", "enable", "profile", "localip",
	"remoteip", "localport", "protocol")

// known returns, sorted, the arguments that are read and those of the conditions.
func known(conditions map[string]condition, read ...string) []string {
	return slices.Sorted(slices.Values(slices.AppendSeq(read, maps.Keys(conditions))))
}

// netshWord reports whether a word is a keyword of netsh, or the beginning of one, which netsh accepts too.
func netshWord(w word, keyword string) bool {
	text := strings.ToLower(w.text)
	return text != "" && strings.HasPrefix(keyword, text)
}

// parseNetsh reads a netsh command: of advfirewall, or of the older firewall.
func parseNetsh(text string) (Command, *Error) {
	const expected = "expected netsh advfirewall firewall add rule"
	words, err := commandWords(text)
	if err != nil {
		return Command{}, err
	}
	words = joinEquals(words[1:])
	if len(words) > 1 && strings.EqualFold(words[0].text, "-c") { // the context as an option
		words = words[1:]
	}
	switch {
	case len(words) == 0:
		return Command{}, fail("%s", netshArguments).hint(expected).at(len(text))
	case netshShows(words):
		return Command{Notes: []string{onlyShows}}, nil
	case netshWord(words[0], "firewall"):
		return parseOldNetsh(words[1:], len(text))
	case len(words[0].text) < len("adv") || !netshWord(words[0], "advfirewall"):
		return Command{}, fail("%s, got %.60q instead of advfirewall", expected, words[0].text).at(words[0].offset)
	case len(words) > 1 && netshWord(words[1], "set"):
		return netshProfile(words[2:], len(text))
	case len(words) > 1 && netshWord(words[1], "reset"):
		return Command{Switch: TurnOn, Notes: []string{
			"reset restores the rules that Windows came with; rules of this file stay",
		}}, nil
	}
	words = words[1:]
	for i, want := range []string{"firewall", "add", "rule"} {
		if len(words) == 0 {
			return Command{}, fail("%s", netshArguments).hint(expected).at(len(text))
		}
		if i == 1 && netshWord(words[0], "set") && len(words) > 1 && netshWord(words[1], "rule") {
			return netshEnable(words[2:], len(text))
		}
		if !netshWord(words[0], want) {
			err := fail("%s, got %.60q instead of %s", expected, words[0].text, want).at(words[0].offset)
			if want == "add" && netshWord(words[0], "delete") {
				err.Hint = deleteElsewhere
			}
			return Command{}, err
		}
		words = words[1:]
	}
	if len(words) == 0 {
		return Command{}, fail("%s", netshArguments).hint("expected name=, dir=in and action=").at(len(text))
	}
	given, err := netshTags(words, netshKnown, "netsh advfirewall firewall add rule")
	if err != nil {
		return Command{}, err
	}
	rule, err := netshRule(given, len(text))
	return Command{Rules: []Rule{rule}}, err
}

// netshShows reports whether the words are a command of a firewall that changes nothing.
func netshShows(words []word) bool {
	contexts := 0
	for contexts < len(words) && len(words[contexts].text) >= len("adv") &&
		(netshWord(words[contexts], "advfirewall") || netshWord(words[contexts], "firewall")) {
		contexts++
	}
	if contexts == 0 || contexts == len(words) {
		return false
	}
	command := words[contexts]
	return netshWord(command, "show") || strings.EqualFold(command.text, "export") ||
		strings.EqualFold(command.text, "dump")
}

// joinEquals joins NAME = VALUE into one word: netsh accepts spaces around the sign.
func joinEquals(words []word) []word {
	var joined []word
	for _, w := range words {
		last := len(joined) - 1
		switch {
		case last >= 0 && strings.HasSuffix(joined[last].text, "=") && strings.Count(joined[last].text, "=") == 1,
			last >= 0 && strings.HasPrefix(w.text, "=") && !strings.Contains(joined[last].text, "="):
			joined[last].text += w.text
		default:
			joined = append(joined, w)
		}
	}
	return joined
}

// netshTags reads arguments of the form NAME=VALUE. A name may be abbreviated as long as only one begins so.
func netshTags(words []word, known []string, command string) (map[string]word, *Error) {
	given := map[string]word{}
	for _, w := range words {
		name, value, ok := strings.Cut(w.text, "=")
		if !ok || name == "" {
			return nil, fail("%s", netshArguments).
				hint("%.60q is no argument: write NAME=VALUE, without spaces after commas, and with \" around a "+
					"value with "+
					"spaces", w.text).at(w.offset)
		}
		tag, err := netshTag(word{name, w.offset}, known, command)
		if err != nil {
			return nil, err
		}
		value = strings.TrimSpace(value)
		switch _, twice := given[tag]; {
		case twice:
			return nil, fail("%s is given twice", tag).at(w.offset)
		case value == "":
			return nil, fail("%s has no value", tag).at(w.offset)
		}
		given[tag] = word{value, w.offset + len(name) + 1}
	}
	return given, nil
}

func netshTag(w word, known []string, command string) (string, *Error) {
	tag := strings.ToLower(strings.TrimSpace(w.text))
	if slices.Contains(known, tag) {
		return tag, nil
	}
	matches := slices.DeleteFunc(slices.Clone(known), func(k string) bool { return !strings.HasPrefix(k, tag) })
	switch len(matches) {
	case 1:
		return matches[0], nil
	case 0:
		err := fail("%.60q is not an argument of %s", tag, command).at(w.offset)
		err.Hint = spelling.DidYouMean(tag, known)
		return "", err
	}
	return "", fail("the argument %s is ambiguous: %s", tag, strings.Join(matches, ", ")).at(w.offset)
}

func netshRule(given map[string]word, end int) (Rule, *Error) {
	var rule Rule
	for _, tag := range []string{"name", "dir", "action"} {
		if _, ok := given[tag]; !ok {
			return rule, fail("%s= is missing", tag).hint("expected name=, dir=in and action=allow or action=block").
				at(end)
		}
	}
	ports := given["localport"]
	if rule.Name = given["name"].text; strings.EqualFold(rule.Name, "all") {
		return rule, fail("a rule can't have the name all").at(given["name"].offset)
	}
	deciding := []string{"action", "enable", "profile"} // whether the rule counts at all, before what it is for
	for _, tag := range slices.Concat(deciding, []string{"dir"}, netshKnown) {
		w, ok := given[tag]
		if !ok {
			continue
		}
		if err := rule.setNetsh(tag, w); err != nil {
			return rule, err
		}
		delete(given, tag)
	}
	return rule, rule.checkPorts(ports.offset)
}

func (r *Rule) setNetsh(tag string, w word) *Error {
	switch tag {
	case "action":
		return r.setAction(w)
	case "enable":
		yes, err := oneOf("enable", w, "yes", "no")
		if err == nil && yes == "no" {
			r.deactivate("it is disabled")
		}
		return err
	case "profile":
		return r.setProfiles(w.list())
	case "protocol":
		return r.setProtocol(w)
	case "localport":
		return r.setLocalPorts(w.list())
	case "localip":
		return r.setLocal(w.list())
	case "remoteip":
		return r.setRemote(w.list())
	case "dir":
		return r.checkDirection(w, "in", "out")
	case "name", "description":
		return nil
	}
	netshConditions[tag].apply(r, tag+"=", []word{w})
	return nil
}

func (r *Rule) setAction(w word) *Error {
	switch strings.ToLower(w.text) {
	case "allow":
		r.Allow = true
	case "block":
	case "bypass":
		r.Allow = true
		r.deactivate("it is for connections with IPsec, and " + becauseIPsec)
	default:
		_, err := oneOf("action", w, "allow", "block")
		return err
	}
	return nil
}

// checkDirection reads the direction of a rule. Allowing outgoing traffic changes nothing, as a lab allows it
// anyway. Blocking it is refused, as a lab can't do that.
func (r *Rule) checkDirection(w word, in, out string) *Error {
	direction, err := oneOf("the direction", w, in, out)
	switch {
	case err != nil || direction == in:
		return err
	case r.Allow || r.Inactive != "":
		r.deactivate("it is for outgoing traffic, which a lab allows anyway")
		return nil
	}
	return fail("outgoing traffic can't be blocked in a lab: its guest firewall filters what comes in").at(w.offset)
}

// oneOf reads one of some words, which are in lower case.
func oneOf(what string, w word, words ...string) (string, *Error) {
	value := strings.ToLower(w.text)
	if slices.Contains(words, value) {
		return value, nil
	}
	err := fail("%s is %.60q, expected %s", what, w.text, spelling.Or(words)).at(w.offset)
	err.Hint = spelling.DidYouMean(value, words)
	return "", err
}
