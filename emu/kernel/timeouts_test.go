package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/kerneltest"
)

// expiry returns how long the router will remember the connections of the VIP, the one that ends first.
func expiry(t *testing.T, n *Namespace) (time.Duration, bool) {
	t.Helper()
	var flows []*netlink.ConntrackFlow
	if err := n.Do(func() (err error) {
		flows, err = netlink.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	least, found := time.Duration(0), false
	for _, f := range flows {
		if a, _ := netip.AddrFromSlice(f.Forward.DstIP.To4()); a != vip {
			continue
		}
		if left := time.Duration(f.TimeOut) * time.Second; !found || left < least {
			least, found = left, true
		}
	}
	return least, found
}

// isForgotten checks that nothing comes back any more, not even a refusal.
func (c connection) isForgotten(t *testing.T) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintln(c, "late"); err != nil {
		t.Fatal(err)
	}
	if got, err := c.answers.ReadString('\n'); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a forgotten connection goes on: %q, %v", got, err)
	}
}

// A connection through an endpoint is forgotten after the time of its policy, and each has that of the time it began.
func TestTimeoutPolicy(t *testing.T) {
	kerneltest.RequireRoot(t)
	network := func(seconds int) *emu.Network {
		n := published(2, 1, 1)
		r := ruleset(n)
		r.Timeouts = []emu.TimeoutPolicy{{Name: "idle", Protocol: emu.TCP, Seconds: seconds}}
		c := r.Chains[2]
		c.Rules = append([]emu.Rule{with(emu.MatchProtocol{Protocol: "tcp"}, emu.SetTimeout{Policy: "idle"})},
			c.Rules...)
		return n
	}
	from := network(240)
	s := apply(t, from)
	edge, client := namespace(t, s, kerneltest.Edge), namespace(t, s, kerneltest.Host(1, 0))
	echo(t, namespace(t, s, kerneltest.Host(0, 0)), netip.AddrPortFrom(kerneltest.Address(0, 0), kerneltest.Port))
	c := connect(t, client, netip.AddrPortFrom(vip, 1000))
	c.lives(t, "before")
	if left, ok := expiry(t, edge); !ok || left <= 200*time.Second || left > 240*time.Second {
		t.Errorf("remembered for %s, %t, instead of 240 s", left, ok)
	}
	update := func(seconds int) {
		t.Helper()
		to := network(seconds)
		if err := s.Update(t.Context(), diff.Networks(from, to)); err != nil {
			t.Fatal(err)
		}
		if got := differences(t, to, s); got != "" {
			t.Error(got)
		}
		from = to
	}
	update(120)
	c.lives(t, "after")
	second := connect(t, client, netip.AddrPortFrom(vip, 1000))
	second.lives(t, "new")
	if left, ok := expiry(t, edge); !ok || left <= 80*time.Second || left > 120*time.Second {
		t.Errorf("remembered for %s, %t, instead of 120 s", left, ok)
	}
	// So short that nothing can be said over it for sure before it is forgotten.
	update(1)
	short := connect(t, client, netip.AddrPortFrom(vip, 1000))
	if !kerneltest.Becomes(func() bool {
		left, ok := expiry(t, edge)
		return ok && left > time.Second // of the others
	}) {
		t.Error("remembered beyond its time")
	}
	short.isForgotten(t)
	c.lives(t, "to the end")
	second.lives(t, "to the end")
}

// TestEstablishedTimeout checks that a router remembers established connections for its time if no policy sets another.
// A connection that it forgot continues only if nothing is translated.
func TestEstablishedTimeout(t *testing.T) {
	kerneltest.RequireRoot(t)
	network := func(seconds int) *emu.Network {
		n := published(2, 1, 1)
		edge, _ := n.Namespace(kerneltest.Edge)
		edge.EstablishedTimeout = seconds
		forward := edge.Ruleset.Chains[1]
		forward.Rules = append(forward.Rules,
			with(emu.MatchPrefix{Of: emu.Destination, Prefix: netip.MustParsePrefix("10.0.0.0/8")}, emu.Accept{}))
		return n
	}
	n := network(600)
	s := apply(t, n)
	if got := differences(t, n, s); got != "" {
		t.Error(got)
	}
	if got := differences(t, network(240), s); !strings.Contains(got, "nf_conntrack_tcp_timeout_established") {
		t.Errorf("another timeout is no difference: %q", got)
	}
	local := netip.AddrPortFrom(kerneltest.Address(0, 0), kerneltest.Port)
	edge, client := namespace(t, s, kerneltest.Edge), namespace(t, s, kerneltest.Host(1, 0))
	echo(t, namespace(t, s, kerneltest.Host(0, 0)), local)
	published, direct := connect(t, client, netip.AddrPortFrom(vip, 1000)), connect(t, client, local)
	published.lives(t, "translated")
	direct.lives(t, "not translated")
	if left, ok := expiry(t, edge); !ok || left <= 300*time.Second || left > 600*time.Second {
		t.Errorf("remembered for %s, %t, instead of 600 s", left, ok)
	}
	if err := edge.Do(func() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) }); err != nil {
		t.Fatal(err)
	}
	published.isForgotten(t)
	direct.lives(t, "forgotten, but not translated")
}

// A protocol that has no policy is refused before the kernel is asked.
func TestTimeoutOfUnknownProtocol(t *testing.T) {
	n := empty(t, "router")
	r := &emu.Ruleset{Table: "lab", Timeouts: []emu.TimeoutPolicy{{Name: "idle", Protocol: "sctp", Seconds: 1}}}
	if err := n.loadRulesets(r); err == nil ||
		err.Error() != `load the nftables table lab: ct timeout idle: unknown protocol "sctp"` {
		t.Error(err)
	}
}
