package probe

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/emu/listener"
)

// forger sends packets that look like probes' from a namespace, from any address.
type forger struct {
	t  *testing.T
	fd int
}

func newForger(t *testing.T, ns *kernel.Namespace) forger {
	t.Helper()
	fd, err := ns.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW) // with a header of ours
	if err != nil {
		t.Fatal(err)
	}
	return forger{t, fd}
}

// syn sends a SYN as a probe's would be, with another number.
func (f forger) syn(from netip.AddrPort, to netip.AddrPort) {
	p := make([]byte, 40)
	f.header(p, unix.IPPROTO_TCP, from, to)
	binary.BigEndian.PutUint32(p[24:], rand.Uint32())
	p[32], p[33] = 5<<4, 2 // header length, SYN
	binary.BigEndian.PutUint16(p[34:], 1024)
	f.send(p, unix.IPPROTO_TCP, to)
}

// datagram sends one as a probe's would be, with a nonce that starts as the probe's does.
func (f forger) datagram(from netip.AddrPort, to netip.AddrPort) {
	question := listener.Question(uint64(from.Port())<<48|rand.Uint64()>>16, to.Port())
	p := append(make([]byte, 28), question...)
	f.header(p, unix.IPPROTO_UDP, from, to)
	binary.BigEndian.PutUint16(p[24:], uint16(len(p)-20))
	f.send(p, unix.IPPROTO_UDP, to)
}

func (f forger) header(p []byte, protocol byte, from, to netip.AddrPort) {
	p[0], p[1], p[8], p[9] = 4<<4|5, emu.ProbeDSCP<<2, 64, protocol
	copy(p[12:], from.Addr().AsSlice())
	copy(p[16:], to.Addr().AsSlice())
	binary.BigEndian.PutUint16(p[20:], from.Port())
	binary.BigEndian.PutUint16(p[22:], to.Port())
}

