package tunnel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vnetlab/emu/kernel"
	"vnetlab/emu/kerneltest"
)

// victim in the environment makes the test program open a tunnel and wait for its end.
const victim = "VNETLAB_TUNNEL_VICTIM"

func TestMain(m *testing.M) {
	if os.Getenv(victim) == "" {
		os.Exit(m.Run())
	}
	if err := openAndWait(); err != nil {
		fmt.Println(err)
	}
	os.Exit(1)
}

func openAndWait() error {
	s, err := kernel.Apply(context.Background(), network(), nil)
	if err != nil {
		return err
	}
	a, _ := s.Namespace(left)
	b, _ := s.Namespace(right)
	c, err := open(context.Background(), a, b, between(), inProcess)
	if err != nil {
		return err
	}
	fmt.Println("open", a.FD())
	_, err = os.Stdin.Read(make([]byte, 1))
	// Nothing is closed before, not by the garbage collector either: the end of the process must do.
	return errors.Join(err, c.Close(), s.Close())
}

// A killed process takes its tunnels along, even where somebody else holds a namespace of theirs.
func TestProcessDies(t *testing.T) {
	kerneltest.RequireRoot(t)
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	cmd.Env = append(os.Environ(), victim+"=1")
	cmd.Stderr = os.Stderr
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
	line, err := bufio.NewReader(out).ReadString('\n')
	var held *os.File
	if fd, opened := strings.CutPrefix(strings.TrimSpace(line), "open "); opened {
		held, err = os.Open(fmt.Sprintf("/proc/%d/fd/%s", cmd.Process.Pid, fd))
	}
	var before, after []string
	var errBefore, errAfter error
	if held != nil {
		before, errBefore = links(held)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
	if held == nil {
		t.Fatal(line, err)
	}
	after, errAfter = links(held)
	if err := errors.Join(errBefore, errAfter, held.Close(), kernel.WaitUntilGone(t.Context())); err != nil {
		t.Fatal(err)
	}
	device := between().A.Device
	if !slices.Contains(before, device) || !slices.Contains(after, "lo") || slices.Contains(after, device) {
		t.Errorf("links before: %v, after: %v", before, after)
	}
}

// links lists the interfaces of a namespace.
func links(namespace *os.File) ([]string, error) {
	var names []string
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread stays in the namespace until it ends with the goroutine
		err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET)
		var all []net.Interface
		if err == nil {
			all, err = net.Interfaces()
		}
		for _, i := range all {
			names = append(names, i.Name)
		}
		done <- err
	}()
	err := <-done
	return names, err
}
