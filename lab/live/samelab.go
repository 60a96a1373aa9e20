package live

import (
	"context"
	"fmt"
	"path/filepath"

	"vnetlab/lab"
	"vnetlab/lab/expect"
	"vnetlab/lab/labfile"
)

// checks lists the checks of a test. What a file expects of another lab than the one that runs is not checked on this
// one.
func (s *server) checks(req TestRequest, expectations *lab.Lab) []check {
	if req.File != nil {
		if c, differs := expect.SameLab(s.now().lab, expectations, called(*req.File)); differs {
			return []check{func(context.Context) expect.Case { return c }}
		}
	}
	return s.cases(expectations)
}

// called is a file's name for people, who know its folder.
func called(file labfile.Input) string {
	if file.Text != nil {
		return file.Path
	}
	return filepath.Base(file.Path)
}

// notes say what somebody who tests the lab by its own expectations should know: that its file says something else by
// now.
func (s *server) notes(req TestRequest) []string {
	now := s.now()
	if req.File != nil || req.Given != nil || now.file.Text != nil {
		return nil
	}
	name := called(now.file)
	loaded, err := now.file.Load(labfile.Options{Real: s.start.Real})
	switch {
	case err != nil:
		return []string{fmt.Sprintf("%s can't be read any more: what the lab read from it before is checked", name)}
	case loaded.Lab.Name != now.lab.Name || !expect.SameText(now.read, loaded.Lab):
		return []string{fmt.Sprintf(
			"%s has changed since the lab read it: what it said then is checked; lab apply %s makes the lab what it says now",
			name, name,
		)}
	}
	return nil
}
