package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/emu/kerneltest"
)

func TestMain(m *testing.M) {
	MaybeInit() // the test binary is the init of its instances too
	if name := os.Getenv(attackVariable); name != "" {
		os.Exit(attacker(name))
	}
	os.Exit(m.Run())
}

const name = "Web_IN_0"

// newInstance makes a namespace without links and an instance for it.
func newInstance(t *testing.T, opts Options, services ...emu.Service) *Instance {
	t.Helper()
	return newInstanceWithin(t, emu.Boundary{}, opts, services...)
}

func newInstanceWithin(t *testing.T, b emu.Boundary, opts Options, services ...emu.Service) *Instance {
	t.Helper()
	kerneltest.RequireRoot(t)
	spec := &emu.Namespace{
		Name:     name,
		Kind:     emu.Host,
		Services: services,
		Boundary: b,
		Resolver: emu.Resolver{
			Servers: []netip.Addr{netip.MustParseAddr("168.63.129.16")},
			Search:  []string{"contacts.internal"},
		},
		Hosts: []emu.NameRecord{{Name: "sql1", Address: netip.MustParseAddr("10.0.2.4")}},
	}
	state, err := kernel.Apply(t.Context(), &emu.Network{Namespaces: []*emu.Namespace{spec}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ns, _ := state.Namespace(name)
	in := New(ns, spec, opts)
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), state.Close()); err != nil {
			t.Error(err)
		}
	})
	return in
}

// output runs a command and gives what it printed on both of its outputs.
func output(t *testing.T, in *Instance, c Command) (string, int, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c.Stdout, c.Stderr = w, w
	text := make(chan string)
	go func() {
		all, _ := io.ReadAll(r)
		text <- string(all)
	}()
	exit, err := in.Exec(t.Context(), c)
	w.Close()
	return <-text, exit, err
}

func shell(t *testing.T, in *Instance, script string) string {
	t.Helper()
	text, exit, err := output(t, in, Command{Argv: []string{"sh", "-c", script}})
	if err != nil || exit != 0 {
		t.Errorf("%s: exit %d, %v, %s", script, exit, err, text)
	}
	return text
}

// onHost counts the processes of the machine whose command line is this.
func onHost(t *testing.T, command string) (n int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		text, _ := os.ReadFile(f)
		if strings.TrimRight(strings.ReplaceAll(string(text), "\x00", " "), " ") == command {
			n++
		}
	}
	return n
}

// sleeper makes a command that sleeps, and that no other process of the machine has, not even in another run of the
// test.
func sleeper() string {
	return fmt.Sprintf("sleep 86400.%d%04d", os.Getpid(), sleepers.Add(1))
}

var sleepers atomic.Int32

func TestExecExitCodes(t *testing.T) {
	in := newInstance(t, Options{})
	for _, test := range []struct {
		argv []string
		dir  string
		exit int
		out  string
		err  string
	}{
		{argv: []string{"true"}},
		{argv: []string{"sh", "-c", "echo out; echo err >&2; exit 7"}, exit: 7, out: "out\nerr\n"},
		{argv: []string{"sh", "-c", "kill -KILL $$"}, exit: 137},
		{argv: []string{"sh", "-c", "kill -TERM $$"}, exit: 143},
		{argv: []string{"pwd"}, out: "/\n"},
		{argv: []string{"pwd"}, dir: "/usr", out: "/usr\n"},
		{argv: []string{"./env"}, dir: "/usr/bin", out: "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nHOME=/root\nLANG=C.UTF-8\nINSTANCE=" + name + "\nPWD=/usr/bin\n"},
		{argv: []string{"no-such-command"}, exit: 127, err: "no-such-command: command not found"},
		{argv: []string{"/no/such/command"}, exit: 127, err: "command not found"},
		{argv: []string{"/etc/hosts"}, exit: 126, err: "permission denied"},
		{argv: []string{"true"}, dir: "/no/such", exit: 126, err: "no folder /no/such inside the instance"},
		{argv: nil, exit: 127, err: "no command"},
	} {
		out, exit, err := output(t, in, Command{Argv: test.argv, Dir: test.dir})
		if exit != test.exit || out != test.out && !strings.Contains(test.out, "PWD") {
			t.Errorf("%q: exit %d, output %q; want %d, %q", test.argv, exit, out, test.exit, test.out)
		}
		if strings.Contains(test.out, "PWD") &&
			!strings.HasPrefix(out, strings.TrimSuffix(test.out, "PWD=/usr/bin\n")) {
			t.Error(cmp.Diff(test.out, out))
		}
		if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%q: error %v, want %q", test.argv, err, test.err)
		}
	}
}

