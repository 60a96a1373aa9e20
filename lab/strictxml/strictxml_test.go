package strictxml

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
)

var town = Schema{Namespace: "urn:town", Root: "Town", Spec: Spec{
	Required: []string{"name"},
	Optional: []string{"founded", "open", "size", "port"},
	Children: map[string]Child{
		"Mayor": One(Named),
		"Street": Many(Spec{Required: []string{"name"}, Children: map[string]Child{
			"House": AtLeastOne(Spec{Text: true}),
		}}),
		"Motto": AtMostOne(Spec{Text: true}),
	},
	Spellings: map[string]string{"Founded": "founded"},
	Explained: map[string]string{"Wall": "was torn down in 1850: write a <Street>"},
}}

const good = `<?xml version="1.0" encoding="utf-8"?>
<!-- a town -->
<Town xmlns="urn:town" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
      xsi:schemaLocation="urn:town town.xsd" name='Ürby &lt;1&gt;' founded = "1200">
  <Street name="Main"><House>1<!-- corner -->a</House><House><![CDATA[2]]></House></Street>
  <Motto> Å on, <!-- on --> </Motto>
  <Mayor name="Ann"/>
</Town>
`

func TestRead(t *testing.T) {
	for name, data := range map[string][]byte{
		"utf-8":                  []byte(good),
		"BOM":                    []byte("\uFEFF" + good),
		"UTF-16LE":               inUTF16(good, binary.LittleEndian),
		"UTF-16BE":               inUTF16(strings.Replace(good, "utf-8", "UTF-16", 1), binary.BigEndian),
		"UTF-16LE without BOM":   inUTF16(strings.Replace(good, "utf-8", "utf-16", 1), binary.LittleEndian)[2:],
		"UTF-16BE without BOM":   inUTF16(strings.Replace(good, "utf-8", "utf-16", 1), binary.BigEndian)[2:],
		"UTF-8 that says UTF-16": []byte(strings.Replace(good, "utf-8", "utf-16", 1)),
		"latin-1": []byte(strings.NewReplacer("utf-8", "ISO-8859-1", "Ü", "\xdc", "Å", "\xc5").
			Replace(good)),
		"windows-1252": []byte(strings.NewReplacer("utf-8", "windows-1252", "Ü", "\xdc", "Å", "\xc5").
			Replace(good)),
		"US-ASCII": []byte(strings.NewReplacer("utf-8", "US-ASCII", "Ü", "&#220;", "Å on,", "&#xC5; on,",
			"name='&#220;rby", "name='&#220;rby").Replace(good)),
		"instructions": []byte(strings.Replace(good, "<!-- a town -->", "<?xml-stylesheet href='x.xsl'?>",
			1)),
		"instruction inside": []byte(strings.Replace(good, "<!-- on -->", "<?mso x?>", 1)),
	} {
		d, err := Read("town.xml", data, town)
		if err != nil || d.Err() != nil {
			t.Fatalf("%s: %v %v", name, err, d.Err())
		}
		r := d.Root
		if got := r.Get("name"); got != "Ürby <1>" {
			t.Errorf("%s: name %q", name, got)
		}
		if got := len(r.Attributes); got != 2 {
			t.Errorf("%s: %d attributes", name, got)
		}
		if got := r.Child("Street").All("House"); len(got) != 2 || got[0].Text != "1a" || got[1].Text != "2" {
			t.Errorf("%s: houses %v", name, got)
		}
		if name == "US-ASCII" { // its columns are others
			continue
		}
		for what, place := range map[string]string{
			r.Origin.String():                                 "town.xml:3:1",
			r.At("name").String():                             "town.xml:4:46",
			r.At("founded").String():                          "town.xml:4:68",
			r.At("nothing").String():                          "town.xml:3:1",
			r.Child("Street").All("House")[1].Origin.String(): "town.xml:5:55",
			r.Child("Mayor").At("name").String():              "town.xml:7:10",
		} {
			if what != place {
				t.Errorf("%s: place %s, want %s", name, what, place)
			}
		}
	}
}

func inUTF16(s string, order binary.AppendByteOrder) []byte {
	out := make([]byte, 0, 2*len(s))
	for _, u := range utf16.Encode([]rune("\uFEFF" + s)) {
		out = order.AppendUint16(out, u)
	}
	return out
}

