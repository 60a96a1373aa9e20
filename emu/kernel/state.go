package kernel

import (
	"errors"
)

// State is a network that the kernel has. It holds the namespaces open.
type State struct {
	namespaces []*Namespace
	byName     map[string]*Namespace
}

// Namespace finds a namespace by its name.
func (s *State) Namespace(name string) (*Namespace, bool) {
	n, ok := s.byName[name]
	return n, ok
}

// Namespaces gives all namespaces in the order of the network. The slice is not for changing.
func (s *State) Namespaces() []*Namespace { return s.namespaces }

// Close lets go of all namespaces. The kernel destroys each that no process and no socket holds any more, with all that is in
// it, some time later; see WaitUntilGone.
func (s *State) Close() error {
	var errs []error
	for _, n := range s.namespaces {
		errs = append(errs, n.Close())
	}
	s.namespaces, s.byName = nil, nil
	return errors.Join(errs...)
}
