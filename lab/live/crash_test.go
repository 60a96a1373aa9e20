package live

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// remains are the namespaces of a lab, found while it lives, by which its processes can be found after.
type remains map[string]bool

// watch notes the namespaces that a process is in or holds: those of a supervisor are those of its lab.
func (r remains) watch(pid int) {
	own, _ := filepath.Glob("/proc/self/ns/*")
	dirs := []string{fmt.Sprintf("/proc/%d/fd", pid), fmt.Sprintf("/proc/%d/ns", pid)}
	for _, dir := range dirs {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			to, err := os.Readlink(filepath.Join(dir, e.Name()))
			if err != nil || !strings.Contains(to, ":[") || strings.HasPrefix(to, "socket:") || strings.HasPrefix(to, "pipe:") || strings.HasPrefix(to, "anon_inode:") {
				continue
			}
			if !slices.ContainsFunc(own, func(path string) bool { mine, _ := os.Readlink(path); return mine == to }) {
				r[to] = true
			}
		}
	}
}

// left lists the processes that are in one of the namespaces, or hold one open.
func (r remains) left() (all []string) {
	paths, _ := filepath.Glob("/proc/[0-9]*/ns/*")
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, path := range append(paths, fds...) {
		if to, err := os.Readlink(path); err == nil && r[to] {
			all = append(all, path+" -> "+to)
		}
	}
	return all
}

// awaitSupervisor waits until a lab has a supervisor.
func awaitSupervisor(t *testing.T, name string) int {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Microsecond) {
		if pid := holder(name); alive(pid) {
			return pid
		}
	}
	t.Fatalf("lab %s gets no supervisor", name)
	return 0
}

// nothingLeft checks that all of a dead lab is gone, files aside, and that the next command removes those.
func nothingLeft(t *testing.T, r remains) {
	t.Helper()
	if left := r.left(); len(left) > 0 {
		t.Errorf("left of %d namespaces: %q", len(r), left)
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), RunDir()) {
		t.Errorf("mounts are left: %v", err)
	}
	if err := Clean(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(RunDir()); err == nil {
		t.Errorf("files are left: %v", tree(RunDir()))
	}
}

// kills is how many random moments are tried. A moment is a part of the time that `up` takes, up to a quarter beyond its end.
const kills = 32