func TestErrors(t *testing.T) {
	wrap := func(attributes, inside string) string {
		return `<Town xmlns="urn:town" name="X"` + attributes + ">\n<Mayor name=\"A\"/>\n" + inside + "\n</Town>"
	}
	for name, c := range map[string]struct{ in, want string }{
		"empty":          {"", `f:1:1: the file has no root element`},
		"only a comment": {"<!-- x -->", `f:1:1: the file has no root element`},
		"not XML":        {"name: x", `f:1:1: text "name: x" is outside the root element`},
		"too large": {
			strings.Repeat(" ", MaxSize+1),
			`f:1:1: the file has more than 1048576 bytes, the maximum`,
		},
		"latin-1": {"<Town name='\xe5'>", `f:1:13: the file is not text in utf-8; save it as utf-8`},
		"declared EBCDIC": {
			`<?xml version="1.0" encoding="ibm037"?><Town/>`,
			`f:1:40: the file declares the encoding "ibm037": save it as utf-8`,
		},
		"half UTF-16": {"\xff\xfe<", `f:1:1: the file is not text in utf-8; save it as utf-8`},
		"doctype": {
			"<!DOCTYPE x [<!ENTITY a 'b'>]>\n<Town/>",
			`f:1:1: document types and entities are not allowed; remove <!DOCTYPE x [<!ENTITY `,
		},
		"entity": {
			wrap("", "<Motto>&a;</Motto>"),
			`f:3:11: this is not well-formed XML: invalid character entity &a;`,
		},
		"late declaration": {
			"\n<?xml version='1.0'?><Town/>",
			`f:2:1: the XML declaration is not at the beginning of the file; remove what is before it`,
		},
		"two roots": {wrap("", "") + "\n<Town/>", `f:5:1: <Town> is a second root element`},
		"cut off": {
			`<Town xmlns="urn:town" name="X">`,
			`f:1:33: this is not well-formed XML: unexpected EOF`,
		},
		"not closed": {
			"<Town>\n</Twon>",
			`f:2:8: this is not well-formed XML: element <Town> closed by </Twon>`,
		},
		"deep":         {strings.Repeat("<a>", MaxDepth+1), `f:1:97: elements are nested more than 32 deep`},
		"wrong root":   {"<City/>", `f:1:1: the root element is <City>, expected <Town>`},
		"no namespace": {"<Town/>", `f:1:1: <Town> has no namespace; add xmlns="urn:town"`},
		"wrong namespace": {
			"<Town xmlns='urn:x'/>",
			`f:1:1: <Town> is in the namespace "urn:x"; expected xmlns="urn:town"`,
		},
		"child elsewhere": {
			wrap("", "<Motto xmlns='urn:x'>a</Motto>"),
			`f:3:1: <Motto> is in the namespace "urn:x", expected "urn:town"`,
		},
		"unknown element": {
			wrap("", "<Stret name='x'/>"),
			`f:3:1: <Stret> is not known in <Town>; did you mean "Street"?`,
		},
		"explained": {wrap("", "<Wall x='y'/>"), `f:3:1: <Wall> was torn down in 1850: write a <Street>`},
		"two spellings": {
			wrap(" Founded='1' founded='2'", ""),
			`f:1:33: attribute "Founded" of <Town> is given twice, as founded too`,
		},
		"unlike any": {
			wrap("", "<Elephant/>"),
			`f:3:1: <Elephant> is not known in <Town>; it may contain Mayor, Motto, Street`,
		},
		"nothing inside": {wrap("", "<Motto>x<b/></Motto>"), `f:3:9: <b> is not known in <Motto>`},
		"unknown attribute": {
			wrap(" fonded='1'", ""),
			`f:1:33: <Town> has no attribute "fonded"; did you mean "founded"?`,
		},
		"missing attribute": {
			wrap("", "<Street><House>1</House></Street>"),
			`f:3:1: <Street> lacks the attribute "name"`,
		},
		"empty attribute": {
			wrap("", "<Street name=' '><House>1</House></Street>"),
			`f:3:9: attribute "name" of <Street> is empty`,
		},
		"twice attribute": {
			wrap(" founded='1' founded='2'", ""),
			`f:1:45: attribute "founded" of <Town> is given twice`,
		},
		"twice element": {
			wrap("", "<Mayor name='B'/>"),
			`f:3:1: <Mayor> is more than once in <Town>; the first is at line 2`,
		},
		"missing element": {`<Town xmlns="urn:town" name="X"/>`, `f:1:1: <Town> lacks the element <Mayor>`},
		"missing house":   {wrap("", "<Street name='x'/>"), `f:3:1: <Street> lacks the element <House>`},
		"text":            {wrap("", " hello"), `f:3:2: text "hello" is not expected in <Town>`},
		"no text":         {wrap("", "<Motto/>"), `f:3:1: <Motto> is empty`},
		"unbound prefix": {
			wrap(" q:a='1'", ""),
			`f:1:33: the prefix "q" of attribute "a" is not bound to a namespace`,
		},
		"own prefix": {
			wrap(" xmlns:q='urn:town' q:name='1'", ""),
			`f:1:52: attribute "name" of <Town> must be written without a prefix`,
		},
		"several": {"<Town xmlns='urn:town'><Motto/>\n<Street b='1'><House>1</House></Street></Town>", `f:1:1: <Town> lacks the attribute "name"
f:1:1: <Town> lacks the element <Mayor>
f:1:24: <Motto> is empty
f:2:1: <Street> lacks the attribute "name"
f:2:9: <Street> has no attribute "b"; its attributes are name`},
	} {
		d, err := Read("f", []byte(c.in), town)
		if err == nil {
			err = d.Err()
		}
		if err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", name, err, c.want)
		}
		var one *Error
		if !errors.As(err, &one) {
			t.Errorf("%s: no *Error in %T", name, err)
		}
	}
}

