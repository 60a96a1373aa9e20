package engine

import (
	"context"
	"fmt"
	"path/filepath"

	"vnetlab/lab/api"
	"vnetlab/lab/expect"
	"vnetlab/lab/labfile"
)

// checks lists the checks of a test. What a file expects of another lab than the one that runs is not checked on this
// one.
func (e *Engine) checks(req api.TestRequest) ([]check, error) {
	expectations, err := e.expectations(req)
	if err != nil {
		return nil, err
	}
	if req.File != nil {
		name := called(labfile.InputOf(*req.File))
		if c, differs := expect.SameLab(e.now().lab, expectations, name); differs {
			return []check{func(context.Context) api.Case { return c }}, nil
		}
	}
	return e.cases(expectations), nil
}

// called returns the name of a file for people, who know its folder.
func called(file labfile.Input) string {
	if file.Text != nil {
		return file.Path
	}
	return filepath.Base(file.Path)
}

// notes returns what a test of the lab's own expectations should mention: that its file has changed since.
func (e *Engine) notes(req api.TestRequest) []string {
	now := e.now()
	if req.File != nil || req.Given != nil || now.file.Text != nil {
		return nil
	}
	name := called(now.file)
	loaded, err := now.file.Load(labfile.Options{Real: e.opts.Real})
	switch {
	case err != nil:
		return []string{fmt.Sprintf("%s can't be read any more: what the lab read from it before is checked", name)}
	case loaded.Lab.Name != now.lab.Name || !expect.SameText(now.read, loaded.Lab):
		return []string{
			fmt.Sprintf(
				"%s has changed since the lab read it: what it said then is checked; lab apply %s makes the lab what it says now",
				name,
				name,
			),
		}
	}
	return nil
}
