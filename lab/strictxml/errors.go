package strictxml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab/spelling"
)

// maxErrors is the most errors that are reported for one file.
const maxErrors = 100

// Error is one thing wrong with a document.
type Error struct {
	Origin  emu.Origin
	Message string
	Hint    string // the next step; may be empty

	dropped bool // there are too many errors already
}

// Error returns position, message and hint on one line.
func (e *Error) Error() string {
	s := e.Message
	if position := e.Origin.String(); position != "" {
		s = position + ": " + s
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

// Errors are the errors of a document, in the order of their positions.
type Errors []*Error

// Error returns one line per error.
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

// Add appends an error and returns it, to add a hint.
func (e *Errors) Add(at emu.Origin, format string, args ...any) *Error {
	err := &Error{Origin: at, Message: fmt.Sprintf(format, args...)}
	if err.dropped = len(*e) >= maxErrors; !err.dropped {
		*e = append(*e, err)
	}
	return err
}

// Err returns the errors in file order; nil if there are none.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	e.Sort()
	return e
}

// Sort sorts the errors by position.
func (e Errors) Sort() {
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Origin.File, b.Origin.File), cmp.Compare(a.Origin.Line, b.Origin.Line),
			cmp.Compare(a.Origin.Column, b.Origin.Column))
	})
}

// Note is a remark on a part of a document that isn't an error.
type Note struct {
	Origin emu.Origin
	Text   string
	// Differs marks a difference between the lab and the file, which is always shown. Other notes are about what
	// has no effect on a network, such as a certificate.
	Differs bool
}

// String returns the position and the text on one line.
func (n Note) String() string {
	if position := n.Origin.String(); position != "" {
		return position + ": " + n.Text
	}
	return n.Text
}

// SortNotes sorts notes by position.
func SortNotes(notes []Note) {
	slices.SortStableFunc(notes, func(a, b Note) int {
		return cmp.Or(cmp.Compare(a.Origin.Line, b.Origin.Line), cmp.Compare(a.Origin.Column, b.Origin.Column))
	})
}
