package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/kballard/go-shellquote"
	"github.com/spf13/cobra"
)

// invocation is how this command was called, so that hints work as they are printed.
type invocation struct {
	program string // as it is typed, for root
	own     string // as it is typed by the user as they are
	elevate string // "sudo ", where the user isn't root or became root for this one command
}

// environment is what an invocation depends on.
type environment struct {
	arg0     string // as the program was called
	euid     int
	sudoUser string // $SUDO_USER
	lookPath func(string) (string, error)
}

func currentInvocation() invocation {
	return environment{os.Args[0], os.Geteuid(), os.Getenv("SUDO_USER"), exec.LookPath}.invocation()
}

// securePath is the PATH of sudo as Debian and Ubuntu configure it (secure_path in sudoers).
var securePath = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

func (e environment) invocation() invocation {
	own := e.arg0
	i := invocation{program: shellquote.Join(own), own: shellquote.Join(own)}
	_, err := e.lookPath("sudo")
	hasSudo := err == nil
	if hasSudo && (e.euid != 0 || e.sudoUser != "") {
		i.elevate = "sudo "
	}
	if e.euid != 0 && !strings.Contains(own, "/") { // sudo and root may not find it where the user does
		if path, err := e.lookPath(own); err == nil && !slices.Contains(securePath, filepath.Dir(path)) {
			i.program = shellquote.Join(path)
		}
	}
	return i
}

// unprivileged are the verbs that need no root.
var unprivileged = []string{"validate", "plan", "schema", "scenarios", "doctor", "version", "help", "completion"}

// commandInText finds a command line of lab in a text: the name and a verb.
var commandInText = regexp.MustCompile("(^|[\\s\"'(`])(sudo )?lab ([a-z][a-z-]*)\\b([^;,\n]*)")

// advice returns a text with each command of lab in it as the user can type it.
func (i invocation) advice(root *cobra.Command, text string) string {
	return commandInText.ReplaceAllStringFunc(text, func(found string) string {
		parts := commandInText.FindStringSubmatch(found)
		before, verb, rest := parts[1], parts[3], parts[4]
		if c, _, err := root.Find([]string{verb}); err != nil || c == root {
			return found
		}
		// The rest may name another command.
		rest = i.advice(root, rest)
		if slices.Contains(unprivileged, verb) || strings.Contains(rest, "--help") {
			return before + i.own + " " + verb + rest
		}
		return before + i.elevate + i.program + " " + verb + rest
	})
}

// asRoot returns what to type so that root runs the same command line.
func (i invocation) asRoot(args []string) string {
	line := i.program + " " + shellquote.Join(args...)
	if i.elevate == "" {
		return "as root: " + line
	}
	return i.elevate + line
}

// adviseHelp makes the examples in help texts those that the user can type.
func (i invocation) adviseHelp(root *cobra.Command) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		c.Example = i.adviceLines(root, c.Example)
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(root)
	root.Long = i.adviceLines(root, root.Long)
}

// adviceLines is advice for a text in which command lines are indented, one per line.
func (i invocation) adviceLines(root *cobra.Command, text string) string {
	lines := strings.Split(text, "\n")
	for n, line := range lines {
		trimmed := strings.TrimLeft(line, " ")
		if trimmed != line && strings.HasPrefix(strings.TrimPrefix(trimmed, "sudo "), "lab ") {
			words := strings.SplitN(strings.TrimPrefix(trimmed, "sudo "), " ", 3)
			lines[n] = line[:len(line)-len(trimmed)] + i.advice(root, strings.Join(words[:2], " "))
			if len(words) > 2 {
				lines[n] += " " + words[2]
			}
		}
	}
	return strings.Join(lines, "\n")
}
