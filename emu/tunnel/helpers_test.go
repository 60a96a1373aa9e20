package tunnel

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/emu/kerneltest"
)

var (
	addr   = netip.MustParseAddr
	prefix = netip.MustParsePrefix
)

// The networks of the tests: a host behind a router on each side, and between the routers a third, which knows their
// public addresses alone. The links there have other addresses, as those of a lab do.
//
//	left-host 10.1.0.4 ── left 65.52.0.9 ── internet ── right 131.107.0.9 ── right-host 192.168.7.4
const (
	left, leftHost   = "left", "left-host"
	right, rightHost = "right", "right-host"
	internet         = "internet"
)

type part struct {
	router, host        string
	public              netip.Addr
	inside              netip.Prefix
	gateway, address    netip.Addr
	uplink, backbone    netip.Addr
	number              byte
	uplinkAt, throughAt string
}

var parts = []part{
	{
		left,
		leftHost,
		addr("65.52.0.9"),
		prefix("10.1.0.0/24"),
		addr("10.1.0.1"),
		addr("10.1.0.4"),
		addr("169.254.0.2"),
		addr("169.254.0.1"),
		1,
		"wan",
		"to-left",
	},
	{
		right,
		rightHost,
		addr("131.107.0.9"),
		prefix("192.168.7.0/24"),
		addr("192.168.7.1"),
		addr("192.168.7.4"),
		addr("169.254.0.6"),
		addr("169.254.0.5"),
		2,
		"wan",
		"to-right",
	},
}

func network() *emu.Network {
	n := &emu.Network{}
	middle := &emu.Namespace{Name: internet, Kind: emu.Router}
	for _, p := range parts {
		anywhere := prefix("0.0.0.0/0")
		n.Namespaces = append(
			n.Namespaces,
			&emu.Namespace{
				Name:     p.router,
				Kind:     emu.Router,
				Loopback: []netip.Addr{p.public},
				Routes:   []emu.Route{{Destination: anywhere, Gateway: p.backbone, Device: p.uplinkAt}},
			},
			&emu.Namespace{
				Name:   p.host,
				Kind:   emu.Host,
				Routes: []emu.Route{{Destination: anywhere, Gateway: p.gateway, Device: "eth0"}},
			},
		)
		middle.Routes = append(
			middle.Routes,
			emu.Route{Destination: netip.PrefixFrom(p.public, 32), Gateway: p.uplink, Device: p.throughAt},
		)
		end := func(namespace, name string, mac byte, a netip.Addr, bits int) emu.LinkEnd {
			return emu.LinkEnd{
				Namespace: namespace,
				Name:      name,
				MAC:       emu.MAC{2, 0, 0, 0, p.number, mac},
				Addresses: []netip.Prefix{netip.PrefixFrom(a, bits)},
			}
		}
		n.Links = append(n.Links,
			&emu.Link{A: end(internet, p.throughAt, 1, p.backbone, 30), B: end(p.router, p.uplinkAt, 2, p.uplink, 30)},
			&emu.Link{A: end(p.router, "inside", 3, p.gateway, 24), B: end(p.host, "eth0", 4, p.address, 24)},
		)
	}
	n.Namespaces = append(n.Namespaces, middle)
	n.Sort()
	return n
}

const port = 51820

func between() emu.Tunnel {
	return emu.Tunnel{
		ID: "left-right",
		A: emu.TunnelEnd{
			Namespace:       left,
			Device:          "vpn-right",
			Address:         parts[0].public,
			Port:            port,
			AllowedPrefixes: []netip.Prefix{parts[1].inside},
		},
		B: emu.TunnelEnd{
			Namespace:       right,
			Device:          "vpn-left",
			Address:         parts[1].public,
			Port:            port + 1,
			AllowedPrefixes: []netip.Prefix{parts[0].inside},
		},
	}
}

// lab is the network of the tests, running.
type lab struct {
	*testing.T
	network *emu.Network
	state   *kernel.State
}

func start(t *testing.T) *lab {
	t.Helper()
	return startNetwork(t, network())
}

