package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// output writes for a person, in colour where that is a terminal, or for a program.
type output struct {
	w        io.Writer
	terminal bool
	colour   bool
}

func newOutput(w io.Writer) *output {
	o := &output{w: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		o.terminal = true
		o.colour = os.Getenv("NO_COLOR") == ""
	}
	return o
}

func (o *output) printf(format string, args ...any) { fmt.Fprintf(o.w, format, args...) }

// json writes one document.
func (o *output) json(v any) error {
	e := json.NewEncoder(o.w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (o *output) red(s string) string   { return o.paint("31", s) }
func (o *output) green(s string) string { return o.paint("32", s) }
func (o *output) bold(s string) string  { return o.paint("1", s) }
func (o *output) faint(s string) string { return o.paint("2", s) }

func (o *output) paint(code, s string) string {
	if !o.colour || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// table is text in aligned columns. A cell may be painted: what the terminal doesn't show has no width.
type table struct {
	indent string
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// head adds a row of titles.
func (t *table) head(o *output, titles ...string) {
	row := make([]string, len(titles))
	for i, title := range titles {
		row[i] = o.bold(title)
	}
	t.add(row...)
}

func (t *table) print(o *output) {
	for _, line := range t.lines() {
		o.printf("%s\n", line)
	}
}

// lines gives the rows with their cells aligned.
func (t *table) lines() []string {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], width(cell))
		}
	}
	lines := make([]string, 0, len(t.rows))
	for _, row := range t.rows {
		var line strings.Builder
		line.WriteString(t.indent)
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-width(cell)+2))
			}
		}
		lines = append(lines, strings.TrimRight(line.String(), " "))
	}
	return lines
}

// width is the number of places that a cell takes on the terminal.
func width(s string) int {
	n := utf8.RuneCountInString(s)
	for {
		start := strings.Index(s, "\x1b[")
		if start < 0 {
			return n
		}
		end := strings.IndexByte(s[start:], 'm')
		if end < 0 {
			return n
		}
		n -= end + 1
		s = s[start+end+1:]
	}
}
