package strictxml

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"vnetlab/lab/spelling"
)

// Schema describes a kind of document.
type Schema struct {
	Namespace string
	Root      string
	Spec      Spec
}

// Spec describes the content of an element. The order of attributes and of children is free.
type Spec struct {
	// Spellings are other spellings of attributes that the platform accepted.
	Spellings map[string]string
	// Explained are elements that aren't read, with the text of the error after the name: the reason and the next
	// step.
	Explained map[string]string

	Required []string // attributes that must be there and not be empty
	Optional []string // other attributes
	Children Children
	Text     bool // the element holds text, and must
	Blank    bool // an element that holds text may be empty
}

// Children are the elements inside another, by their names.
type Children map[string]Child

// Child is an element inside another, and how often it may be there.
type Child struct {
	Spec     Spec
	Min, Max int // Max 0: any number
}

// Many allows any number of an element.
func Many(s Spec) Child { return Child{Spec: s} }

// AtLeastOne requires one or more of an element.
func AtLeastOne(s Spec) Child { return Child{Spec: s, Min: 1} }

// AtMostOne allows one of an element.
func AtMostOne(s Spec) Child { return Child{Spec: s, Max: 1} }

// One requires exactly one of an element.
func One(s Spec) Child { return Child{Spec: s, Min: 1, Max: 1} }

// List allows one element that contains any number of another and nothing else.
func List(name string, item Spec) Child { return AtMostOne(Spec{Children: Children{name: Many(item)}}) }

// Requires describes an element that has some attributes and nothing else.
func Requires(attributes ...string) Spec { return Spec{Required: attributes} }

// Named describes an element that has a name and nothing else.
var Named = Requires("name")

func (s Schema) checkRoot(root *Element) bool {
	if root.Name != s.Root {
		root.Fail("the root element is <%.60s>, expected <%s>", root.Name, s.Root)
		return false
	}
	switch root.namespace {
	case s.Namespace:
		return true
	case "":
		root.Fail("<%s> has no namespace", root.Name).WithHint("add xmlns=%q", s.Namespace)
	default:
		root.Fail("<%s> is in the namespace %.200q", root.Name, root.namespace).
			WithHint("expected xmlns=%q", s.Namespace)
	}
	return false
}

// check compares an element and its content with the description.
func (s Spec) check(e *Element, namespace string) {
	known := slices.Concat(s.Required, s.Optional)
	for i, a := range e.Attributes {
		name, ok := s.Spellings[a.Name]
		if !ok {
			continue
		}
		if _, twice := e.Attribute(name); twice {
			e.document.Errors.Add(a.Origin, "attribute %.60q of <%.60s> is given twice, as %s too", a.Name, e.Name,
				name)
		}
		e.Attributes[i].Name = name
	}
	for _, a := range e.Attributes {
		switch {
		case !slices.Contains(known, a.Name):
			e.document.Errors.Add(a.Origin, "<%s> has no attribute %.60q", e.Name, a.Name).
				Hint = suggestion(a.Name, known, "its attributes are")
		case strings.TrimSpace(a.Value) == "" && slices.Contains(s.Required, a.Name):
			e.document.Errors.Add(a.Origin, "attribute %q of <%s> is empty", a.Name, e.Name)
		}
	}
	for _, name := range s.Required {
		if _, ok := e.Attribute(name); !ok {
			e.Fail("<%s> lacks the attribute %q", e.Name, name)
		}
	}
	if s.Text && !s.Blank && e.Text == "" {
		e.Fail("<%s> is empty", e.Name)
	}
	if !s.Text && e.Text != "" {
		e.document.Errors.Add(e.textOrigin, "text %.40q is not expected in <%s>", e.Text, e.Name)
	}
	s.checkChildren(e, namespace)
}

func (s Spec) checkChildren(e *Element, namespace string) {
	names := slices.Sorted(maps.Keys(s.Children))
	count, first := map[string]int{}, map[string]*Element{}
	for _, c := range e.Children {
		child, ok := s.Children[c.Name]
		count[c.Name]++
		if count[c.Name] == 1 {
			first[c.Name] = c
		}
		reason, explained := s.Explained[c.Name]
		switch {
		case explained:
			c.Fail("<%s> %s", c.Name, reason)
		case !ok:
			c.Fail("<%.60s> is not known in <%s>", c.Name, e.Name).Hint = suggestion(c.Name, names, "it may contain")
		case c.namespace != namespace:
			c.Fail("<%s> is in the namespace %.200q, expected %q", c.Name, c.namespace, namespace)
		case child.Max > 0 && count[c.Name] > child.Max:
			c.Fail("<%s> is more than once in <%s>", c.Name, e.Name).
				WithHint("the first is at line %d", first[c.Name].Origin.Line)
		default:
			child.Spec.check(c, namespace)
		}
	}
	for _, name := range names {
		if s.Children[name].Min > count[name] {
			e.Fail("<%s> lacks the element <%s>", e.Name, name)
		}
	}
}

func suggestion(word string, known []string, otherwise string) string {
	if near := spelling.DidYouMean(word, known); near != "" {
		return near
	}
	if len(known) == 0 {
		return ""
	}
	return fmt.Sprintf("%s %s", otherwise, strings.Join(known, ", "))
}