func startNetwork(t *testing.T, n *emu.Network) *lab {
	t.Helper()
	kerneltest.RequireRoot(t)
	s, err := kernel.Apply(t.Context(), n, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &lab{t, n, s}
}

func (l *lab) namespace(name string) *kernel.Namespace {
	l.Helper()
	n, ok := l.state.Namespace(name)
	if !ok {
		l.Fatalf("there is no namespace %s", name)
	}
	return n
}

// contents is all that the namespaces have, with routing rules and tables, in lines.
func (l *lab) contents() []string {
	l.Helper()
	o, err := kernel.Observe(l.Context(), l.state)
	if err != nil {
		l.Fatal(err)
	}
	var all []string
	for _, n := range l.state.Namespaces() {
		keep := func(lines []string) {
			slices.Sort(lines)
			for _, line := range lines {
				all = append(all, n.Name+": "+line)
			}
		}
		keep(o.Lines(n.Name))
		for _, what := range []string{"rule", "route show table all"} {
			cmd := exec.Command("ip", append([]string{"-oneline"}, strings.Fields(what)...)...)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := n.Start(cmd); err != nil {
				l.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				l.Fatalf("ip %s: %v %s", what, err, out.String())
			}
			keep(strings.Split(out.String(), "\n"))
		}
	}
	return all
}

// ways are the makers that work here: the process's always, the kernel's where it has WireGuard.
func ways(t *testing.T) map[string]maker {
	kerneltest.RequireRoot(t)
	s, err := kernel.Apply(
		t.Context(),
		&emu.Network{Namespaces: []*emu.Namespace{{Name: "try", Kind: emu.Router}}},
		nil,
	)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	all := map[string]maker{"process": inProcess}
	err = kernel.AddWireGuard(s.Namespaces()[0], "try")
	switch {
	case err == nil:
		all["kernel"] = inKernel
		all["mixed"] = func(s side) (end, error) {
			if s.Namespace == left {
				return inKernel(s)
			}
			return inProcess(s)
		}
	case errors.Is(err, errors.ErrUnsupported):
		t.Log("this kernel has no WireGuard:", err)
	default:
		t.Error(err)
	}
	return all
}

// exchange has client send a text to server and server send it back, and gives the source that server saw.
func (l *lab) exchange(client, server part, text []byte, timeout time.Duration) (source netip.Addr, err error) {
	at := netip.AddrPortFrom(server.address, 8080)
	listener, err := l.namespace(server.host).ListenTCP(at)
	if err != nil {
		return source, err
	}
	defer func() { err = errors.Join(err, listener.Close()) }()
	accepted := make(chan error, 1)
	go func() {
		c, err := listener.AcceptTCP()
		if err != nil {
			accepted <- err
			return
		}
		source = c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
		got := make([]byte, len(text))
		if _, err = io.ReadFull(c, got); err == nil {
			_, err = c.Write(got)
		}
		accepted <- errors.Join(err, c.Close())
	}()
	var c net.Conn
	if err := l.namespace(client.host).Do(func() error {
		c, err = net.DialTimeout("tcp4", at.String(), timeout)
		return err
	}); err != nil {
		return source, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.SetDeadline(time.Now().Add(kerneltest.Patience)); err != nil {
		return source, err
	}
	written := make(chan error, 1)
	go func() {
		_, err := c.Write(text)
		written <- err
	}()
	back := make([]byte, len(text))
	if _, err := io.ReadFull(c, back); err != nil {
		return source, err
	}
	if !bytes.Equal(text, back) {
		return source, errors.New("what came back is not what was sent")
	}
	return source, errors.Join(<-written, <-accepted)
}

// sniffer keeps all IPv4 packets that come into a namespace.
type sniffer struct {
	*lab
	fd  int
	all [][]byte
}

func (l *lab) sniff(namespace string) *sniffer {
	l.Helper()
	const ipv4 = unix.ETH_P_IP<<8 | unix.ETH_P_IP>>8 // in network byte order
	fd, err := l.namespace(namespace).Socket(unix.AF_PACKET, unix.SOCK_DGRAM, ipv4&0xffff)
	if err != nil {
		l.Fatal(err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1<<28); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		if err := unix.Close(fd); err != nil {
			l.Error(err)
		}
	})
	return &sniffer{lab: l, fd: fd}
}

// packets returns what was seen so far; till it is called the kernel keeps it.
func (s *sniffer) packets() [][]byte {
	s.Helper()
	buf := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(s.fd, buf, 0)
		switch {
		case err == nil:
			s.all = append(s.all, bytes.Clone(buf[:n]))
		case errors.Is(err, unix.EAGAIN):
			return s.all
		case !errors.Is(err, unix.EINTR):
			s.Fatal(err)
		}
	}
}

// settled waits for the number of goroutines to fall to n.
func settled(t *testing.T, n int) {
	t.Helper()
	if !kerneltest.Becomes(func() bool { return runtime.NumGoroutine() <= n }) {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines, there were %d:\n%s", runtime.NumGoroutine(), n, buf[:runtime.Stack(buf, true)])
	}
}
