package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu/kerneltest"
	"vnetlab/lab/api"
	"vnetlab/lab/labfile"
)

// remains are the PID namespaces of a lab, noted while it lives, by which its processes can be found after: every
// process of a lab is in one of them. They are held open, or else the kernel could give their numbers to somebody
// else's.
type remains map[string]*os.File

// watch notes the namespaces of a supervisor and of its children, the inits of instances.
func (r remains) watch(pid int) {
	pids := []string{strconv.Itoa(pid)}
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, thread := range threads { // each lists the children that it started
		children, _ := os.ReadFile(thread)
		pids = append(pids, strings.Fields(string(children))...)
	}
	own, _ := os.Readlink("/proc/self/ns/pid")
	for _, p := range pids {
		f, err := os.Open(filepath.Join("/proc", p, "ns", "pid"))
		if err != nil {
			continue // it has ended
		}
		name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
		if err != nil || name == own || r[name] != nil {
			f.Close()
			continue
		}
		r[name] = f
	}
}

// left lists the living processes in the namespaces, and lets go of those.
func (r remains) left() (all []string) {
	paths, _ := filepath.Glob("/proc/[0-9]*/ns/pid")
	for _, path := range paths {
		to, err := os.Readlink(path)
		if err != nil || r[to] == nil {
			continue
		}
		dir := filepath.Dir(filepath.Dir(path))
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && lives(pid) {
			cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
			all = append(all, fmt.Sprintf("%s -> %s %q", path, to, cmdline))
		}
	}
	for _, f := range r {
		f.Close()
	}
	return all
}

// awaitSupervisor waits until a lab has a supervisor.
func awaitSupervisor(t *testing.T, name string) int {
	t.Helper()
	for deadline := time.Now().Add(kerneltest.Patience); time.Now().Before(deadline); time.Sleep(100 * time.Microsecond) {
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
	if len(r) == 0 {
		t.Error("the supervisor was in no namespaces of its own")
	}
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

// kills is how many random moments are tried: three quarters of them while the lab is being built, the others soon
// after.
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
			_, err := Up(t.Context(), UpRequest{File: labfile.Input{Path: path}})
			result <- err
		}()
		pid := awaitSupervisor(t, "shop")
		var upErr error
		moment := time.Duration(
			(float64(i) + random.Float64()) / (kills * 3 / 4) * float64(took),
		) // one for each part, so that none is left out
		if i >= kills*3/4 {
			upErr = <-result
			moment = time.Since(began) + time.Duration(random.Float64()*float64(20*time.Millisecond))
		}
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
		if i < kills*3/4 {
			upErr = <-result
		}
		if upErr != nil {
			during++
			if !strings.Contains(upErr.Error(), "supervisor") {
				t.Errorf("killed after %s, up says: %v", moment, upErr)
			}
		}
		nothingLeft(t, r)
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
	if p, err := c.Probe(
		t.Context(),
		api.ProbeRequest{From: "web2", To: "web1:80"},
	); err != nil ||
		p.Verdict != "open" {
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
		r, err := Up(t.Context(), UpRequest{File: labfile.Input{Path: path}})
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
		if to, err := os.Readlink(
			filepath.Join(netnsDir(), e.Name()),
		); err != nil ||
			!strings.Contains(to, fmt.Sprint("/", holder("shop"), "/")) {
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
			_, err := Up(ctx, UpRequest{File: labfile.Input{Path: path}})
			result <- err
		}()
		pid := awaitSupervisor(t, "shop")
		r := remains{}
		r.watch(pid)
		for deadline := time.Now().Add(time.Duration(i) * 5 * time.Millisecond); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			r.watch(pid)
		}
		cancel()
		err := <-result
		if err == nil { // it was quicker
			err = errors.Join(context.Canceled, Down(t.Context(), "shop"))
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted up gives %v", err)
		}
		if lives(pid) {
			t.Error("the supervisor is alive")
		}
		if _, err := os.Stat(RunDir()); err == nil {
			t.Errorf("files are left: %v", tree(RunDir()))
		}
		nothingLeft(t, r)
	}
	up(t, path)
}

