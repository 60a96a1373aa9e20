package live

import (
	"net/http"

	"vnetlab/lab"
	"vnetlab/lab/labfile"
)

// ApplyRequest says what the lab is to become.
type ApplyRequest struct {
	// File is a lab file, by its absolute path, with the name of the running lab.
	File labfile.Input `json:"file"`
	// DryRun tells what would be done, or refused, and does nothing.
	DryRun bool `json:"dryRun"`
}

// apply makes the lab what a file says. What the file expects of the lab is expected from then on.
func (s *server) apply(w http.ResponseWriter, r *http.Request) {
	var req ApplyRequest
	if !read(w, r, &req) {
		return
	}
	wanted, err := s.load(req.File)
	if err != nil {
		refuse(w, err)
		return
	}
	if req.DryRun {
		operations, err := lab.Reconcile(s.now().lab, wanted)
		if err != nil {
			refuse(w, err)
			return
		}
		answer(w, ChangeResult{Operations: texts(operations), Warnings: []string{}})
		return
	}
	var operations []lab.Operation
	c, err := s.change(func(l *lab.Lab, _ labfile.Input) (*lab.Lab, labfile.Input, error) {
		var err error
		if operations, err = lab.Reconcile(l, wanted); err != nil {
			return nil, labfile.Input{}, err
		}
		next, err := l.Apply(operations...)
		if err != nil {
			return nil, labfile.Input{}, err
		}
		return next.TakeExpectations(wanted), req.File, nil
	})
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, s.changed(r.Context(), operations, c))
}

func texts(operations []lab.Operation) []string {
	all := make([]string, len(operations))
	for i, o := range operations {
		all[i] = o.String()
	}
	return all
}
