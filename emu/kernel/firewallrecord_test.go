package kernel

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/kerneltest"
	"vnetlab/emu/text"
)

// newLoader makes a loader of guest firewalls.
func newLoader(t *testing.T) *firewallLoader {
	t.Helper()
	kerneltest.RequireRoot(t)
	l, err := newFirewallLoader()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// recordedLoader makes one that has recorded the rules of some firewalls.
func recordedLoader(t *testing.T, all ...*emu.Firewall) *firewallLoader {
	t.Helper()
	l := newLoader(t)
	l.record(t.Context(), all)
	for _, f := range all {
		if !l.recorded.has(f) {
			t.Fatalf("not recorded, unusable: %v", l.unusable)
		}
	}
	return l
}

// saved returns all that iptables-save prints, without the time.
func saved(t *testing.T, n *Namespace) string {
	t.Helper()
	return withoutComments(run(t, n, "", "iptables-save"))
}

func withoutComments(printed string) string {
	lines := slices.Collect(strings.Lines(printed))
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "#") }), "")
}

// withoutRestore makes the loader unable to start iptables-restore.
func withoutRestore(l *firewallLoader) { l.restore.program = "/nonexistent" + restoreSuffix }

// A firewall that is composed of recorded rules is what iptables-restore makes, to the last attribute that nft prints.
func TestRecordedFirewallEqualsRestored(t *testing.T) {
	f := everyRule()
	half := &emu.Firewall{Rules: f.Rules[:len(f.Rules)/2]}
	l := recordedLoader(t, half, &emu.Firewall{})
	l.record(t.Context(), []*emu.Firewall{f, half, {Rules: f.Rules[1:]}}) // the other half is new
	few := &emu.Firewall{Rules: []emu.FirewallRule{f.Rules[8], f.Rules[2], f.Rules[len(f.Rules)-1], f.Rules[2]}}
	for name, f := range map[string]*emu.Firewall{"every rule": f, "none": {}, "few, in another order": few} {
		t.Run(name, func(t *testing.T) {
			restored, composed := empty(t, "restored"), empty(t, "composed")
			if err := l.restore.load(t.Context(), restored, text.IPTables(f)); err != nil {
				t.Fatal(err)
			}
			without := *l
			without.restore = &restorer{}
			withoutRestore(&without)
			if err := without.load(t.Context(), composed, f); err != nil {
				t.Fatal(err)
			}
			for _, program := range []string{
				"iptables-save -c", "iptables -S -v", "ip6tables-save",
				"nft -a list ruleset",
			} {
				list := func(n *Namespace) string { return withoutComments(run(t, n, "", "sh", "-c", program)) }
				want, got := list(restored), list(composed)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: -restored +composed\n%s", program, diff)
				}
			}
			if got := saved(t, composed); got != text.IPTables(f) {
				t.Errorf("got\n%s, want\n%s", got, text.IPTables(f))
			}
		})
	}
}

// drawFirewall draws rules of every form.
func drawFirewall(t *rapid.T) *emu.Firewall {
	port := rapid.Uint16()
	ports := rapid.Custom(func(t *rapid.T) emu.PortRange {
		first := port.Draw(t, "first")
		if rapid.Bool().Draw(t, "one port") {
			return emu.PortRange{First: first, Last: first}
		}
		return emu.PortRange{First: first, Last: rapid.Uint16Range(first, 65535).Draw(t, "last")}
	})
	address := rapid.Custom(func(t *rapid.T) netip.Addr {
		return netip.AddrFrom4([4]byte{10, 0, rapid.Byte().Draw(t, "subnet"), rapid.Byte().Draw(t, "host")})
	})
	f := &emu.Firewall{}
	for i := range rapid.IntRange(0, 6).Draw(t, "rules") {
		r := emu.FirewallRule{
			ID: fmt.Sprintf("rule %d", i), Drop: rapid.Bool().Draw(t, "drop"),
			Comment:  rapid.StringMatching(`[a-z0-9 "'\\$/:,!#-]{0,40}`).Draw(t, "comment"),
			Protocol: rapid.SampledFrom([]string{"", "tcp", "udp", "icmp"}).Draw(t, "protocol"),
		}
		if r.Protocol == "tcp" || r.Protocol == "udp" {
			r.Ports = rapid.SliceOfN(ports, 0, 7).Draw(t, "ports")
		}
		switch rapid.IntRange(0, 2).Draw(t, "source") {
		case 0:
			r.From = netip.PrefixFrom(address.Draw(t, "from"), rapid.IntRange(0, 32).Draw(t, "bits"))
		case 1:
			r.FromTo = [2]netip.Addr{address.Draw(t, "from"), address.Draw(t, "to")}
			slices.SortFunc(r.FromTo[:], netip.Addr.Compare)
		}
		f.Rules = append(f.Rules, r)
	}
	return f
}