func TestValues(t *testing.T) {
	read := func(attributes string) (*Element, *Document) {
		d, err := Read("f", []byte(`<Town xmlns="urn:town" name="X"`+attributes+`><Mayor name="A"/></Town>`), town)
		if err != nil {
			t.Fatal(err)
		}
		return d.Root, d
	}
	e, d := read(` port="80" open="true" size="small" founded="-5"`)
	if e.Port("port") != 80 || !e.Bool("open", false) || e.OneOf("size", "large", "small", "large") != "small" ||
		e.Int("founded", -10, 10, 0) != -5 || d.Err() != nil {
		t.Error("good values were refused:", d.Err())
	}
	for text, want := range map[string]bool{"1": true, "0": false, " true ": true, "false": false} {
		if e, d := read(` open="` + text + `"`); e.Bool("open", !want) != want || d.Err() != nil {
			t.Errorf("%q isn't %v: %v", text, want, d.Err())
		}
	}
	e, d = read("")
	if e.Port("port") != 0 || !e.Bool("open", true) || e.OneOf("size", "large", "small", "large") != "large" ||
		e.Address("founded").IsValid() || d.Err() != nil {
		t.Error("defaults:", d.Err())
	}
	for _, c := range []struct {
		attributes string
		read       func(*Element)
		want       string
	}{
		{` port="0"`, func(e *Element) { e.Port("port") }, `f:1:33: port is "0", expected a number from 1 to 65535`},
		{` port="+8"`, func(e *Element) { e.Port("port") }, `f:1:33: port is "+8", expected a number from 1 to 65535`},
		{
			` port="99999999999999999999"`, func(e *Element) { e.Port("port") },
			`f:1:33: port is "99999999999999999999", expected a number from 1 to 65535`,
		},
		{
			` open="True"`, func(e *Element) { e.Bool("open", false) },
			`f:1:33: open is "True", expected true or false; did you mean "true"?`,
		},
		{
			` size="smal"`, func(e *Element) { e.OneOf("size", "", "small", "medium", "large") },
			`f:1:33: size is "smal", expected small, medium or large; did you mean "small"?`,
		},
		{
			` founded="10.0.0"`, func(e *Element) { e.Address("founded") },
			`f:1:33: founded is "10.0.0", expected an IPv4 address`,
		},
		{
			` founded="::1"`, func(e *Element) { e.Address("founded") },
			`f:1:33: founded is "::1", expected an IPv4 address`,
		},
	} {
		e, d := read(c.attributes)
		c.read(e)
		if err := d.Err(); err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.attributes, err, c.want)
		}
	}
	var none *Element
	if none.Child("x") != nil || none.All("x") != nil || none.Get("x") != "" {
		t.Error("a nil element holds something")
	}
}

