package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"vnetlab/lab/labfile"
	"vnetlab/lab/spelling"
	"vnetlab/scenarios"
)

// labFile returns the lab file for an argument: a file, - for standard input, or the name of a scenario.
func (a *app) labFile(ctx context.Context, arg string) (labfile.Input, error) {
	info, err := os.Stat(arg)
	switch {
	case arg == "-", err == nil && !info.IsDir():
		return a.readInput(ctx, arg)
	case err == nil && !isScenario(arg):
		inside := filepath.Join(arg, scenarios.LabFile)
		if _, err := os.Stat(inside); err == nil {
			return labfile.Input{}, usage("%s is a folder", arg).orHint("name the lab file: " + inside)
		}
		return labfile.Input{}, usage("%s is a folder and not a lab file", arg)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return labfile.Input{}, usage("%v", err)
	}
	if isScenario(arg) {
		dir, err := scenarios.Materialise(arg)
		return labfile.Input{Path: filepath.Join(dir, scenarios.LabFile)}, err
	}
	names := scenarioNames()
	return labfile.Input{}, usage("there is no file and no scenario %q", arg).
		orHint(spelling.DidYouMean(arg, names), "the scenarios are "+spelling.And(names))
}

// stdinName is the name of standard input in messages.
const stdinName = "<stdin>"

// readInput returns a lab file. What can be read only once, or means something else in another process, is read
// here: standard input, named pipes and descriptors such as those of <(…).
func (a *app) readInput(ctx context.Context, path string) (labfile.Input, error) {
	if path == "-" && a.stdinRead {
		return labfile.Input{}, usage("standard input can be read only once").orHint("name - once only")
	}
	a.stdinRead = a.stdinRead || path == "-"
	if path != "-" {
		info, err := os.Stat(path)
		if err != nil || info.Mode().IsRegular() && !ofThisProcess(path) {
			return labfile.Input{Path: path}, nil // reading it later reports what is wrong
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		return labfile.Input{}, err
	}
	text, err := readOnce(ctx, path)
	if err != nil {
		return labfile.Input{}, err
	}
	if path == "-" {
		path = stdinName
	}
	return labfile.Input{Path: path, Text: text, Dir: dir}, nil
}

// ofThisProcess reports whether a path leads to a descriptor of this process.
func ofThisProcess(path string) bool {
	absolute, err := filepath.Abs(path)
	return err == nil && (strings.HasPrefix(absolute, "/dev/") || strings.HasPrefix(absolute, "/proc/"))
}

// readOnce reads a file until its end or until the context ends: a pipe without a writer has no end.
func readOnce(ctx context.Context, path string) ([]byte, error) {
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		file := os.Stdin
		if path != "-" {
			var err error
			if file, err = os.Open(path); err != nil {
				done <- result{err: usage("%v", err)}
				return
			}
			defer file.Close()
		}
		text, err := io.ReadAll(io.LimitReader(file, labfile.MaxSize+1))
		switch {
		case err != nil:
			err = usage("%s can't be read: %v", path, err)
		case len(text) > labfile.MaxSize:
			err = usage("%s is larger than %d bytes, the most that a lab file may have", path, labfile.MaxSize)
		}
		done <- result{append([]byte{}, text...), err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios.List() {
		names = append(names, s.Name)
	}
	return names
}

func isScenario(name string) bool {
	for _, s := range scenarios.List() {
		if s.Name == name {
			return true
		}
	}
	return false
}
