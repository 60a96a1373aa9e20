package supervisor

import (
	"os"
	"path/filepath"
	"testing"
)

// TestProcessesLeft holds that the strictest of the control groups counts, of both versions.
func TestProcessesLeft(t *testing.T) {
	root := t.TempDir()
	put := func(file, text string) {
		path := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("pids/a/pids.max", "10")
	put("pids/a/pids.current", "7")
	put("pids/a/b/pids.max", "100")
	put("pids/a/b/pids.current", "7")
	put("u/pids.max", "max")
	put("u/pids.current", "7")
	put("v/pids.max", "5")
	put("v/pids.current", "9")
	for membership, want := range map[string]struct {
		left  int
		group string
		ok    bool
	}{
		"3:cpu:/\n2:pids:/a/b\n": {3, "pids/a", true},
		"0::/u\n":                {0, "", false},
		"0::/v\n":                {-4, "v", true},
		"0::/none\n":             {0, "", false},
		"nonsense\n":             {0, "", false},
	} {
		put("membership", membership)
		left, group, ok := processesLeft(filepath.Join(root, "membership"), root)
		if want.group != "" {
			want.group = filepath.Join(root, want.group)
		}
		if left != want.left || group != want.group || ok != want.ok {
			t.Errorf("%q: %d, %s, %t, want %v", membership, left, group, ok, want)
		}
	}
}
