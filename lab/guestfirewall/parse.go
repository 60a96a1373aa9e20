package guestfirewall

import (
	"fmt"
	"strings"
	"unicode"

	"vnetlab/lab/spelling"
)

// Error is the reason why a rule was not understood or can't work in a lab.
type Error struct {
	Offset  int    // in bytes, of the part of the text that is meant
	Message string // for netsh its own text, where it is known
	Hint    string // the next step; may be empty
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + "; " + e.Hint
}

func (e *Error) at(offset int) *Error { e.Offset = offset; return e }

func fail(format string, args ...any) *Error { return &Error{Message: fmt.Sprintf(format, args...)} }

func (e *Error) hint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// shortForm is what a hint shows of the short form.
const shortForm = "allow|block tcp|udp|icmp|any [PORT[,FIRST-LAST]...] [from " +
	"ADDRESS|PREFIX|FIRST-LAST|localsubnet|any[,...]]"

// word is a part of the text without its quotes.
type word struct {
	text   string
	offset int
}

func (w word) list() []word {
	var all []word
	at := w.offset
	for item := range strings.SplitSeq(w.text, ",") {
		all = append(all, word{strings.TrimSpace(item), at})
		at += len(item) + 1
	}
	return all
}

// fields splits at white space.
func fields(text string) []word {
	var words []word
	start := -1
	for i, r := range text {
		switch space := unicode.IsSpace(r); {
		case space && start >= 0:
			words = append(words, word{text[start:i], start})
			start = -1
		case !space && start < 0:
			start = i
		}
	}
	if start >= 0 {
		words = append(words, word{text[start:], start})
	}
	return words
}

// joinLists joins a list with spaces around its commas into one word.
func joinLists(words []word) []word {
	var joined []word
	for _, w := range words {
		if last := len(joined) - 1; last >= 0 && (strings.HasPrefix(w.text, ",") ||
			strings.HasSuffix(joined[last].text, ",")) {
			joined[last].text += strings.Repeat(" ", max(0, w.offset-joined[last].offset-len(
				joined[last].text))) + w.text
			continue
		}
		joined = append(joined, w)
	}
	return joined
}

func parseShort(words []word, end int) (Rule, *Error) {
	words = joinLists(words)
	rule := Rule{Allow: strings.EqualFold(words[0].text, "allow")}
	if len(words) == 1 {
		return rule, fail("expected a protocol after %s: tcp, udp, icmp or any", words[0].text).at(end)
	}
	protocol := strings.ToLower(words[1].text)
	switch protocol {
	case "tcp", "udp", "icmp":
		rule.Protocol = protocol
	case "any":
	default:
		err := fail("expected a protocol, tcp, udp, icmp or any, got %.60q", words[1].text).at(words[1].offset)
		err.Hint = spelling.DidYouMean(protocol, []string{"tcp", "udp", "icmp", "any"})
		return rule, err
	}
	rest := words[2:]
	if len(rest) > 0 && !strings.EqualFold(rest[0].text, "from") {
		if near, ok := spelling.Nearest(rest[0].text, []string{"from"}); ok {
			return rule, fail("expected ports or from, got %q", rest[0].text).hint("did you mean %q?", near).
				at(rest[0].offset)
		}
		if err := rule.setLocalPorts(rest[0].list()); err != nil {
			return rule, err
		}
		if rule.Note != "" {
			return rule, fail("%s", rule.Note).hint("name the port").at(rest[0].offset)
		}
		rest = rest[1:]
	}
	if len(rest) == 0 {
		return rule, rule.checkPorts(words[1].offset)
	}
	if !strings.EqualFold(rest[0].text, "from") {
		err := fail("expected from or the end, got %.60q", rest[0].text).at(rest[0].offset)
		if err.Hint = spelling.DidYouMean(rest[0].text, []string{"from"}); err.Hint == "" {
			err.hint("the short form is: %s", shortForm)
		}
		return rule, err
	}
	if len(rest) == 1 {
		return rule, fail("expected an address, a prefix, FIRST-LAST, localsubnet or any after from").at(end)
	}
	if len(rest) > 2 {
		return rule, fail("expected the end of the rule, got %.60q", rest[2].text).
			hint("several addresses are separated by commas").at(rest[2].offset)
	}
	if err := rule.setRemote(rest[1].list()); err != nil {
		return rule, err
	}
	return rule, rule.checkShort(words, rest[1])
}

// checkShort refuses in the short form what commands of Windows may have with a note: nobody copies the short form
// from Windows.
func (r *Rule) checkShort(words []word, remote word) *Error {
	if r.Note != "" {
		return fail("%s", r.Note).hint("leave it out").at(remote.offset)
	}
	return r.checkPorts(words[1].offset)
}
