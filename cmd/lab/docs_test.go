package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/tools/txtar"
)

// A reader types what stands in the documents: every line of their blocks of shell is run, in order and in one
// folder. A block of YAML whose first line is a comment with a file name is that file.
func TestDocumentation(t *testing.T) {
	requireRoot(t)
	top := filepath.Join("..", "..")
	lessons, err := filepath.Glob(filepath.Join(top, "scenarios", "*", "README.md"))
	if err != nil || len(lessons) == 0 {
		t.Fatalf("no lessons: %v", err)
	}
	documents, err := filepath.Glob(filepath.Join(top, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	documents = append(documents, filepath.Join(top, "README.md"), filepath.Join(top, "CONTRIBUTING.md"),
		filepath.Join(top, "SECURITY.md"))
	for _, path := range append(lessons, documents...) {
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) && !strings.Contains(path, "scenarios") {
			continue // of the tree, which a package of the sources may lack
		}
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(top, path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { runDocument(t, text) })
	}
}

// notRun are the beginnings of lines that a test can't run, with the reason.
var notRun = map[string]string{
	"git clone":               "the network",
	"cd ":                     "follows git clone",
	"make":                    "builds and tests the tree, which runs this test",
	"sudo scripts/quickstart": "installs packages",
	"sudo scripts/test":       "runs this test",
	"sudo scripts/bench":      "takes minutes",
	"sudo scripts/provision":  "installs packages",
	"sudo install":            "changes this machine",
	"scripts/vm-test":         "boots a virtual machine",
	"vagrant ":                "boots a virtual machine",
	"lab shell":               "needs a terminal; testdata/root/programs.txtar has one",
	"lab logs -f":             "goes on until Ctrl-C; testdata/root/programs.txtar presses it",
	"lab up --foreground":     "goes on until Ctrl-C; testdata/root/interrupt.txtar presses it",
	"source <(lab completion": "is for bash",
}

func reasonNotToRun(line string) string {
	for start, reason := range notRun {
		if strings.HasPrefix(line, start) || strings.HasPrefix(strings.TrimPrefix(line, "sudo "), start) {
			return reason
		}
	}
	return ""
}

// needs are the programs that lines with --real start.
var needs = []string{"node", "npm", "psql"}

func runDocument(t *testing.T, text []byte) {
	blocks := fencedBlocks(text)
	archive := &txtar.Archive{}
	script := &bytes.Buffer{}
	for _, b := range blocks {
		switch b.language {
		case "yaml":
			if name, ok := strings.CutPrefix(b.lines[0], "# "); ok && strings.HasSuffix(name, ".yaml") &&
				!strings.Contains(name, " ") {
				archive.Files = append(
					archive.Files,
					txtar.File{Name: name, Data: []byte(strings.Join(b.lines, "\n") + "\n")},
				)
			}
		case "sh":
			if !usable(t, b) {
				continue
			}
			for _, line := range b.lines {
				fmt.Fprintf(script, "%s\n", scriptLine(t, line))
			}
		}
	}
	archive.Comment = script.Bytes()
	file := filepath.Join(t.TempDir(), "document.txtar")
	if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Files: []string{file}, RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{"HOME", "http_proxy", "https_proxy", "no_proxy"} { // what npm goes by
				env.Setenv(name, os.Getenv(name))
			}
			for _, v := range os.Environ() {
				if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(strings.ToLower(name), "npm_config_") {
					env.Setenv(name, value)
				}
			}
			if err := ownDirectories(env); err != nil {
				return err
			}
			return installWebApplication(env)
		},
	})
}

// installWebApplication puts the packages of sql-vnet's web application where its prepare.sh would, if the tree
// has them: then the test needs no network.
func installWebApplication(env *testscript.Env) error {
	const modules = "web/node_modules"
	installed := filepath.Join("..", "..", "scenarios", "sql-vnet", modules)
	if _, err := os.Stat(filepath.Join(installed, ".package-lock.json")); err != nil {
		return nil // npm will fetch them
	}
	ask := asLab("scenarios", "sql-vnet", "--output", "json")
	ask.Env = env.Vars
	text, err := ask.Output()
	if err != nil {
		return fmt.Errorf("lab scenarios: %w", err)
	}
	var scenario struct{ Dir string }
	if err := json.Unmarshal(text, &scenario); err != nil {
		return err
	}
	return os.CopyFS(filepath.Join(scenario.Dir, modules), os.DirFS(installed))
}

// usable reports whether this machine has what a block needs. In CI it must.
func usable(t *testing.T, b block) bool {
	if !strings.Contains(strings.Join(b.lines, "\n"), "--real") {
		return true
	}
	for _, program := range needs {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Logf("without a block that needs %s: %s", program, b.lines[0])
			return false
		}
	}
	return true
}

// scriptLine returns a line of the document as a line of a script.
func scriptLine(t *testing.T, line string) string {
	command := strings.TrimSpace(line)
	switch {
	case command == "" || strings.HasPrefix(command, "#"):
		return ""
	case reasonNotToRun(command) != "":
		return "# " + command
	}
	command = strings.TrimPrefix(command, "sudo ")
	if !strings.HasPrefix(command, "lab ") {
		t.Errorf("the document has the line %q, which is neither lab nor known as a line that can't be run here", line)
	}
	return "exec sh -c '" + strings.ReplaceAll(command, "'", "''") + "'"
}

type block struct {
	language string
	lines    []string
}

// fencedBlocks returns the fenced blocks of a Markdown text that aren't empty.
func fencedBlocks(text []byte) []block {
	var all []block
	var current *block
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		language, fence := strings.CutPrefix(strings.TrimSpace(lines.Text()), "```")
		switch {
		case fence && current == nil:
			current = &block{language: language}
		case fence:
			if len(current.lines) > 0 {
				all = append(all, *current)
			}
			current = nil
		case current != nil:
			current.lines = append(current.lines, lines.Text())
		}
	}
	return all
}
