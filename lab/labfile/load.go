// Package labfile reads lab files: strict YAML, with the position of each error and of each resource.
//
// A file is decoded into the types of file.go and then applied as the sequence of operations that a person would do
// in the portal. Package lab refuses what the platform refuses; this package refuses what is wrong with the file
// itself. Nothing outside the file and the files that it names is touched.
package labfile

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/strictxml"
)

// Options are settings of a run.
type Options struct {
	// Real chooses the programs named by `real:` instead of built-in listeners.
	Real bool
}

// Loaded is the content of a lab file.
type Loaded struct {
	Lab *lab.Lab
	// Dir is the absolute path of the lab file's folder, without symbolic links: commands run there.
	Dir string
	// Prepare is a shell command that runs on the host before the lab is built with real programs; it may be empty.
	Prepare string
	// Steps are commands on the running lab with their expected results, in order.
	Steps []Step
	// Notes are about settings that have no effect on the network, or a different one than in the file.
	Notes []Note
}

// Note is a remark on a part of the lab file, or of a file that it names, that isn't an error.
type Note = strictxml.Note

// note adds a remark on a difference between the lab and the file.
func (l *loader) note(at emu.Origin, format string, args ...any) {
	l.notes = append(l.notes, Note{Origin: at, Text: fmt.Sprintf(format, args...), Differs: true})
}

// Load reads a lab file and the files that it names, and applies it to an empty lab. The error is an Errors
// with everything that is wrong.
func Load(path string, opts Options) (*Loaded, error) {
	return Input{Path: path}.Load(opts)
}

// loader applies one file.
type loader struct {
	opts     Options
	input    Input
	path     string // as the user gave it; empty when a file of the platform is read by itself
	dir      string
	file     *File
	broken   map[emu.Origin]bool
	lab      *lab.Lab
	sources  sources
	problems Errors
	notes    []Note
	steps    []Step
	gone     gone
}

func (l *loader) load() error {
	whole := emu.Origin{File: l.path}
	data, dir, err := l.input.read()
	if err != nil {
		return Errors{invalid(whole, "the lab file can't be read: %v", err)}
	}
	l.dir = dir
	text, wrong := clean(l.path, data)
	l.sources.add(l.path, text)
	if wrong != nil {
		l.problems = Errors{*wrong}
		l.sources.add(l.path, string(data))
		return l.err()
	}
	f, d := decode(l.path, text)
	l.file, l.broken, l.problems = f, d.broken, d.problems
	if l.broken[f.Origin] {
		// What the file lacks would be missed all over; the lab's name depends on nothing.
		l.name()
	} else {
		l.apply()
	}
	return l.err()
}

func folder(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(absolute)
	if err != nil {
		return "", err
	}
	return filepath.Dir(real), nil
}

// err returns the problems in order and with the offending lines; nil if there are none.
func (l *loader) err() error {
	if len(l.problems) == 0 {
		return nil
	}
	sorted := l.problems.sorted()
	for i := range sorted {
		sorted[i].Excerpt = l.sources.excerpt(sorted[i].Origin)
	}
	return sorted
}

// accept adds the problems of an operation that the lab file requests at a position. It reports whether there were
// none.
func (l *loader) accept(position emu.Origin, err error) bool {
	if err == nil {
		return true
	}
	var several interface{ Unwrap() []error }
	if errors.As(err, &several) {
		for _, e := range several.Unwrap() {
			l.accept(position, e)
		}
		return false
	}
	var refusal *lab.Error
	var inXML *strictxml.Error
	p := invalid(position, "%v", err)
	switch {
	case errors.As(err, &refusal):
		p.Code, p.HTTPStatus, p.Message, p.Hint = refusal.Code, refusal.HTTPStatus, refusal.Message, refusal.Hint
		if !refusal.Origin.IsZero() {
			p.Origin = refusal.Origin
		}
		if p.HTTPStatus == 0 {
			p.HTTPStatus = http.StatusBadRequest
		}
	case errors.As(err, &inXML):
		p.Message, p.Hint = inXML.Message, inXML.Hint
		if !inXML.Origin.IsZero() {
			p.Origin = inXML.Origin
		}
	}
	if p.Origin.File == l.path {
		p.position = p.Origin
	}
	l.problems = append(l.problems, p)
	return false
}

// reference reads a file that the lab file names. The name shown in messages is relative to the working folder, as
// the lab file's is.
func (l *loader) reference(r Reference, kind string) (shown string, data []byte, ok bool) {
	shown, path := r.Text, r.Text
	if !filepath.IsAbs(r.Text) {
		path = filepath.Join(l.dir, r.Text)
		if l.input.Text == nil { // otherwise the file is shown by a name that has no folder
			shown = filepath.Join(filepath.Dir(l.path), r.Text)
		}
	}
	data, err := read(path)
	if err != nil {
		p := invalid(r.Origin, "the %s %s can't be read: %v", kind, quoted(r.Text), err)
		if l.path != "" {
			p = p.hint("Paths are relative to the folder of the lab file.")
		}
		l.problems = append(l.problems, p)
		return shown, nil, false
	}
	l.sources.add(shown, strictxml.Text(data))
	return shown, data, true
}
