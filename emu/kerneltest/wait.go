package kerneltest

import (
	"testing"
	"time"
)

// Patience is how long a test waits for what must come. Nobody waits so long where all is well: a machine under load
// may take a while.
const Patience = time.Minute

// Becomes waits until something is so, as long as [Patience]; false: it never was.
func Becomes(isSo func() bool) bool {
	for deadline := time.Now().Add(Patience); !isSo(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// Eventually fails the test if something doesn't become so.
func Eventually(t testing.TB, what string, isSo func() bool) {
	t.Helper()
	if !Becomes(isSo) {
		t.Fatalf("%s: not within %s", what, Patience)
	}
}
