package emulator

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/kerneltest"
	"vnetlab/emu/process"
)

// hosts has n hosts in one subnet; each listens on the port that its firewall opens.
func hosts(n int) *emu.Network {
	network := kerneltest.Subnets(1, n)
	for i := range n {
		h, _ := network.Namespace(kerneltest.Host(0, i))
		h.Services = []emu.Service{builtIn}
	}
	return network
}

func update(t *testing.T, e *Emulator, to *emu.Network) {
	t.Helper()
	began := time.Now()
	started, err := e.Update(t.Context(), diff.Networks(e.Network(), to))
	if err != nil {
		t.Fatal(err)
	}
	if err := started.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("changed in %s", time.Since(began).Round(time.Millisecond))
	asWanted(t, e)
}

func asWanted(t *testing.T, e *Emulator) {
	t.Helper()
	if d, err := e.Diff(t.Context()); err != nil || len(d) > 0 {
		t.Fatalf("the kernel differs: %v %v", d, err)
	}
}

func verdict(t *testing.T, e *Emulator, from, to int) emu.Verdict {
	t.Helper()
	return e.Probe(
		t.Context(),
		kerneltest.Host(0, from),
		emu.Target{Address: kerneltest.Address(0, to), Port: kerneltest.Port, Protocol: emu.TCP},
	).Verdict
}

// connected is an established connection from one host to another, to a program that tells its process id.
type connected struct {
	net.Conn
	in *bufio.Reader
}