// So is any other.
func TestRecordedFirewallsEqualRestored(t *testing.T) {
	restore := newLoader(t).restore
	places := []*Namespace{empty(t, "a"), empty(t, "b")}
	rapid.Check(t, func(t *rapid.T) {
		var all []*emu.Firewall
		for range places {
			all = append(all, drawFirewall(t))
		}
		l := &firewallLoader{restore: &restorer{restore.program, restore.env}}
		l.record(context.Background(), all)
		withoutRestore(l)
		for i, n := range places {
			if err := l.load(context.Background(), n, all[i]); err != nil {
				t.Fatalf("unusable %v: %v", l.unusable, err)
			}
			printed, err := restore.save(context.Background(), n)
			if diff := cmp.Diff(text.IPTables(all[i]), printed); err != nil || diff != "" {
				t.Errorf("%v; -wanted +found\n%s", err, diff)
			}
			if err := (&firewallEditor{Namespace: n}).clear(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// What iptables-save doesn't print as it should, or what the kernel doesn't take, is loaded by iptables-restore.
func TestUnrecordedFirewalls(t *testing.T) {
	f := everyRule()
	wrong := func(t *testing.T, script string) *firewallLoader {
		l := newLoader(t)
		dir := t.TempDir()
		save, err := exec.LookPath("iptables-save")
		if err != nil {
			t.Fatal(err)
		}
		restore := filepath.Join(dir, restoreProgram)
		if err := os.WriteFile(filepath.Join(dir, "iptables-save"), fmt.Appendf(nil, "#!/bin/sh\n"+script, save),
			0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(restore, fmt.Appendf(nil, "#!/bin/sh\nexec %s \"$@\"", l.restore.program),
			0o700); err != nil {
			t.Fatal(err)
		}
		l.restore.program = restore
		return l
	}
	for _, tt := range []struct {
		name string
		make func(*testing.T) *firewallLoader
	}{
		{"another policy", func(t *testing.T) *firewallLoader { return wrong(t, `%s "$@" | sed s/DROP/ACCEPT/`) }},
		{"a rule too few", func(t *testing.T) *firewallLoader { return wrong(t, `%s "$@" | grep -v 1433`) }},
		{"failing", func(t *testing.T) *firewallLoader { return wrong(t, "exit 1 # %s") }},
		{"legacy", func(t *testing.T) *firewallLoader {
			kerneltest.RequirePrograms(t, "iptables-legacy-restore")
			if out, err := tryRun(empty(t, "legacy"), "", "iptables-legacy", "-S"); err != nil {
				kerneltest.Lacks(t, "a kernel with legacy iptables: "+oneLine(out))
			}
			l := newLoader(t)
			l.restore.program = "iptables-legacy" + restoreSuffix
			return l
		}},
		{"refused by the kernel", func(t *testing.T) *firewallLoader {
			l := recordedLoader(t, f, &emu.Firewall{})
			for line, rule := range l.recorded.rules {
				if strings.Contains(line, "multiport") {
					rule.Data = rule.Data[:len(rule.Data)-len(compat(0))] // multiport checks the protocol
					l.recorded.rules[line] = rule
				}
			}
			return l
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := tt.make(t)
			before := descriptorsAtRest(t)
			l.record(t.Context(), []*emu.Firewall{f, {}})
			if tt.name != "refused by the kernel" && (l.recorded != nil || !l.unusable) {
				t.Errorf("recorded %v, unusable %v", l.recorded != nil, l.unusable)
			}
			noMoreDescriptors(t, before, "after the record") // and so no scratch namespace
			n := empty(t, "host")
			if err := l.load(t.Context(), n, f); err != nil {
				t.Fatal(err)
			}
			list := "iptables"
			if tt.name == "legacy" {
				list += "-legacy"
			}
			want := append([]string{inputPolicy}, f.Lines()...)
			got := strings.Split(strings.TrimSpace(run(t, n, "", list, "-S", input)), "\n")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-wanted +found\n%s", diff)
			}
		})
	}
}

// The rules that a network has already are loaded into new namespaces without a process.
func TestUpdateLoadsRecordedFirewalls(t *testing.T) {
	kerneltest.RequireRoot(t)
	from, to := kerneltest.Subnets(1, 2), kerneltest.Subnets(1, 5)
	s := apply(t, from)
	if !s.firewalls.recorded.has(firewall(from, kerneltest.Host(0, 0))) {
		t.Fatalf("not recorded, unusable: %v", s.firewalls.unusable)
	}
	withoutRestore(s.firewalls)
	if err := s.Update(t.Context(), diff.Networks(from, to)); err != nil {
		t.Fatal(err)
	}
	if left := differences(t, to, s); left != "" {
		t.Error(left)
	}
	again := kerneltest.Subnets(1, 6)
	firewall(again, kerneltest.Host(0, 5)).Rules[0].Comment = "not recorded"
	err := s.Update(t.Context(), diff.Networks(to, again))
	if err == nil || !strings.Contains(err.Error(), "guest firewall of host-0-5: ") ||
		!strings.HasSuffix(err.Error(), "; the network is as before") {
		t.Error(err)
	}
}

// Packets meet the rules: what a firewall of recorded rules admits is answered, and the rule that drops the rest
// counts it.
func TestRecordedFirewallDecides(t *testing.T) {
	kerneltest.RequireRoot(t)
	want := kerneltest.Subnets(1, 4)
	client, other := kerneltest.Address(0, 0), kerneltest.Address(0, 1)
	one := func(port uint16) []emu.PortRange { return []emu.PortRange{{First: port, Last: port}} }
	for i := 2; i < 4; i++ {
		firewall(want, kerneltest.Host(0, i)).Rules = []emu.FirewallRule{
			{
				ID: "banned", Drop: true, Protocol: "tcp", Ports: append(one(80), one(444)...),
				From: netip.PrefixFrom(other, 32),
			},
			{ID: "web", Protocol: "tcp", Ports: append(one(80), one(443)...)},
			{ID: "one", Protocol: "tcp", Ports: one(22), From: netip.PrefixFrom(client, 32)},
			{ID: "range", Comment: "a range", Protocol: "tcp", Ports: one(23), FromTo: [2]netip.Addr{client, client}},
		}
	}
	s := apply(t, want)
	if !s.firewalls.recorded.has(firewall(want, kerneltest.Host(0, 2))) {
		t.Fatalf("not recorded, unusable: %v", s.firewalls.unusable)
	}
	const ending = "-A INPUT -j DROP"
	banned := firewall(want, kerneltest.Host(0, 2)).Lines()[3]
	for i := 2; i < 4; i++ {
		server := namespace(t, s, kerneltest.Host(0, i))
		for _, tt := range []struct {
			from, port int
			dropped    string // by which rule; empty: not at all
		}{
			{0, 80, ""},
			{0, 443, ""},
			{0, 22, ""},
			{0, 23, ""},
			{0, 24, ending},
			{1, 80, banned},
			{1, 443, ""},
			{1, 22, ending},
			{1, 23, ending},
			{1, 444, banned},
		} {
			from := namespace(t, s, kerneltest.Host(0, tt.from))
			to := netip.AddrPortFrom(kerneltest.Address(0, i), uint16(tt.port))
			what := fmt.Sprintf("%s to %s", from.Name, to)
			if tt.dropped == "" {
				if _, err := from.Dial(t.Context(), "tcp4", to); err == nil ||
					!strings.Contains(err.Error(), "refused") {
					t.Errorf("%s: %v", what, err)
				}
				continue
			}
			before := counted(t, server, tt.dropped)
			fd, err := from.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			if err != nil {
				t.Fatal(err)
			}
			_ = unix.Connect(fd, &unix.SockaddrInet4{Port: tt.port, Addr: to.Addr().As4()}) // goes on
			kerneltest.Eventually(t, what+" is dropped",
				func() bool { return counted(t, server, tt.dropped) != before })
			unix.Close(fd)
		}
	}
}

// counted returns the counters of a rule.
func counted(t *testing.T, n *Namespace, rule string) string {
	t.Helper()
	for line := range strings.Lines(run(t, n, "", "iptables-save", "-c")) {
		if counters, ok := strings.CutSuffix(strings.TrimSpace(line), " "+rule); ok {
			return counters
		}
	}
	t.Fatalf("%s has no rule %s", n.Name, rule)
	return ""
}
