package process

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vnetlab/emu/kerneltest"
)

func open(t *testing.T, name string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// A file that a command gets as standard input is out of its reach, and the next command goes on where it stopped.
func TestInputFromFile(t *testing.T) {
	in := newInstance(t, Options{})
	name := filepath.Join(t.TempDir(), "input")
	text := strings.Repeat("0123456789\n", 30000)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	input := open(t, name, os.O_RDONLY)
	run := func(script string) string {
		t.Helper()
		got, exit, err := output(t, in, Command{Argv: []string{"sh", "-c", script}, Stdin: input})
		if err != nil || exit != 0 {
			t.Errorf("%s: exit %d, %v, %s", script, exit, err, got)
		}
		return got
	}
	run("true")
	if got := run("dd bs=1 count=11 2>/dev/null; dd bs=1 count=5 2>/dev/null"); got != "0123456789\n01234" {
		t.Errorf("read %q", got)
	}
	if got := run("dd bs=1 count=6 2>/dev/null"); got != "56789\n" {
		t.Errorf("then read %q", got)
	}
	run("true >/proc/self/fd/0 || true") // would empty it
	if got := run("cat | wc -c"); strings.TrimSpace(got) != "329978" {
		t.Errorf("the rest is %s bytes", got)
	}
	if now, err := os.ReadFile(name); err != nil || string(now) != text {
		t.Errorf("the file has changed: %d bytes, %v", len(now), err)
	}

	folder := open(t, t.TempDir(), os.O_RDONLY)
	_, exit, err := output(t, in, Command{Argv: []string{"true"}, Stdin: folder})
	if exit != 126 || err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: exit %d, %v", exit, err)
	}
}

func TestOutputToFile(t *testing.T) {
	in := newInstance(t, Options{})
	name := filepath.Join(t.TempDir(), "output")
	file := open(t, name, os.O_CREATE|os.O_WRONLY)
	if _, err := io.WriteString(file, "before\n"); err != nil {
		t.Fatal(err)
	}
	script := `for i in 1 2 3 4 5; do echo $i; echo $i >&2; done; (trap '' HUP; read -r x </tmp/go; echo late) & `
	shell(t, in, "mkfifo /tmp/go")
	exit, err := in.Exec(t.Context(), Command{Argv: []string{"sh", "-c", script}, Stdout: file, Stderr: file})
	if exit != 0 || err != nil {
		t.Fatal(exit, err)
	}
	const now = "before\n1\n1\n2\n2\n3\n3\n4\n4\n5\n5\n"
	if text, _ := os.ReadFile(name); string(text) != now {
		t.Errorf("the file has %q", text)
	}
	// What a job in the background prints comes too, and where the starter of the command writes next.
	if _, err := io.WriteString(file, "after\n"); err != nil {
		t.Fatal(err)
	}
	shell(t, in, "echo >/tmp/go")
	kerneltest.Eventually(t, "the job has printed", func() bool {
		text, _ := os.ReadFile(name)
		return string(text) == now+"after\nlate\n"
	})
	separate := open(t, name+"2", os.O_CREATE|os.O_RDWR)
	shout := Command{Argv: []string{"sh", "-c", "echo out; echo err >&2"}, Stdout: file, Stderr: separate}
	if exit, err := in.Exec(t.Context(), shout); exit != 0 || err != nil {
		t.Error(exit, err)
	}
	if text, _ := os.ReadFile(name + "2"); string(text) != "err\n" {
		t.Errorf("standard error is %q", text)
	}
}

// What a command has printed and its file doesn't take is an error, whatever the command says.
func TestOutputThatIsLost(t *testing.T) {
	in := newInstance(t, Options{})
	full := open(t, "/dev/full", os.O_WRONLY)
	taken := open(t, filepath.Join(t.TempDir(), "output"), os.O_CREATE|os.O_WRONLY)
	for _, tt := range []struct {
		script         string
		stdout, stderr *os.File
		exit           int
		lost           bool
	}{
		{"echo out", full, taken, 1, true},
		{"echo err >&2; exit 7", taken, full, 7, true},
		{"echo out >&2", full, full, 1, true},
		{"echo out", taken, full, 0, false},
		{"exit 7", full, full, 7, false},
	} {
		exit, err := in.Exec(
			t.Context(),
			Command{Argv: []string{"sh", "-c", tt.script}, Stdout: tt.stdout, Stderr: tt.stderr},
		)
		if exit != tt.exit || errors.Is(err, unix.ENOSPC) != tt.lost || !tt.lost && err != nil {
			t.Errorf("%s: exit %d, %v", tt.script, exit, err)
		}
	}
}

// The terminal of a person is out of reach too, where a command has it by half.
func TestInputFromTerminal(t *testing.T) {
	in := newInstance(t, Options{})
	keys, terminal, err := OpenPTY()
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	defer terminal.Close()
	if _, err := io.WriteString(keys, "hello\n"); err != nil {
		t.Fatal(err)
	}
	got, exit, err := output(
		t,
		in,
		Command{Argv: []string{"sh", "-c", "read -r line; echo $line; tty"}, Stdin: terminal},
	)
	if got != "hello\nnot a tty\n" || exit != 1 || err != nil {
		t.Errorf("exit %d, %v, %q", exit, err, got)
	}
}

// What a command changes of its descriptors is not changed on the host: neither the null device that it gets without
// input, nor a named pipe.
func TestDescriptorsAreNotTheHosts(t *testing.T) {
	in := newInstance(t, Options{})
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	var null unix.Stat_t
	if err := unix.Stat(os.DevNull, &null); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Chmod(os.DevNull, null.Mode&0o7777) }) // should it fail
	for name, c := range map[string]struct {
		path  string
		stdin *os.File
	}{
		"none": {os.DevNull, nil}, "null": {os.DevNull, open(t, os.DevNull, os.O_RDWR)},
		"fifo": {fifo, open(t, fifo, os.O_RDWR)},
	} {
		var before, after unix.Stat_t
		if err := unix.Stat(c.path, &before); err != nil {
			t.Fatal(err)
		}
		// The sticky bit harms nobody meanwhile.
		script := "chmod +t /proc/self/fd/0 && test -k /proc/self/fd/0 && test ! -s /proc/self/fd/0"
		text, exit, err := output(t, in, Command{Argv: []string{"sh", "-c", script}, Stdin: c.stdin})
		if err != nil || exit != 0 {
			t.Errorf("%s: exit %d, %v, %s", name, exit, err, text)
		}
		if err := unix.Stat(c.path, &after); err != nil || after.Mode != before.Mode {
			t.Errorf("%s: the mode on the host was %o and is %o (%v)", name, before.Mode, after.Mode, err)
		}
	}
}
