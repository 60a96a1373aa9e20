package labfile

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/invopop/jsonschema"

	"vnetlab/emu"
	"vnetlab/lab/spelling"
)

// decoder walks the syntax tree of a file along the Go types of its keys.
type decoder struct {
	file     string
	problems Errors
	// broken are the positions of units with a problem. Applying them would only repeat it in other words.
	broken map[emu.Origin]bool
	unit   emu.Origin
}

// unit is a part of the file that is applied as a whole or, where something in it is wrong, not at all.
type unit interface{ unit() }

func (*File) unit()           {}
func (*AffinityGroup) unit()  {}
func (*ReservedIP) unit()     {}
func (*VirtualNetwork) unit() {}
func (*LocalNetwork) unit()   {}
func (*CloudService) unit()   {}
func (*VirtualMachine) unit() {}
func (*Deployment) unit()     {}
func (*WebSite) unit()        {}
func (*InternetHost) unit()   {}
func (*Expectation) unit()    {}
func (*StepEntry) unit()      {}

// checker is a type with rules about several of its keys.
type checker interface {
	check(has func(key string) bool) (wrong []string)
}

// decode reads the text of a lab file.
func decode(file, text string) (*File, *decoder) {
	d := &decoder{file: file, broken: map[emu.Origin]bool{}, unit: emu.Origin{File: file, Line: 1, Column: 1}}
	f := &File{Origin: d.unit}
	root, ok := d.parse(text)
	if ok {
		d.value(root, reflect.ValueOf(f).Elem(), "a lab file")
	}
	return f, d
}

// add adds problems of the current unit.
func (d *decoder) add(problems ...Problem) {
	d.problems = append(d.problems, problems...)
	d.broken[d.unit] = true
}

// value decodes a node into v, which messages call what.
func (d *decoder) value(n ast.Node, v reflect.Value, what string) {
	switch target := v.Addr().Interface().(type) {
	case *Reference:
		target.Origin = d.origin(n)
		target.Text, _ = d.text(n, what, target.JSONSchema())
		return
	case *Firewall:
		d.firewall(n, target, what)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), what)
	case reflect.Struct:
		d.structure(n, v, what)
	case reflect.Map:
		d.mapping(n, v, what)
	case reflect.Slice:
		d.list(n, v, what)
	case reflect.String:
		if s, ok := d.text(n, what, schemaOf(v)); ok {
			v.SetString(s)
		}
	case reflect.Uint16, reflect.Uint32:
		if i, ok := d.integer(n, what, schemaOf(v)); ok {
			v.SetUint(uint64(i))
		}
	case reflect.Bool:
		if b, ok := n.(*ast.BoolNode); ok {
			v.SetBool(b.Value)
		} else {
			d.wrongType(n, what, "true or false")
		}
	default:
		panic("labfile: no decoder for " + v.Type().String())
	}
}

func schemaOf(v reflect.Value) *jsonschema.Schema {
	if s, ok := reflect.TypeAssert[interface{ JSONSchema() *jsonschema.Schema }](v); ok {
		return s.JSONSchema()
	}
	panic("labfile: no schema for " + v.Type().String())
}

func (d *decoder) structure(n ast.Node, v reflect.Value, what string) {
	origin := d.origin(n)
	v.FieldByName("Origin").Set(reflect.ValueOf(origin))
	if _, ok := reflect.TypeAssert[unit](v.Addr()); ok {
		defer func(outer emu.Origin) { d.unit = outer }(d.unit)
		d.unit = origin
	}
	pairs, ok := d.pairs(n, what)
	if !ok {
		return
	}
	fields, later := keysOf(v.Type())
	seen := map[string]bool{}
	for _, p := range pairs {
		seen[p.key] = true
		if i := slices.IndexFunc(fields, func(f field) bool { return f.key == p.key }); i >= 0 {
			d.value(p.value, v.FieldByIndex(fields[i].index), p.key)
			d.checkLength(p, v.FieldByIndex(fields[i].index), fields[i])
			continue
		}
		if slices.Contains(later, p.key) {
			d.add(invalid(p.origin, "%s is not supported by this version of vnetlab", p.key))
			continue
		}
		problem := invalid(p.origin, "unknown key %s in %s", quoted(p.key), what)
		known := make([]string, len(fields))
		for i, f := range fields {
			known[i] = f.key
		}
		if near, ok := spelling.Nearest(p.key, known); ok {
			problem = problem.hint("Did you mean %s?", near)
			seen[near] = true // the typo is error enough
		} else {
			problem = problem.hint("Known here: %s.", strings.Join(known, ", "))
		}
		d.add(problem)
	}
	for _, f := range fields {
		if f.required && !seen[f.key] {
			d.add(invalid(origin, "the key %s is missing in %s", f.key, what))
		}
	}
	if c, ok := reflect.TypeAssert[checker](v.Addr()); ok {
		for _, wrong := range c.check(func(key string) bool { return seen[key] }) {
			d.add(invalid(origin, "%s", wrong))
		}
	}
}