// starter is another process that runs Up.
type starter struct {
	cmd    *exec.Cmd
	output io.Reader // what Up returned, as JSON
}

func startUp(t *testing.T, path string, env ...string) *starter {
	t.Helper()
	runtime.LockOSThread() // for good: with the end of the thread comes that of the process
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), "TEST_UP="+path), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &starter{cmd, output}
	t.Cleanup(s.kill)
	return s
}

// kill returns when the process is dead, and so has let go of the lab's lock.
func (s *starter) kill() {
	s.cmd.Process.Kill() //nolint:errcheck // it is dead already
	s.cmd.Wait()         //nolint:errcheck // killed
}

// The lab ends with the process that starts it, unless that has learnt that the lab is complete.
func TestStarterKilledDuringUp(t *testing.T) {
	setUp(t)
	path := write(t, "shop", shop)
	for i := range 8 {
		starter := startUp(t, path)
		pid := awaitSupervisor(t, "shop")
		process := pidfd(t, pid)
		r := remains{}
		r.watch(pid)
		for deadline := time.Now().Add(time.Duration(i) * 5 * time.Millisecond); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			r.watch(pid)
		}
		starter.kill()
		if outlives(t, process) {
			if err := Down(t.Context(), "shop"); err != nil {
				t.Fatal(err)
			}
		}
		process.Close()
		nothingLeft(t, r)
	}
	up(t, path)
}

// outlives waits until the supervisor of a killed starter is dead, or answers: then it was up already, and its
// starter done.
func outlives(t *testing.T, supervisor *os.File) (yes bool) {
	t.Helper()
	kerneltest.Eventually(t, "the supervisor ends with its starter", func() bool {
		if c, err := Dial("shop"); err == nil {
			_, err = c.Summary(t.Context())
			yes = err == nil
		}
		return yes || isDead(t, supervisor)
	})
	return yes
}

func isDead(t *testing.T, process *os.File) bool {
	t.Helper()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(process.Fd()), Events: unix.POLLIN}}, 0)
	if err != nil && !errors.Is(err, unix.EINTR) {
		t.Fatal(err)
	}
	return n > 0
}

// A lab in the foreground ends with the process in whose foreground it is.
func TestForeground(t *testing.T) {
	setUp(t)
	path := write(t, "shop", shop)
	starter := startUp(t, path, "TEST_FOREGROUND=1")
	var result string
	if err := json.NewDecoder(starter.output).Decode(&result); err != nil || result != "<nil>" {
		t.Fatalf("up in another process: %s, %v", result, err)
	}
	process := pidfd(t, holder("shop"))
	defer process.Close()
	starter.kill()
	kerneltest.Eventually(t, "the lab ends", func() bool { return isDead(t, process) })
	if _, err := os.Stat(RunDir()); err == nil {
		t.Errorf("files are left: %v", tree(RunDir()))
	}

	r, err := Up(t.Context(), UpRequest{File: labfile.Input{Path: path}, Foreground: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Wait(ctx); err != nil {
		t.Errorf("ending a lab in the foreground gives %v", err)
	}
	if lives(r.PID) {
		t.Error("the supervisor is alive")
	}
}

// A supervisor that doesn't answer is killed.
func TestDownOfAHungSupervisor(t *testing.T) {
	setUp(t)
	r, err := Up(t.Context(), UpRequest{File: labfile.Input{Path: write(t, "shop", shop)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(r.PID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// The first of its threads that takes notice stops the others: until then they could still answer.
	kerneltest.Eventually(t, "every thread of the supervisor stands still", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", r.PID))
		return !slices.ContainsFunc(threads, func(path string) bool { return processState(path) != 'T' })
	})
	defer func(before time.Duration) { stopPatience = before }(stopPatience)
	stopPatience = time.Second
	if err := Down(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if lives(r.PID) {
		t.Error("the supervisor is alive")
	}
}
