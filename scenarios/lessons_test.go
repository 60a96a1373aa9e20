package scenarios

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vnetlab/lab"
	"vnetlab/lab/expect"
	"vnetlab/lab/labfile"
)

func TestLabFilesAreValid(t *testing.T) {
	t.Setenv(cacheVariable, t.TempDir())
	for _, s := range List() {
		for _, real := range []bool{false, true} {
			loaded := load(t, s.Name, real)
			if loaded.Lab.Name != s.Name {
				t.Errorf("the lab of %s is called %s", s.Name, loaded.Lab.Name)
			}
			if c, differs := expect.SameLab(loaded.Lab, load(t, s.Name, real).Lab, "lab.yaml"); differs {
				t.Errorf("%s read again is another lab: %s", s.Name, c.Message)
			}
			if len(loaded.Lab.Expectations) == 0 || loaded.Lab.Exposure == nil {
				t.Errorf("%s expects nothing", s.Name)
			}
			if loaded.Prepare != "" {
				program, _, _ := strings.Cut(loaded.Prepare, " ")
				if info, err := os.Stat(filepath.Join(loaded.Dir, program)); err != nil || info.Mode()&0o111 == 0 {
					t.Errorf("%s: prepare: %s can't be run: %v", s.Name, program, err)
				}
			}
		}
	}
}

// The database's address stands in web.sh, in lessons and in comments.
func TestAddressesAreThoseOfTheLessons(t *testing.T) {
	t.Setenv(cacheVariable, t.TempDir())
	want := map[string]string{
		"sql-vnet/sql1":                    "10.0.2.4",
		"sql-vnet/ContactManager.Web_IN_0": "10.0.1.4",
		"cassandra-vnet/hk-cas1":           "10.1.2.4",
		"cassandra-vnet/hk-cas3":           "10.1.2.6",
		"cassandra-vnet/hk-node":           "10.1.1.4",
	}
	for _, s := range List() {
		for _, i := range instances(load(t, s.Name, false).Lab) {
			if a, ok := want[s.Name+"/"+i.ID]; ok && a != i.DIP.String() {
				t.Errorf("%s: %s has %s, want %s", s.Name, i.ID, i.DIP, a)
			}
			delete(want, s.Name+"/"+i.ID)
		}
	}
	for missing := range want {
		t.Errorf("there is no %s", missing)
	}
}

// TestCommandsOfTheLessons holds the commands of each README to the verbs and to the names of its own lab.
func TestCommandsOfTheLessons(t *testing.T) {
	t.Setenv(cacheVariable, t.TempDir())
	for _, s := range List() {
		l := load(t, s.Name, false).Lab
		var starts []string // where a probe or a command may start
		for _, i := range instances(l) {
			starts = append(starts, i.ID)
		}
		sources := slices.Clone(starts)
		for _, h := range l.InternetHosts {
			sources = append(sources, h.Name)
		}
		for _, w := range l.WebSites {
			sources = append(sources, w.Name)
		}
		commands := lessonCommands(t, s.Name)
		if len(commands) == 0 {
			t.Errorf("%s: the lesson has no commands", s.Name)
		}
		for _, c := range commands {
			words := strings.Fields(c)
			if len(words) < 3 || words[0] != "sudo" || words[1] != "lab" {
				t.Errorf("%s: %q isn't `sudo lab VERB`", s.Name, c)
				continue
			}
			args := slices.DeleteFunc(words[3:], func(w string) bool { return w == "--real" })
			ok := false
			switch words[2] {
			case "run", "up":
				ok = slices.Equal(args, []string{s.Name})
			case "show", "test", "down":
				ok = len(args) == 0
			case "probe":
				ok = len(args) == 2 && slices.Contains(sources, args[0]) && strings.Contains(args[1], ":")
			case "exec":
				ok = len(args) > 2 && slices.Contains(starts, args[0]) && args[1] == "--"
			case "logs", "shell":
				ok = len(args) == 1 && slices.Contains(starts, args[0])
			}
			if !ok {
				t.Errorf("%s: %q can't work", s.Name, c)
			}
		}
	}
}

func load(t *testing.T, name string, real bool) *labfile.Loaded {
	t.Helper()
	dir, err := Materialise(name)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := labfile.Load(filepath.Join(dir, LabFile), labfile.Options{Real: real})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return loaded
}

func instances(l *lab.Lab) []*lab.Instance {
	var all []*lab.Instance
	for _, s := range l.CloudServices {
		all = append(all, s.Production.Instances...)
	}
	return all
}

// lessonCommands gives the lines of a README's fenced blocks of shell.
func lessonCommands(t *testing.T, name string) []string {
	t.Helper()
	readme, err := files.ReadFile(name + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	inside := false
	for lines := bufio.NewScanner(bytes.NewReader(readme)); lines.Scan(); {
		switch line := lines.Text(); {
		case line == "```sh":
			inside = true
		case line == "```":
			inside = false
		case inside:
			commands = append(commands, line)
		}
	}
	return commands
}
