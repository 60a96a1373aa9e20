package supervisor

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What is in the way of a lab's names is told with what to do about it, and stays.
func TestNameIsTaken(t *testing.T) {
	t.Setenv("VNETLAB_RUN", t.TempDir())
	path := filepath.Join(netnsDir(), "first.web1")
	if err := os.MkdirAll(netnsDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := makeLinks("first", 1, map[string]int{"web1": 3})
	if err == nil || !strings.Contains(LimitHint(err), "rm "+path) {
		t.Errorf("%v, %q", err, LimitHint(err))
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "somebody's" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := makeLinks("first", 1, map[string]int{"web1": 3}); err != nil {
		t.Error(err)
	}
}

// Where the folder of names can't be made, the error is why, and not that it is missing.
func TestNamesCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VNETLAB_RUN", filepath.Join(file, "run"))
	if err := makeLinks("first", 1, map[string]int{"web1": 3}); !errors.Is(err, unix.ENOTDIR) {
		t.Error(err)
	}
	if hint := LimitHint(
		&os.PathError{Op: "mkdir", Path: "/run/lab", Err: unix.EROFS},
	); !strings.Contains(
		hint,
		"VNETLAB_RUN",
	) {
		t.Error(hint)
	}
}
