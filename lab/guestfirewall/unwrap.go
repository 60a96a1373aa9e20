package guestfirewall

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf16"

	"vnetlab/lab/spelling"
)

// script is a part of a line: what is left of it without the shells around it.
type script struct {
	text string
	base int // where it begins in the line
}

func (s script) from(i int) script { return script{s.text[i:], s.base + i} }

func (s script) trim() script {
	trimmed := strings.TrimLeft(s.text, " \t\r\n")
	return script{strings.TrimRight(trimmed, " \t\r\n"), s.base + len(s.text) - len(trimmed)}
}

// maxWrappers bounds how deep commands may be nested.
const maxWrappers = 8

// unwrap removes what is around a command and doesn't change its meaning: prompts, shells that run it,
// redirections, comments.
func unwrap(s script) (script, *Error) {
	for range maxWrappers {
		var err *Error
		s = s.withoutComments().trim().withoutPrompt().piped()
		if s, err = s.withoutTail(); err != nil {
			return s, err
		}
		inner, wrapped, err := s.inner()
		if err != nil {
			err.Offset += s.base
			return s, err
		}
		if !wrapped {
			return s, nil
		}
		s = inner.trim()
	}
	return s, fail("more than %d commands around the command", maxWrappers).at(s.base)
}

// piped joins a pipe from a query to a change, such as Get-NetFirewallProfile | Set-NetFirewallProfile -Enabled
// False, into the one command that does the same.
func (s script) piped() script {
	words := fields(s.text)
	pipe := strings.IndexByte(s.text, '|')
	if len(words) == 0 || pipe < 0 || pipe < words[0].offset+len(words[0].text) {
		return s
	}
	changes := fields(s.text[pipe+1:])
	if len(changes) == 0 {
		return s
	}
	query := strings.TrimSpace(s.text[words[0].offset+len(words[0].text) : pipe])
	change := changes[0]
	change.text = strings.TrimRight(change.text, ";&") // the rest is looked at later
	rest := s.text[pipe+1+change.offset+len(change.text):]
	target := strings.ToLower(change.text)
	switch get := strings.ToLower(words[0].text); {
	case get == "get-netfirewallprofile" && target == "set-netfirewallprofile":
		if query == "" {
			query = "-All"
		}
		return script{change.text + " " + query + rest, s.base}
	case get == "get-netfirewallrule" && (target == "enable-netfirewallrule" || target == "set-netfirewallrule"):
		return script{change.text + " " + query + rest, s.base}
	}
	return s
}

// inner returns the command that another one runs.
func (s script) inner() (script, bool, *Error) {
	switch {
	case strings.HasPrefix(s.text, "&"), strings.HasPrefix(s.text, "@") && !strings.HasPrefix(s.text, "@("):
		return s.from(1), true, nil
	case strings.HasPrefix(s.text, "(") && strings.HasSuffix(s.text, ")"),
		strings.HasPrefix(s.text, "{") && strings.HasSuffix(s.text, "}"):
		return script{s.text[1 : len(s.text)-1], s.base + 1}, true, nil
	case len(s.text) > len("[void]") && strings.EqualFold(s.text[:len("[void]")], "[void]"):
		return s.from(len("[void]")), true, nil
	}
	if strings.HasPrefix(s.text, "$") { // $null = COMMAND
		if variable, _, ok := strings.Cut(s.text, "="); ok && len(fields(variable)) == 1 {
			return s.from(len(variable) + 1), true, nil
		}
	}
	words, err := commandWords(s.text)
	if err != nil || len(words) == 0 {
		return s, false, nil // the parser of the command reports the error
	}
	switch programName(words[0].text) {
	case "cmd":
		return s.ofCmd(words[1:])
	case "powershell", "pwsh":
		return s.ofPowerShell(words[1:])
	case "call", "start":
		rest := words[1:]
		for len(rest) > 0 && (strings.HasPrefix(rest[0].text, "/") || rest[0].text == "") { // start "" /wait COMMAND
			rest = rest[1:]
		}
		if len(rest) > 0 {
			return s.from(rest[0].offset), true, nil
		}
	case "invoke-expression", "iex":
		if len(words) > 1 {
			return s.from(words[1].offset).withoutQuotes(), true, nil
		}
	case "netsh": // a path in quotes
		if rest := words[0].offset + len(words[0].text); !strings.HasPrefix(s.text, words[0].text) &&
			rest < len(s.text) {
			at := rest + 2
			if len(words) > 1 {
				at = words[1].offset
			}
			return script{"netsh " + s.text[min(at, len(s.text)):], s.base + at - len("netsh ")}, true, nil
		}
	}
	return s, false, nil
}

