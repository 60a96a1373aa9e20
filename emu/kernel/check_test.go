package kernel

import (
	"strings"
	"testing"
	"time"

	"vnetlab/emu/kerneltest"
)

// Where the other tests run, nothing that labs need is missing.
func TestCheck(t *testing.T) {
	kerneltest.RequireRoot(t)
	start := time.Now()
	seen := map[string]bool{}
	for _, f := range Check(t.Context()) {
		t.Logf("%+v", f)
		if f.Required && !f.OK {
			t.Errorf("%s: %s", f.Name, f.Detail)
		}
		if f.Cost == "" || f.Remedy == "" || seen[f.Name] {
			t.Errorf("%s: no cost, no remedy, or twice", f.Name)
		}
		seen[f.Name] = true
	}
	t.Log(time.Since(start))
}

// What iptables or the kernel refuses is told in their words.
func TestCheckTells(t *testing.T) {
	f := try("x", "cost", "remedy", func() (string, error) { return "", loadLine(t.Context(), "-m no-such-match") })
	if f.OK || !strings.Contains(f.Detail, "no-such-match") {
		t.Errorf("%+v", f)
	}
}
