package supervisor

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/lab/labfile"
)

// Lock and directory come and go while others try: there is never more than one holder, and at the end nothing is left.
func TestLockHasOneHolder(t *testing.T) {
	t.Setenv("VNETLAB_RUN", filepath.Join(t.TempDir(), "run"))
	var holders, got atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				l, err := tryAcquire("shop", true)
				if errors.Is(err, unix.EWOULDBLOCK) {
					if err := cleanLab("shop"); err != nil && !errors.Is(err, os.ErrNotExist) {
						t.Error(err)
					}
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d holders", n)
				}
				got.Add(1)
				time.Sleep(10 * time.Microsecond)
				holders.Add(-1)
				if err := l.remove(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if got.Load() == 0 {
		t.Error("nobody got the lock")
	}
	if _, err := os.Stat(RunDir()); err == nil {
		t.Errorf("left: %v", tree(RunDir()))
	}
}

func TestAcquireNamesTheHolder(t *testing.T) {
	t.Setenv("VNETLAB_RUN", filepath.Join(t.TempDir(), "run"))
	l, err := acquire("shop")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.write(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	if _, err := acquire("shop"); err == nil || !strings.Contains(err.Error(), "already running") {
		t.Errorf("a second lock gives %v", err)
	}
	if !held("shop") || held("other") {
		t.Error("held is wrong")
	}
	l.release()
	if held("shop") {
		t.Error("held after its release")
	}
	if err := Clean(); err != nil {
		t.Error(err)
	}
}

// Clean removes what dead labs left, and nothing else.
func TestClean(t *testing.T) {
	t.Setenv("VNETLAB_RUN", filepath.Join(t.TempDir(), "run"))
	if err := os.MkdirAll(labDir("dead"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{lockFile, logFile, socketFile} {
		if err := os.WriteFile(filepath.Join(labDir("dead"), name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	living, err := acquire("living")
	if err != nil {
		t.Fatal(err)
	}
	if err := makeLinks("dead", 1<<22+1, map[string]int{"vm": 3, "edge": 4}); err != nil {
		t.Fatal(err)
	}
	self, err := os.Open("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	if err := makeLinks("living", os.Getpid(), map[string]int{"vm": int(self.Fd())}); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/somewhere", filepath.Join(netnsDir(), "dead.notours")); err != nil {
		t.Fatal(err)
	}
	if err := Clean(); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(netnsDir())
	if err != nil || len(entries) != 2 || entries[0].Name() != "dead.notours" || entries[1].Name() != "living.vm" {
		t.Errorf("left: %v, %v", entries, err)
	}
	if names, err := labNames(); err != nil || len(names) != 1 || names[0] != "living" {
		t.Errorf("labs %v, %v", names, err)
	}
	os.Remove(filepath.Join(netnsDir(), "dead.notours"))
	if err := living.remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(RunDir()); err == nil {
		t.Errorf("left: %v", tree(RunDir()))
	}

	// What a supervisor left that was killed in the midst of its last steps.
	if err := os.Mkdir(RunDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(RunDir(), madeHere), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Clean(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(RunDir()); err == nil {
		t.Errorf("left: %v", tree(RunDir()))
	}
}

func TestPrepare(t *testing.T) {
	setUp(t)
	text := strings.Replace(shop, "lab: NAME\n", "lab: NAME\nprepare: echo made ready > ready; cat ready\n", 1)
	path := write(t, "shop", text)
	ready := filepath.Join(filepath.Dir(path), "ready")
	up(t, path)
	if err := Down(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(ready); err == nil {
		t.Error("prepared without real programs")
	}
	var output bytes.Buffer
	if _, err := Up(t.Context(), UpRequest{File: labfile.Input{Path: path}, Real: true, Output: &output}); err != nil {
		t.Fatal(err)
	}
	if output.String() != "made ready\n" {
		t.Errorf("output %q", output.String())
	}
	if err := Down(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	fails := write(t, "shop", strings.Replace(text, "cat ready", "exit 3", 1))
	if _, err := Up(
		t.Context(),
		UpRequest{File: labfile.Input{Path: fails}, Real: true, Output: &output},
	); err == nil ||
		!strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("a failing preparation gives %v", err)
	}
	if _, err := os.Stat(RunDir()); err == nil {
		t.Errorf("left: %v", tree(RunDir()))
	}
}
