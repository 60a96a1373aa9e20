package kernel

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
)

// drawLeaves draws links from the first bridge of a namespace to bridges of their own.
func drawLeaves(t *rapid.T, n *emu.Network, edge *emu.Namespace) (leaves []*emu.Link) {
	first := edge.Bridges[0].Name
	for i := range 2 {
		if !rapid.Bool().Draw(t, "leaf") {
			continue
		}
		b := emu.Bridge{Name: fmt.Sprintf("leaf%d", i), MAC: emu.MAC{2, 5, 0, 0, 0, byte(i)}}
		edge.Bridges = append(edge.Bridges, b)
		leaves = append(leaves, &emu.Link{
			A: emu.LinkEnd{Namespace: edge.Name, Name: fmt.Sprintf("down%d", i), MAC: emu.MAC{2, 6, 0, 0, 0, byte(i)}, Port: &emu.BridgePort{Bridge: first}},
			B: emu.LinkEnd{Namespace: edge.Name, Name: fmt.Sprintf("up%d", i), MAC: emu.MAC{2, 7, 0, 0, 0, byte(i)}, Port: &emu.BridgePort{Bridge: b.Name, Uplink: true}},
		})
	}
	n.Links = append(n.Links, leaves...)
	return leaves
}

// drawStations draws a port, or none, for each of some stations that no host has.
func drawStations(t *rapid.T, n *emu.Network) {
	ports := []*emu.BridgePort{{}} // and one that nobody has
	for _, l := range n.Links {
		for _, p := range []*emu.BridgePort{l.A.Port, l.B.Port} {
			if p != nil {
				ports = append(ports, p)
			}
		}
	}
	for i := range 4 {
		p := rapid.SampledFrom(ports).Draw(t, "port of a station")
		p.Stations = append(p.Stations, emu.MAC{2, 8, 0, 0, 0, byte(i)})
	}
}

// retransmissions gives how many packets the connection has sent again.
func retransmissions(t *testing.T, c net.Conn) (n uint32) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var asked error
	if err := raw.Control(func(fd uintptr) {
		var info *unix.TCPInfo
		if info, asked = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); asked == nil {
			n = info.Total_retrans
		}
	}); err != nil || asked != nil {
		t.Fatal(err, asked)
	}
	return n
}

// Hosts come to a leaf bridge, move from one to another and go. The others behind the same bridges lose no packet.
func TestStationsChangeWhileOthersTalk(t *testing.T) {
	kerneltest.RequireRoot(t)
	from, hosts := leafNetworkOf("main", "main", "leaf0", "leaf0", "leaf1", "leaf1")
	s := apply(t, from)
	host := func(i int) *Namespace { return namespace(t, s, kerneltest.Host(0, i)) }
	at := func(i int) netip.AddrPort { return netip.AddrPortFrom(kerneltest.Address(0, i), kerneltest.Port) }
	for name, address := range hosts {
		echo(t, namespace(t, s, name), netip.AddrPortFrom(address, kerneltest.Port))
	}
	all := []connection{connect(t, host(0), at(2)), connect(t, host(4), at(2)), connect(t, host(1), at(4))}
	for _, tt := range []struct {
		what    string
		bridges []string
		reach   [][2]int // new connections
	}{
		{"one comes to a leaf", []string{"main", "main", "leaf0", "leaf0", "leaf1", "leaf1", "leaf0"}, [][2]int{{6, 0}, {6, 4}, {6, 2}}},
		{"two change their places", []string{"main", "main", "leaf0", "leaf1", "leaf1", "leaf0", "leaf0"}, [][2]int{{3, 0}, {5, 0}, {3, 5}, {3, 4}, {5, 2}}},
		{"one goes from a leaf to the main bridge, and one from there", []string{"main", "main", "leaf0", "main", "leaf1", "leaf0", "leaf0", "leaf1"}, [][2]int{{3, 0}, {3, 5}, {7, 3}, {7, 4}}},
		{"and back", []string{"main", "main", "leaf0", "leaf0", "leaf1", "leaf1", "leaf1", "main"}, [][2]int{{6, 2}, {7, 0}, {5, 6}}},
		{"those that came go", []string{"main", "main", "leaf0", "leaf0", "leaf1", "leaf1"}, [][2]int{{3, 0}, {5, 0}}},
	} {
		to, hosts := leafNetworkOf(tt.bridges...)
		change := emu.Changes(from, to)
		if len(change.ChangedPorts) == 0 {
			t.Fatal(change)
		}
		stop, stopped := make(chan struct{}), make(chan error)
		for _, c := range all {
			go func() {
				for {
					select {
					case <-stop:
						stopped <- nil
						return
					case <-time.After(time.Millisecond):
					}
					if _, err := fmt.Fprintln(c, tt.what); err != nil {
						stopped <- err
						return
					}
					if _, err := c.answers.ReadString('\n'); err != nil {
						stopped <- err
						return
					}
				}
			}()
		}
		if err := s.Update(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		close(stop)
		for range all {
			if err := <-stopped; err != nil {
				t.Errorf("%s: %v", tt.what, err)
			}
		}
		if got := differences(t, to, s); got != "" {
			t.Error(tt.what, got)
		}
		for _, c := range all {
			if n := retransmissions(t, c.Conn); n > 0 {
				t.Errorf("%s: %d packets were lost", tt.what, n)
			}
		}
		for _, n := range change.Added {
			echo(t, namespace(t, s, n.Name), netip.AddrPortFrom(hosts[n.Name], kerneltest.Port))
		}
		for _, r := range tt.reach {
			connect(t, host(r[0]), at(r[1])).lives(t, tt.what)
		}
		from = to
	}
}
