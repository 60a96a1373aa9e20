// Package kerneltest helps tests that need the kernel: it decides where they can run, makes networks to run them on and
// waits for conditions.
package kerneltest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// programs are what the kernel packages start, or their tests look with.
var programs = []string{"ip", "bridge", "nft", "iptables", "iptables-restore"}

// RequireRoot skips the test where it can't make network namespaces: without root or a program it needs. In CI that
// is a failure: there the test must run.
func RequireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Lacks(t, "root")
	}
	RequirePrograms(t, programs...)
}

// RequirePrograms skips the test, or fails it in CI, if a program is missing.
func RequirePrograms(t testing.TB, names ...string) {
	t.Helper()
	var missing []string
	for _, p := range names {
		if _, err := exec.LookPath(p); err != nil {
			missing = append(missing, p)
		}
	}
	if len(missing) > 0 {
		Lacks(t, strings.Join(missing, ", "))
	}
}

// Lacks skips the test because something is missing; in CI it fails the test.
func Lacks(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal("needs " + what)
	}
	t.Skip("needs " + what)
}
