package main

import (
	"strings"
)

// table is text in aligned columns. Cells may contain colors, which have no width.
type table struct {
	indent string
	titled bool // the first row has titles
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// head adds a row of titles.
func (t *table) head(o *output, titles ...string) {
	row := make([]string, len(titles))
	for i, title := range titles {
		row[i] = o.bold(title)
	}
	t.titled = true
	t.add(row...)
}

// printTable prints a table within the width of the terminal. If it doesn't fit, the last columns are left out,
// and a remark lists them.
func (a *app) printTable(t *table) {
	o := a.stdout
	rows, hidden := t.lines(o.columns)
	for _, lines := range rows {
		for _, line := range lines {
			o.printf("%s\n", line)
		}
	}
	if len(hidden) > 0 {
		remark := a.stderr.wrap("left out for want of width: "+strings.Join(hidden, ", ")+"; -o wide has all", 0)
		for line := range strings.SplitSeq(remark, "\n") {
			a.stderr.printf("%s\n", a.stderr.faint(line))
		}
	}
}

const (
	gap       = 2  // between columns
	narrowest = 16 // a last column that would have to wrap within less is left out
)

// lines returns the lines of each row with the cells aligned, within a number of columns of the terminal; 0: any.
// The text of the last column wraps at words. The titles of columns that were left out are returned too.
func (t *table) lines(columns int) (rows [][]string, hidden []string) {
	var widths []int
	var words []int // the longest of each column
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths, words = append(widths, 0), append(words, 0)
			}
			widths[i] = max(widths[i], width(cell))
			words[i] = max(words[i], longestWord(cell))
		}
	}
	shown, room := len(widths), 0
	if columns > 0 {
		for ; shown > 0; shown-- {
			before := len(t.indent)
			for _, w := range widths[:shown-1] {
				before += w + gap
			}
			room = columns - before
			if room >= min(widths[shown-1], max(narrowest, words[shown-1])) || shown == 1 || !t.titled {
				break
			}
		}
		if t.titled {
			for _, title := range t.rows[0][shown:] {
				hidden = append(hidden, plain(title))
			}
		}
	}
	for _, row := range t.rows {
		row = row[:min(len(row), shown)]
		last := row[len(row)-1]
		switch {
		case columns > 0 && !t.titled && len(row) > 1 && room < min(width(last), max(narrowest, longestWord(last))):
			rows = append(rows, t.stacked(row, columns))
		case columns > 0 && shown == 1 && t.titled:
			rows = append(rows, []string{t.indent + cut(row[0], columns-len(t.indent))})
		default:
			rows = append(rows, t.rowLines(row, widths, shown, room))
		}
	}
	return rows, hidden
}

func longestWord(text string) (longest int) {
	for word := range strings.SplitSeq(text, " ") {
		longest = max(longest, width(word))
	}
	return longest
}

// stacked returns the lines of a row whose last cell has no room beside the others: it goes below them.
func (t *table) stacked(row []string, columns int) []string {
	const below = 4
	last := len(row) - 1
	first := strings.TrimSpace(strings.Join(row[:last], strings.Repeat(" ", gap)))
	var lines []string
	add := func(text, indent string) {
		for line := range strings.SplitSeq(breakLines(text, columns-len(indent)), "\n") {
			lines = append(lines, strings.TrimRight(indent+line, " "))
		}
	}
	if first != "" {
		add(first, t.indent)
	}
	if row[last] != "" {
		add(row[last], t.indent+strings.Repeat(" ", below))
	}
	return lines
}

// breakLines is wrap, but it also breaks words that are longer than a line.
func breakLines(text string, places int) string {
	if places < 1 {
		return text
	}
	var lines []string
	for line := range strings.SplitSeq(wrap(text, places), "\n") {
		for width(line) > places {
			head, rest := splitAt(line, places)
			lines, line = append(lines, head), rest
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// splitAt splits a text, which may be painted, behind so many visible characters.
func splitAt(text string, places int) (head, rest string) {
	escape, shown := false, 0
	for i, r := range text {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		case shown == places:
			return text[:i], text[i:]
		default:
			shown++
		}
	}
	return text, ""
}

// rowLines returns the lines of one row. Room is for the last of the shown columns; 0: any.
func (t *table) rowLines(row []string, widths []int, shown, room int) []string {
	var line strings.Builder
	line.WriteString(t.indent)
	at := len(t.indent)
	for i, cell := range row {
		if i == shown-1 && room > 0 {
			wrapped := strings.Split(wrap(cell, room), "\n")
			lines := []string{strings.TrimRight(line.String()+wrapped[0], " ")}
			for _, more := range wrapped[1:] {
				lines = append(lines, strings.Repeat(" ", at)+more)
			}
			return lines
		}
		line.WriteString(cell)
		if i < len(row)-1 {
			line.WriteString(strings.Repeat(" ", widths[i]-width(cell)+gap))
			at += widths[i] + gap
		}
	}
	return []string{strings.TrimRight(line.String(), " ")}
}

// wrap breaks a text at spaces into lines of at most so many columns. A longer word gets its own line.
func wrap(text string, places int) string {
	var b strings.Builder
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		at := 0
		for n, word := range strings.Split(line, " ") {
			w := width(word)
			switch {
			case n == 0:
			case at+1+w > places && at > 0:
				b.WriteByte('\n')
				at = 0
			default:
				b.WriteByte(' ')
				at++
			}
			b.WriteString(word)
			at += w
		}
	}
	return b.String()
}

// wrap breaks a text that is printed behind an indent into lines that fit the terminal; all but the first begin
// with the indent.
func (o *output) wrap(text string, indent int) string {
	if o.columns == 0 {
		return text
	}
	lines := wrap(text, max(o.columns-indent, narrowest))
	return strings.ReplaceAll(lines, "\n", "\n"+strings.Repeat(" ", indent))
}

// plain returns a text without colors.
func plain(s string) string {
	for {
		start := strings.Index(s, "\x1b[")
		if start < 0 {
			return s
		}
		end := strings.IndexByte(s[start:], 'm')
		if end < 0 {
			return s
		}
		s = s[:start] + s[start+end+1:]
	}
}

// cut shortens a text to so many visible characters. What is shortened loses its color.
func cut(text string, places int) string {
	if places <= 0 || width(text) <= places {
		return text
	}
	return string([]rune(plain(text))[:places-1]) + "…"
}
