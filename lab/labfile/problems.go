package labfile

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"vnetlab/emu"
)

// InvalidFile is the code of problems of the file itself, not of the platform: its form, a file or a name in it.
const InvalidFile = "InvalidFile"

// maxProblems is the most problems that are reported for one lab.
const maxProblems = 100

// Problem is one thing wrong with a lab file or a file that it names.
type Problem struct {
	Origin     emu.Origin
	Code       string // of the platform, or InvalidFile
	HTTPStatus int    // what the management API would answer
	Message    string
	Hint       string // the next step; may be empty
	Excerpt    string // the offending lines with their numbers and a caret; may be empty

	// position is where the lab file requests what went wrong. It differs from Origin if that is in another file.
	position emu.Origin
}

func invalid(at emu.Origin, format string, args ...any) Problem {
	return Problem{
		Origin: at, position: at, Code: InvalidFile, HTTPStatus: http.StatusBadRequest,
		Message: fmt.Sprintf(format, args...),
	}
}

func (p Problem) hint(format string, args ...any) Problem {
	p.Hint = fmt.Sprintf(format, args...)
	return p
}

// Error returns position, message, the offending lines and the next step, without a final line break.
func (p Problem) Error() string {
	var b strings.Builder
	if at := p.Origin.String(); at != "" {
		b.WriteString(printable(at) + ": ")
	}
	if p.Code != InvalidFile {
		b.WriteString(p.Code + ": ")
	}
	b.WriteString(printable(p.Message))
	if p.Excerpt != "" {
		b.WriteString("\n" + strings.TrimRight(p.Excerpt, "\n"))
	}
	if p.Hint != "" {
		b.WriteString("\n  " + printable(p.Hint))
	}
	return b.String()
}

// MarshalJSON returns the problem in the form of all errors of the command line.
func (p Problem) MarshalJSON() ([]byte, error) {
	type body struct {
		Code       string `json:"code"`
		HTTPStatus int    `json:"httpStatus"`
		Message    string `json:"message"`
		Hint       string `json:"hint,omitempty"`
		File       string `json:"file,omitempty"`
		Line       int    `json:"line,omitempty"`
		Column     int    `json:"column,omitempty"`
	}
	return json.Marshal(map[string]body{
		"error": {p.Code, p.HTTPStatus, p.Message, p.Hint, p.Origin.File, p.Origin.Line, p.Origin.Column},
	})
}

// Errors is everything wrong with a lab, in the order of the lab file.
type Errors []Problem

// Error returns the problems, each with the offending lines.
func (e Errors) Error() string {
	all := make([]string, len(e))
	for i, p := range e {
		all[i] = p.Error()
	}
	return strings.Join(all, "\n")
}

// sorted puts the problems in the order in which the lab file requests what went wrong, and cuts off more than
// maxProblems.
func (e Errors) sorted() Errors {
	slices.SortStableFunc(e, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.position.Line, b.position.Line), cmp.Compare(a.position.Column, b.position.Column),
			cmp.Compare(a.Origin.File, b.Origin.File),
			cmp.Compare(a.Origin.Line, b.Origin.Line), cmp.Compare(a.Origin.Column, b.Origin.Column),
		)
	})
	if len(e) > maxProblems {
		last := e[maxProblems]
		e = append(e[:maxProblems:maxProblems], invalid(last.Origin, "%d more problems from here on",
			len(e)-maxProblems))
	}
	return e
}

// printable escapes what could change a terminal's state: the text may come from a stranger's file.
func printable(s string) string {
	if !strings.ContainsFunc(s, unprintable) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unprintable(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// quoted returns a text of the file in quotes, shortened to fit a line.
func quoted(s string) string {
	if runes := []rune(s); len(runes) > 60 {
		s = string(runes[:57]) + "..."
	}
	return fmt.Sprintf("%q", s)
}
