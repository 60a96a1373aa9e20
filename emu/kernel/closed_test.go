package kernel

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	vnetlink "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/diff"
)

// track has a namespace know connections: the first packet of each, and the answer to it.
func track(t testing.TB, n *Namespace, flows ...[2]tuple) {
	t.Helper()
	var c *netlink.Conn
	if err := n.Do(func() (err error) {
		c, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, f := range flows {
		orig, _, err := f[0].attribute(ctaTupleOrig)
		if err != nil {
			t.Fatal(err)
		}
		reply, _, err := f[1].attribute(ctaTupleReply)
		if err != nil {
			t.Fatal(err)
		}
		const timeout, protocolInfo, tcpInfo, tcpState, established = 7, 4, 1, 1, 3
		all := []netlink.Attribute{orig, reply, {Type: timeout, Data: binary.BigEndian.AppendUint32(nil, 300)}}
		if f[0].protocol == emu.TCP {
			state, _ := netlink.MarshalAttributes([]netlink.Attribute{{Type: tcpState, Data: []byte{established}}})
			info, _ := netlink.MarshalAttributes([]netlink.Attribute{{Type: tcpInfo | netlink.Nested, Data: state}})
			all = append(all, netlink.Attribute{Type: protocolInfo | netlink.Nested, Data: info})
		}
		attrs, err := netlink.MarshalAttributes(all)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Execute(netlink.Message{
			Header: netlink.Header{
				Type: unix.NFNL_SUBSYS_CTNETLINK << 8, Flags: netlink.Request | netlink.Acknowledge | netlink.Create,
			},
			Data: append([]byte{unix.AF_INET, unix.NFNETLINK_V0, 0, 0}, attrs...),
		}); err != nil {
			t.Fatalf("%v: %v", f, err)
		}
	}
}

// tracked lists the connections that a namespace knows.
func tracked(t *testing.T, n *Namespace) (all []string) {
	t.Helper()
	var h *vnetlink.Handle
	if err := n.Do(func() (err error) {
		h, err = vnetlink.NewHandle(unix.NETLINK_NETFILTER)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	flows, err := h.ConntrackTableList(vnetlink.ConntrackTable, unix.AF_INET)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range flows {
		all = append(all, flowText(tupleOf(f.Forward), tupleOf(f.Reverse)))
	}
	slices.Sort(all)
	return all
}

func flowText(original, reply tuple) string {
	text := func(t tuple) string {
		return fmt.Sprintf("%s:%d>%s:%d", t.source, t.sourcePort, t.destination, t.destinationPort)
	}
	return fmt.Sprintf("%s %s %s", original.protocol, text(original), text(reply))
}

// TestClosedConnectionsAreForgotten has both ways to forget connections forget the ones that are meant, and leave
// all others.
func TestClosedConnectionsAreForgotten(t *testing.T) {
	client, vip, other := addr("203.0.113.4"), addr("198.18.0.16"), addr("198.18.0.17")
	vm1, vm2, desk := addr("10.0.0.4"), addr("10.0.0.5"), addr("192.168.10.4")
	of := func(
		p emu.Protocol, src netip.Addr, sport uint16, dst netip.Addr, dport uint16,
		answers netip.Addr, from uint16, to netip.Addr,
	) [2]tuple {
		return [2]tuple{{src, dst, p, sport, dport}, {answers, to, p, from, sport}}
	}
	flows := map[string][2]tuple{}
	for _, p := range []emu.Protocol{emu.TCP, emu.UDP} {
		for name, f := range map[string][2]tuple{
			"to vm1 by the VIP":       of(p, client, 4000, vip, 80, vm1, 8080, client),
			"to vm1 by the other VIP": of(p, client, 4001, other, 80, vm1, 8080, client),
			"to vm2 by the VIP":       of(p, client, 4002, vip, 80, vm2, 8080, client),
			"to another port":         of(p, client, 4003, vip, 81, vm2, 8080, client),
			"to vm2 itself":           of(p, vm1, 4004, vm2, 80, vm2, 80, vm1),
			"from vm2":                of(p, vm2, 4005, client, 443, client, 443, vip),
			"from a tunnel":           of(p, desk, 4006, vm2, 80, vm2, 80, desk),
			"to a tunnel":             of(p, vm2, 4007, desk, 80, desk, 80, vm2),
		} {
			flows[name+" "+string(p)] = f
		}
	}
	both := func(names ...string) (all []string) {
		for _, n := range names {
			all = append(all, n+" tcp", n+" udp")
		}
		return all
	}
	for _, tt := range []struct {
		name   string
		closed []diff.Closed
		ends   []string
	}{
		{"nothing", nil, nil},
		{"nobody's", []diff.Closed{{Machines: prefix("10.0.0.9/32")}, {Address: addr("198.18.0.9")}}, nil},
		{
			"machine",
			[]diff.Closed{{Machines: prefix("10.0.0.4/32")}},
			both("to vm1 by the VIP", "to vm1 by the other VIP", "to vm2 itself"),
		},
		{
			"VIP",
			[]diff.Closed{{Address: vip}},
			both("to vm1 by the VIP", "to vm2 by the VIP", "to another port", "from vm2"),
		},
		{
			"port",
			[]diff.Closed{{Address: vip, Protocol: emu.UDP, Port: 80}},
			[]string{"to vm1 by the VIP udp", "to vm2 by the VIP udp"},
		},
		{"two ports", []diff.Closed{
			{Address: vip, Protocol: emu.UDP, Port: 80}, {Address: vip, Protocol: emu.TCP, Port: 81},
		}, []string{
			"to vm1 by the VIP udp", "to vm2 by the VIP udp", "to another port tcp",
		}},
		{
			"member",
			[]diff.Closed{{Address: vip, Protocol: emu.TCP, Port: 80, To: netip.AddrPortFrom(vm1, 8080)}},
			[]string{"to vm1 by the VIP tcp"},
		},
		{"tunnel", []diff.Closed{{Machines: prefix("192.168.0.0/16")}}, both("from a tunnel", "to a tunnel")},
		{"tunnel and machine", []diff.Closed{
			{Machines: prefix("192.168.0.0/16")}, {Machines: prefix("10.0.0.4/32")},
		}, both(
			"from a tunnel", "to a tunnel", "to vm1 by the VIP", "to vm1 by the other VIP", "to vm2 itself",
		)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stay []string
			for name, f := range flows {
				if !slices.Contains(tt.ends, name) {
					stay = append(stay, flowText(f[0], f[1]))
				}
			}
			slices.Sort(stay)
			// The kernel's own way, where it has one, and that of older kernels.
			for way, forget := range map[string]func(*Namespace) error{
				"whichever the kernel has": func(n *Namespace) error { return n.closeConnections(tt.closed) },
				"by a list": func(n *Namespace) error {
					var f flowFilter
					for _, c := range tt.closed {
						if c.Machines.IsValid() && !c.Machines.IsSingleIP() {
							f.prefixes = append(f.prefixes, c.Machines)
						} else {
							f.selections = append(f.selections, selections(c)...)
						}
					}
					return n.forgetListed(f)
				},
			} {
				n := empty(t, "edge")
				for _, f := range flows {
					track(t, n, f)
				}
				bystander := empty(t, "bystander")
				track(t, bystander, flows["to vm1 by the VIP udp"])
				if err := forget(n); err != nil {
					t.Fatalf("%s: %v", way, err)
				}
				if diff := cmp.Diff(stay, tracked(t, n)); diff != "" {
					t.Errorf("%s: -wanted +got\n%s", way, diff)
				}
				if got := tracked(t, bystander); len(got) != 1 {
					t.Errorf("%s: another namespace has %v", way, got)
				}
			}
		})
	}
}

// TestKernelForgetsBySelection holds that the quick way is taken where the kernel has it, from Linux 6.11 on.
func TestKernelForgetsBySelection(t *testing.T) {
	n := empty(t, "edge")
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	all := selections(diff.Closed{Machines: netip.MustParsePrefix("10.0.0.4/32")})
	left, err := n.forget(all)
	if err != nil {
		t.Fatal(err)
	}
	if quick := len(left) == 0; quick != (major > 6 || major == 6 && minor >= 11) {
		t.Errorf("Linux %d.%d forgets by selection: %t", major, minor, quick)
	}
}

// BenchmarkClose is what it costs that a machine goes, by how many connections the edge knows.
func BenchmarkClose(b *testing.B) {
	for _, known := range []int{0, 100, 10_000} {
		b.Run(fmt.Sprint(known), func(b *testing.B) {
			s := apply(b, &emu.Network{Namespaces: []*emu.Namespace{{Name: "edge", Kind: emu.Router}}})
			n := s.Namespaces()[0]
			for i := range known {
				src := netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})
				track(b, n, [2]tuple{
					{src, addr("198.18.0.16"), emu.UDP, 4000, 80}, {addr("10.0.0.4"), src, emu.UDP, 80, 4000},
				})
			}
			for b.Loop() {
				if err := n.closeConnections([]diff.Closed{{Machines: prefix("10.0.0.9/32")}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
