package supervisor

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
	"vnetlab/lab"
	"vnetlab/lab/labtest"
	"vnetlab/lab/rules"
)

// run runs a program in a namespace.
func (w *flowLab) run(namespace string, args ...string) (out string) {
	w.t.Helper()
	w.inside(namespace, func() error {
		b, err := exec.Command(args[0], args[1:]...).CombinedOutput() // a child of the thread that is there
		out = string(b)
		if err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, b)
		}
		return nil
	})
	return out
}

var packetCount = regexp.MustCompile(`counter packets (\d+)`)

// dropped is how many packets a rule with a counter has counted in a chain, the first one from 0.
func (w *flowLab) dropped(chain [4]string, rule int) int {
	w.t.Helper()
	all := packetCount.FindAllStringSubmatch(w.run(chain[0], "nft", "list", "chain", chain[1], chain[2], chain[3]), -1)
	if len(all) <= rule {
		w.t.Fatalf("%s has %d counters", chain, len(all))
	}
	n, err := strconv.Atoi(all[rule][1])
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// The rules of a switch that count.
const (
	forgedPackets = iota
	forgedARP
	otherFrames
)

// TestSpoofedSources has machines of each kind send from addresses that aren't theirs, of a neighbor, of nobody,
// of another network. Nobody hears it, and the rule at the port counts it.
func TestSpoofedSources(t *testing.T) {
	kerneltest.RequireRoot(t)
	kerneltest.RequirePrograms(t, "nft", "ip")
	w := newFlowLab(t)
	for _, name := range []string{"laptop", "stranger", "printer"} {
		w.serve(name)
	}
	at := func(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, flowPort) }
	dip := func(name string) netip.Addr { return w.instance(name).DIP }
	find := func(name string) netip.Addr {
		m, ok := w.lab.Find(name)
		if !ok {
			t.Fatalf("there is no %s", name)
		}
		return m.Address()
	}
	// z lets web1 in and nobody else.
	w.do(lab.AddFirewallRuleOp{Instance: "z", Rule: labtest.Rule(t, "allow any from "+dip("web1").String(), 1)})
	front, set := w.vip("front", lab.Production), w.vip("set", lab.Production)
	nobody := netip.MustParseAddr("10.0.0.99")
	edge := [4]string{rules.NetworkEdgeName("Net"), "bridge", "switch", "prerouting"}
	site := [4]string{"site.hq", "bridge", "switch", "prerouting"}
	sites := [4]string{rules.WebSitesEdgeName("West US"), "ip", "edge", "spoofed"}
	internet := [4]string{rules.Internet, "ip", "internet", "spoofed"}
	for _, tt := range []struct {
		name    string
		machine string
		forged  netip.Addr
		to      string // who would hear it
		at      netip.Addr
		guard   [4]string
	}{
		{"nobody's, in the subnet", "k", nobody, "vm1", dip("vm1"), edge},
		{"a neighbor's that is let in", "k", dip("web1"), "z", dip("z"), edge},
		{"the gateway's", "k", netip.MustParseAddr("10.0.0.1"), "vm1", dip("vm1"), edge},
		{"to another subnet", "k", nobody, "near", dip("near"), edge},
		{"to a leaf", "near", dip("web1"), "leaf", dip("leaf"), edge},
		{"from a leaf", "leaf", dip("near"), "vm1", dip("vm1"), edge},
		{"to a VIP", "k", dip("web1"), "vm1", front, edge},
		{"to a public IP", "k", nobody, "vm1", w.instance("vm1").PublicIP, edge},
		{"to the internet", "k", dip("web1"), "laptop", find("laptop"), edge},
		{"through a tunnel", "k", dip("web1"), "printer", find("printer"), edge},
		{"of an internet host, to a VIP", "laptop", find("stranger"), "vm1", front, internet},
		{"of an internet host, from inside", "laptop", dip("k"), "vm1", front, internet},
		{"of an internet host, from a VIP", "laptop", set, "stranger", find("stranger"), internet},
		{"of a site's host, through a tunnel", "desk", find("printer"), "vm1", dip("vm1"), site},
		{"of a site's host, to the internet", "desk", nobody, "laptop", find("laptop"), site},
		{"of a web site", "site1", find("site2"), "vm1", front, sites},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			own := tt.machine
			from := w.sends(own, netip.Addr{}, at(tt.at))
			if tt.to != "z" && from != 2 {
				t.Errorf("%d of 2 protocols get there from the machine's own address", from)
			}
			w.run(own, "ip", "addr", "add", tt.forged.String()+"/32", "dev", "eth0")
			heard := w.servers[tt.to].Load()
			before := w.dropped(tt.guard, forgedPackets)
			if n := w.sends(own, tt.forged, at(tt.at)); n != 0 {
				t.Errorf("%d of 2 protocols get an answer to %s", n, tt.forged)
			}
			if now := w.servers[tt.to].Load(); now != heard {
				t.Errorf("%s heard %d times from %s", tt.to, now-heard, tt.forged)
			}
			if now := w.dropped(tt.guard, forgedPackets); now < before+2 {
				t.Errorf("the rule has counted %d packets, want one of each protocol at least", now-before)
			}
			w.run(own, "ip", "addr", "del", tt.forged.String()+"/32", "dev", "eth0")
			if n := w.sends(own, netip.Addr{}, at(tt.at)); n != from {
				t.Errorf("afterwards %d of 2 protocols get there, before %d", n, from)
			}
		})
	}
}

