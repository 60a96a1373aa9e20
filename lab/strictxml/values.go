package strictxml

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab/spelling"
)

// Child returns the first child of a name; nil if there is none.
func (e *Element) Child(name string) *Element {
	if e != nil {
		for _, c := range e.Children {
			if c.Name == name {
				return c
			}
		}
	}
	return nil
}

// All returns the children of a name.
func (e *Element) All(name string) []*Element {
	var all []*Element
	if e != nil {
		for _, c := range e.Children {
			if c.Name == name {
				all = append(all, c)
			}
		}
	}
	return all
}

// Attribute returns the attribute of a name.
func (e *Element) Attribute(name string) (Attribute, bool) {
	if e != nil {
		for _, a := range e.Attributes {
			if a.Name == name {
				return a, true
			}
		}
	}
	return Attribute{}, false
}

// At returns the position of an attribute, or of the element if it lacks the attribute.
func (e *Element) At(attribute string) emu.Origin {
	if a, ok := e.Attribute(attribute); ok {
		return a.Origin
	}
	return e.Origin
}

// Fail adds an error at the element to the document.
func (e *Element) Fail(format string, args ...any) *Error {
	return e.document.Errors.Add(e.Origin, format, args...)
}

// FailAt adds an error at an attribute to the document.
func (e *Element) FailAt(attribute, format string, args ...any) *Error {
	return e.document.Errors.Add(e.At(attribute), format, args...)
}

// Get returns the value of an attribute; empty if it is missing.
func (e *Element) Get(attribute string) string {
	a, _ := e.Attribute(attribute)
	return strings.TrimSpace(a.Value)
}

// value returns the value of an attribute; false if it is missing or empty, for which the description may have an
// error already.
func (e *Element) value(attribute string) (string, bool) {
	v := e.Get(attribute)
	return v, v != ""
}

// Int reads a whole number between two bounds; without the attribute it is the default.
func (e *Element) Int(attribute string, low, high, otherwise int) int {
	v, ok := e.value(attribute)
	if !ok {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high || v[0] == '+' {
		e.FailAt(attribute, "%s is %.40q, expected a number from %d to %d", attribute, v, low, high)
		return otherwise
	}
	return n
}

// Port reads a port number, 1 to 65535; 0 without the attribute.
func (e *Element) Port(attribute string) uint16 { return uint16(e.Int(attribute, 1, 65535, 0)) }

// Bool reads true or false, which may be written 1 or 0 ("XML Schema Part 2: Datatypes", boolean).
func (e *Element) Bool(attribute string, otherwise bool) bool {
	switch v, _ := e.value(attribute); v {
	case "1":
		return true
	case "0":
		return false
	}
	return e.OneOf(attribute, strconv.FormatBool(otherwise), "true", "false") == "true"
}

// OneOf reads one of some words; without the attribute, or when it is none of them, it is the default.
func (e *Element) OneOf(attribute, otherwise string, words ...string) string {
	v, ok := e.value(attribute)
	if !ok {
		return otherwise
	}
	if !slices.Contains(words, v) {
		e.FailAt(attribute, "%s is %.40q, expected %s", attribute, v, spelling.Or(words)).DidYouMean(v, words)
		return otherwise
	}
	return v
}

// Address reads an IPv4 address; the zero address without the attribute.
func (e *Element) Address(attribute string) netip.Addr {
	v, ok := e.value(attribute)
	if !ok {
		return netip.Addr{}
	}
	addr, ok := ParseAddress(v)
	if !ok {
		e.FailAt(attribute, "%s is %.40q, expected an IPv4 address", attribute, v)
		return netip.Addr{}
	}
	e.ReadAs(e.At(attribute), attribute, v, addr)
	return addr
}

// ReadAs adds a note on how the text of an address or a prefix is read, if other readers may read it differently.
func (e *Element) ReadAs(at emu.Origin, what, text string, as fmt.Stringer) {
	if Octal(text) {
		e.document.Notes = append(e.document.Notes,
			Note{Origin: at, Text: fmt.Sprintf("%s %.60q is read as %s", what, text, as), Differs: true})
	}
}

// ParseAddress reads an IPv4 address. A number may begin with zeros; it is decimal all the same.
func ParseAddress(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(withoutZeros(strings.TrimSpace(s)))
	return addr, err == nil && addr.Is4()
}

// ParsePrefix reads an IPv4 prefix as ADDRESS/BITS. The platform accepted bits beyond the prefix and ignored them;
// so does this. Numbers may begin with zeros, as in an address.
func ParsePrefix(s string) (netip.Prefix, bool) {
	address, bits, ok := strings.Cut(s, "/")
	if !ok {
		return netip.Prefix{}, false
	}
	prefix, err := netip.ParsePrefix(withoutZeros(strings.TrimSpace(address)) + "/" +
		withoutZeros(strings.TrimSpace(bits)))
	if err != nil || !prefix.Addr().Is4() {
		return netip.Prefix{}, false
	}
	return prefix.Masked(), true
}

// withoutZeros removes leading zeros from decimal numbers with dots between them.
func withoutZeros(s string) string {
	numbers := strings.Split(s, ".")
	for i, n := range numbers {
		if short := strings.TrimLeft(n, "0"); len(n) > 1 && len(n) <= 3 {
			numbers[i] = cmp.Or(short, "0")
		}
	}
	return strings.Join(numbers, ".")
}

// Octal reports whether an address or a prefix has a number with a leading zero, as in 10.010.0.0, that some
// readers take as octal.
func Octal(s string) bool {
	address, _, _ := strings.Cut(s, "/")
	return slices.ContainsFunc(strings.Split(address, "."), func(n string) bool {
		return len(strings.TrimLeft(n, "0")) > 1 && strings.HasPrefix(n, "0")
	})
}

// Unique adds an error for each element whose attribute has the value of an earlier one. The platform's names don't
// differ only by letter case.
func Unique(elements []*Element, attribute, what string) {
	first := map[string]*Element{}
	for _, e := range elements {
		v, ok := e.value(attribute)
		if !ok {
			continue
		}
		key := strings.ToLower(v)
		if before, taken := first[key]; taken {
			e.FailAt(attribute, "%s %.60q exists already", what, v).
				WithHint("the first is at line %d", before.Origin.Line)
			continue
		}
		first[key] = e
	}
}
