package live

import (
	"context"
	"fmt"
	"path/filepath"

	"vnetlab/lab"
	"vnetlab/lab/expect"
	"vnetlab/lab/labfile"
)

// checks lists the checks of a test. What a file expects of another lab than the one that runs is not checked on this one.
func (s *server) checks(req TestRequest, expectations *lab.Lab) []check {
	if req.File != "" {
		if c, differs := expect.SameLab(s.now().lab, expectations, filepath.Base(req.File)); differs {
			return []check{func(context.Context) expect.Case { return c }}
		}
	}
	return s.cases(expectations)
}

// notes say what somebody who tests the lab by its own expectations should know: that its file says something else by now.
func (s *server) notes(req TestRequest) []string {
	now := s.now()
	if req.File != "" || req.Given != nil {
		return nil
	}
	name := filepath.Base(now.file)
	loaded, err := labfile.Load(now.file, labfile.Options{Real: s.start.Real})
	switch {
	case err != nil:
		return []string{fmt.Sprintf("%s can't be read any more: what the lab read from it before is checked", name)}
	case loaded.Lab.Name != now.lab.Name || !expect.SameText(now.read, loaded.Lab):
		return []string{fmt.Sprintf("%s has changed since the lab read it: what it said then is checked; lab apply %s makes the lab what it says now", name, name)}
	}
	return nil
}
