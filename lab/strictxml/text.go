package strictxml

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// text is the content of a file. It remembers the last position, as positions are nearly always requested in rising
// order: counting from the start each time would be quadratic.
type text struct {
	content      string
	offset       int
	line, column int // of the offset, from 0
}

// position returns line and column, from 1, of an offset in bytes. Columns count characters.
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

// singleByte are the encodings of one byte a character that documents are read in, by the names that they declare.
var singleByte = map[string]*charmap.Charmap{
	"iso-8859-1": charmap.ISO8859_1, "latin1": charmap.ISO8859_1, "latin-1": charmap.ISO8859_1,
	"iso_8859-1": charmap.ISO8859_1,
	"cp1252":     charmap.Windows1252, "koi8-r": charmap.KOI8R, "koi8-u": charmap.KOI8U,
	"iso-8859-2": charmap.ISO8859_2, "iso-8859-3": charmap.ISO8859_3, "iso-8859-4": charmap.ISO8859_4,
	"iso-8859-5": charmap.ISO8859_5, "iso-8859-6": charmap.ISO8859_6, "iso-8859-7": charmap.ISO8859_7,
	"iso-8859-8": charmap.ISO8859_8, "iso-8859-9": charmap.ISO8859_9, "iso-8859-13": charmap.ISO8859_13,
	"iso-8859-15":  charmap.ISO8859_15,
	"windows-1250": charmap.Windows1250, "windows-1251": charmap.Windows1251, "windows-1252": charmap.Windows1252,
	"windows-1253": charmap.Windows1253, "windows-1254": charmap.Windows1254, "windows-1255": charmap.Windows1255,
	"windows-1256": charmap.Windows1256, "windows-1257": charmap.Windows1257, "windows-1258": charmap.Windows1258,
	"windows-874": charmap.Windows874,
}

// declared finds the encoding that a document declares.
var declared = regexp.MustCompile(`^<\?xml\s[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["']`)

// decode accepts UTF-8 and UTF-16 with or without a byte order mark, as Visual Studio and PowerShell write them,
// and encodings of one byte per character that the document declares. The bytes count for more than the
// declaration: .NET declares UTF-16 for a text from memory, whatever the encoding of the file is.
func decode(data []byte) []byte {
	switch {
	case bytes.HasPrefix(data, []byte{0xFE, 0xFF}):
		data = fromUTF16(data[2:], binary.BigEndian)
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE}):
		data = fromUTF16(data[2:], binary.LittleEndian)
	case begins(data, 0):
		data = fromUTF16(data, binary.BigEndian)
	case begins(data, 1):
		data = fromUTF16(data, binary.LittleEndian)
	case bytes.HasPrefix(data, []byte{0xEF, 0xBB, 0xBF}):
		data = data[3:]
	default:
		if m := declared.FindSubmatch(data[:min(len(data), 200)]); m != nil {
			if encoding, ok := singleByte[strings.ToLower(string(m[1]))]; ok {
				data, _ = encoding.NewDecoder().Bytes(data) // what isn't a character becomes U+FFFD
			}
		}
	}
	return data
}

// begins reports whether a document of UTF-16 without a byte order mark begins, its zeros first or second in each two
// bytes: with the first element, or with blanks before it.
func begins(data []byte, zero int) bool {
	return len(data) >= 2 && data[zero] == 0 && strings.IndexByte("< \t\r\n", data[1-zero]) >= 0
}

// Text returns the text of a document, in UTF-8 whatever it was. What isn't a character is U+FFFD.
func Text(data []byte) string { return strings.ToValidUTF8(string(decode(data)), "\uFFFD") }

// decode sets the text of the document. It reports whether it is a text.
func (p *parser) decode(data []byte) bool {
	if len(data) > MaxSize {
		p.fail(0, "the file has more than %d bytes, the maximum", MaxSize)
		return false
	}
	data = decode(data)
	p.text = text{content: strings.ToValidUTF8(string(data), "\uFFFD")}
	if !utf8.Valid(data) {
		p.fail(int64(invalidAt(data)), "the file is not text in utf-8").WithHint("save it as utf-8")
		return false
	}
	return true
}

// decodable reports whether a document that declares an encoding can be read: by then it is UTF-8.
func decodable(charset string) bool {
	switch charset = strings.ToLower(charset); charset {
	case "utf-16", "utf-16le", "utf-16be", "unicode", "us-ascii", "ascii":
		return true
	}
	_, ok := singleByte[charset]
	return ok
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

// fromUTF16 returns UTF-8. An odd last byte becomes an invalid byte.
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
