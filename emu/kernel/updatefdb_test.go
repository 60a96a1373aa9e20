package kernel

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/kerneltest"
	"vnetlab/emu/text"
)

// drawLeaves draws links from the first bridge of a namespace to leaf bridges.
func drawLeaves(t *rapid.T, n *emu.Network, edge *emu.Namespace) (leaves []*emu.Link) {
	first := edge.Bridges[0].Name
	for i := range 2 {
		if !rapid.Bool().Draw(t, "leaf") {
			continue
		}
		b := emu.Bridge{Name: fmt.Sprintf("leaf%d", i), MAC: emu.MAC{2, 5, 0, 0, 0, byte(i)}}
		edge.Bridges = append(edge.Bridges, b)
		leaves = append(leaves, &emu.Link{
			A: emu.LinkEnd{
				Namespace: edge.Name, Name: fmt.Sprintf("down%d", i), MAC: emu.MAC{2, 6, 0, 0, 0, byte(i)},
				Port: &emu.BridgePort{Bridge: first},
			},
			B: emu.LinkEnd{
				Namespace: edge.Name, Name: fmt.Sprintf("up%d", i), MAC: emu.MAC{2, 7, 0, 0, 0, byte(i)},
				Port: &emu.BridgePort{Bridge: b.Name, Uplink: true},
			},
		})
	}
	n.Links = append(n.Links, leaves...)
	return leaves
}

// drawFDBEntries draws a port, or none, for each of some MAC addresses that no host has.
func drawFDBEntries(t *rapid.T, n *emu.Network) {
	ports := []*emu.BridgePort{{}} // and one that no bridge has
	for _, l := range n.Links {
		for _, p := range []*emu.BridgePort{l.A.Port, l.B.Port} {
			if p != nil {
				ports = append(ports, p)
			}
		}
	}
	for i := range 4 {
		p := rapid.SampledFrom(ports).Draw(t, "port of an FDB entry")
		p.Stations = append(p.Stations, emu.MAC{2, 8, 0, 0, 0, byte(i)})
	}
}

// watched is a connection with both its ends. What one end sent and the other didn't receive was lost. What was sent
// again tells less: a slow machine also sends again what is only late.
type watched struct {
	connection
	server    net.Conn
	out, back int32 // the result of underWay when no packet is: the server doesn't count the handshake
}

func watch(t *testing.T, c connection, server net.Conn) *watched {
	t.Helper()
	c.lives(t, "before all")
	w := &watched{c, server, math.MaxInt32, math.MaxInt32}
	for range 5 {
		out, back := w.underWay(t)
		w.out, w.back = min(w.out, out), min(w.back, back)
		time.Sleep(10 * time.Millisecond)
	}
	return w
}

// underWay returns how many packets each end has sent that the other has not received.
func (w *watched) underWay(t *testing.T) (out, back int32) {
	t.Helper()
	here, there := tcpInfo(t, w.Conn), tcpInfo(t, w.server)
	return int32(here.Segs_out - there.Segs_in), int32(there.Segs_out - here.Segs_in)
}

// lost reports whether packets were lost.
func (w *watched) lost(t *testing.T) bool {
	t.Helper()
	return !kerneltest.Becomes(func() bool {
		out, back := w.underWay(t)
		return out == w.out && back == w.back
	})
}

// Hosts come to a leaf bridge, move from one to another and go. The others behind the same bridges lose no packet.
func TestStationsChangeWhileOthersTalk(t *testing.T) {
	kerneltest.RequireRoot(t)
	from, hosts := leafNetworkOf("main", "main", "leaf0", "leaf0", "leaf1", "leaf1")
	s := apply(t, from)
	host := func(i int) *Namespace { return namespace(t, s, kerneltest.Host(0, i)) }
	at := func(i int) netip.AddrPort { return netip.AddrPortFrom(kerneltest.Address(0, i), kerneltest.Port) }
	servers := map[string]*server{}
	for name, address := range hosts {
		servers[name] = echo(t, namespace(t, s, name), netip.AddrPortFrom(address, kerneltest.Port))
	}
	var all []*watched
	for _, pair := range [][2]int{{0, 2}, {4, 2}, {1, 4}} {
		c := connect(t, host(pair[0]), at(pair[1]))
		all = append(all, watch(t, c, servers[kerneltest.Host(0, pair[1])].end(t, c)))
	}
	for _, tt := range []struct {
		what    string
		bridges []string
		reach   [][2]int // new connections
	}{
		{
			"one comes to a leaf",
			[]string{"main", "main", "leaf0", "leaf0", "leaf1", "leaf1", "leaf0"},
			[][2]int{{6, 0}, {6, 4}, {6, 2}},
		},
		{
			"two change their places",
			[]string{"main", "main", "leaf0", "leaf1", "leaf1", "leaf0", "leaf0"},
			[][2]int{{3, 0}, {5, 0}, {3, 5}, {3, 4}, {5, 2}},
		},
		{
			"one goes from a leaf to the main bridge, and one from there",
			[]string{"main", "main", "leaf0", "main", "leaf1", "leaf0", "leaf0", "leaf1"},
			[][2]int{{3, 0}, {3, 5}, {7, 3}, {7, 4}},
		},
		{
			"and back",
			[]string{"main", "main", "leaf0", "leaf0", "leaf1", "leaf1", "leaf1", "main"},
			[][2]int{{6, 2}, {7, 0}, {5, 6}},
		},
		{"those that came go", []string{"main", "main", "leaf0", "leaf0", "leaf1", "leaf1"}, [][2]int{{3, 0}, {5, 0}}},
	} {
		to, hosts := leafNetworkOf(tt.bridges...)
		change := diff.Networks(from, to)
		if len(change.ChangedPorts) == 0 {
			t.Fatal(text.Change(change))
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
			if c.lost(t) {
				t.Errorf("%s: packets were lost", tt.what)
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
