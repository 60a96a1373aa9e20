package strictxml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab/spelling"
)

// maxErrors bounds how much is said about one file.
const maxErrors = 100

// Error is one thing wrong with a document.
type Error struct {
	Origin  emu.Origin
	Message string
	Hint    string // the next step; may be empty

	dropped bool // there are too many errors already
}

// Error gives place, message and hint on one line.
func (e *Error) Error() string {
	s := e.Message
	if place := e.Origin.String(); place != "" {
		s = place + ": " + s
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// WithHint adds the next step.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// DidYouMean adds the question about the known word that is nearest to a wrong one, if any is near.
func (e *Error) DidYouMean(word string, known []string) *Error {
	if !e.dropped {
		e.Hint = spelling.DidYouMean(word, known)
	}
	return e
}

// Errors is everything wrong with a document, in the order of its places.
type Errors []*Error

// Error gives one line per error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find each error.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, err := range e {
		all[i] = err
	}
	return all
}

// Add appends an error and gives it back, for a hint.
func (e *Errors) Add(at emu.Origin, format string, args ...any) *Error {
	err := &Error{Origin: at, Message: fmt.Sprintf(format, args...)}
	if err.dropped = len(*e) >= maxErrors; !err.dropped {
		*e = append(*e, err)
	}
	return err
}

// Err gives the errors in file order; nil when there are none.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	e.Sort()
	return e
}

// Sort puts the errors in the order of their places.
func (e Errors) Sort() {
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Origin.File, b.Origin.File), cmp.Compare(a.Origin.Line, b.Origin.Line),
			cmp.Compare(a.Origin.Column, b.Origin.Column))
	})
}

// Note is something worth saying about a place that isn't wrong.
type Note struct {
	Origin emu.Origin
	Text   string
	// Differs marks what the lab has otherwise than the file says: people are told of it unasked. Other notes are on
	// what means nothing to a network, such as a certificate.
	Differs bool
}

// String returns the place and the text on one line.
func (n Note) String() string {
	if place := n.Origin.String(); place != "" {
		return place + ": " + n.Text
	}
	return n.Text
}

// SortNotes puts notes in the order of their places.
func SortNotes(notes []Note) {
	slices.SortStableFunc(notes, func(a, b Note) int {
		return cmp.Or(cmp.Compare(a.Origin.Line, b.Origin.Line), cmp.Compare(a.Origin.Column, b.Origin.Column))
	})
}
