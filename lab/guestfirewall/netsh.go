package guestfirewall

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"vnetlab/lab/spelling"
)

// netshArguments is netsh's own text for a command line that it can't take apart.
const netshArguments = "The number of arguments provided is not valid. Check help for the correct syntax."

// netshConditions are the arguments of add rule that a lab can't hold.
var netshConditions = map[string]condition{
	"program":        {nil, becauseProgram},
	"service":        {nil, becauseProgram},
	"localip":        {[]string{"any"}, becauseLocal},
	"remoteport":     {[]string{"any"}, becauseSource},
	"interfacetype":  {[]string{"any"}, becauseInterface},
	"rmtcomputergrp": {nil, becauseIPsec},
	"rmtusrgrp":      {nil, becauseIPsec},
	"edge":           {[]string{"no"}, becauseEdge},
	"security":       {[]string{"notrequired"}, becauseIPsec},
}

var netshKnown = known(netshConditions, "name", "dir", "action", "description", "enable", "profile", "remoteip", "localport", "protocol")

// known lists, sorted, the arguments that are read and those that are refused.
func known(conditions map[string]condition, read ...string) []string {
	return slices.Sorted(slices.Values(slices.AppendSeq(read, maps.Keys(conditions))))
}

// parseNetsh reads netsh advfirewall firewall add rule as cmd would hand it over.
func parseNetsh(text string) (Rule, *Error) {
	words, err := cmdWords(text)
	if err != nil {
		return Rule{}, err
	}
	words = words[1:]
	for _, want := range []string{"advfirewall", "firewall", "add", "rule"} {
		if len(words) == 0 {
			return Rule{}, fail("%s", netshArguments).hint("expected netsh advfirewall firewall add rule").at(len(text))
		}
		if !strings.EqualFold(words[0].text, want) {
			err := fail("expected netsh advfirewall firewall add rule, got %.60q in the place of %s", words[0].text, want).at(words[0].offset)
			if want == "add" && strings.EqualFold(words[0].text, "delete") {
				err.Hint = "in a running lab, lab firewall delete takes rules away"
			}
			return Rule{}, err
		}
		words = words[1:]
	}
	if len(words) == 0 {
		return Rule{}, fail("%s", netshArguments).hint("expected name=, dir=in and action=").at(len(text))
	}
	given := map[string]word{}
	for _, w := range words {
		tag, value, ok := strings.Cut(w.text, "=")
		tag = strings.ToLower(tag)
		switch _, twice := given[tag]; {
		case !ok || tag == "":
			return Rule{}, fail("%s", netshArguments).hint("%.60q is no argument: write NAME=VALUE without space around = and after commas, and \" around what holds a space", w.text).at(w.offset)
		case !slices.Contains(netshKnown, tag):
			e := fail("%.60q is not an argument of netsh advfirewall firewall add rule", tag).at(w.offset)
			e.Hint = spelling.DidYouMean(tag, netshKnown)
			return Rule{}, e
		case twice:
			return Rule{}, fail("%s is given twice", tag).at(w.offset)
		case value == "":
			return Rule{}, fail("%s has no value", tag).at(w.offset)
		}
		given[tag] = word{value, w.offset + len(tag) + 1}
	}
	return netshRule(given, len(text))
}

func netshRule(given map[string]word, end int) (Rule, *Error) {
	var rule Rule
	for _, tag := range []string{"name", "dir", "action"} {
		if _, ok := given[tag]; !ok {
			return rule, fail("%s= is missing", tag).hint("expected name=, dir=in and action=allow or action=block").at(end)
		}
	}
	if rule.Name = given["name"].text; strings.EqualFold(rule.Name, "all") {
		return rule, fail("a rule can't have the name all").at(given["name"].offset)
	}
	for _, tag := range netshKnown {
		w, ok := given[tag]
		if !ok {
			continue
		}
		if err := rule.setNetsh(tag, w); err != nil {
			return rule, err
		}
	}
	return rule, rule.checkPorts(given["localport"].offset)
}

func (r *Rule) setNetsh(tag string, w word) *Error {
	switch tag {
	case "dir":
		return checkDirection(w, "in", "out")
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
	case "remoteip":
		return r.setRemote(w.list())
	case "name", "description":
		return nil
	}
	return netshConditions[tag].check(tag+"=", []word{w})
}

func (r *Rule) setAction(w word) *Error {
	switch strings.ToLower(w.text) {
	case "allow":
		r.Allow = true
	case "block":
	case "bypass":
		return fail("the action bypass can't hold in a lab: %s", becauseIPsec).hint("expected allow or block").at(w.offset)
	default:
		_, err := oneOf("action", w, "allow", "block")
		return err
	}
	return nil
}

// checkDirection takes the word for traffic that comes in.
func checkDirection(w word, in, out string) *Error {
	direction, err := oneOf("the direction", w, in, out)
	if err == nil && direction == out {
		return fail("rules for outgoing traffic can't hold in a lab: its guest firewall filters what comes in").at(w.offset)
	}
	return err
}

// oneOf reads one of some words, which are in lower case.
func oneOf(what string, w word, words ...string) (string, *Error) {
	value := strings.ToLower(w.text)
	if slices.Contains(words, value) {
		return value, nil
	}
	err := fail("%s is %.60q, expected %s", what, w.text, strings.Join(words, " or ")).at(w.offset)
	err.Hint = spelling.DidYouMean(value, words)
	return "", err
}

// cmdWords splits a command line at white space outside of double quotes, and takes the quotes away.
func cmdWords(text string) ([]word, *Error) {
	var words []word
	var current strings.Builder
	start, quote := -1, -1
	for i, r := range text {
		switch {
		case r == '"' && quote >= 0:
			quote = -1
		case r == '"':
			quote = i
			if start < 0 {
				start = i
			}
		case unicode.IsSpace(r) && quote < 0:
			if start >= 0 {
				words = append(words, word{current.String(), start})
				current.Reset()
				start = -1
			}
		default:
			if start < 0 {
				start = i
			}
			current.WriteRune(r)
		}
	}
	if quote >= 0 {
		return nil, fail("the quotation mark is never closed").at(quote)
	}
	if start >= 0 {
		words = append(words, word{current.String(), start})
	}
	return words, nil
}
