package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/term"
)

// output writes to a terminal, in color and within its width, or to a file.
type output struct {
	w        io.Writer
	terminal bool
	color    bool
	columns  int   // of the terminal; 0: lines may be of any length
	err      error // the first one that writing had
}

func newOutput(w io.Writer) *output {
	o := &output{w: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		o.terminal = true
		o.color = os.Getenv("NO_COLOR") == ""
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil {
			o.columns = columns
		}
	}
	return o
}

// Write remembers the first error, so that verbs don't need to check each line.
func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

func (o *output) printf(format string, args ...any) { fmt.Fprintf(o, format, args...) }

// json writes one document.
func (o *output) json(v any) error {
	e := json.NewEncoder(o)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (o *output) red(s string) string   { return o.paint("31", s) }
func (o *output) green(s string) string { return o.paint("32", s) }
func (o *output) bold(s string) string  { return o.paint("1", s) }
func (o *output) faint(s string) string { return o.paint("2", s) }

func (o *output) paint(code, s string) string {
	if !o.color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// width returns the number of columns that a text takes on the terminal.
func width(s string) int { return utf8.RuneCountInString(plain(s)) }
