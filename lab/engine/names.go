package engine

import (
	"errors"
	"fmt"

	"vnetlab/emu"
	"vnetlab/lab"
)

// Below this package a namespace goes by its id, which stays the same as long as it exists. People use names for what
// is in it, which follow the slots of deployments. The engine translates everything that it passes on.

// ErrorInNames returns an error with the names of the lab in place of those of namespaces.
func ErrorInNames(l *lab.Lab, err error) error {
	//nolint:errorlint // only of this error: what wraps it has its own text
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, ErrorInNames(l, e))
		}
		return errors.Join(all...)
	}
	if e, ok := err.(*emu.InstanceError); ok { //nolint:errorlint // as above
		return fmt.Errorf("%s: %w", l.NamespaceName(e.Instance), e.Err)
	}
	return err
}
