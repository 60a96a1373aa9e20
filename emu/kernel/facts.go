package kernel

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"vnetlab/emu"
)

// facts are what a namespace has, or should have, as text that can be compared.
type facts struct {
	// objects are the properties of each object that has no position in an order.
	objects map[string]properties
	// lists are chains with their rules.
	lists map[string][]rule
	older bool // iptables keeps its rules outside nftables
	// generation is that of the rules; nil: it changed while they were read, or does not cover all of them.
	generation *uint32
	// since is when reading the rules began.
	since time.Time
	// marks, of wanted facts, are those of tunnels: a rule for each, and the routes in its table, may be there.
	marks []uint32
}

type properties map[string]string

// rule is a rule of a chain. Rules are equal when their codes are.
type rule struct{ text, code string }

func newFacts() *facts {
	return &facts{objects: map[string]properties{}, lists: map[string][]rule{}}
}

// Difference is one thing that is not as wanted, with the parts of its object.
type Difference struct {
	emu.Difference
	of       string // the object without its property
	property string
}

// namespaceDiffers returns the difference of a namespace that is missing, or not wanted.
func namespaceDiffers(name, wanted, found string) Difference {
	return Difference{Difference: emu.Difference{Namespace: name, Object: "namespace", Wanted: wanted, Found: found}}
}

// Plain returns differences as they are shown.
func Plain(all []Difference) []emu.Difference {
	plain := make([]emu.Difference, len(all))
	for i, d := range all {
		plain[i] = d.Difference
	}
	return plain
}

// compare returns the differences in the order of the objects' names.
func compare(namespace string, wanted, found *facts) []Difference {
	var all []Difference
	differ := func(of, property, wanted, found string) {
		object := of
		if property != "" {
			object += " " + property
		}
		all = append(all, Difference{emu.Difference{
			Namespace: namespace, Object: object, Wanted: wanted,
			Found: found,
		}, of, property})
	}
	for object, w := range wanted.objects {
		f, ok := found.objects[object]
		if !ok {
			differ(object, "", w.String(), "")
			continue
		}
		for name, value := range w {
			if f[name] != value {
				differ(object, name, orNone(value), orNone(f[name]))
			}
		}
		for name, value := range f {
			if _, ok := w[name]; !ok {
				differ(object, name, unnoted(object, name), orNone(value))
			}
		}
	}
	for object, f := range found.objects {
		if _, ok := wanted.objects[object]; !ok && !wanted.allows(object) {
			differ(object, "", "", f.String())
		}
	}
	for chain, w := range wanted.lists {
		compareRules(w, found.lists[chain], func(position int, wanted, found string) {
			differ(chain, fmt.Sprintf("rule %d", position), wanted, found)
		})
	}
	for chain, f := range found.lists {
		if _, ok := wanted.lists[chain]; !ok {
			compareRules(nil, f, func(position int, wanted, found string) {
				differ(chain, fmt.Sprintf("rule %d", position), wanted, found)
			})
		}
	}
	slices.SortFunc(all, func(a, b Difference) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// allows reports whether an object may exist without being wanted.
func (f *facts) allows(object string) bool {
	return slices.ContainsFunc(f.marks, func(mark uint32) bool {
		return object == markedRule(mark) || strings.HasPrefix(object, "route ") &&
			strings.HasSuffix(object, inTable(mark))
	})
}

// compareRules skips what both lists begin and end with, so that one rule more or less is one difference.
func compareRules(wanted, found []rule, differ func(position int, wanted, found string)) {
	first := 0
	for first < len(wanted) && first < len(found) && wanted[first].code == found[first].code {
		first++
	}
	last := 0
	for last < min(len(wanted), len(found))-first && wanted[len(wanted)-1-last].code == found[len(found)-1-last].code {
		last++
	}
	for i := first; i < max(len(wanted), len(found))-last; i++ {
		var w, f string
		if i < len(wanted)-last {
			w = wanted[i].text
		}
		if i < len(found)-last {
			f = found[i].text
			for _, r := range wanted {
				if r.code == found[i].code {
					f = r.text // in the words of the one who wrote it, in another position
				}
			}
		}
		differ(i+1, w, f)
	}
}

const (
	none        = emu.NoValue
	nothingMore = emu.NoProperties
)

// unnoted returns the value of a property that isn't noted.
func unnoted(object, property string) string {
	if strings.HasPrefix(object, linkObject("")) {
		return orNone(usual[property])
	}
	return none
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

// String returns the properties in the order of their names.
func (p properties) String() string {
	if len(p) == 0 {
		return nothingMore
	}
	var all []string
	for name, value := range p {
		all = append(all, name+" "+value)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