func (d *decoder) checkLength(p pair, v reflect.Value, f field) {
	if _, isList := p.value.(*ast.SequenceNode); isList && v.Kind() == reflect.Slice && v.Len() < f.minItems {
		d.add(invalid(d.origin(p.value), "%s is empty", p.key).hint("It takes at least %d.", f.minItems))
	}
}

// field is a key of a structure.
type field struct {
	key      string
	index    []int
	required bool
	minItems int
}

// keysOf returns the keys of a structure, in the order of its type, and those of later versions.
func keysOf(t reflect.Type) (fields []field, later []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if names := f.Tag.Get("later"); names != "" {
			later = strings.Split(names, ",")
			continue
		}
		if f.Anonymous {
			shared, _ := keysOf(f.Type)
			for _, s := range shared {
				s.index = append(slices.Clone(f.Index), s.index...)
				fields = append(fields, s)
			}
			continue
		}
		key := f.Tag.Get("yaml")
		if key == "" || key == "-" {
			continue
		}
		found := field{key: key, index: f.Index}
		for rule := range strings.SplitSeq(f.Tag.Get("jsonschema"), ",") {
			name, value, _ := strings.Cut(rule, "=")
			switch name {
			case "required":
				found.required = true
			case "minItems":
				found.minItems, _ = strconv.Atoi(value)
			}
		}
		fields = append(fields, found)
	}
	return fields, later
}

func (d *decoder) mapping(n ast.Node, v reflect.Value, what string) {
	pairs, ok := d.pairs(n, what)
	if !ok {
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, p := range pairs {
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(p.value, item, fmt.Sprintf("%s of %s", quoted(p.key), what))
		// The position of the key is more useful than that of its first setting.
		item.FieldByName("Origin").Set(reflect.ValueOf(p.origin))
		v.SetMapIndex(reflect.ValueOf(p.key), item)
	}
}

func (d *decoder) list(n ast.Node, v reflect.Value, what string) {
	sequence, ok := n.(*ast.SequenceNode)
	if !ok {
		d.wrongType(n, what, "a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(sequence.Values), len(sequence.Values)))
	for i, item := range sequence.Values {
		d.value(item, v.Index(i), "an item of "+what)
	}
}

func (d *decoder) firewall(n ast.Node, f *Firewall, what string) {
	f.Origin = d.origin(n)
	if s, ok := n.(*ast.StringNode); ok && s.Value == firewallOff {
		f.Off = true
		return
	}
	if _, ok := n.(*ast.SequenceNode); !ok {
		d.add(invalid(f.Origin, "%s must be a list of rules or off, not %s", what, describe(n)))
		return
	}
	d.list(n, reflect.ValueOf(&f.Rules).Elem(), what)
}

// pair is a key of a mapping with its value.
type pair struct {
	key    string
	origin emu.Origin // of the key
	value  ast.Node
}

// pairs returns the keys of a mapping with their values, each key once.
func (d *decoder) pairs(n ast.Node, what string) ([]pair, bool) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		d.wrongType(n, what, "a mapping of keys to values")
		return nil, false
	}
	first := map[string]emu.Origin{}
	var pairs []pair
	for _, v := range values {
		key, ok := v.Key.(*ast.StringNode)
		if !ok {
			d.add(invalid(d.origin(v.Key), "a key must be a text, not %s", describe(v.Key)))
			continue
		}
		p := pair{key: key.Value, origin: d.origin(key), value: v.Value}
		if before, twice := first[p.key]; twice {
			d.add(invalid(p.origin, "duplicate key %s", quoted(p.key)).
				hint("The first is in line %d.", before.Line))
			continue
		}
		first[p.key] = p.origin
		pairs = append(pairs, p)
	}
	return pairs, true
}

func (d *decoder) wrongType(n ast.Node, what, wanted string) {
	p := invalid(d.origin(n), "%s must be %s, not %s", what, wanted, describe(n))
	if _, null := n.(*ast.NullNode); null {
		p = p.hint("Give it a value, or leave the key out.")
	}
	d.add(p)
}

func describe(n ast.Node) string {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "a text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + n.GetToken().Value
	case *ast.BoolNode:
		return fmt.Sprint(n.Value)
	case *ast.NullNode:
		return "nothing"
	}
	return "this"
}

// origin is where a node begins: a block mapping at its first key.
func (d *decoder) origin(n ast.Node) emu.Origin {
	switch v := n.(type) {
	case *ast.MappingNode:
		if !v.IsFlowStyle && len(v.Values) > 0 {
			return d.origin(v.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return d.origin(v.Key)
	}
	return at(d.file, n.GetToken())
}
