package labfile

import (
	"path/filepath"

	"vnetlab/lab/api"
)

// Input is a lab file: its path, or its text if it can be read only once, as standard input.
type Input struct {
	// Path is relative to the working folder of this process. With a Text it is only shown.
	Path string
	// Text is the content of the file; if nil, Path is read.
	Text []byte
	// Dir is the absolute path of the folder that the paths in Text are relative to.
	Dir string
}

// Absolute returns the input for a process with another working folder. Positions in the file then have its
// absolute path.
func (in Input) Absolute() (Input, error) {
	if in.Text != nil {
		return in, nil
	}
	var err error
	in.Path, err = filepath.Abs(in.Path)
	return in, err
}

// Load reads the lab file and the files that it names, as [Load] does.
func (in Input) Load(opts Options) (*Loaded, error) {
	l := &loader{opts: opts, input: in, path: in.Path, sources: sources{}}
	if err := l.load(); err != nil {
		return nil, err
	}
	return &Loaded{Lab: l.lab, Dir: l.dir, Prepare: string(l.file.Prepare), Steps: l.steps, Notes: l.notes}, nil
}

// read returns the content of the file and the folder that its paths are relative to.
func (in Input) read() (text []byte, dir string, err error) {
	if in.Text != nil {
		return in.Text, in.Dir, nil
	}
	if text, err = read(in.Path); err != nil {
		return nil, "", err
	}
	dir, err = folder(in.Path)
	return text, dir, err
}

// InputOf returns the input that a client sent.
func InputOf(f api.File) Input { return Input{string(f.Path), f.Text, string(f.Dir)} }

// File returns the input as it is sent to a lab.
func (in Input) File() api.File {
	return api.File{Path: []byte(in.Path), Text: in.Text, Dir: []byte(in.Dir)}
}
