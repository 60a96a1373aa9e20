package kerneltest

import (
	"testing"
	"time"
)

// Patience is how long a test waits for a condition. A passing test rarely waits that long: it leaves room for a loaded
// machine.
const Patience = time.Minute

// Becomes waits until a condition holds, for at most [Patience], and reports whether it does.
func Becomes(isSo func() bool) bool {
	for deadline := time.Now().Add(Patience); !isSo(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// Eventually fails the test if a condition doesn't come to hold.
func Eventually(t testing.TB, what string, isSo func() bool) {
	t.Helper()
	if !Becomes(isSo) {
		t.Fatalf("%s: not within %s", what, Patience)
	}
}
