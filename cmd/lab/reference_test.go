package main

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "rewrite the reference in docs/cli")

// TestReference holds that docs/cli is what lab docs writes.
func TestReference(t *testing.T) {
	folder := filepath.Join("..", "..", "docs", "cli")
	if _, err := os.Stat(filepath.Dir(folder)); os.IsNotExist(err) {
		t.Skip("the tree has no docs")
	}
	a := &app{stdout: newOutput(nil), stderr: newOutput(nil), format: textFormat}
	if *update {
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		if err := a.writeReference(markdownForm, folder); err != nil {
			t.Fatal(err)
		}
	}
	made := t.TempDir()
	if err := a.writeReference(markdownForm, made); err != nil {
		t.Fatal(err)
	}
	want, got := filesOf(t, made), filesOf(t, folder)
	var stale []string
	for name, text := range want {
		if got[name] != text {
			stale = append(stale, name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			stale = append(stale, name)
		}
	}
	if slices.Sort(stale); len(stale) > 0 {
		t.Errorf(
			"docs/cli is not current: %s\nrun go test ./cmd/lab -run TestReference -update",
			strings.Join(stale, ", "),
		)
	}
	if len(want) < 60 || !strings.Contains(want["lab_endpoint_add.md"], "--public") ||
		want["lab_endpoint-spec.md"] == "" {
		t.Errorf("%d files", len(want))
	}
	if err := a.writeReference(manForm, made); err != nil {
		t.Fatal(err)
	}
	if page, err := os.ReadFile(filepath.Join(made, "lab-endpoint-add.1")); err != nil ||
		!strings.HasPrefix(string(page), ".nh\n.TH") {
		t.Errorf("%v: %.40q", err, page)
	}
}

func filesOf(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(text)
	}
	return all
}

// TestHelpFits holds that help texts fit a terminal of 90 columns; an example is typed in one line, however long.
func TestHelpFits(t *testing.T) {
	const columns = 90
	root := (&app{stdout: newOutput(nil), stderr: newOutput(nil), format: textFormat}).root()
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Name() == "completion" {
			return // cobra's own words
		}
		texts := cmd.Short + "\n" + cmd.Long + "\n" + cmd.LocalFlags().FlagUsagesWrapped(helpColumns)
		for line := range strings.SplitSeq(texts, "\n") {
			if w := width(line); w > columns {
				t.Errorf("%s: %d columns: %s", cmd.CommandPath(), w, line)
			}
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(root)
}
