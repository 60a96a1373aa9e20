package labfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"vnetlab/emu"
)

// MaxSize is the largest file that is read, in bytes.
const MaxSize = 1 << 20

// read returns the content of a file of at most MaxSize bytes.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, plain(err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, plain(err)
	case info.IsDir():
		return nil, errors.New("it is a folder")
	}
	// Stat returns no size for a pipe or a device.
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	switch {
	case err != nil:
		return nil, plain(err)
	case len(data) > MaxSize:
		if info.Mode().IsRegular() {
			return nil, fmt.Errorf("it has %d bytes; the maximum is %d", info.Size(), MaxSize)
		}
		return nil, fmt.Errorf("it has more than %d bytes, the maximum", MaxSize)
	}
	return data, nil
}

// plain removes operation and path from an error of package os: the message around it has the name of the file.
func plain(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// clean returns the text of a YAML file with one kind of line break and no byte order mark, or a problem with the
// position of what can't be text.
func clean(file string, data []byte) (string, *Problem) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	s := strings.ReplaceAll(string(data), "\r\n", "\n")
	line, column := 1, 1
	for i, r := range s {
		at := emu.Origin{File: file, Line: line, Column: column}
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			p := invalid(at, "byte 0x%02x is not UTF-8 text", s[i]).hint("Save the file as UTF-8.")
			return "", &p
		case r == '\n':
			line, column = line+1, 0
		case r < ' ' && r != '\t', r == 0x7f, r >= 0x80 && r < 0xa0 && r != 0x85, r == 0xfffe, r == 0xffff:
			p := invalid(at, "control character U+%04X", r).
				hint("Remove it; inside double quotes it can be written as an escape.")
			return "", &p
		}
		column++
	}
	return s, nil
}

// sources holds the lines of the files that were read, for excerpts.
type sources map[string][]string

func (s sources) add(file, text string) { s[file] = strings.Split(text, "\n") }

// excerpt returns the line before a position, the line itself, and a caret below the column.
func (s sources) excerpt(at emu.Origin) string {
	lines := s[at.File]
	if at.Line < 1 || at.Line > len(lines) {
		return ""
	}
	var b strings.Builder
	width := len(fmt.Sprint(at.Line))
	if at.Line > 1 {
		before, _ := window(lines[at.Line-2], 1)
		b.WriteString(strings.TrimRight(fmt.Sprintf("  %*d | %s", width, at.Line-1, before), " ") + "\n")
	}
	shown, caret := window(lines[at.Line-1], at.Column)
	b.WriteString(strings.TrimRight(fmt.Sprintf("> %*d | %s", width, at.Line, shown), " ") + "\n")
	if at.Column > 0 {
		fmt.Fprintf(&b, "  %*s | %*s^\n", width, "", caret, "")
	}
	return b.String()
}

// window cuts a long line to the part around a column, and returns the offset of that column in it.
func window(line string, column int) (shown string, caret int) {
	const most = 100
	runes := []rune(strings.TrimSuffix(line, "\r"))
	caret = min(max(column-1, 0), len(runes))
	start := 0
	if caret > most-20 {
		start = caret - most/2
	}
	end := min(len(runes), start+most)
	part := make([]rune, 0, most+6)
	if start > 0 {
		part = append(part, '.', '.', '.')
		caret += 3
	}
	for _, r := range runes[start:end] {
		switch {
		case r == '\t':
			r = '→'
		case unprintable(r):
			r = '?'
		}
		part = append(part, r)
	}
	if end < len(runes) {
		part = append(part, '.', '.', '.')
	}
	return string(part), caret - start
}
