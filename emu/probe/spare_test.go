package probe

import (
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu/kerneltest"
)

// TestSpareSockets takes sockets one after the other: there are spare ones then, of the same namespace, and none
// after a while or after Close.
func TestSpareSockets(t *testing.T) {
	state, _ := start(t, kerneltest.Subnets(1, 1))
	ns := namespace(t, state, kerneltest.Host(0, 0))
	s, err := newSpareSockets(ns)
	if err != nil {
		t.Fatal(err)
	}
	own, err := ns.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(own) //nolint:errcheck // a test
	cookie := func(fd int) uint64 {
		c, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	take := func() {
		t.Helper()
		fd, err := s.take()
		if err != nil {
			t.Fatal(err)
		}
		if cookie(fd) != cookie(own) {
			t.Error("the socket is of another namespace")
		}
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	}
	spare := func() []int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Clone(s.spare)
	}
	take()
	if n := len(spare()); n > 0 {
		t.Errorf("a single probe left %d spare sockets", n)
	}
	s.mu.Lock()
	s.last = time.Now().Add(time.Hour) // however slow the machine is
	s.mu.Unlock()
	take()
	deadline := time.Now().Add(time.Minute)
	for len(spare()) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d spare sockets are still open", len(spare()))
		}
		time.Sleep(time.Millisecond)
	}
	s.mu.Lock()
	s.last = time.Now().Add(time.Hour)
	s.mu.Unlock()
	take()
	left := spare()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, fd := range left {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
			t.Errorf("descriptor %d is open after Close: %v", fd, err)
		}
	}
	take()
	if n := len(spare()); n > 0 {
		t.Errorf("%d spare sockets were made after Close", n)
	}
}
