package guestfirewall

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"vnetlab/lab/spelling"
)

// Switch is whether a command turns the guest firewall on or off.
type Switch int

// The zero value leaves the firewall as it is.
const (
	Unchanged Switch = iota
	TurnOn
	TurnOff
)

// Command is what one line does to a guest firewall. A line of the short form adds one rule; commands of
// Windows may also add several rules, or none, or turn the firewall on or off.
type Command struct {
	Rules  []Rule
	Switch Switch
	// Policy marks a command that sets what happens to connections that no rule is for. Its rules, if any, replace
	// those of an earlier such command.
	Policy bool
	// Notes are about what the line does on Windows and not in a lab. Notes on single rules are in the rules.
	Notes []string
}

// Remarks returns the notes of the command and of its rules, and why rules have no effect.
func (c Command) Remarks() []string {
	all := c.Notes
	for _, r := range c.Rules {
		if r.Inactive != "" {
			all = append(all, "the rule has no effect: "+r.Inactive)
		}
		if r.Note != "" {
			all = append(all, r.Note)
		}
	}
	return all
}

// ParseCommand reads a line in any of its forms. The error is an *Error.
func ParseCommand(text string) (Command, error) {
	c, err := parse(text)
	if err != nil {
		err.Offset = min(max(err.Offset, 0), len(text))
		return Command{}, err
	}
	for i := range c.Rules {
		c.Rules[i].Text = text
	}
	return c, nil
}

// Parse reads a line that adds one rule. The error is an *Error.
func Parse(text string) (Rule, error) {
	c, err := ParseCommand(text)
	if err != nil {
		return Rule{}, err
	}
	if len(c.Rules) != 1 || c.Switch != Unchanged {
		return Rule{}, fail("the command adds no rule, or more than one")
	}
	return c.Rules[0], nil
}

// programs are the first words that begin a line, as hints show them.
var programs = []string{"allow", "block", "netsh", "New-NetFirewallRule"}

// commands are the first words of all lines that are read or refused by name, in lower case.
var commands = []string{
	"allow", "block", "netsh", "new-netfirewallrule", "set-netfirewallprofile", "get-netfirewallprofile",
	"enable-netfirewallrule", "disable-netfirewallrule", "set-netfirewallrule", "get-netfirewallrule",
	"remove-netfirewallrule", "cmd", "powershell", "sudo", "iptables", "ufw",
}

func parse(text string) (Command, *Error) {
	if !utf8.ValidString(text) {
		return Command{}, fail("the text is not UTF-8")
	}
	s, err := unwrap(script{text: text})
	if err != nil {
		return Command{}, err
	}
	c, err := s.parse()
	if err != nil {
		err.Offset += s.base
	}
	return c, err
}