func TestKilledAtAnyMoment(t *testing.T) {
	setUp(t)
	path := write(t, "shop", withProgram(t, shop, ""))
	began := time.Now()
	up(t, path)
	took := time.Since(began)
	if err := Down(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("up takes %s; seed %d", took, seed)
	during := 0
	for i := range kills {
		// One for each part, so that none is left out.
		moment := time.Duration((float64(i) + random.Float64()) / kills * 1.25 * float64(took))
		began := time.Now()
		result := make(chan error, 1)
		go func() {
			_, err := Up(t.Context(), UpRequest{Path: path})
			result <- err
		}()
		pid := awaitSupervisor(t, "shop")
		r := remains{}
		for r.watch(pid); time.Since(began) < moment; r.watch(pid) {
			time.Sleep(time.Millisecond)
		}
		process := pidfd(t, pid)
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := waitForDeath(t.Context(), process); err != nil {
			t.Fatal(err)
		}
		process.Close()
		if err := <-result; err != nil {
			during++
			if !strings.Contains(err.Error(), "supervisor") {
				t.Errorf("killed after %s, up says: %v", moment, err)
			}
		}
		nothingLeft(t, r)
		if t.Failed() {
			t.Fatalf("killed after %s", moment)
		}
		if i%4 == 3 { // the same up works at once
			c := up(t, path)
			if p, err := c.Probe(t.Context(), ProbeRequest{From: "web2", To: "web1:80"}); err != nil || p.Verdict != "open" {
				t.Errorf("after a kill: %+v, %v", p, err)
			}
			if err := Down(t.Context(), "shop"); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d of %d during up", during, kills)
	if during == 0 || during == kills {
		t.Errorf("%d of %d kills were during up: the moments are not what they should be", during, kills)
	}
}

func pidfd(t *testing.T, pid int) *os.File {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "pidfd")
}

// The supervisor killed with all of its programs running; then up at once, over the stale files.
func TestUpOverTheRemains(t *testing.T) {
	setUp(t)
	path := write(t, "shop", withProgram(t, shop, ""))
	for range 3 {
		r, err := Up(t.Context(), UpRequest{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		left := remains{}
		left.watch(r.PID)
		if err := unix.Kill(r.PID, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := r.Wait(t.Context()); err == nil {
			t.Error("a killed lab ended politely")
		}
		if all := left.left(); len(all) > 0 {
			t.Errorf("left: %q", all)
		}
	}
	up(t, path)
	entries, _ := os.ReadDir(netnsDir())
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(netnsDir(), e.Name())); err != nil || !strings.Contains(to, fmt.Sprint("/", holder("shop"), "/")) {
			t.Errorf("%s leads to %s, %v", e.Name(), to, err)
		}
	}
	if len(entries) == 0 {
		t.Error("no named namespaces")
	}
}

func TestInterruptedUp(t *testing.T) {
	setUp(t)
	path := write(t, "shop", shop)
	for i := range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() {
			_, err := Up(ctx, UpRequest{Path: path})
			result <- err
		}()
		pid := awaitSupervisor(t, "shop")
		r := remains{}
		for deadline := time.Now().Add(time.Duration(i) * 2 * time.Millisecond); time.Now().Before(deadline); {
			r.watch(pid)
		}
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted up gives %v", err)
		}
		if alive(pid) {
			t.Error("the supervisor is alive")
		}
		if _, err := os.Stat(RunDir()); err == nil {
			t.Errorf("files are left: %v", tree(RunDir()))
		}
		nothingLeft(t, r)
	}
	up(t, path)
}

// startUp runs Up in another process.
func startUp(t *testing.T, path string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), "TEST_UP="+path), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it is dead already
		cmd.Wait()         //nolint:errcheck // killed
	})
	return cmd
}

// The lab ends with the process that starts it, unless that has learnt that the lab is complete.
func TestStarterKilledDuringUp(t *testing.T) {
	setUp(t)
	path := write(t, "shop", shop)
	for i := range 8 {
		cmd := startUp(t, path)
		pid := awaitSupervisor(t, "shop")
		process := pidfd(t, pid)
		r := remains{}
		for deadline := time.Now().Add(time.Duration(i) * 2 * time.Millisecond); time.Now().Before(deadline); {
			r.watch(pid)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if err := waitForDeath(ctx, process); err != nil {
			t.Fatalf("the supervisor outlives its starter: %v", err)
		}
		cancel()
		process.Close()
		nothingLeft(t, r)
	}
	up(t, path)
}

// A lab in the foreground ends with the process in whose foreground it is.
func TestForeground(t *testing.T) {
	setUp(t)
	path := write(t, "shop", shop)
	cmd := startUp(t, path, "TEST_FOREGROUND=1")
	pid := awaitSupervisor(t, "shop")
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := Dial("shop"); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	time.Sleep(50 * time.Millisecond)
	process := pidfd(t, pid)
	defer process.Close()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := waitForDeath(ctx, process); err != nil {
		t.Fatalf("the lab goes on: %v", err)
	}
	if _, err := os.Stat(RunDir()); err == nil {
		t.Errorf("files are left: %v", tree(RunDir()))
	}

	r, err := Up(t.Context(), UpRequest{Path: path, Foreground: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if err := r.Wait(ctx); err != nil {
		t.Errorf("ending a lab in the foreground gives %v", err)
	}
	if alive(r.PID) {
		t.Error("the supervisor is alive")
	}
}

// A supervisor that doesn't answer is killed.
func TestDownOfAHungSupervisor(t *testing.T) {
	setUp(t)
	r, err := Up(t.Context(), UpRequest{Path: write(t, "shop", shop)})
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(r.PID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := Down(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > stopPatience+5*time.Second {
		t.Errorf("down took %s", took)
	}
	if alive(r.PID) {
		t.Error("the supervisor is alive")
	}
}
