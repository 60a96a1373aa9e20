package live

import (
	"errors"
	"fmt"

	"vnetlab/emu"
	"vnetlab/lab"
)

// Below this package a namespace has its id, which stays the same as long as it exists. People call what is in it by
// names that follow the slots of deployments. What comes from below is told in names from here on.

// errorInNames returns an error with the names of the lab in place of those of namespaces.
func errorInNames(l *lab.Lab, err error) error {
	//nolint:errorlint // only of this error: what wraps it has its own text
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, errorInNames(l, e))
		}
		return errors.Join(all...)
	}
	if e, ok := err.(*emu.InstanceError); ok { //nolint:errorlint // likewise
		return fmt.Errorf("%s: %w", l.NamespaceName(e.Instance), e.Err)
	}
	return err
}
