package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"vnetlab/lab/supervisor"
)

// The test binary plays lab: in scripts, as the supervisor that `lab up` starts, and as the init of an instance.
func TestMain(m *testing.M) {
	supervisor.MaybeInit()
	testscript.Main(m, map[string]func(){"lab": main})
}

// Scripts of what needs no root.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               ownDirectories,
		Cmds:                commands(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// Scripts of running labs.
func TestRunningLabs(t *testing.T) {
	requireRoot(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/root",
		Setup:               ownDirectories,
		Cmds:                commands(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// requireRoot skips a test that makes labs where none can be made. In CI it must run.
func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("needs root")
	}
	t.Skip("needs root")
}

// ownDirectories gives a script its own labs and cache, and ends the labs that it leaves.
func ownDirectories(env *testscript.Env) error {
	dir, err := os.MkdirTemp("", "lab") // short: the paths of sockets are
	if err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // programs of a lab may run as anybody
		return err
	}
	env.Setenv("VNETLAB_RUN", filepath.Join(dir, "run"))
	env.Setenv("VNETLAB_CACHE", filepath.Join(dir, "cache"))
	env.Setenv("LAB", "")
	env.Setenv("LABBIN", filepath.SplitList(env.Getenv("PATH"))[0]) // a PATH with only lab in it
	env.Setenv("NO_COLOR", "")
	env.Setenv("TERM", "xterm")
	env.Setenv("GORACE", "atexit_sleep_ms=0") // a second for each lab
	variables := env.Vars
	env.Defer(func() {
		if os.Geteuid() == 0 {
			down := asLab("down", "--all")
			down.Env = append(variables, "VNETLAB_RUN="+filepath.Join(dir, "run"))
			if out, err := down.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "%s\n", out)
			}
		}
		os.RemoveAll(dir)
	})
	return nil
}

// asLab is a lab that needs no PATH.
func asLab(args ...string) *exec.Cmd {
	c := exec.Command("/proc/self/exe", args...)
	c.Args[0] = "lab"
	return c
}

// labOf is a lab with the environment of a script, in its folder.
func labOf(ts *testscript.TestScript, args ...string) *exec.Cmd {
	c := asLab(args...)
	c.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "VNETLAB_RUN", "VNETLAB_CACHE", "HOME", "GORACE", "LAB", "TERM", "NO_COLOR"} {
		c.Env = append(c.Env, name+"="+ts.Getenv(name))
	}
	return c
}

// timeout is how long a script waits for something that must happen. A passing run doesn't wait.
const timeout = time.Minute

func commands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"exits": exits, "json": jsonValue, "nobody": nobody, "interrupt": interrupt,
		"eventually": eventually, "forwards": forwards, "terminal": onTerminal,
	}
}

// exits STATUS PROGRAM... runs a program that must end with the status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM ARGUMENT...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case err == nil && want != 0:
		ts.Fatalf("exit status 0, want %d", want)
	case errors.As(err, &exit):
		if exit.ExitCode() != want {
			ts.Fatalf("%v, want %d", err, want)
		}
	default:
		ts.Check(err)
	}
}

// json PATH [VALUE] compares a value of the JSON on stdout; PATH is names and numbers with dots between. Without
// VALUE it must be there.
func jsonValue(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: json PATH [VALUE]")
	}
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	found := true
	for step := range strings.SplitSeq(args[0], ".") {
		v, found = child(v, step)
		if !found {
			break
		}
	}
	got := "nothing"
	if found {
		got = fmt.Sprint(v)
	}
	matches := found && (len(args) == 1 || got == args[1])
	if matches == neg {
		ts.Fatalf("json %s: got %s", strings.Join(args, " "), got)
	}
}

// child returns a part of a decoded JSON value: a member, an element, or for length the number of elements.
func child(v any, step string) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		c, ok := v[step]
		return c, ok
	case []any:
		if step == "length" {
			return len(v), true
		}
		i, err := strconv.Atoi(step)
		if err != nil || i >= len(v) {
			return nil, false
		}
		return v[i], true
	}
	return nil, false
}

// nobody STATUS ARGUMENT... runs lab without root's rights.
func nobody(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	c := labOf(ts, args[1:]...)
	c.Dir = "/"
	if os.Geteuid() == 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := c.CombinedOutput()
	ts.Check(os.WriteFile(ts.MkAbs("answer"), out, 0o644))
	ts.Logf("%s", out)
	if got := c.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit status %d (%v), want %d", got, err, want)
	}
}

// interrupt WHEN ARGUMENT... starts lab, interrupts it when its output matches WHEN, or that long after it has
// begun with a lab, and expects status 130.
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: interrupt REGEXP|DURATION ARGUMENT...")
	}
	c := labOf(ts, args[1:]...)
	out, err := os.Create(ts.MkAbs("interrupted"))
	ts.Check(err)
	defer out.Close()
	c.Stdout, c.Stderr = out, out
	ts.Check(c.Start())
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	when := regexp.MustCompile(args[0])
	ready := func() bool { return when.MatchString(ts.ReadFile("interrupted")) }
	after, err := time.ParseDuration(args[0])
	if err == nil {
		// A time from the start would be a race with the program's first steps: until it listens to signals, one just
		// ends it. The first thing that it does with a lab is to make a folder.
		ready = func() bool { _, err := os.Stat(ts.Getenv("VNETLAB_RUN")); return err == nil }
	}
	for deadline := time.Now().Add(timeout); !ready(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			c.Process.Kill()
			ts.Fatalf("no %s in %s", args[0], ts.ReadFile("interrupted"))
		}
	}
	time.Sleep(after)
	ts.Check(c.Process.Signal(os.Interrupt))
	select {
	case <-ended:
	case <-time.After(timeout):
		c.Process.Kill()
		ts.Fatalf("it goes on after an interrupt")
	}
	ts.Logf("%s", ts.ReadFile("interrupted"))
	if got := c.ProcessState.ExitCode(); got != exitInterrupted {
		ts.Fatalf("exit status %d, want %d", got, exitInterrupted)
	}
}
