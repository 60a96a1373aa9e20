package process

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
)

// supervisor prepares this test to be run again in a process of its own, PID 1 of its own PID namespace and in its
// own mount namespace, as the supervisor of a lab is. In that process it says so.
func supervisor(t *testing.T, env ...string) (cmd *exec.Cmd, inside bool) {
	kerneltest.RequireRoot(t)
	const marker = "PROCESS_TEST_SUPERVISOR"
	if os.Getenv(marker) == t.Name() {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		return nil, true
	}
	run := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	cmd = exec.Command("/proc/self/exe", "-test.run="+run)
	cmd.Env = slices.Concat(os.Environ(), env, []string{
		marker + "=" + t.Name(),
		"GORACE=" + os.Getenv("GORACE") + " atexit_sleep_ms=0", // the race detector would sleep a second at its end
	})
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	return cmd, false
}

// ownMachine runs this test as a supervisor, and says so there.
func ownMachine(t *testing.T) (inside bool) {
	t.Helper()
	cmd, inside := supervisor(t)
	if !inside {
		if text, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(text), "no tests to run") {
			t.Errorf("%v\n%s", err, text)
		}
	}
	return inside
}

func TestEtcOfOtherMachines(t *testing.T) {
	for _, test := range []struct{ name, prepare string }{
		{"plain", "echo host >/etc/resolv.conf; echo host >/etc/hostname"},
		{"systemd-resolved", "mkdir -p /run/systemd/resolve && echo host >/run/systemd/resolve/stub-resolv.conf && " +
			"ln -s ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf; echo host >/etc/hostname"},
		{"link to elsewhere", "mkdir /etc/network && echo host >/etc/network/resolv && ln -s network/resolv /etc/resolv.conf; echo host >/etc/hostname"},
		{"dangling", "ln -s /run/no/such/file /etc/resolv.conf"},
		{"missing", "true"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !ownMachine(t) {
				return
			}
			// A /run of its own too: in the other one all that runs on the machine makes files.
			const etc = "mount -t tmpfs none /mnt && cp -a /etc/alternatives /mnt && mount -t tmpfs none /etc && " +
				"cp -a /mnt/alternatives /etc && umount /mnt && echo 127.0.0.1 host >/etc/hosts && mount -t tmpfs none /run && touch /run/file && "
			const list = "find /etc /run -xdev | sort; cat /etc/hosts; cat /etc/resolv.conf 2>&1; true"
			if text, err := exec.Command("sh", "-c", etc+test.prepare).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			before, err := exec.Command("sh", "-c", list).Output()
			if err != nil {
				t.Fatal(err)
			}
			in := newInstance(t, Options{})
			_, err = in.Exec(t.Context(), Command{Argv: []string{"true"}})
			if err != nil && strings.Contains(err.Error(), "overlay") {
				if out, _ := os.ReadFile("/proc/filesystems"); !strings.Contains(string(out), "overlay") {
					t.Log("a kernel without overlay:", err)
					return
				}
			}
			for script, want := range map[string]string{
				"cat /etc/resolv.conf":                    "nameserver 168.63.129.16\nsearch contacts.internal\n",
				"cat /etc/hostname":                       name + "\n",
				"tail -n 1 /etc/hosts; echo >>/etc/hosts": "10.0.2.4\tsql1\n",
			} {
				if got := shell(t, in, script); got != want {
					t.Errorf("%s: %q, want %q", script, got, want)
				}
			}
			if after, _ := exec.Command("sh", "-c", list).Output(); string(after) != string(before) {
				t.Errorf("the host had\n%sand has\n%s", before, after)
			}
		})
	}
}

// The supervisor is killed at once and has no time to clean up.
func TestSupervisorKilled(t *testing.T) {
	program, daemon := sleeper(), sleeper()
	cmd, inside := supervisor(t, "PROGRAM="+program, "DAEMON="+daemon)
	if inside {
		program, daemon = os.Getenv("PROGRAM"), os.Getenv("DAEMON")
		s := emu.Service{Name: "db", Port: 1433, Protocol: emu.TCP, Command: "exec " + program}
		in := newInstance(t, Options{Lab: "supervisor-killed"}, s)
		if err := in.Run(s); err != nil {
			t.Fatal(err)
		}
		shell(t, in, "setsid "+daemon+" >/dev/null 2>&1 &")
		fmt.Println("ready")
		_, _ = os.Stdin.Read(make([]byte, 1)) // until it is killed
		return
	}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "ready"; {
	}
	kerneltest.Eventually(t, "both run", func() bool { return onHost(t, program) == 1 && onHost(t, daemon) == 1 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // returns when the kernel has ended all of the PID namespace
	if onHost(t, program) != 0 || onHost(t, daemon) != 0 {
		t.Error("something outlived the supervisor")
	}
	// Its control groups stay until somebody looks.
	found, _ := hierarchies()
	for _, h := range found {
		if left, _ := filepath.Glob(filepath.Join(h.path, groupsFolder, "supervisor-killed-*", name)); len(left) == 0 {
			t.Errorf("no control group in %s", h.path)
		}
	}
	Sweep()
	for _, h := range found {
		if left, _ := filepath.Glob(filepath.Join(h.path, groupsFolder, "supervisor-killed-*")); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	}
}
