package labfile

import (
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"

	"vnetlab/emu"
)

const (
	maxDepth = 50   // of brackets, or of lists begun on one line
	maxKeys  = 1000 // of one mapping
	maxEmpty = 1000 // keys and items without a value; each is an error
)

// notAllowed are the parts of YAML that a lab file has no use for. Aliases make small files explode and can form
// cycles; tags change types without notice.
var notAllowed = map[token.Type]string{
	token.AnchorType:     "anchors (&) are not allowed in lab files",
	token.AliasType:      "aliases (*) are not allowed in lab files",
	token.MergeKeyType:   "merge keys (<<) are not allowed in lab files",
	token.TagType:        "tags (!) are not allowed in lab files",
	token.MappingKeyType: "complex keys (?) are not allowed in lab files",
	token.DirectiveType:  "directives (%) are not allowed in lab files",
}

// tokens splits the text into tokens and refuses texts that would cost the parser too much time or stack.
func tokens(file, text string) (token.Tokens, Errors) {
	all := lexer.Tokenize(text)
	var problems Errors
	refuse := func(t *token.Token, format string, args ...any) {
		problems = append(problems, invalid(at(file, t), format, args...))
	}
	nesting := nesting{}
	reported := map[token.Type]bool{}
	for i, t := range all {
		if why, ok := notAllowed[t.Type]; ok {
			if reported[t.Type] {
				continue
			}
			reported[t.Type] = true
			p := invalid(at(file, t), "%s", why)
			switch t.Type { //nolint:exhaustive // the rest needs no hint
			case token.AliasType, token.MergeKeyType:
				p = p.hint("Write the value out.")
			case token.AnchorType, token.TagType:
				p = p.hint("Remove it; a text that begins with %s needs quotes.", t.Value[:min(1, len(t.Value))])
			}
			problems = append(problems, p)
			continue
		}
		nesting.add(t, tokenAt(all, i-1), tokenAt(all, i+1))
		switch {
		case len(nesting.flow)+nesting.entries > maxDepth:
			refuse(t, "nested more than %d levels deep", maxDepth)
		case nesting.keys > maxKeys:
			refuse(t, "more than %d keys in one mapping", maxKeys)
		case nesting.empty > maxEmpty:
			refuse(t, "more than %d keys or items without a value", maxEmpty)
		default:
			continue
		}
		break
	}
	return all, problems
}

func tokenAt(all token.Tokens, i int) *token.Token {
	if i < 0 || i >= len(all) {
		return nil
	}
	return all[i]
}

// nesting counts along the tokens of a text. It is exact for valid text and never too low for other text.
type nesting struct {
	flow    []bracket   // open ones
	block   map[int]int // keys of mappings outside brackets, by column
	line    int
	entries int // lists that begin on this line
	keys    int // of the mapping that the token is in, so far
	empty   int // keys and items without a value, so far
}

type bracket struct {
	mapping bool
	keys    int
	colon   bool // since the last comma
}

func (n *nesting) add(t, before, next *token.Token) {
	if line := t.Position.Line; line != n.line {
		n.line, n.entries = line, 0
	}
	n.keys = 0
	switch t.Type {
	case token.MappingStartType, token.SequenceStartType:
		n.flow = append(n.flow, bracket{mapping: t.Type == token.MappingStartType})
	case token.MappingEndType, token.SequenceEndType, token.CollectEntryType:
		if len(n.flow) > 0 {
			n.endEntry(t.Type != token.CollectEntryType)
		}
	case token.SequenceEntryType:
		n.entries++
		n.forget(t.Position.Column)
		n.checkValue(t, t, next)
	case token.MappingValueType:
		n.checkValue(t, before, next)
		switch {
		case len(n.flow) > 0:
			n.flow[len(n.flow)-1].colon = true
		case before != nil:
			n.forget(before.Position.Column)
			if n.block == nil {
				n.block = map[int]int{}
			}
			n.block[before.Position.Column]++
			n.keys = n.block[before.Position.Column]
		}
	}
}

// endEntry ends a key and its value, or an item, within brackets.
func (n *nesting) endEntry(last bool) {
	inner := &n.flow[len(n.flow)-1]
	if inner.mapping {
		inner.keys++
		n.keys = inner.keys
		if !inner.colon {
			n.empty++
		}
	}
	inner.colon = false
	if last {
		n.flow = n.flow[:len(n.flow)-1]
	}
}

// checkValue counts a key or item that begins at start, and whose colon or hyphen no value follows.
func (n *nesting) checkValue(t, start, next *token.Token) {
	switch {
	case start == nil || next == nil:
		n.empty++
	case next.Type == token.CollectEntryType, next.Type == token.MappingEndType, next.Type == token.SequenceEndType:
		n.empty++
	case len(n.flow) == 0 && next.Position.Line > t.Position.Line && next.Position.Column <= start.Position.Column:
		listOfKey := t.Type == token.MappingValueType && next.Type == token.SequenceEntryType &&
			next.Position.Column == start.Position.Column
		if !listOfKey {
			n.empty++
		}
	}
}

// forget ends the mappings to the right of a column.
func (n *nesting) forget(column int) {
	for c := range n.block {
		if c > column {
			delete(n.block, c)
		}
	}
}

func at(file string, t *token.Token) emu.Origin {
	return emu.Origin{File: file, Line: max(1, t.Position.Line), Column: max(1, t.Position.Column)}
}
