// Package kernel makes an [emu.Network] real in the Linux kernel and reads it back.
//
// It alone imports the netlink, netns, nftables and iptables libraries. Everything it makes lives in network
// namespaces that it created and holds open by descriptor, so the end of the process is the end of all of it.
package kernel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Namespace is a network namespace held open by a descriptor.
type Namespace struct {
	Name string
	file *os.File
	// verified is what its rules were last found to be.
	verified atomic.Pointer[verifiedRules]
}

// home is the network namespace the process started in: where each thread returns to.
var home = sync.OnceValues(func() (*os.File, error) { return os.Open("/proc/self/ns/net") })

// newNamespace makes an empty network namespace and runs setup inside it.
func newNamespace(name string, setup func() error) (*Namespace, error) {
	n := &Namespace{Name: name}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("new network namespace: %w", err)
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return err
		}
		n.file = f
		return setup()
	})
	if err != nil {
		if n.file != nil {
			err = errors.Join(err, n.file.Close())
		}
		return nil, err
	}
	return n, nil
}

// FD is the descriptor that holds the namespace open; /proc/PID/fd/FD is a path to the namespace.
func (n *Namespace) FD() int { return int(n.file.Fd()) }

// Close releases the namespace. It ends when no socket or process is left in it.
func (n *Namespace) Close() error { return n.file.Close() }

// Do runs f on a thread that is inside the namespace. Sockets made and processes started by f itself, not by
// goroutines it starts, belong to the namespace for good.
func (n *Namespace) Do(f func() error) error {
	return onThread(func() error {
		if err := n.enter(); err != nil {
			return fmt.Errorf("enter the network namespace of %s: %w", n.Name, err)
		}
		return f()
	})
}

// enter takes the calling thread into the namespace. A Close at the same time waits: its descriptor could be
// another's already.
func (n *Namespace) enter() error {
	raw, err := n.file.SyscallConn()
	if err != nil {
		return err
	}
	var entered error
	if err := raw.Control(func(fd uintptr) { entered = unix.Setns(int(fd), unix.CLONE_NEWNET) }); err != nil {
		return err
	}
	return os.NewSyscallError("setns", entered)
}

// Start starts a command inside the namespace.
func (n *Namespace) Start(cmd *exec.Cmd) error { return n.Do(cmd.Start) }

// Socket makes a non-blocking socket inside the namespace.
func (n *Namespace) Socket(domain, kind, protocol int) (fd int, err error) {
	fds, err := n.Sockets(1, domain, kind, protocol)
	if err != nil {
		return -1, err
	}
	return fds[0], nil
}

// Sockets makes several non-blocking sockets inside the namespace, for little more than one costs: most of that is
// to enter and leave. It returns fewer, but at least one, when the limit of descriptors is reached.
func (n *Namespace) Sockets(number, domain, kind, protocol int) (fds []int, err error) {
	err = n.Do(func() error {
		for range number {
			fd, err := unix.Socket(domain, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
			if err != nil && len(fds) > 0 {
				return nil
			}
			if err != nil {
				return os.NewSyscallError("socket", err)
			}
			fds = append(fds, fd)
		}
		return nil
	})
	return fds, err
}

// ListenTCP listens inside the namespace.
func (n *Namespace) ListenTCP(addr netip.AddrPort) (l *net.TCPListener, err error) {
	err = n.Do(func() error {
		l, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(addr))
		return err
	})
	return l, err
}

// ListenUDP listens inside the namespace.
func (n *Namespace) ListenUDP(addr netip.AddrPort) (c *net.UDPConn, err error) {
	err = n.Do(func() error {
		c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
		return err
	})
	return c, err
}

// Dial connects from inside the namespace, to numeric addresses only: looking up a name would leave the namespace.
func (n *Namespace) Dial(ctx context.Context, network string, addr netip.AddrPort) (c net.Conn, err error) {
	err = n.Do(func() error {
		c, err = (&net.Dialer{}).DialContext(ctx, network, addr.String())
		return err
	})
	return c, err
}

// onThread runs f on its own operating system thread and returns the thread to the home namespace afterwards. A thread
// that can't return ends with its goroutine.
func onThread(f func() error) error {
	back, err := home()
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := f()
		if homeErr := unix.Setns(int(back.Fd()), unix.CLONE_NEWNET); homeErr != nil {
			done <- errors.Join(err, homeErr)
			return
		}
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}
