// Package kerneltest helps tests that need the kernel: it tells where they can run and makes networks to run them on.
package kerneltest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// programs are what the kernel packages start, or their tests look with.
var programs = []string{"ip", "bridge", "nft", "iptables", "iptables-restore"}

// RequireRoot skips the test where it can't make network namespaces: without root or a program it needs. In CI that is a
// failure: there the test must run.
func RequireRoot(t testing.TB) {
	t.Helper()
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "root")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return
	}
	lack := "needs " + strings.Join(missing, ", ")
	if os.Getenv("CI") != "" {
		t.Fatal(lack)
	}
	t.Skip(lack)
}