func TestWhatAProgramFinds(t *testing.T) {
	if !ownMachine(t) { // where nobody else mounts anything
		return
	}
	// Mounts spread from the namespaces of instances, as on most machines, unless an instance sees to it.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	hostProcesses, _ := filepath.Glob("/proc/[0-9]*")
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	hostname, _ := os.Hostname()
	etc := map[string]string{}
	for _, f := range []string{"/etc/hosts", "/etc/resolv.conf", "/etc/hostname"} {
		text, _ := os.ReadFile(f)
		etc[f] = string(text)
	}

	kept, writable := t.TempDir(), t.TempDir() // below /tmp
	if err := os.WriteFile(kept+"/file", []byte("kept\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	in := newInstanceWithin(
		t,
		emu.Boundary{Mounts: []emu.Mount{{Path: writable, Writable: true}}},
		Options{Keep: []string{kept}, Env: []string{"LAB=contacts"}},
	)
	for _, test := range []struct{ script, want string }{
		{"hostname; cat /etc/hostname; uname -n", strings.Repeat(name+"\n", 3)},
		{"cat /etc/hosts", "127.0.0.1\tlocalhost\n127.0.0.1\t" + name + "\n10.0.2.4\tsql1\n"},
		{"cat /etc/resolv.conf", "nameserver 168.63.129.16\nsearch contacts.internal\n"},
		{"getent hosts sql1", "10.0.2.4        sql1\n"},
		{"ls -A /run", "lock\n"},
		{"ls -A /dev/shm", ""},
		{"stat -c %a /tmp /run /run/lock", "1777\n755\n1777\n"},
		{"ls -d /sys/class/net/*", "/sys/class/net/lo\n"},
		{"echo $LAB", "contacts\n"},
		{"umask", "0022\n"},
		{"cat " + kept + "/file; touch " + kept + "/file 2>&1 || true", "kept\ntouch: cannot touch '" + kept + "/file': Read-only file system\n"},
		{"echo hello >" + writable + "/written; echo private >/tmp/private; cat /tmp/private", "private\n"},
		{"cat /proc/1/comm", initName + "\n"},
		{"ls /proc/self/fd | wc -l", "4\n"}, // 0, 1, 2 and the folder itself
	} {
		if got := shell(t, in, test.script); got != test.want {
			t.Errorf("%s gives %q, want %q", test.script, got, test.want)
		}
	}
	// Its own processes: the init, the shell, ls.
	if got := strings.Fields(shell(t, in, "ls -d /proc/[0-9]*")); len(got) > 3 || len(got) >= len(hostProcesses) {
		t.Errorf("processes inside: %v", got)
	}

	if text, _ := os.ReadFile(writable + "/written"); string(text) != "hello\n" {
		t.Errorf("a writable folder is not the host's: %q", text)
	}
	if _, err := os.Stat("/tmp/private"); err == nil {
		t.Error("/tmp is the host's")
	}
	now, _ := os.ReadFile("/proc/self/mountinfo")
	if diff := cmp.Diff(string(mounts), string(now)); diff != "" {
		t.Errorf("mounts of the host changed:\n%s", diff)
	}
	if h, _ := os.Hostname(); h != hostname {
		t.Errorf("the host is called %s now", h)
	}
	for f, want := range etc {
		if text, _ := os.ReadFile(f); string(text) != want {
			t.Errorf("%s of the host changed", f)
		}
	}
}

func TestOrphansAreReapedAndEndWithClose(t *testing.T) {
	in := newInstance(t, Options{})
	daemon := sleeper()
	// A daemon: its parent is gone, its session another. The other one has the output, which ends with it.
	orphan := strings.TrimSpace(
		shell(t, in, "(setsid "+daemon+" </dev/null >/dev/null 2>&1 &); (setsid sh -c 'echo $$; sleep 0.05' &)"),
	)
	if _, err := strconv.Atoi(orphan); err != nil {
		t.Fatal(err)
	}
	kerneltest.Eventually(t, "the short orphan is reaped", func() bool {
		return shell(t, in, "test ! -e /proc/"+orphan+" || echo there") == ""
	})
	kerneltest.Eventually(t, "the daemon runs", func() bool { return onHost(t, daemon) == 1 })
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if n := onHost(t, daemon); n != 0 {
		t.Errorf("%d daemons outlived Close", n)
	}
	if _, err := in.Exec(t.Context(), Command{Argv: []string{"true"}}); !errors.Is(err, ErrClosed) {
		t.Errorf("Exec after Close: %v", err)
	}
}

// The init ends by itself when its socket closes, and nothing outlives it.
func TestInitEndsWhenHungUp(t *testing.T) {
	in := newInstance(t, Options{})
	daemon := sleeper()
	shell(t, in, "setsid "+daemon+" </dev/null >/dev/null 2>&1 &")
	kerneltest.Eventually(t, "the daemon runs", func() bool { return onHost(t, daemon) == 1 })
	in.mu.Lock()
	init := in.init
	in.mu.Unlock()
	if err := init.conn.Close(); err != nil {
		t.Fatal(err)
	}
	<-init.ended
	if !strings.HasSuffix(init.err.Error(), "it exited") {
		t.Error(init.err)
	}
	if n := onHost(t, daemon); n != 0 {
		t.Errorf("%d daemons outlived the init", n)
	}
}

func TestExecCancelled(t *testing.T) {
	in := newInstance(t, Options{})
	sleep := sleeper()
	for _, test := range []struct {
		name, script string
		exit         int
	}{
		{"hang-up", sleep + " & exec " + sleep, 129},
		{"deaf", "trap '' HUP; " + sleep + " & while :; do " + sleep + "; done", 137},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var exit int
			var err error
			done := make(chan struct{})
			go func() {
				defer close(done)
				exit, err = in.Exec(ctx, Command{Argv: []string{"sh", "-c", test.script}})
			}()
			kerneltest.Eventually(t, "both sleep", func() bool { return onHost(t, sleep) == 2 })
			cancel()
			<-done
			if exit != test.exit || !errors.Is(err, context.Canceled) {
				t.Errorf("exit %d, %v", exit, err)
			}
			if n := onHost(t, sleep); n != 0 {
				t.Errorf("%d processes go on", n)
			}
		})
	}
}

