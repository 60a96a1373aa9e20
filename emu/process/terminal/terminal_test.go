package terminal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/emu/kerneltest"
	"vnetlab/emu/process"
)

func TestMain(m *testing.M) {
	process.MaybeInit()
	os.Exit(m.Run())
}

func newInstance(t *testing.T) *process.Instance {
	t.Helper()
	kerneltest.RequireRoot(t)
	spec := &emu.Namespace{Name: "sql1", Kind: emu.Host}
	state, err := kernel.Apply(t.Context(), &emu.Network{Namespaces: []*emu.Namespace{spec}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ns, _ := state.Namespace("sql1")
	in := process.New(ns, spec, process.Options{})
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), state.Close()); err != nil {
			t.Error(err)
		}
	})
	return in
}

// user sits at a terminal: what they type goes to keys, what they see is collected.
type user struct {
	t    *testing.T
	keys *os.File
	mark string // in the environment of all that runs at this terminal, and nowhere else
	mu   sync.Mutex
	seen string
}

var users atomic.Int32

func newUser(t *testing.T) (*user, *os.File) {
	keys, screen, err := process.OpenPTY()
	if err != nil {
		t.Fatal(err)
	}
	u := &user{t: t, keys: keys, mark: fmt.Sprintf("AT_TERMINAL=%d-%d", os.Getpid(), users.Add(1))}
	t.Cleanup(func() { keys.Close(); screen.Close() })
	go func() {
		buf := make([]byte, 1024)
		for {
			n, err := keys.Read(buf)
			u.mu.Lock()
			u.seen += string(buf[:n])
			u.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return u, screen
}

// types types something and waits until the screen then shows what is expected. Typing nothing waits
// for what may have come already.
func (u *user) types(keys, expect string) {
	u.t.Helper()
	u.waitsAfter(keys, expect, func(seen string) bool { return strings.Contains(seen, expect) })
}

// runs does so with what makes the shell ask again, and waits for that too: keys typed earlier may meet the terminal
// in a mode that isn't the shell's, and what is shown later may be taken for the answer to the next keys.
func (u *user) runs(keys, expect string) {
	u.t.Helper()
	u.waitsAfter(
		keys,
		expect,
		func(seen string) bool { return strings.Contains(seen, expect) && strings.HasSuffix(seen, prompt) },
	)
}

const prompt = "$ "

func (u *user) waitsAfter(keys, expect string, done func(seen string) bool) {
	u.t.Helper()
	if keys != "" {
		u.mu.Lock()
		u.seen = ""
		u.mu.Unlock()
	}
	if _, err := io.WriteString(u.keys, keys); err != nil {
		u.t.Fatal(err)
	}
	var seen string
	if !kerneltest.Becomes(func() bool {
		u.mu.Lock()
		seen = u.seen
		u.mu.Unlock()
		return done(seen)
	}) {
		u.t.Fatalf("after %q the screen shows %q and not %q", keys, seen, expect)
	}
}

// sitDown runs a command on a terminal as lab exec does.
func sitDown(t *testing.T, in *process.Instance, argv ...string) (*user, func() (int, error)) {
	u, screen := newUser(t)
	before, err := unix.IoctlGetTermios(int(screen.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 100}); err != nil {
		t.Fatal(err)
	}
	type result struct {
		exit int
		err  error
	}
	done := make(chan result, 1)
	go func() {
		exit, err := run(
			screen,
			screen,
			screen,
			in.OpenTerminal,
			func(stdin, stdout, stderr *os.File, isTerminal bool) (int, error) {
				return in.Exec(t.Context(), process.Command{
					Argv:     argv,
					Env:      []string{"TERM=dumb", "PS1=" + prompt, u.mark},
					Stdin:    stdin,
					Stdout:   stdout,
					Stderr:   stderr,
					Terminal: isTerminal,
				})
			},
		)
		done <- result{exit, err}
	}()
	return u, func() (int, error) {
		t.Helper()
		select {
		case r := <-done:
			if after, err := unix.IoctlGetTermios(int(screen.Fd()), unix.TCGETS); err != nil || *after != *before {
				t.Errorf("the terminal is not as before: %v %+v", err, after)
			}
			return r.exit, r.err
		case <-time.After(kerneltest.Patience):
			t.Fatal("the command doesn't end")
			return 0, nil
		}
	}
}

func TestJobControl(t *testing.T) {
	in := newInstance(t)
	for _, shell := range [][]string{{"bash", "--norc", "--noprofile", "-i"}, {"sh", "-i"}} {
		t.Run(shell[0], func(t *testing.T) {
			u, wait := sitDown(t, in, shell...)
			u.runs("", "")
			u.runs("tty\n", "/dev/pts/")
			u.runs("tty; echo seen-$((40+2))\r", "seen-42\r\n$ ")
			u.runs("stty size\r", "30 100")
			u.types("sleep 86396.5\r", "sleep 86396.5\r\n")
			u.waitFor("sleep")
			u.runs("\x03", "") // Ctrl-C
			u.runs("echo status $?\r", "status 130")
			u.types("sleep 86396.5\r", "sleep 86396.5\r\n")
			u.waitFor("sleep")
			u.runs("\x1a", "Stopped") // Ctrl-Z
			u.runs("jobs\r", "Stopped")
			u.types("fg\r", "sleep 86396.5\r\n")
			u.waitFor("sleep")
			u.runs("\x03", "")
			u.types("cat\r", "cat\r\n")
			u.waitFor("cat")
			u.types("line\r", "line\r\nline\r\n")
			u.runs("\x04", "") // Ctrl-D
			u.types(`until [ "$(stty size)" = "11 22" ]; do sleep 0.01; done; echo re''sized`+"\r", "re''sized\r\n")
			if err := unix.IoctlSetWinsize(
				int(u.keys.Fd()),
				unix.TIOCSWINSZ,
				&unix.Winsize{Row: 11, Col: 22},
			); err != nil {
				t.Fatal(err)
			}
			// The kernel sends the signal to who has the terminal as the controlling one, which a test has not.
			if err := unix.Kill(os.Getpid(), unix.SIGWINCH); err != nil {
				t.Fatal(err)
			}
			u.runs("", "\nresized\r\n")
			if _, err := io.WriteString(u.keys, "exit 5\r"); err != nil {
				t.Fatal(err)
			}
			if exit, err := wait(); exit != 5 || err != nil {
				t.Errorf("exit %d, %v", exit, err)
			}
		})
	}
}

// inForeground reports whether a process of this name and with this in its environment is in the foreground of its
// terminal: "PID (NAME) STATE PPID PGRP SESSION TTY TPGID …", where PGRP is TPGID.
func inForeground(name, mark string) bool {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range all {
		text, _ := os.ReadFile(f)
		_, rest, found := strings.Cut(string(text), " ("+name+") ")
		if fields := strings.Fields(rest); found && fields[2] == fields[5] {
			environment, _ := os.ReadFile(filepath.Join(filepath.Dir(f), "environ"))
			if slices.Contains(strings.Split(string(environment), "\x00"), mark) {
				return true
			}
		}
	}
	return false
}

// waitFor waits until a command runs in the foreground: keys typed before go to the shell.
func (u *user) waitFor(command string) {
	u.t.Helper()
	kerneltest.Eventually(u.t, command+" is in the foreground", func() bool { return inForeground(command, u.mark) })
}

func TestOutputIsComplete(t *testing.T) {
	in := newInstance(t)
	for _, script := range []string{
		"seq 20000; echo the end",
		"sleep 1000 & seq 20000; echo the end", // the background keeps the terminal open
	} {
		u, wait := sitDown(t, in, "sh", "-c", script)
		if exit, err := wait(); exit != 0 || err != nil {
			t.Errorf("exit %d, %v", exit, err)
		}
		u.types("", "\n20000\r\nthe end\r\n")
	}
}

func TestPipesPassThrough(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	exit, err := run(r, w, w, process.OpenPTY, func(stdin, stdout, stderr *os.File, isTerminal bool) (int, error) {
		if stdin != r || stdout != w || stderr != w || isTerminal {
			t.Error("not the descriptors themselves")
		}
		return 3, nil
	})
	if exit != 3 || err != nil {
		t.Error(exit, err)
	}
}