// sends begins a connection and a flow from an address of the machine, zero: its own, and returns how many of the
// two were answered.
func (w *flowLab) sends(machine string, from netip.Addr, to netip.AddrPort) (answered int) {
	w.t.Helper()
	limit := kerneltest.Patience
	if from.IsValid() || to.Addr() == w.instance("z").DIP {
		limit = 300 * time.Millisecond // what gets through does at once
	}
	for _, p := range []emu.Protocol{emu.TCP, emu.UDP} {
		d := net.Dialer{Timeout: limit}
		switch {
		case from.IsValid() && p == emu.TCP:
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
		case from.IsValid():
			d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
		}
		f := &flow{protocol: p}
		var err error
		w.inside(machine, func() error {
			f.Conn, err = d.Dial(string(p)+"4", to.String())
			return nil
		})
		if err != nil {
			continue
		}
		if f.answeredBy(limit) != "" {
			answered++
		}
		f.Close()
	}
	return answered
}

// TestSpoofedSourceIsProved holds that a probe from a forged address is blocked by the rule at the port, which
// reports it.
func TestSpoofedSourceIsProved(t *testing.T) {
	kerneltest.RequireRoot(t)
	kerneltest.RequirePrograms(t, "ip")
	w := newFlowLab(t)
	edge := rules.NetworkEdgeName("Net")
	for _, tt := range []struct{ machine, gateway, namespace string }{
		{"k", "10.0.0.1", edge},
		{"leaf", "10.0.2.1", edge},
		{"laptop", "169.254.0.5", rules.Internet},
		{"desk", "192.168.10.1", "site.hq"},
		{"site1", "169.254.0.5", rules.WebSitesEdgeName("West US")},
	} {
		w.run(tt.machine, "ip", "addr", "add", "10.0.0.99/32", "dev", "eth0")
		w.run(tt.machine, "ip", "route", "change", "default", "via", tt.gateway, "dev", "eth0", "onlink",
			"src", "10.0.0.99")
		for _, p := range []emu.Protocol{emu.TCP, emu.UDP} {
			target := emu.Target{Address: w.vip("front", lab.Production), Port: flowPort, Protocol: p}
			o := w.emulator.Probe(t.Context(), tt.machine, target)
			want := emu.RuleReference{Namespace: tt.namespace, ID: rules.SpoofedSource}
			if o.Verdict != emu.Blocked || o.By == nil || o.By.ID != want.ID || o.By.Namespace != want.Namespace ||
				o.By.Text == "" {
				t.Errorf("%s %s: %+v by %+v", tt.machine, p, o, o.By)
			}
		}
	}
}

// TestForgedFrames has a machine answer ARP for another one's address, and speak IPv6: a port passes neither.
func TestForgedFrames(t *testing.T) {
	kerneltest.RequireRoot(t)
	kerneltest.RequirePrograms(t, "nft")
	w := newFlowLab(t)
	edge := [4]string{rules.NetworkEdgeName("Net"), "bridge", "switch", "prerouting"}
	k, victim := w.instance("k").DIP, w.instance("vm1").DIP
	gateway := netip.MustParseAddr("10.0.0.1")
	arp := func(sender netip.Addr) []byte {
		self, other := emu.MACOf(k), emu.MACOf(victim)
		frame := append(append(other[:], self[:]...), 0x08, 0x06)
		frame = append(frame, 0, 1, 8, 0, 6, 4, 0, 2) // an answer
		frame = append(append(frame, self[:]...), sender.AsSlice()...)
		return append(append(frame, other[:]...), victim.AsSlice()...)
	}
	self, other := emu.MACOf(k), emu.MACOf(victim)
	ipv6 := append(append(append(other[:], self[:]...), 0x86, 0xdd, 0x60), make([]byte, 59)...)
	for _, tt := range []struct {
		name   string
		frame  []byte
		rule   int
		passes bool
	}{
		{"ARP for the gateway", arp(gateway), forgedARP, false},
		{"ARP for nobody", arp(netip.IPv4Unspecified()), forgedARP, false},
		{"IPv6", ipv6, otherFrames, false},
		{"ARP of its own", arp(k), forgedARP, true},
	} {
		before := w.dropped(edge, tt.rule)
		received := w.received("vm1")
		w.inside("k", func() error {
			device, err := net.InterfaceByName("eth0")
			if err != nil {
				return err
			}
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd) //nolint:errcheck // the frame is sent
			return unix.Sendto(fd, tt.frame, 0, &unix.SockaddrLinklayer{Ifindex: device.Index})
		})
		if tt.passes {
			kerneltest.Eventually(t, tt.name+" to get there", func() bool { return w.received("vm1") > received })
			continue
		}
		kerneltest.Eventually(t, tt.name+" to be counted", func() bool {
			return w.dropped(edge, tt.rule) == before+1
		})
		if now := w.received("vm1"); now != received {
			t.Errorf("%s got there", tt.name)
		}
	}
}
