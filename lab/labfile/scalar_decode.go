package labfile

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
	"github.com/invopop/jsonschema"

	"vnetlab/emu"
	"vnetlab/lab/spelling"
)

// pair is a key of a mapping with its value.
type pair struct {
	key    string
	origin emu.Origin // of the key
	value  ast.Node
}

// pairs gives the keys of a mapping, each once.
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
			d.add(invalid(p.origin, "the key %s stands here for the second time", quoted(p.key)).
				hint("The first is in line %d.", before.Line))
			continue
		}
		first[p.key] = p.origin
		pairs = append(pairs, p)
	}
	return pairs, true
}

// text decodes a text and checks it against its schema.
func (d *decoder) text(n ast.Node, what string, rule *jsonschema.Schema) (string, bool) {
	var s string
	switch n := n.(type) {
	case *ast.StringNode:
		s = n.Value
	case *ast.LiteralNode:
		s = n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		d.add(invalid(d.origin(n), "%s must be a text, not %s", what, describe(n)).
			hint("Put it in quotes: %q.", n.GetToken().Value))
		return "", false
	default:
		d.wrongType(n, what, "a text")
		return "", false
	}
	switch {
	case s == "":
		d.add(invalid(d.origin(n), "%s is empty", what).hint("Give it a value, or leave the key out."))
		return "", false
	case rule.Enum != nil && !slices.Contains(rule.Enum, any(s)):
		var known []string
		for _, v := range rule.Enum {
			known = append(known, v.(string))
		}
		p := invalid(d.origin(n), "%s: %s is not %s", what, quoted(s), rule.Title).
			hint("Known: %s.", strings.Join(known, ", "))
		if near, ok := spelling.Nearest(s, known); ok {
			p = p.hint("Did you mean %s?", near)
		}
		d.add(p)
		return "", false
	case rule.Pattern != "" && !compiled(rule.Pattern).MatchString(s):
		d.add(invalid(d.origin(n), "%s: %s is not %s", what, quoted(s), rule.Title))
		return "", false
	}
	return s, true
}

var patterns sync.Map // from text to *regexp.Regexp

func compiled(pattern string) *regexp.Regexp {
	if re, ok := patterns.Load(pattern); ok {
		return re.(*regexp.Regexp)
	}
	re := regexp.MustCompile(pattern)
	patterns.Store(pattern, re)
	return re
}

// integer decodes a number and checks it against its schema. Numbers are decimal: whether 010 is eight or ten
// depends on who reads.
func (d *decoder) integer(n ast.Node, what string, rule *jsonschema.Schema) (int, bool) {
	number, isNumber := n.(*ast.IntegerNode)
	if huge, ok := n.(*ast.StringNode); ok && huge.Token.Type == token.StringType && decimal.MatchString(huge.Value) {
		// The parser takes what doesn't fit into 64 bits for a text.
		d.add(invalid(d.origin(n), "%s: %s is not %s", what, quoted(huge.Value), rule.Title))
		return 0, false
	}
	if !isNumber {
		p := invalid(d.origin(n), "%s must be a whole number, not %s", what, describe(n))
		if s, ok := n.(*ast.StringNode); ok && decimal.MatchString(s.Value) {
			p = p.hint("Remove the quotes.")
		}
		d.add(p)
		return 0, false
	}
	written := number.Token.Value
	if !decimal.MatchString(written) {
		d.add(invalid(d.origin(n), "%s: %s is not a decimal number", what, quoted(written)))
		return 0, false
	}
	i, err := strconv.Atoi(written)
	least, _ := rule.Minimum.Int64()
	most, _ := rule.Maximum.Int64()
	if err != nil || int64(i) < least || int64(i) > most {
		d.add(invalid(d.origin(n), "%s: %s is not %s", what, written, rule.Title))
		return 0, false
	}
	return i, true
}

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

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
