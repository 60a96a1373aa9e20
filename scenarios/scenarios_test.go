package scenarios

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestEveryFileIsEmbedded(t *testing.T) {
	var embedded []string
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			embedded = append(embedded, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(embedded)
	if want := filesInFolders(t); !slices.Equal(embedded, want) {
		t.Errorf("embedded: %q\nin the folders: %q", embedded, want)
	}
}

// filesInFolders lists what git has or would take of the scenarios' folders: not node_modules.
func filesInFolders(t *testing.T) []string {
	t.Helper()
	// safe.directory: root may test the clone of somebody else.
	out, err := exec.Command("git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard").
		Output()
	if err != nil {
		t.Fatalf("git ls-files: %v; the test needs git and a clone", err)
	}
	var list []string
	for path := range strings.FieldsSeq(string(out)) {
		if _, err := os.Stat(path); err == nil && strings.Contains(path, "/") {
			list = append(list, path)
		}
	}
	slices.Sort(list)
	return list
}

func TestListHasEveryFolder(t *testing.T) {
	entries, err := files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	list := List()
	if len(list) != len(entries) {
		t.Errorf("%d scenarios listed, %d folders", len(list), len(entries))
	}
	for _, s := range list {
		if s.Title == "" || s.Summary == "" || strings.ContainsAny(s.Title, "#\n") {
			t.Errorf("%s: title %q, summary %q", s.Name, s.Title, s.Summary)
		}
		if len(s.Summary) > 200 {
			t.Errorf("%s: a summary of %d bytes is too long for a list", s.Name, len(s.Summary))
		}
		if _, err := fs.Stat(files, s.Name+"/"+LabFile); err != nil {
			t.Error(err)
		}
	}
}

func TestMaterialise(t *testing.T) {
	t.Setenv(cacheVariable, t.TempDir())
	for _, s := range List() {
		dir, err := Materialise(s.Name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(filepath.Base(dir), s.Name+"-") {
			t.Errorf("%s is in %s", s.Name, dir)
		}
		checkFiles(t, s.Name, dir)
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv(cacheVariable), "scenarios", ".new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// checkFiles compares a folder with the scenario's embedded files.
func checkFiles(t *testing.T, name, dir string) {
	t.Helper()
	err := walk(name, func(path string, content []byte, mode fs.FileMode) error {
		if !same(filepath.Join(dir, path), content, mode) {
			t.Errorf("%s/%s differs from the embedded file", dir, path)
		}
		for parent := filepath.Join(dir, path); parent != dir; {
			parent = filepath.Dir(parent)
			if info, err := os.Stat(parent); err != nil || info.Mode().Perm() != 0o755 {
				t.Errorf("%s: %v, %v; want mode 0755", parent, info.Mode(), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestMaterialiseKeepsWhatWasInstalled(t *testing.T) {
	t.Setenv(cacheVariable, t.TempDir())
	dir, err := Materialise("sql-vnet")
	if err != nil {
		t.Fatal(err)
	}
	installed := filepath.Join(dir, "web", "node_modules", "pg", "index.js")
	if err := os.MkdirAll(filepath.Dir(installed), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(installed, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, LabFile), []byte("lab: changed\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "postgres.sh")); err != nil {
		t.Fatal(err)
	}
	again, err := Materialise("sql-vnet")
	if err != nil || again != dir {
		t.Fatalf("Materialise = %q, %v; want %q", again, err, dir)
	}
	if _, err := os.Stat(installed); err != nil {
		t.Error(err)
	}
	checkFiles(t, "sql-vnet", dir)
}

func TestMaterialiseByManyAtOnce(t *testing.T) {
	t.Setenv(cacheVariable, t.TempDir())
	var wg sync.WaitGroup
	dirs := make([]string, 8)
	for i := range dirs {
		wg.Go(func() {
			dir, err := Materialise("cassandra-vnet")
			if err != nil {
				t.Error(err)
			}
			dirs[i] = dir
		})
	}
	wg.Wait()
	if one := slices.Compact(dirs); len(one) != 1 {
		t.Errorf("several folders: %q", one)
	}
	checkFiles(t, "cassandra-vnet", dirs[0])
}

func TestMaterialiseRefuses(t *testing.T) {
	t.Setenv(cacheVariable, t.TempDir())
	for _, name := range []string{"", "sql", "../sql-vnet", "sql-vnet/web", "."} {
		if dir, err := Materialise(name); err == nil {
			t.Errorf("Materialise(%q) = %q", name, dir)
		}
	}
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(cacheVariable, blocked)
	if _, err := Materialise("sql-vnet"); err == nil || !strings.Contains(err.Error(), cacheVariable) {
		t.Errorf("error %v doesn't name the way out", err)
	}
}
