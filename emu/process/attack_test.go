package process

import (
	"errors"
	"fmt"
	"net"
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

// attackVariable names the attack that this binary is to try. It is what a command in an instance finds that executes
// itself, for PID 1 is a copy of this binary.
const attackVariable = "PROCESS_TEST_ATTACK"

// outsideVariable is set for the PID 1 of a process that tries an attack outside of an instance.
const outsideVariable = "PROCESS_TEST_OUTSIDE"

// attacker tries the attack that is asked for, and exits with 1 if it came through.
func attacker(name string) int {
	if os.Getenv(outsideVariable) != "" {
		return outside()
	}
	i := slices.IndexFunc(attacks, func(a attack) bool { return a.name == name })
	if i < 0 {
		fmt.Println("there is no attack", name)
		return 2
	}
	t := target{
		os.Getenv("MARKER"),
		os.Getenv("FOLDER"),
		os.Getenv("SOCKET"),
		os.Getenv("ABSTRACT"),
		os.Getenv("LOOPBACK"),
	}
	if err := attacks[i].try(t); err != nil {
		fmt.Println(err)
		return 0
	}
	fmt.Println("came through")
	return 1
}

// outside is PID 1 beside an attacker who isn't in an instance.
func outside() int {
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if err = errors.Join(err, unix.Mount("proc", "/proc", "proc", 0, "")); err != nil {
		fmt.Println(err)
		return 2
	}
	os.Unsetenv(outsideVariable)
	cmd := exec.Command("/proc/self/exe")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	_ = cmd.Run() // an exit status is an answer
	return cmd.ProcessState.ExitCode()
}

func (t target) env(attack string) []string {
	return []string{
		attackVariable + "=" + attack,
		"MARKER=" + t.Marker,
		"FOLDER=" + t.Folder,
		"SOCKET=" + t.Socket,
		"ABSTRACT=" + t.Abstract,
		"LOOPBACK=" + t.Loopback,
	}
}

// visibleFolder makes a folder of the host that instances see.
func visibleFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/var/lib", "vnetlab-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

// prepareTarget makes on the host what attackers are after.
func prepareTarget(t *testing.T) target {
	t.Helper()
	visible := visibleFolder(t)
	to := target{
		Marker: filepath.Join(t.TempDir(), "marker"), Folder: t.TempDir(), Socket: visible + "/socket",
		Abstract: fmt.Sprintf("@vnetlab-test-%d", os.Getpid()),
	}
	if err := os.WriteFile(to.Marker, []byte("of the host\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, l := range []struct{ network, address string }{{"unix", to.Socket}, {"unix", to.Abstract}, {"tcp", "127.0.0.1:0"}} {
		listener, err := net.Listen(l.network, l.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		if l.network == "tcp" {
			to.Loopback = listener.Addr().String()
		}
	}
	return to
}

// Each attack fails in an instance. Outside, in namespaces that keep it from the machine, it comes through: it is an
// attack.
func TestAttacks(t *testing.T) {
	kerneltest.RequireRoot(t)
	to := prepareTarget(t)
	in := newInstanceWithin(t, emu.Boundary{}, Options{Keep: []string{to.Folder}})
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			text, exit, err := output(t, in, Command{Argv: []string{"/proc/self/exe"}, Env: to.env(a.name)})
			if err != nil || exit != 0 {
				t.Errorf("exit %d, %v, %s", exit, err, text)
			}
			t.Log(strings.TrimSpace(text))
			if _, err := os.Stat(a.needs); a.harmful || a.needs != "" && err != nil {
				return
			}
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = slices.Concat(os.Environ(), to.env(a.name), []string{outsideVariable + "=1"})
			cmd.SysProcAttr = &unix.SysProcAttr{
				Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
			}
			if text, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("outside: %s, %s", cmd.ProcessState, text)
			}
		})
	}
}