func TestInitKilled(t *testing.T) {
	in := newInstance(t, Options{})
	shell(t, in, "true")
	in.mu.Lock()
	init := in.init.cmd.Process
	in.mu.Unlock()
	sleep := sleeper()
	var exit int
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		exit, err = in.Exec(t.Context(), Command{Argv: strings.Fields(sleep)})
	}()
	kerneltest.Eventually(t, "it runs", func() bool { return onHost(t, sleep) == 1 })
	if err := init.Kill(); err != nil {
		t.Error(err)
	}
	<-done
	if err == nil || !strings.Contains(err.Error(), "init process of the instance ended: signal: killed") {
		t.Errorf("exit %d, %v", exit, err)
	}
	if n := onHost(t, sleep); n != 0 {
		t.Error("the command outlived the init")
	}
	if got := shell(t, in, "echo again"); got != "again\n" {
		t.Errorf("a new init: %q", got)
	}
	// Inside, the init is out of reach of its own programs.
	shell(t, in, "kill -TERM 1; kill -INT 1; kill -HUP 1; kill -KILL 1; sleep 0.05")
}

func TestManyAtOnce(t *testing.T) {
	in := newInstance(t, Options{})
	results := make(chan int)
	for i := range 50 {
		go func() {
			exit, err := in.Exec(t.Context(), Command{Argv: []string{"sh", "-c", "exit " + strconv.Itoa(i)}})
			if err != nil {
				t.Error(err)
			}
			results <- exit
		}()
	}
	sum := 0
	for range 50 {
		sum += <-results
	}
	if sum != 49*50/2 {
		t.Errorf("sum of exit codes %d", sum)
	}
}

func TestInitFails(t *testing.T) {
	in := newInstance(t, Options{Keep: []string{"/no/such/folder"}})
	_, err := in.Exec(t.Context(), Command{Argv: []string{"true"}})
	if err == nil || !strings.Contains(err.Error(), "/no/such/folder") || !strings.Contains(err.Error(), name) {
		t.Error(err)
	}
}

func TestHostsFile(t *testing.T) {
	own := netip.MustParseAddr("10.0.2.4")
	got := hostsFile(&emu.Namespace{Name: "sql1", Hosts: []emu.NameRecord{{Name: "sql1", Address: own}}})
	if want := "127.0.0.1\tlocalhost\n10.0.2.4\tsql1\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := resolvConf(emu.Resolver{}); got != "" {
		t.Errorf("%q", got)
	}
}
