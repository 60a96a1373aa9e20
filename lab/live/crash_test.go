package live

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// remains are the PID and mount namespaces of a lab, noted while it lives, by which its processes can be found after. Every process of
// a lab is in one of each.
type remains map[string]bool

// watch notes the namespaces of a supervisor and of its children, the inits of instances.
func (r remains) watch(pid int) {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, p := range append(strings.Fields(string(children)), strconv.Itoa(pid)) {
		for _, kind := range []string{"pid", "mnt"} {
			own, _ := os.Readlink("/proc/self/ns/" + kind)
			if to, err := os.Readlink(filepath.Join("/proc", p, "ns", kind)); err == nil && to != own {
				r[to] = true
			}
		}
	}
}

// left lists the living processes in the namespaces. The kernel reuses the numbers of namespaces: who was started after the lab's end isn't
// of the lab.
func (r remains) left(t *testing.T, end time.Time) (all []string) {
	t.Helper()
	paths, _ := filepath.Glob("/proc/[0-9]*/ns/*")
	for _, path := range paths {
		to, err := os.Readlink(path)
		if err != nil || !r[to] {
			continue
		}
		dir := filepath.Dir(filepath.Dir(path))
		stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
		if _, rest, ok := strings.Cut(string(stat), ") "); !ok || rest[0] == 'Z' { // dead, and just not yet reaped by whoever inherited it
			continue
		}
		if info, err := os.Stat(dir); err == nil && info.ModTime().Before(end) {
			cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
			all = append(all, fmt.Sprintf("%s -> %s %q", path, to, cmdline))
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
func nothingLeft(t *testing.T, r remains, end time.Time) {
	t.Helper()
	if len(r) == 0 {
		t.Error("the supervisor was in no namespaces of its own")
	}
	if left := r.left(t, end); len(left) > 0 {
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

// kills is how many random moments are tried: three quarters of them while the lab is being built, the others soon after.
const kills = 32

func TestKilledAtAnyMoment(t *testing.T) {
	setUp(t)
	path := write(t, "shop", withProgram(shop, ""))
	took := upAndDown(t, path)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("up takes %s; seed %d", took, seed)
	during := 0
	for i := range kills {
		began := time.Now()
		result := make(chan error, 1)
		go func() {
			_, err := Up(t.Context(), UpRequest{Path: path})
			result <- err
		}()
		pid := awaitSupervisor(t, "shop")
		var upErr error
		moment := time.Duration((float64(i) + random.Float64()) / (kills * 3 / 4) * float64(took)) // one for each part, so that none is left out
		if i >= kills*3/4 {
			upErr = <-result
			moment = time.Since(began) + time.Duration(random.Float64()*float64(20*time.Millisecond))
		}
		r := remains{}
		for r.watch(pid); time.Since(began) < moment; r.watch(pid) {
			time.Sleep(time.Millisecond)
		}
		process := pidfd(t, pid)
		end := time.Now()
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := waitForDeath(t.Context(), process); err != nil {
			t.Fatal(err)
		}
		process.Close()
		if i < kills*3/4 {
			upErr = <-result
		}
		if upErr != nil {
			during++
			if !strings.Contains(upErr.Error(), "supervisor") {
				t.Errorf("killed after %s, up says: %v", moment, upErr)
			}
		}
		nothingLeft(t, r, end)
		if t.Failed() {
			t.Fatalf("killed after %s", moment)
		}
		if i%4 == 3 { // the same up works at once
			took = upAndDown(t, path)
		}
	}
	t.Logf("%d of %d during up", during, kills)
	if during == 0 {
		t.Error("no kill was during up")
	}
}

// upAndDown says how long a complete up takes.
func upAndDown(t *testing.T, path string) time.Duration {
	t.Helper()
	began := time.Now()
	c := up(t, path)
	took := time.Since(began)
	if p, err := c.Probe(t.Context(), ProbeRequest{From: "web2", To: "web1:80"}); err != nil || p.Verdict != "open" {
		t.Errorf("%+v, %v", p, err)
	}
	if err := Down(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	return took
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
	path := write(t, "shop", withProgram(shop, ""))
	for range 3 {
		r, err := Up(t.Context(), UpRequest{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		left := remains{}
		left.watch(r.PID)
		end := time.Now()
		if err := unix.Kill(r.PID, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := r.Wait(t.Context()); err == nil {
			t.Error("a killed lab ended politely")
		}
		if all := left.left(t, end); len(all) > 0 {
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
		r.watch(pid)
		for deadline := time.Now().Add(time.Duration(i) * 5 * time.Millisecond); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			r.watch(pid)
		}
		end := time.Now()
		cancel()
		err := <-result
		if err == nil { // it was quicker
			err = errors.Join(context.Canceled, Down(t.Context(), "shop"))
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted up gives %v", err)
		}
		if alive(pid) {
			t.Error("the supervisor is alive")
		}
		if _, err := os.Stat(RunDir()); err == nil {
			t.Errorf("files are left: %v", tree(RunDir()))
		}
		nothingLeft(t, r, end)
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
		r.watch(pid)
		for deadline := time.Now().Add(time.Duration(i) * 5 * time.Millisecond); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			r.watch(pid)
		}
		end := time.Now()
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if err := waitForDeath(ctx, process); err != nil {
			if _, dialErr := Dial("shop"); dialErr != nil {
				t.Fatalf("the supervisor outlives its starter: %v", err)
			}
			if err := Down(t.Context(), "shop"); err != nil { // it was up already, and its starter done
				t.Fatal(err)
			}
		}
		cancel()
		process.Close()
		nothingLeft(t, r, end)
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
	if took := time.Since(began); took > stopPatience+time.Minute {
		t.Errorf("down took %s", took)
	}
	if alive(r.PID) {
		t.Error("the supervisor is alive")
	}
}
