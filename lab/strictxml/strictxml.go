// Package strictxml reads the platform's XML documents: small, without document types or entities, with a
// description of each element and attribute. What isn't described is an error. Each error has its position, and all
// are reported at once. The readers of the documents interpret the values.
package strictxml

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"vnetlab/emu"
)

const (
	// MaxSize is the size in bytes of the largest document that is read.
	MaxSize = 1 << 20
	// MaxDepth is the maximum nesting of elements.
	MaxDepth = 32
)

// Document is a tree of elements with the errors found in it so far.
type Document struct {
	Root   *Element
	Errors Errors
	Notes  []Note // on values that are read otherwise than others would read them
}

// Err returns all errors in file order; nil if there are none.
func (d *Document) Err() error { return d.Errors.Err() }

// Element is an element of a document. The methods that look inside also work on a nil Element, which is empty.
type Element struct {
	Name       string
	Origin     emu.Origin
	Attributes []Attribute // without namespace declarations and attributes of foreign namespaces
	Children   []*Element
	Text       string // all text directly inside, without space around it

	namespace  string
	textOrigin emu.Origin
	document   *Document
}

// Attribute is an attribute of an element.
type Attribute struct {
	Name   string
	Value  string
	Origin emu.Origin
}

// Read reads a document and checks it against its description. The error is about a file in which no tree of
// the wanted root could be found; everything else is in the document's Errors, to which a reader adds what it
// finds wrong with the values.
func Read(file string, data []byte, schema Schema) (*Document, error) {
	d := &Document{}
	p := parser{file: file, document: d}
	if !p.decode(data) || !p.parse() {
		return nil, d.Err()
	}
	if !schema.checkRoot(d.Root) {
		return nil, d.Err()
	}
	schema.Spec.check(d.Root, schema.Namespace)
	return d, nil
}

// parser builds the tree.
type parser struct {
	file     string
	text     text
	document *Document
	spaces   map[string]bool // namespaces that have been declared
	stack    []*Element
	texts    [][]byte // the text of each element on the stack
}

func (p *parser) fail(offset int64, format string, args ...any) *Error {
	return p.document.Errors.Add(p.origin(offset), format, args...)
}

func (p *parser) origin(offset int64) emu.Origin {
	line, column := p.text.position(int(offset))
	return emu.Origin{File: p.file, Line: line, Column: column}
}

// parse reads all tokens and reports whether there is a tree. Other errors are added to the document.
func (p *parser) parse() bool {
	p.spaces = map[string]bool{"http://www.w3.org/XML/1998/namespace": true, "xml": true}
	decoder := xml.NewDecoder(strings.NewReader(p.text.content))
	decoder.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		if decodable(charset) {
			return in, nil
		}
		return nil, charsetError(charset)
	}
	for {
		start := decoder.InputOffset()
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			p.fail(decoder.InputOffset(), "%s", syntaxMessage(err))
			return false
		}
		if !p.token(token, start, decoder.InputOffset()) {
			return false
		}
	}
	if p.document.Root == nil {
		p.fail(0, "the file has no root element")
		return false
	}
	return true
}

// charsetError is the name of an unsupported encoding.
type charsetError string

func (e charsetError) Error() string {
	return fmt.Sprintf("the file declares the encoding %.60q: save it as utf-8", string(e))
}

func syntaxMessage(err error) string {
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		return "this is not well-formed XML: " + syntax.Msg
	}
	var charset charsetError
	if errors.As(err, &charset) {
		return charset.Error()
	}
	return strings.TrimPrefix(err.Error(), "xml: ")
}

