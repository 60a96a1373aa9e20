package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/lab"
	"vnetlab/lab/compile"
	"vnetlab/lab/labfile"
)

// state is what a lab is at one moment. It never changes: a change makes another one, which shares with it what stays.
type state struct {
	lab      *lab.Lab
	compiled *compile.Compilation
	file     labfile.Input // by its absolute path
	// read is the lab that the file described when it was read.
	read *lab.Lab
}

func newState(l *lab.Lab, file labfile.Input) *state {
	return &state{lab: l, compiled: new(compile.Compilation).Next(l), file: file, read: l}
}

func (s *state) next(l *lab.Lab, file labfile.Input) *state {
	return &state{lab: l, compiled: s.compiled.Next(l), file: file, read: s.read}
}

func (s *state) network() *emu.Network { return s.compiled.Network }

// now gives what the lab is.
func (s *server) now() *state { return s.state.Load() }

// errNoChange says that there is nothing to change.
var errNoChange = errors.New("nothing to change")

// change makes the lab what next makes of it, packets and all, or leaves it as it is. Next sees the lab as it is and gives another one, and
// the file whose lab that is. Changes that come at the same time are made one after the other.
func (s *server) change(next func(lab *lab.Lab, file labfile.Input) (*lab.Lab, labfile.Input, error)) (emu.Updated, error) {
	return s.changeReading(nil, next)
}

// changeReading is change where a file was read that describes a lab; nil: none was.
func (s *server) changeReading(
	read *lab.Lab, next func(lab *lab.Lab, file labfile.Input) (*lab.Lab, labfile.Input, error),
) (emu.Updated, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	old := s.now()
	l, file, err := next(old.lab, old.file)
	if err != nil {
		return emu.Updated{}, err
	}
	now := old.next(l, file)
	change := diff.Networks(old.network(), now.network())
	ended, begun := questions(change)
	if forgotten := forgetHealth(l, ended, begun); forgotten != l { // who serves differs then, not what is asked
		now = old.next(forgotten, file)
		change = diff.Networks(old.network(), now.network())
	}
	if read != nil {
		now.read = read
	}
	c, err := s.replace(now, change)
	if err != nil {
		return c, err
	}
	for _, p := range begun { // they may have had their answers already
		s.health.tell(p.ID)
	}
	if len(c.Removed)+len(c.Added) > 0 || !lab.SameNames(old.lab, now.lab) {
		if err := s.links.update(c.Removed, c.Added, now.lab.NamespaceName); err != nil {
			fmt.Fprintln(os.Stderr, err) // tcpdump and its kin don't find a namespace by name; the lab is as it should be
		}
	}
	return c, nil
}

// replace changes the packets. Who asks packets meanwhile can know by generation that they changed under the question.
func (s *server) replace(now *state, change *diff.Change) (emu.Updated, error) {
	s.packets.Lock()
	defer s.packets.Unlock()
	s.generation.Add(1)
	defer s.generation.Add(1)
	// Whoever asked may hang up; a change that has begun is made.
	c, err := s.emu.Update(context.Background(), change)
	if err != nil {
		return c, fmt.Errorf("the kernel refuses the change: %w", err)
	}
	s.state.Store(now)
	return c, nil
}

// ChangeResult tells what a change has done.
type ChangeResult struct {
	// Operations are what was done, as a person reads it, in order. Of a dry run: what would be done.
	Operations []string `json:"operations"`
	// Warnings tell what isn't as it should be although the change was made: a program that doesn't listen.
	Warnings []string `json:"warnings"`
}

// operations does operations in order, all of them or none.
func (s *server) operations(w http.ResponseWriter, r *http.Request) {
	var raw []json.RawMessage
	if !read(w, r, &raw) {
		return
	}
	var operations []lab.Operation
	for _, text := range raw {
		o, err := lab.UnmarshalOperation(text)
		if err != nil {
			refuse(w, badRequest(err))
			return
		}
		operations = append(operations, o)
	}
	c, err := s.change(func(l *lab.Lab, file labfile.Input) (*lab.Lab, labfile.Input, error) {
		next, err := l.Apply(operations...)
		return next, file, err
	})
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, s.changed(r.Context(), operations, c))
}

// badRequest is the error for a request that can't be read; a platform error stays what it is.
func badRequest(err error) error {
	var platform *lab.Error
	if errors.As(err, &platform) {
		return err
	}
	return &Error{HTTPStatus: http.StatusBadRequest, Message: err.Error()}
}

// changed waits until the programs that a change started listen, and tells what was done.
func (s *server) changed(ctx context.Context, operations []lab.Operation, c emu.Updated) ChangeResult {
	result := ChangeResult{Operations: texts(operations), Warnings: []string{}}
	if err := c.Wait(ctx); err != nil {
		result.Warnings = append(result.Warnings, errorInNames(s.now().lab, err).Error())
	}
	return result
}

// RestartRequest says what to restart.
type RestartRequest struct {
	Instance string `json:"instance"`
}

// restart ends all that runs in an instance and starts its services again.
func (s *server) restart(w http.ResponseWriter, r *http.Request) {
	var req RestartRequest
	if !read(w, r, &req) {
		return
	}
	c, err := s.restartInstance(req.Instance)
	if err != nil {
		refuse(w, err)
		return
	}
	result := s.changed(r.Context(), nil, c)
	name, ok := s.now().lab.CanonicalName(req.Instance)
	if !ok {
		name = req.Instance // it was there when it was restarted
	}
	result.Operations = append(result.Operations, "restart "+name)
	answer(w, result)
}

func (s *server) restartInstance(name string) (emu.Updated, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	namespace, err := s.now().lab.Namespace(name)
	if err != nil {
		return emu.Updated{}, err
	}
	s.packets.Lock()
	defer s.packets.Unlock()
	s.generation.Add(1)
	defer s.generation.Add(1)
	return s.emu.Restart(context.Background(), namespace)
}