func (c connected) ask(t *testing.T) string {
	t.Helper()
	if _, err := fmt.Fprintln(c, "who"); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(kerneltest.Patience)) //nolint:errcheck // a TCP connection has deadlines
	line, err := c.in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func connect(t *testing.T, e *Emulator, from int, to netip.Addr) connected {
	t.Helper()
	c, err := e.Dial(t.Context(), kerneltest.Host(0, from), emu.Target{Address: to, Port: kerneltest.Port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return connected{c, bufio.NewReader(c)}
}

func TestUpdateAddsAndRemoves(t *testing.T) {
	e := start(t, hosts(2), Options{})
	update(t, e, hosts(4))
	for _, pair := range [][2]int{{0, 3}, {3, 0}, {2, 3}} {
		if v := verdict(t, e, pair[0], pair[1]); v != emu.Open {
			t.Errorf("host %d to host %d: %s", pair[0], pair[1], v)
		}
	}
	if exit, err := e.Exec(
		t.Context(),
		kerneltest.Host(0, 3),
		process.Command{Argv: []string{"true"}},
	); exit != 0 ||
		err != nil {
		t.Errorf("a command in a new host: %d, %v", exit, err)
	}
	update(t, e, hosts(3))
	if e.NamespaceFD(kerneltest.Host(0, 3)) != -1 {
		t.Error("a host that was removed is there")
	}
	if _, err := e.Exec(t.Context(), kerneltest.Host(0, 3), process.Command{Argv: []string{"true"}}); err == nil {
		t.Error("a host that was removed runs commands")
	}
	update(t, e, hosts(4))
	if v := verdict(t, e, 0, 3); v != emu.Open {
		t.Errorf("a host that came back: %s", v)
	}
}

// What a change doesn't concern keeps its programs and connections.
func TestUpdateLeavesTheRestAlone(t *testing.T) {
	kerneltest.RequireRoot(t)
	command, folder := program(t, "")
	command = strings.Replace(command, "TEST_SERVER=1", "TEST_SERVER=lines", 1)
	with := func(n int, services ...emu.Service) *emu.Network {
		network := hosts(n)
		h, _ := network.Namespace(kerneltest.Host(0, 0))
		h.Services = append(
			[]emu.Service{{Name: "web", Port: kerneltest.Port, Protocol: emu.TCP, Command: command}},
			services...)
		return network
	}
	e := start(t, with(2), Options{Keep: []string{folder}})
	c := connect(t, e, 1, kerneltest.Address(0, 0))
	who := c.ask(t)

	update(t, e, with(3))
	moved := with(3, emu.Service{Name: "second", Port: 81, Protocol: emu.TCP})
	h, _ := moved.Namespace(kerneltest.Host(0, 0))
	h.Services[0].Origin = emu.Origin{File: "lab.yaml", Line: 7}
	h.Firewall.Rules = append(
		h.Firewall.Rules,
		emu.FirewallRule{ID: "more", Protocol: "tcp", Ports: []emu.PortRange{{First: 81, Last: 81}}},
	)
	update(t, e, moved)
	update(t, e, with(2))
	if again := c.ask(t); again != who {
		t.Errorf("the program was %q and is %q", who, again)
	}
	kerneltest.Eventually(
		t,
		"the program to be running",
		func() bool { return e.Services()[0].Program.State == process.Running },
	)
	if s := e.Services(); s[0].Program.Exits != 0 {
		t.Errorf("the program: %+v", s[0])
	}

	other := with(2)
	h, _ = other.Namespace(kerneltest.Host(0, 0))
	h.Services[0].Command = "export NEW=1; " + command
	update(t, e, other)
	if v := verdict(t, e, 1, 0); v != emu.Open {
		t.Errorf("another program in its place: %s", v)
	}
	if _, err := c.Write([]byte("who\n")); err == nil {
		c.SetReadDeadline(time.Now().Add(5 * time.Second)) //nolint:errcheck // a TCP connection has deadlines
		if line, err := c.in.ReadString('\n'); err == nil {
			t.Errorf("the program that was replaced says %q", line)
		}
	}
}

// What fails on the way leaves everything as it was.
func TestUpdateIsRefusedWholly(t *testing.T) {
	e := start(t, hosts(3), Options{})
	before := e.Network()
	bad := hosts(4)
	h, _ := bad.Namespace(kerneltest.Host(0, 3))
	h.Services = append(h.Services, emu.Service{Name: "again", Port: kerneltest.Port, Protocol: emu.TCP})
	bad.Namespaces = slices.DeleteFunc(
		bad.Namespaces,
		func(s *emu.Namespace) bool { return s.Name == kerneltest.Host(0, 1) },
	)
	bad.Links = slices.DeleteFunc(bad.Links, func(l *emu.Link) bool { return l.B.Namespace == kerneltest.Host(0, 1) })
	if _, err := e.Update(
		t.Context(),
		diff.Networks(before, bad),
	); err == nil ||
		!strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("two listeners share a port: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Update(cancelled, diff.Networks(before, hosts(4))); err == nil {
		t.Error("a change is made after the end of its context")
	}
	if _, err := e.Update(
		t.Context(),
		diff.Networks(hosts(3), hosts(4)),
	); err == nil ||
		!strings.Contains(err.Error(), "another network") {
		t.Errorf("a change of another network: %v", err)
	}
	if e.Network() != before {
		t.Error("the network is another one")
	}
	asWanted(t, e)
	for _, pair := range [][2]int{{0, 1}, {1, 0}, {2, 1}} {
		if v := verdict(t, e, pair[0], pair[1]); v != emu.Open {
			t.Errorf("host %d to host %d: %s", pair[0], pair[1], v)
		}
	}
	if _, err := e.Exec(t.Context(), kerneltest.Host(0, 1), process.Command{Argv: []string{"true"}}); err != nil {
		t.Errorf("a host that was to be removed: %v", err)
	}
	update(t, e, hosts(4))
}

func TestRestart(t *testing.T) {
	kerneltest.RequireRoot(t)
	command, folder := program(t, "")
	n := hosts(2)
	h, _ := n.Namespace(kerneltest.Host(0, 0))
	h.Services = []emu.Service{builtIn, {Name: "program", Port: 81, Protocol: emu.TCP, Command: command}}
	e := start(t, n, Options{Keep: []string{folder}})
	in := e.instanceOf(h.Name)
	for range 2 {
		started, err := e.Restart(t.Context(), h.Name)
		if err != nil {
			t.Fatal(err)
		}
		if err := started.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if e.instanceOf(h.Name) == in {
		t.Error("the instance was not restarted")
	}
	if v := verdict(t, e, 1, 0); v != emu.Open {
		t.Errorf("its listener: %s", v)
	}
	if _, err := e.Restart(t.Context(), "nobody"); err == nil {
		t.Error("what isn't there was restarted")
	}
	asWanted(t, e)
}

func TestHealth(t *testing.T) {
	source := netip.MustParseAddr("168.63.129.16")
	asked := func(timeout int) *emu.Network {
		n := hosts(2)
		edge, _ := n.Namespace(kerneltest.Edge)
		edge.Loopback = append(edge.Loopback, source)
		for i, port := range []uint16{kerneltest.Port, 3389} {
			edge.HealthProbes = append(edge.HealthProbes, emu.HealthProbe{
				ID: fmt.Sprint(port), Source: source, Protocol: "tcp", Interval: 1, Timeout: timeout,
				Target: netip.AddrPortFrom(kerneltest.Address(0, i), port),
			})
		}
		return n
	}
	changes := make(chan string, 10)
	// Who serves is not found down by a slow machine.
	e := start(
		t,
		asked(300),
		Options{HealthChanged: func(id string, healthy bool) { changes <- fmt.Sprint(id, healthy) }},
	)
	if s := e.Health(); len(s) != 2 || !s[0].Known || !s[1].Known {
		t.Errorf("after the start: %+v", s)
	}
	told := func(want string) {
		t.Helper()
		select {
		case got := <-changes:
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		case <-time.After(kerneltest.Patience):
			t.Fatalf("no %s", want)
		}
	}
	told("8080true")
	if !e.Healthy("8080") || e.Healthy("3389") {
		t.Errorf("one listens: %+v", e.Health())
	}
	without := asked(2)
	h, _ := without.Namespace(kerneltest.Host(0, 0))
	h.Services = nil
	update(t, e, without)
	told("8080false")
	if e.Healthy("8080") {
		t.Errorf("nobody listens: %+v", e.Health())
	}
}

// serveLines answers each line with the process id.
func serveLines() error {
	l, err := net.Listen("tcp4", ":"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	began := time.Now().UnixNano()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			for in := bufio.NewScanner(c); in.Scan(); {
				fmt.Fprintln(c, os.Getpid(), began)
			}
		}()
	}
}