// token reads one token, which is between two offsets. It returns false if the rest can't be read.
func (p *parser) token(token xml.Token, start, end int64) bool {
	switch t := token.(type) {
	case xml.StartElement:
		return p.open(t, start, end)
	case xml.EndElement:
		last := len(p.stack) - 1
		p.stack[last].Text = strings.TrimSpace(string(p.texts[last]))
		p.stack, p.texts = p.stack[:last], p.texts[:last]
	case xml.CharData:
		return p.characters(string(t), start)
	case xml.ProcInst:
		// Others are for programs that display documents, mostly style sheets.
		if strings.EqualFold(t.Target, "xml") && start != 0 {
			p.fail(start, "the XML declaration is not at the beginning of the file").
				WithHint("remove what is before it")
			return false
		}
	case xml.Directive:
		p.fail(start, "document types and entities are not allowed").WithHint("remove <!%.20s", string(t))
		return false
	}
	return true
}

func (p *parser) characters(s string, start int64) bool {
	trimmed := strings.TrimSpace(s)
	if len(p.stack) == 0 {
		if trimmed != "" {
			p.fail(start, "text %.40q is outside the root element", trimmed)
			return false
		}
		return true
	}
	top := p.stack[len(p.stack)-1]
	if trimmed != "" && top.textOrigin.IsZero() {
		space := len(s) - len(strings.TrimLeft(s, " \t\r\n"))
		top.textOrigin = p.origin(start + int64(space))
	}
	last := len(p.texts) - 1
	p.texts[last] = append(p.texts[last], s...)
	return true
}

func (p *parser) open(t xml.StartElement, start, end int64) bool {
	if len(p.stack) == 0 && p.document.Root != nil {
		p.fail(start, "<%.60s> is a second root element", t.Name.Local)
		return false
	}
	if len(p.stack) >= MaxDepth {
		p.fail(start, "elements are nested more than %d deep", MaxDepth)
		return false
	}
	e := &Element{Name: t.Name.Local, Origin: p.origin(start), namespace: t.Name.Space, document: p.document}
	p.attributes(e, t.Attr, attributeOffsets(p.text.content[start:end]), start)
	if len(p.stack) == 0 {
		p.document.Root = e
	} else {
		top := p.stack[len(p.stack)-1]
		top.Children = append(top.Children, e)
	}
	p.stack, p.texts = append(p.stack, e), append(p.texts, nil)
	return true
}

func (p *parser) attributes(e *Element, all []xml.Attr, offsets []int, start int64) {
	for _, a := range all {
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
			p.spaces[a.Value] = true
		}
	}
	seen := map[xml.Name]bool{}
	for i, a := range all {
		at := start
		if i < len(offsets) {
			at += int64(offsets[i])
		}
		switch {
		case seen[a.Name]:
			p.fail(at, "attribute %.60q of <%.60s> is given twice", a.Name.Local, e.Name)
		case a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns":
		case a.Name.Space == "":
			e.Attributes = append(e.Attributes, Attribute{Name: a.Name.Local, Value: a.Value, Origin: p.origin(at)})
		case !p.spaces[a.Name.Space]:
			p.fail(at, "the prefix %.60q of attribute %.60q is not bound to a namespace", a.Name.Space, a.Name.Local)
		case a.Name.Space == e.namespace:
			p.fail(at, "attribute %.60q of <%.60s> must be written without a prefix", a.Name.Local, e.Name)
		}
		seen[a.Name] = true
	}
}

// attributeOffsets returns where each attribute of a start tag begins. The tag is well-formed: the decoder has read
// it.
func attributeOffsets(tag string) []int {
	const space = " \t\r\n"
	var offsets []int
	i := strings.IndexAny(tag, space+"/>")
	for i >= 0 && i < len(tag) {
		i += len(tag[i:]) - len(strings.TrimLeft(tag[i:], space))
		if i >= len(tag) || tag[i] == '/' || tag[i] == '>' {
			break
		}
		offsets = append(offsets, i)
		quote := strings.IndexAny(tag[i:], `"'`)
		if quote < 0 {
			break
		}
		i += quote + 1
		closing := strings.IndexByte(tag[i:], tag[i-1])
		if closing < 0 {
			break
		}
		i += closing + 1
	}
	return offsets
}
