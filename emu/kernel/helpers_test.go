package kernel

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
)

// apply makes a network for the length of the test.
func apply(t testing.TB, want *emu.Network) *State {
	t.Helper()
	kerneltest.RequireRoot(t)
	s, err := Apply(t.Context(), want, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// empty makes a namespace for the length of the test.
func empty(t *testing.T, name string) *Namespace {
	t.Helper()
	s := apply(t, &emu.Network{Namespaces: []*emu.Namespace{{Name: name, Kind: emu.Router}}})
	return s.Namespaces()[0]
}

// run runs a program in the namespace and returns its output.
func run(t *testing.T, n *Namespace, input, program string, args ...string) string {
	t.Helper()
	out, err := tryRun(n, input, program, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return out
}

func tryRun(n *Namespace, input, program string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &out
	cmd.Env = append(os.Environ(), lockVariable+"="+os.DevNull)
	if err := n.Start(cmd); err != nil {
		return "", err
	}
	err := cmd.Wait()
	return out.String(), err
}

// tcpInfo returns what the kernel has counted for a connection.
func tcpInfo(t *testing.T, c net.Conn) *unix.TCPInfo {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	var asked error
	if err := raw.Control(func(fd uintptr) {
		info, asked = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}); err != nil || asked != nil {
		t.Fatal(err, asked)
	}
	return info
}