func (f forger) send(p []byte, protocol int, to netip.AddrPort) {
	at := 36 // of the checksum
	if protocol == unix.IPPROTO_UDP {
		at = 26
	}
	sum := uint32(protocol) + uint32(len(p)-20)
	for i := 12; i < len(p); i += 2 {
		if word := p[i:min(i+2, len(p))]; len(word) == 2 {
			sum += uint32(binary.BigEndian.Uint16(word))
		} else {
			sum += uint32(word[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(p[at:], ^uint16(sum))
	err := unix.Sendto(f.fd, p, 0, &unix.SockaddrInet4{Addr: to.Addr().As4()})
	if err != nil && err != unix.ENOBUFS && err != unix.EAGAIN &&
		err != unix.EPERM { //nolint:errorlint // an errno as it is
		f.t.Error(err)
	}
}

// TestForgedReports floods a lab with packets that carry the probes' mark, all their source ports, their own
// addresses and those that routers make of them, to the very target and to others, so that rules report them all
// the time. No probe of silence becomes blocked by that.
func TestForgedReports(t *testing.T) {
	for _, over := range []emu.Protocol{emu.TCP, emu.UDP} {
		t.Run(string(over), func(t *testing.T) {
			state, p := start(t, udpFabric())
			p.TimeLimit = 400 * time.Millisecond
			var reports, aimed atomic.Int64
			deliver := p.reports.deliver
			p.reports.deliver = func(of packet, r report) {
				if reports.Add(1); of.destination.Addr() == silent {
					aimed.Add(1)
				}
				deliver(of, r)
			}
			if err := p.listenEverywhere(); err != nil {
				t.Fatal(err)
			}
			inside, outside := newForger(t, namespace(t, state, "web2")), newForger(t, namespace(t, state, "laptop"))
			stop := make(chan struct{})
			var group sync.WaitGroup
			flood := func(f forger, from []netip.Addr, to []netip.AddrPort) {
				group.Go(func() {
					defer unix.Close(f.fd)
					for {
						for port := firstPort; port <= lastPort; port++ {
							select {
							case <-stop:
								return
							default:
							}
							for _, a := range from {
								for _, target := range to {
									if source := netip.AddrPortFrom(a, uint16(port)); over == emu.UDP {
										f.datagram(source, target)
									} else {
										f.syn(source, target)
									}
								}
							}
						}
					}
				})
			}
			target := netip.AddrPortFrom(silent, 9)
			// From outside the edge reports what is sent to the target itself, as coming from the public address of
			// those inside.
			flood(
				outside,
				[]netip.Addr{laptop, vip},
				[]netip.AddrPort{target, netip.AddrPortFrom(vip, 9160), netip.AddrPortFrom(vip, 5001)},
			)
			flood(
				inside,
				[]netip.Addr{web1, web2},
				[]netip.AddrPort{target, netip.AddrPortFrom(sql1, 9), netip.AddrPortFrom(vip, 9160)},
			)

			var probes sync.WaitGroup
			for range 150 {
				probes.Go(func() {
					got := p.Probe(t.Context(), "web1", emu.Target{Address: silent, Port: 9, Protocol: over})
					full := got.Verdict == emu.Error &&
						strings.Contains(got.Detail, "neighbor table") // of the machine
					if got.Verdict != emu.Timeout && !full {
						t.Errorf("got %+v by %+v", got, got.By)
					}
				})
			}
			probes.Wait()
			close(stop)
			group.Wait()
			t.Logf("%d reports of forged packets, %d of them sent to the target", reports.Load(), aimed.Load())
			if reports.Load() < 1000 || aimed.Load() < 100 {
				t.Errorf("%d reports, %d of packets to the target: no flood", reports.Load(), aimed.Load())
			}
		})
	}
}

// TestCourse holds where packets of a probe may be met, and as what.
func TestCourse(t *testing.T) {
	top := newTopology(fabric())
	at := netip.AddrPortFrom
	outbound := top.scope("web1", emu.TCP, at(laptop, 80))
	inbound := top.scope("laptop", emu.TCP, at(vip, 57500))
	for _, c := range []struct {
		name        string
		scope       *scope
		namespace   string
		destination netip.AddrPort
		want        bool
	}{
		{"at the router", outbound, "edge", at(laptop, 80), true},
		{"at the end", outbound, "laptop", at(laptop, 80), true},
		{"where it starts", outbound, "web1", at(laptop, 80), true},
		{"at a host beside", outbound, "sql1", at(laptop, 80), false},
		{"for another port", outbound, "laptop", at(laptop, 81), false},
		{"for another host", outbound, "edge", at(sql1, 80), false},
		{"for the public address", inbound, "edge", at(vip, 57500), true},
		{"translated", inbound, "edge", at(sql1, 1433), true},
		{"translated, at the end", inbound, "sql1", at(sql1, 1433), true},
		{"translated to another port", inbound, "sql1", at(sql1, 57500), false},
		{"of another endpoint", inbound, "edge", at(web1, 80), false},
		{"in a namespace that is gone", inbound, "gone", at(sql1, 1433), false},
	} {
		if got := top.meets(c.scope, c.namespace, c.destination); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
	for _, c := range []struct {
		from   string
		source netip.Addr
		want   bool
	}{
		{"web1", web1, true},
		{"web1", vip, true},
		{"web1", web2, false},
		{"web1", laptop, false},
		{"laptop", laptop, true},
		{"lonely", web1, false},
		{"edge", gateway[web1], true},
	} {
		if got := top.sends(c.from, c.source); got != c.want {
			t.Errorf("%s from %s: %t", c.from, c.source, got)
		}
	}
	for _, c := range []struct {
		scope *scope
		want  []string
	}{
		{outbound, []string{"web1", "edge", "laptop"}},
		{inbound, []string{"laptop", "edge", "sql1"}},
		{top.scope("web1", emu.TCP, at(vip, 80)), []string{"web1", "edge", "web2"}},
		{top.scope("web1", emu.TCP, at(web1, 80)), []string{"web1"}},
		{top.scope("web1", emu.TCP, at(nobody, 80)), []string{"web1", "edge"}},
		{top.scope("lonely", emu.TCP, at(web1, 80)), []string{"lonely", "web1"}},
	} {
		if got := top.deciders(c.scope); !slices.Equal(got, c.want) {
			t.Errorf("from %s to %s: %s, want %s", c.scope.from, c.scope.destinations, fmt.Sprint(got), c.want)
		}
	}
}

// TestWayOverSeveralRouters joins two edges by two routers in a row.
func TestWayOverSeveralRouters(t *testing.T) {
	n := overlapping()
	for _, name := range []string{"middle-a", "middle-b"} {
		n.Namespaces = append(n.Namespaces, &emu.Namespace{Name: name, Kind: emu.Router})
	}
	for _, pair := range [][2]string{{"edge-a", "middle-a"}, {"middle-a", "middle-b"}, {"middle-b", "edge-b"}, {"vm-a", "other-b"}} {
		n.Links = append(
			n.Links,
			&emu.Link{
				A: emu.LinkEnd{Namespace: pair[0], Name: "to-" + pair[1]},
				B: emu.LinkEnd{Namespace: pair[1], Name: "to-" + pair[0]},
			},
		)
	}
	got := newTopology(n).routersBetween("other-a", "vm-b")
	slices.Sort(got)
	if want := []string{"edge-a", "edge-b", "middle-a", "middle-b"}; !slices.Equal(got, want) {
		t.Errorf("got %s", got)
	}
	if got := newTopology(n).routersBetween("far", "vm-b"); got != nil {
		t.Errorf("a way without links: %s", got)
	}
}
