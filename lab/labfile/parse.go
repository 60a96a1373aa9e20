package labfile

import (
	"errors"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

func (d *decoder) parse(text string) (root ast.Node, ok bool) {
	all, problems := tokens(d.file, text)
	if len(problems) > 0 {
		d.add(problems...)
		return nil, false
	}
	// A panic of the parser is its defect, and no reason to end the program.
	defer func() {
		if r := recover(); r != nil {
			d.add(invalid(d.unit, "the YAML parser gave up: %v", r))
			root, ok = nil, false
		}
	}()
	// Duplicate keys are found later, to report all of them.
	file, err := parser.Parse(all, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.add(d.syntax(err))
		return nil, false
	}
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case root != nil:
			d.add(invalid(d.origin(doc.Body), "a second document begins here").
				hint("A lab file holds one document: remove the line --- above, or use two files."))
			return nil, false
		default:
			root = doc.Body
		}
	}
	if root == nil {
		d.add(invalid(d.unit, "the file is empty").hint("Begin with lab: NAME."))
	}
	return root, root != nil
}

// syntax explains what the parser found.
func (d *decoder) syntax(err error) Problem {
	var e yaml.Error
	if !errors.As(err, &e) {
		return invalid(d.unit, "%s", err)
	}
	position := d.unit
	if t := e.GetToken(); t != nil && t.Position != nil {
		position = at(d.file, t)
	}
	p := invalid(position, "%s", e.GetMessage())
	switch message := e.GetMessage(); {
	case strings.Contains(message, "'\t'"):
		p = invalid(position, "a tab begins this line").hint("YAML is indented with spaces only: replace the tab.")
	case strings.HasPrefix(message, "mapping value is not allowed"):
		p = p.hint(`A text with ": " in it needs quotes.`)
	case strings.HasPrefix(message, "value is not allowed"), strings.HasPrefix(message, "non-map value"):
		p = p.hint("Check the indentation of this line and of the one above.")
	}
	return p
}