// TestZeros holds that numbers of addresses may begin with zeros.
func TestZeros(t *testing.T) {
	for in, want := range map[string]string{
		"10.9.0.00/16": "10.9.0.0/16", "010.009.000.000/08": "10.0.0.0/8", "10.1.2.3 / 32": "10.1.2.3/32",
		"10.0.0.11/8": "10.0.0.0/8", "000.0.0.0/0": "0.0.0.0/0",
		"10.0.0.0": "", "10.0.0.0/": "", "/8": "", "10.0.0.0/33": "", "10..0.0/8": "", "0010.0.0.0/8": "",
		"fd00::/64": "", "10.0.0.0/8/8": "", "10.0.0.0x/8": "", "-1.0.0.0/8": "",
	} {
		if p, ok := ParsePrefix(in); ok != (want != "") || ok && p.String() != want {
			t.Errorf("%s is %v %v, want %s", in, p, ok, want)
		}
	}
	for in, want := range map[string]bool{
		"10.010.0.0/16": true, "010.0.0.1": true, "10.00.0.07/16": false,
		"10.0.0.0/08": false,
	} {
		if Octal(in) != want {
			t.Errorf("Octal(%s) is %v", in, !want)
		}
	}
}

// TestLargeDocuments gives the reader the files that are worst for it: all are read, and their many errors told
// in few words. One that takes minutes ends with go test's patience.
func TestLargeDocuments(t *testing.T) {
	const n = MaxSize / 24
	var attributes strings.Builder
	for i := range n {
		fmt.Fprintf(&attributes, " a%d='1'", i)
	}
	open := `<Town xmlns="urn:town" name="X">`
	for name, in := range map[string]string{
		"attributes":     "<Town xmlns='urn:town'" + attributes.String() + "/>",
		"elements":       open + strings.Repeat("<Elephant a='1'/>", n) + "</Town>",
		"twice":          open + strings.Repeat("<Street name='a'/>", n) + strings.Repeat("<Mayor/>", n/2) + "</Town>",
		"text":           open + "<Motto>" + strings.Repeat("a<!---->", 3*n) + "</Motto></Town>",
		"one name":       "<" + strings.Repeat("a", MaxSize-10) + "/>",
		"same attribute": "<Town xmlns='urn:town'" + strings.Repeat(" a='1'", n) + "/>",
	} {
		d, err := Read("f", []byte(in), town)
		if err == nil {
			err = d.Err()
		}
		if err == nil || len(err.Error()) > 100_000 {
			t.Errorf("%s: error %.200v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(good))
	f.Add(inUTF16(good, binary.LittleEndian))
	f.Add(inUTF16(good, binary.LittleEndian)[2:])
	f.Add([]byte(strings.NewReplacer("utf-8", "ISO-8859-1", "Ü", "\xdc").Replace(good)))
	f.Add([]byte("<Town xmlns='urn:town' name=\"a'>\" b = '/'><Motto>x</Motto></Town>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Read("f", data, town)
		if err == nil {
			err = d.Err()
		}
		var all Errors
		if err != nil && !errors.As(err, &all) {
			t.Fatalf("%T", err)
		}
		for _, e := range all {
			if e.Origin.Line < 1 || e.Origin.Column < 1 || e.Message == "" {
				t.Fatalf("an error without place or text: %#v", e)
			}
		}
	})
}

// TestEncodings has documents in encodings that others declare, and in UTF-16 that begins with a blank.
func TestEncodings(t *testing.T) {
	document := func(declaration, name string) string {
		return declaration + "\n<Town xmlns='urn:town' name='" + name + "'><Mayor name='a'/></Town>"
	}
	declare := func(encoding, name string) string {
		return document("<?xml version='1.0' encoding='"+encoding+"'?>", name)
	}
	for _, c := range []struct{ name, in, want string }{
		{"central European", declare("Windows-1250", "K\xf8\xe1sn\xfd"), "Křásný"},
		{"Latin-2", declare("iso-8859-2", "\xa3\xf3d\xbc"), "Łódź"},
		{"Cyrillic", declare("windows-1251", "\xcc\xee\xf1\xea\xe2\xe0"), "Москва"},
		{"Russian", declare("KOI8-R", "\xed\xcf\xd3\xcb\xd7\xc1"), "Москва"},
		{"Greek", declare("windows-1253", "\xc1\xe8\xde\xed\xe1"), "Αθήνα"},
		{"Turkish", declare("windows-1254", "\xddzmir"), "İzmir"},
		{"UTF-16 after a blank", string(inUTF16(document("", "Ål"), binary.LittleEndian)[2:]), "Ål"},
		{"big-endian UTF-16 after a blank", string(inUTF16(document("", "Ål"), binary.BigEndian)[2:]), "Ål"},
	} {
		d, err := Read("f", []byte(c.in), town)
		if err == nil {
			err = d.Err()
		}
		if err != nil || d.Root.Get("name") != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}
