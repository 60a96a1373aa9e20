package kernel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
)

func BenchmarkApply(b *testing.B) {
	kerneltest.RequireRoot(b)
	for _, hosts := range []int{100, 1000} {
		b.Run(fmt.Sprintf("%d", hosts), func(b *testing.B) {
			want := kerneltest.Subnets(40, hosts/40)
			for b.Loop() {
				s, err := Apply(context.Background(), want, nil)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// descriptors counts the descriptors of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// descriptorsAtRest is how many there are when those are gone that close in the background, or by the garbage
// collector. More may go later, so that it is a limit for what is there after something.
func descriptorsAtRest(t *testing.T) int {
	t.Helper()
	runtime.GC()
	n, same := descriptors(t), 0
	if !kerneltest.Becomes(func() bool {
		time.Sleep(5 * time.Millisecond)
		now := descriptors(t)
		if same++; now != n {
			n, same = now, 0
		}
		return same == 10
	}) {
		t.Fatalf("the number of descriptors keeps changing, it is %d now", n)
	}
	return n
}

// noMoreDescriptors waits until there are no more descriptors than before.
func noMoreDescriptors(t *testing.T, before int, when string) {
	t.Helper()
	if !kerneltest.Becomes(func() bool {
		runtime.GC()
		return descriptors(t) <= before
	}) {
		t.Fatalf("%s: %d descriptors instead of %d", when, descriptors(t), before)
	}
}

// Whenever Apply is stopped, it leaves no descriptor, and so no namespace.
func TestApplyStops(t *testing.T) {
	kerneltest.RequireRoot(t)
	want := kerneltest.Subnets(3, 8)
	if s, err := Apply(t.Context(), want, nil); err != nil || s.Close() != nil { // what is opened once for all
		t.Fatal(err)
	}
	before := descriptorsAtRest(t)
	for stop := 0; stop < 75; stop += 7 {
		ctx, cancel := context.WithCancel(t.Context())
		s, err := Apply(ctx, want, func(done, total int) {
			if done > stop {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) || s != nil {
			t.Errorf("stopped after %d steps: %v, %v", stop, s, err)
		}
		cancel()
		noMoreDescriptors(t, before, fmt.Sprintf("stopped after %d steps", stop))
	}
}

// What can't be made is an error that says where, and nothing is left.
func TestApplyFails(t *testing.T) {
	kerneltest.RequireRoot(t)
	if s, err := Apply(t.Context(), kerneltest.Subnets(1, 2), nil); err != nil ||
		s.Close() != nil { // what is opened once for all
		t.Fatal(err)
	}
	before := descriptorsAtRest(t)
	for name, tt := range map[string]struct {
		spoil func(*emu.Network)
		want  string
	}{
		"twice": {
			func(n *emu.Network) { n.Namespaces = append(n.Namespaces, n.Namespaces[0]) },
			"namespace edge is there twice",
		},
		"no bridge": {
			func(n *emu.Network) { n.Links[0].A.Port.Bridge = "x" },
			"link h0-0 of edge: there is no bridge x",
		},
		"no namespace": {func(n *emu.Network) { n.Links[0].B.Namespace = "x" }, "link eth0: there is no namespace x"},
		"same device":  {func(n *emu.Network) { n.Links[1].A.Name = n.Links[0].A.Name }, "edge has two devices h0-0"},
		"no device":    {func(n *emu.Network) { n.Namespaces[1].Routes[0].Device = "x" }, "there is no device x"},
		"long name": {
			func(n *emu.Network) { n.Links[0].A.Name = "a-name-beyond-15-bytes" },
			"namespace edge: add link a-name-beyond-15-bytes: ",
		},
		"unreachable": {
			func(n *emu.Network) { n.Namespaces[1].Routes[0].Gateway = addr("192.0.2.1") },
			"add route to 0.0.0.0/0: network is unreachable (Nexthop has invalid gateway)",
		},
		"firewall": {
			func(n *emu.Network) { n.Namespaces[1].Firewall.Rules[0].Protocol = "nonsense" },
			"guest firewall of host-0-0: iptables-restore: exit status 2",
		},
		"rules": {func(n *emu.Network) {
			n.Namespaces[0].Ruleset = &emu.Ruleset{
				Table:  "lab",
				Chains: []*emu.Chain{{Name: "a", Rules: []emu.Rule{with(emu.Goto{Chain: "b"})}}},
			}
		}, "namespace edge: load the nftables table lab: "},
	} {
		t.Run(name, func(t *testing.T) {
			n := kerneltest.Subnets(1, 2)
			tt.spoil(n)
			s, err := Apply(t.Context(), n, nil)
			if s != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			noMoreDescriptors(t, before, "afterwards")
		})
	}
}

// Progress goes from 1 to the total by ones.
func TestApplyReports(t *testing.T) {
	kerneltest.RequireRoot(t)
	last, all := 0, 0
	want := kerneltest.Subnets(2, 3)
	s, err := Apply(t.Context(), want, func(done, total int) {
		if done != last+1 {
			t.Errorf("%d after %d", done, last)
		}
		last, all = done, total
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if last != all || all != 7+6+6 {
		t.Errorf("%d of %d", last, all)
	}
}

// Settings are written in the namespaces, and not on the host.
func TestSysctls(t *testing.T) {
	kerneltest.RequireRoot(t)
	keys := []string{
		"net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.default.disable_ipv6", "net.ipv6.conf.eth0.disable_ipv6",
		"net.ipv4.ip_forward", "net.ipv4.conf.all.rp_filter", "net.ipv4.conf.default.rp_filter",
		"net.ipv4.conf.all.send_redirects",
	}
	read := func() string {
		var all strings.Builder
		for _, k := range keys {
			b, _ := os.ReadFile("/proc/sys/" + strings.ReplaceAll(k, ".", "/"))
			fmt.Fprint(&all, k, " = ", string(b))
		}
		return all.String()
	}
	before := read()
	s := apply(t, kerneltest.Subnets(1, 1))
	host, _ := s.Namespace(kerneltest.Host(0, 0))
	if got := run(t, host, "", "cat", "/proc/sys/net/ipv6/conf/default/disable_ipv6",
		"/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "/proc/sys/net/ipv4/ip_forward"); got != "1\n1\n0\n" {
		t.Errorf("host: %q", got)
	}
	if got := run(t, host, "", "ip", "-6", "addr"); got != "" {
		t.Errorf("host has IPv6: %s", got)
	}
	edge, _ := s.Namespace(kerneltest.Edge)
	if got := run(t, edge, "", "cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/conf/subnet0/rp_filter",
		"/proc/sys/net/ipv4/conf/h0-0/send_redirects"); got != "1\n0\n0\n" {
		t.Errorf("edge: %q", got)
	}
	if after := read(); after != before {
		t.Errorf("the host changed from\n%s\nto\n%s", before, after)
	}
}

// The first packet after Apply arrives, from either side of a bridge, however busy the machine is.
func TestFirstPacketArrives(t *testing.T) {
	kerneltest.RequireRoot(t)
	runtime.LockOSThread() // with the thread that starts them the processes would end
	defer runtime.UnlockOSThread()
	for range 4 {
		// Processes, since busy goroutines would keep those of the test from running.
		busy := exec.CommandContext(t.Context(), "sh", "-c", "while :; do :; done")
		busy.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
		if err := busy.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { busy.Wait() }) //nolint:errcheck // it ends with the context of the test
	}
	for range 10 {
		s := apply(t, kerneltest.Subnets(2, 10))
		for subnet := range 2 {
			host, _ := s.Namespace(kerneltest.Host(subnet, 9))
			edge, _ := s.Namespace(kerneltest.Edge)
			first(t, edge, host, netip.AddrPortFrom(kerneltest.Address(subnet, 9), kerneltest.Port))
			first(t, host, edge, netip.AddrPortFrom(kerneltest.Gateway(subnet), kerneltest.Port))
		}
	}
}

// first connects once, without a packet or a question for the other's MAC address that was sent again. How long it
// took says nothing: the machine may be slow.
func first(t *testing.T, from, to *Namespace, addr netip.AddrPort) {
	t.Helper()
	l, err := to.ListenTCP(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := from.Dial(t.Context(), "tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n := retransmissions(t, c); n > 0 {
		t.Errorf("the first connection from %s to %s sent %d packets again", from.Name, to.Name, n)
	}
	if n := questions(t, from, addr.Addr()); n > 1 {
		t.Errorf("%s asked %d times for the MAC address of %s", from.Name, n, to.Name)
	}
}

// retransmissions returns how many packets the connection has sent again.
func retransmissions(t *testing.T, c net.Conn) uint32 {
	t.Helper()
	return tcpInfo(t, c).Total_retrans
}

// questions returns how often a namespace has asked for the MAC address of a neighbor. The kernel counts them from the
// number of those that it would send to one that it knew before.
func questions(t *testing.T, n *Namespace, neighbor netip.Addr) int {
	t.Helper()
	told := run(t, n, "", "ip", "-statistics", "-4", "neigh", "show", neighbor.String())
	m := regexp.MustCompile(`probes (\d+)`).FindStringSubmatch(told)
	if m == nil {
		t.Fatalf("%s knows nothing of %s: %q", n.Name, neighbor, told)
	}
	probes, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	const unicast = 3 // net.ipv4.neigh.*.ucast_solicit
	return max(0, probes-unicast)
}
