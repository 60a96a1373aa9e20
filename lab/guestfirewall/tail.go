package guestfirewall

import (
	"regexp"
	"slices"
	"strings"
)

// sinks are commands that only read the output of another one.
var sinks = []string{
	"out-null", "out-host", "out-default", "out-string", "out-file", "tee-object", "format-list", "format-table", "fl",
	"ft", "select-object", "select", "write-host", "write-output", "write-verbose", "more", "find", "findstr",
	"select-string",
}

// harmless are commands that don't change the firewall.
var harmless = []string{
	"echo", "exit", "rem", "pause", "ver", "goto", "true", "write-host", "write-output", "return", "timeout",
	"start-sleep", "cls", "import-module", "set-executionpolicy", "setlocal", "endlocal",
}

// prompt matches what a shell prints before a command, as tutorials show it.
var prompt = regexp.MustCompile(`^(PS( [A-Za-z]:\\[^>\n"]*)?>|[A-Za-z]:\\[^>\n"]*>|>|\$ )`)

// withoutPrompt cuts off a prompt.
func (s script) withoutPrompt() script {
	if shown := prompt.FindString(s.text); shown != "" {
		return s.from(len(shown)).trim()
	}
	return s
}

// comment matches a line that is nothing but a comment.
var comment = regexp.MustCompile(`(?mi)^[ \t]*(#|::|@?rem([ \t]|$)).*$`)

// withoutComments overwrites comments with spaces, so that the rest keeps its offsets.
func (s script) withoutComments() script {
	text := comment.ReplaceAllStringFunc(s.text, blank)
	var comments [][2]int
	unquoted(text, func(i int, r rune) bool {
		end := i + max(0, strings.IndexByte(text[i:]+"\n", '\n'))
		inside := len(comments) > 0 && i < comments[len(comments)-1][1]
		if r == '#' && !inside && (i == 0 || isSpace(text[i-1])) {
			comments = append(comments, [2]int{i, end})
		}
		return true
	})
	for _, c := range comments {
		text = text[:c[0]] + blank(text[c[0]:c[1]]) + text[c[1]:]
	}
	return script{text, s.base}
}

func blank(text string) string { return strings.Repeat(" ", len(text)) }

// part is one command of a line.
type part struct {
	script
	operator byte // what separates it from the command before it: | ; & or a line break; 0 for the first
}

// parts splits a line into its commands, outside quotation marks and brackets.
func (s script) parts() []part {
	all := []part{{script: s}}
	depth := 0
	begin := func(i, size int) {
		last := &all[len(all)-1]
		last.text = s.text[last.base-s.base : i]
		all = append(all, part{s.from(i + size), s.text[i]})
	}
	unquoted(s.text, func(i int, r rune) bool {
		current := all[len(all)-1]
		if i < current.base-s.base {
			return true // the second character of && or ||
		}
		before, rest := s.text[current.base-s.base:i], s.text[i+len(string(r)):]
		switch r {
		case '(', '{':
			depth++
		case ')', '}':
			depth--
		}
		switch {
		case depth > 0:
		case r == '|' && strings.HasPrefix(rest, "|"), r == '&' && strings.HasPrefix(rest, "&"):
			begin(i, 2)
			all[len(all)-1].operator = '&'
		case r == '|' || r == ';':
			begin(i, 1)
		case r == '&' && strings.TrimSpace(before) != "" && !strings.HasSuffix(before, ">"):
			begin(i, 1)
		case r == '\n' && endsCommand(before) && beginsCommand(rest):
			begin(i, 1)
		}
		return true
	})
	return all
}

// endsCommand reports whether a line isn't continued in the next one.
func endsCommand(line string) bool {
	line = strings.TrimRight(line, " \t\r\n")
	return line != "" && !strings.ContainsRune("^`|,({=", rune(line[len(line)-1]))
}

// beginsCommand reports whether a line begins with a command that is known here.
func beginsCommand(line string) bool {
	words := fields(line)
	if len(words) == 0 {
		return false
	}
	first := strings.ToLower(words[0].text)
	return slices.Contains(harmless, strings.TrimPrefix(first, "@")) || slices.Contains(commands, programName(first)) ||
		prompt.MatchString(strings.TrimLeft(line, " \t\r\n")) && strings.Contains(words[0].text, ">")
}

// withoutTail cuts off redirections, pipes and harmless commands before and after the command. A second command
// is an error, so that nothing is dropped in silence.
func (s script) withoutTail() (script, *Error) {
	all := s.parts()
	for len(all) > 1 && all[1].operator != '|' && all[0].harmless() {
		all = all[1:]
	}
	for _, p := range all[1:] {
		if p.harmless() || p.operator == '|' && p.begins(sinks) {
			continue
		}
		first := fields(p.text)[0]
		problem := fail("a second command, %.60q, is not understood here", first.text).hint("write one command a line")
		if p.operator == '|' {
			problem = fail("a command whose output goes to %.60q is not understood", first.text).
				hint("remove what follows |")
		}
		return s, problem.at(p.base + first.offset)
	}
	return all[0].withoutRedirection().trim(), nil
}

// harmless reports whether there is no command, or one that doesn't change the firewall.
func (p part) harmless() bool {
	words := fields(p.text)
	return len(words) == 0 || p.begins(harmless)
}

// begins reports whether the first word is one of some commands.
func (p part) begins(commands []string) bool {
	words := fields(p.text)
	return len(words) > 0 && slices.Contains(commands, strings.TrimPrefix(strings.ToLower(words[0].text), "@"))
}

// withoutRedirection cuts off where the output of a command goes.
func (s script) withoutRedirection() script {
	cut, depth := len(s.text), 0
	unquoted(s.text, func(i int, r rune) bool {
		switch r {
		case '(', '{':
			depth++
		case ')', '}':
			depth--
		}
		if r != '>' || depth > 0 {
			return true
		}
		before := s.text[:i]
		cut = len(strings.TrimRight(before, "0123456789*"))
		if cut < len(before) && cut > 0 && !isSpace(before[cut-1]) {
			cut = len(before) // the digits belong to a word
		}
		return false
	})
	return script{s.text[:cut], s.base}
}