// withoutQuotes removes the quotation marks around all of a script.
func (s script) withoutQuotes() script {
	s = s.trim()
	runes := []rune(s.text)
	if len(runes) < 2 || !isDoubleQuote(runes[0]) && !isSingleQuote(runes[0]) ||
		!sameQuote(runes[0], runes[len(runes)-1]) {
		return s
	}
	first, last := len(string(runes[0])), len(string(runes[len(runes)-1]))
	inner := s.text[first : len(s.text)-last]
	// Doubled marks are one inside, and cmd escapes them with a backslash.
	for _, escaped := range []string{`\"`, "`\"", `""`} {
		inner = strings.ReplaceAll(inner, escaped, `"`)
	}
	return script{inner, s.base + first}
}

// ofCmd returns what cmd /c runs.
func (s script) ofCmd(words []word) (script, bool, *Error) {
	for _, w := range words {
		switch strings.ToLower(w.text) {
		case "/c", "/k", "/r":
			return s.from(w.offset + len(w.text)).withoutQuotes(), true, nil
		}
		if !strings.HasPrefix(w.text, "/") {
			break
		}
	}
	return s, false, fail("cmd runs nothing without /c").hint("write cmd /c COMMAND, or the command itself").at(0)
}

// powerShellOptions are the options of powershell.exe, each with how many values it takes.
var powerShellOptions = map[string]int{
	"noprofile": 0, "noninteractive": 0, "nologo": 0, "sta": 0, "mta": 0, "noexit": 0,
	"executionpolicy": 1, "ex": 1, "ep": 1, "exec": 1, "windowstyle": 1, "version": 1, "inputformat": 1,
	"outputformat": 1, "configurationname": 1,
	"command": 0, "encodedcommand": 0, "enc": 0, "ec": 0, "file": 0,
}

// ofPowerShell returns what powershell.exe runs.
func (s script) ofPowerShell(words []word) (script, bool, *Error) {
	for i := 0; i < len(words); i++ {
		w := words[i]
		first, _ := firstRune(w.text)
		if !isDash(first) && first != '/' {
			return s.from(w.offset).withoutQuotes(), true, nil
		}
		name, ok := option(strings.ToLower(w.text[len(string(first)):]))
		switch {
		case !ok:
			err := fail("powershell has no option %.60q", w.text).at(w.offset)
			err.Hint = spelling.DidYouMean(w.text, []string{"-Command", "-NoProfile", "-ExecutionPolicy"})
			return s, false, err
		case name == "file":
			return s, false, fail("a script in a file is not read").hint("write its commands, one a line").at(w.offset)
		case name == "command":
			if i+1 < len(words) {
				return s.from(words[i+1].offset).withoutQuotes(), true, nil
			}
		case strings.HasPrefix(name, "e") && powerShellOptions[name] == 0:
			if i+1 < len(words) {
				return decoded(words[i+1], s.base)
			}
		}
		i += powerShellOptions[name]
	}
	return s, false, fail("powershell runs nothing here").hint(
		"write powershell -Command COMMAND, or the command itself").at(0)
}

// option returns the option of a name or of the beginning of one: powershell.exe accepts both.
func option(name string) (string, bool) {
	if _, ok := powerShellOptions[name]; ok {
		return name, true
	}
	var matches []string
	for known := range powerShellOptions {
		if name != "" && strings.HasPrefix(known, name) {
			matches = append(matches, known)
		}
	}
	slices.Sort(matches)
	if slices.Contains(matches, "command") { // -c
		return "command", true
	}
	return strings.Join(matches[:min(1, len(matches))], ""), len(matches) == 1
}

// decoded reads the value of -EncodedCommand: UTF-16 in base64.
func decoded(w word, base int) (script, bool, *Error) {
	raw, err := base64.StdEncoding.DecodeString(w.text)
	if err != nil || len(raw)%2 != 0 {
		return script{}, false, fail("-EncodedCommand is not UTF-16 in base64").at(w.offset)
	}
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(raw[2*i:])
	}
	return script{string(utf16.Decode(units)), base + w.offset}, true, nil
}

func firstRune(s string) (rune, bool) {
	for _, r := range s {
		return r, true
	}
	return 0, false
}
