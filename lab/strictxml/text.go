package strictxml

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// text is the content of a file. Places are asked for in rising order nearly always, so it remembers the last one: a large
// file of one line would take time without end otherwise.
type text struct {
	content      string
	offset       int
	line, column int // of the offset, from 0
}

// position gives line and column, from 1, of an offset in bytes. Columns count characters.
func (t *text) position(offset int) (line, column int) {
	offset = min(offset, len(t.content))
	if offset < t.offset {
		t.offset, t.line, t.column = 0, 0, 0
	}
	passed := t.content[t.offset:offset]
	if lines := strings.Count(passed, "\n"); lines > 0 {
		t.line += lines
		t.column = 0
		passed = passed[strings.LastIndexByte(passed, '\n')+1:]
	}
	t.column += utf8.RuneCountInString(passed)
	t.offset = offset
	return t.line + 1, t.column + 1
}

// decode takes UTF-8 with or without a byte order mark, and UTF-16 with one, as Visual Studio has written it.
func (p *parser) decode(data []byte) bool {
	if len(data) > MaxSize {
		p.fail(0, "the file is larger than %d KiB", MaxSize>>10)
		return false
	}
	switch {
	case bytes.HasPrefix(data, []byte{0xFE, 0xFF}):
		data, p.utf16 = fromUTF16(data[2:], binary.BigEndian), true
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE}):
		data, p.utf16 = fromUTF16(data[2:], binary.LittleEndian), true
	default:
		data = bytes.TrimPrefix(data, []byte{0xEF, 0xBB, 0xBF})
	}
	p.text = text{content: strings.ToValidUTF8(string(data), "\uFFFD")}
	if !utf8.Valid(data) {
		p.fail(int64(invalidAt(data)), "the file is not text in utf-8").WithHint("save it as utf-8")
		return false
	}
	return true
}

func invalidAt(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(data)
}

// fromUTF16 gives UTF-8; what is broken becomes an invalid byte.
func fromUTF16(data []byte, order binary.ByteOrder) []byte {
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	out := []byte(string(utf16.Decode(units)))
	if len(data)%2 == 1 {
		out = append(out, 0xFF)
	}
	return out
}