// parse reads a command without wrappers.
func (s script) parse() (Command, *Error) {
	words := fields(s.text)
	if len(words) == 0 {
		return Command{}, fail("the rule is empty").hint("write %s", shortForm)
	}
	one := func(r Rule, err *Error) (Command, *Error) { return Command{Rules: []Rule{r}}, err }
	rest := words[0].offset + len(words[0].text)
	if err, ok := parseLinux(words); ok {
		return Command{}, err
	}
	// Commands of PowerShell may have the name of their module as a prefix.
	switch first := strings.TrimPrefix(strings.ToLower(words[0].text), `netsecurity\`); first {
	case "allow", "block":
		return one(parseShort(words, len(s.text)))
	case "new-netfirewallrule":
		return one(parseNewRule(s.text, rest))
	case "set-netfirewallprofile":
		return parseProfile(s.text, rest)
	case "enable-netfirewallrule", "set-netfirewallrule":
		return parseEnableRule(s.text, rest, first == "set-netfirewallrule")
	case "get-netfirewallrule", "get-netfirewallprofile":
		return Command{Notes: []string{onlyShows}}, nil
	case "deny", "drop", "reject":
		return Command{}, fail("expected allow, block, netsh or New-NetFirewallRule, got %q", first).
			hint(`did you mean "block"?`).at(words[0].offset)
	case "permit", "accept":
		return Command{}, fail("expected allow, block, netsh or New-NetFirewallRule, got %q", first).
			hint(`did you mean "allow"?`).at(words[0].offset)
	case "remove-netfirewallrule", "disable-netfirewallrule":
		return Command{}, fail("%.60q deletes a rule; a lab file only lists the rules that are added", words[0].text).
			hint(deleteElsewhere).at(words[0].offset)
	}
	if programName(words[0].text) == "netsh" {
		return parseNetsh(s.text)
	}
	err := fail("expected allow, block, netsh or New-NetFirewallRule, got %.60q", words[0].text).at(words[0].offset)
	if near := spelling.DidYouMean(words[0].text, programs); near != "" {
		return Command{}, err.hint("%s", near)
	}
	return Command{}, err.hint("the short form is: %s", shortForm)
}

// deleteElsewhere is the hint on commands that delete rules.
const deleteElsewhere = "in a running lab, delete rules with lab firewall delete"

// onlyShows is the note on commands that change nothing.
const onlyShows = "the command has no effect: it only shows what there is"

// programName returns the name of a program without its folder and .exe, in lower case.
func programName(path string) string {
	path = strings.ToLower(path)
	if i := strings.LastIndexAny(path, `\/`); i >= 0 {
		path = path[i+1:]
	}
	return strings.TrimSuffix(path, ".exe")
}

// isDash reports whether PowerShell accepts a character as the hyphen of a parameter. Word processors insert the
// longer ones.
func isDash(r rune) bool { return r == '-' || r == '–' || r == '—' || r == '―' }

// isDoubleQuote and isSingleQuote report whether PowerShell accepts a character as a quotation mark. Word
// processors insert the curved ones.
func isDoubleQuote(r rune) bool { return r == '"' || r == '“' || r == '”' || r == '„' }

func isSingleQuote(r rune) bool {
	return r == '\'' || r == '‘' || r == '’' || r == '‚' || r == '‛'
}

// sameQuote reports whether a character ends a string that another one began.
func sameQuote(opening, r rune) bool {
	return isDoubleQuote(opening) && isDoubleQuote(r) || isSingleQuote(opening) && isSingleQuote(r)
}

// opensQuote reports whether a quotation mark at an offset begins a string. An apostrophe inside a word
// doesn't: it begins one only at the start of a word or of a value, and only where another one ends it.
func opensQuote(text string, at int, r rune) bool {
	if isDoubleQuote(r) {
		return true
	}
	if !isSingleQuote(r) {
		return false
	}
	if at > 0 && !strings.ContainsRune(" \t\r\n=,(@{;&|", rune(text[at-1])) {
		return false
	}
	for i, c := range text[at:] {
		if i > 0 && isSingleQuote(c) {
			return true
		}
	}
	return false
}

// unquoted calls visit with each character outside quotation marks, until that returns false. It returns the
// offset of a quotation mark that nothing closes; -1: there is none.
func unquoted(text string, visit func(i int, r rune) bool) int {
	opening, from := rune(0), -1
	escaped := false
	for i, r := range text {
		switch {
		case escaped:
			escaped = false
		case isDoubleQuote(opening) && r == '`': // PowerShell's escape
			escaped = true
		case opening != 0:
			if sameQuote(opening, r) {
				opening, from = 0, -1
			}
		case opensQuote(text, i, r):
			opening, from = r, i
		case !visit(i, r):
			return -1
		}
	}
	return from
}

// commandWords splits a command line at white space outside quotation marks, and removes the marks.
func commandWords(text string) ([]word, *Error) {
	var words []word
	var current strings.Builder
	start, opening, from := -1, rune(0), -1
	begin := func(i int) {
		if start < 0 {
			start = i
		}
	}
	end := func() {
		if start >= 0 {
			words = append(words, word{current.String(), start})
			current.Reset()
			start = -1
		}
	}
	for i, r := range text {
		switch {
		case opening != 0 && sameQuote(opening, r):
			opening = 0
		case opening != 0:
			current.WriteRune(r)
		case opensQuote(text, i, r):
			opening, from = r, i
			begin(i)
		case unicode.IsSpace(r), (r == '^' || r == '`') && continues(text[i+1:]):
			end()
		default:
			begin(i)
			current.WriteRune(r)
		}
	}
	if opening != 0 {
		return nil, fail("the quotation mark is never closed").at(from)
	}
	end()
	return words, nil
}

// continues reports whether a line ends here: after ^ in cmd and after ` in PowerShell the command goes on in
// the next one.
func continues(rest string) bool {
	rest = strings.TrimLeft(rest, " \t\r")
	return rest == "" || rest[0] == '\n'
}
