package probe

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/emu/kerneltest"
)

// by hand runs a command line in a namespace, as a person would.
func byHand(t testing.TB, ns *kernel.Namespace, line string) string {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command("sh", "-ec", line)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := ns.Start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		t.Fatalf("%s: %v: %s", line, err, out.String())
	}
	return out.String()
}

// manyTimes is how often a verdict must come that a race could spoil.
const manyTimes = 100

// TestDrift changes by hand what decides, in the namespace that reports. Blocked is what the packets are where all is
// as it should be, and never where it isn't: what can be reached is open, what can't be is a timeout that names the
// difference.
func TestDrift(t *testing.T) {
	const reportThenAccept = "iptables -D INPUT -j DROP; "
	type change struct {
		name    string
		line    string
		to      netip.AddrPort
		over    emu.Protocol
		verdict emu.Verdict
		detail  string // of a timeout
	}
	tcp, udp := netip.AddrPortFrom(sql1, 1433), netip.AddrPortFrom(sql1, 1434)
	nobodyListens := netip.AddrPortFrom(sql1, 99)
	for _, c := range []change{
		{
			"accepted behind the end", "iptables -A INPUT -p tcp --dport 1433 -j ACCEPT", tcp, emu.TCP,
			emu.Timeout, "is not wanted: found -A INPUT -p tcp -m tcp --dport 1433 -j ACCEPT",
		},
		{"accepted first", "iptables -I INPUT -p tcp --dport 1433 -j ACCEPT", tcp, emu.TCP, emu.Open, ""},
		{
			"policy", "iptables -P INPUT ACCEPT", tcp, emu.TCP, emu.Timeout,
			"sql1: iptables chain INPUT policy: wanted DROP, found ACCEPT",
		},
		{"no rules", "iptables -F INPUT", tcp, emu.TCP, emu.Timeout, "sql1: iptables chain INPUT rule 1 is missing"},
		{"no rules, all admitted", "iptables -F INPUT; iptables -P INPUT ACCEPT", tcp, emu.TCP, emu.Open, ""},
		{
			"reported, then accepted", reportThenAccept + "iptables -A INPUT -p tcp --dport 1433 -j ACCEPT", tcp,
			emu.TCP, emu.Open, "",
		},
		{
			"reported, then admitted by the policy", reportThenAccept + "iptables -P INPUT ACCEPT", tcp, emu.TCP,
			emu.Open, "",
		},
		{
			"reported, then dropped by the policy", reportThenAccept + "true", tcp, emu.TCP, emu.Timeout,
			"sql1: iptables chain INPUT rule 8 is missing: wanted -A INPUT -j DROP",
		},
		{
			"accepted, nobody listens", "iptables -I INPUT -p tcp --dport 99 -j ACCEPT", nobodyListens, emu.TCP,
			emu.Timeout,
			"10.0.2.4:99 refused, or a rule did in its name: sql1: iptables chain INPUT rule 1 is not wanted",
		},
		{
			"reported, then accepted, nobody listens", reportThenAccept + "iptables -P INPUT ACCEPT",
			nobodyListens, emu.TCP, emu.Timeout, "10.0.2.4:99 refused, or a rule did in its name",
		},
		{
			"rejected", "iptables -I INPUT -p tcp --dport 1433 -j REJECT", tcp, emu.TCP, emu.Timeout,
			"ICMP port-unreachable came from 10.0.2.4",
		},
		{
			"rejected in another way",
			"iptables -I INPUT -p tcp --dport 1433 -j REJECT --reject-with icmp-proto-unreachable", tcp, emu.TCP,
			emu.Timeout, "ICMP proto-unreachable came from 10.0.2.4",
		},
		{
			"prohibited", "iptables -I INPUT -p tcp --dport 1433 -j REJECT --reject-with icmp-admin-prohibited",
			tcp, emu.TCP, emu.Timeout, "sql1: iptables chain INPUT rule 1 is not wanted",
		},
		{
			"reset by a rule", "iptables -I INPUT -p tcp --dport 1433 -j REJECT --reject-with tcp-reset", tcp,
			emu.TCP, emu.Timeout,
			"10.0.2.4:1433 refused, or a rule did in its name: sql1: iptables chain INPUT rule 1",
		},
		{
			"reported, then rejected", reportThenAccept + "iptables -A INPUT -p tcp -j REJECT", tcp, emu.TCP,
			emu.Timeout, "sql1: iptables chain INPUT rule 8: wanted -A INPUT -j DROP, found",
		},
		{
			"reported, then reset by a rule",
			reportThenAccept + "iptables -A INPUT -p tcp -j REJECT --reject-with tcp-reset", tcp, emu.TCP,
			emu.Timeout, "10.0.2.4:1433 refused, or a rule did in its name",
		},
		{
			"answers rejected",
			"iptables -A OUTPUT -p tcp --sport 1433 -j DROP; iptables -I INPUT -p tcp --dport 1433 -j ACCEPT",
			tcp, emu.TCP, emu.Timeout, "sql1: iptables chain",
		},
		{
			"another address", "ip address add 10.9.9.9/32 dev lo", tcp, emu.TCP, emu.Timeout,
			"sql1: address 10.9.9.9/32 on lo is not wanted",
		},
		{
			"another route", "ip route add 10.9.0.0/16 dev eth0", tcp, emu.TCP, emu.Timeout,
			"sql1: route 10.9.0.0/16 is not wanted",
		},

		{
			"UDP accepted behind the end", "iptables -A INPUT -p udp --dport 1434 -j ACCEPT", udp, emu.UDP,
			emu.Timeout, "is not wanted: found -A INPUT -p udp -m udp --dport 1434 -j ACCEPT",
		},
		{"UDP accepted first", "iptables -I INPUT -p udp --dport 1434 -j ACCEPT", udp, emu.UDP, emu.Open, ""},
		{"UDP reported, then accepted", reportThenAccept + "iptables -P INPUT ACCEPT", udp, emu.UDP, emu.Open, ""},
		{
			"UDP rejected", "iptables -I INPUT -p udp --dport 1434 -j REJECT", udp, emu.UDP, emu.Timeout,
			"10.0.2.4:1434 refused, or a rule did in its name: sql1: iptables chain INPUT rule 1",
		},
		{
			"UDP reported, then rejected", reportThenAccept + "iptables -A INPUT -j REJECT", udp, emu.UDP,
			emu.Timeout, "refused, or a rule did in its name",
		},
		{
			"UDP prohibited",
			"iptables -I INPUT -p udp --dport 1434 -j REJECT --reject-with icmp-admin-prohibited", udp, emu.UDP,
			emu.Timeout, "ICMP admin-prohibited came from 10.0.2.4",
		},
		{
			"UDP accepted, nobody listens", "iptables -I INPUT -p udp --dport 99 -j ACCEPT", nobodyListens,
			emu.UDP, emu.Timeout, "10.0.2.4:99 refused, or a rule did in its name",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			state, p := start(t, udpFabric())
			host := namespace(t, state, "sql1")
			target := emu.Target{Address: c.to.Addr(), Port: c.to.Port(), Protocol: c.over}
			before := p.Probe(t.Context(), "real1", target)
			if before.Verdict != emu.Blocked || before.By.ID != emu.FirewallDefault || before.By.Origin.Line != 7 {
				t.Fatalf("before: %+v by %+v", before, before.By)
			}
			byHand(t, host, c.line)
			times := manyTimes
			if c.verdict == emu.Timeout { // each lasts as long as the limit
				p.TimeLimit, times = 300*time.Millisecond, 3
			}
			for i := range times {
				got := p.Probe(t.Context(), "real1", target)
				if got.Verdict != c.verdict || got.By != nil || !strings.Contains(got.Detail, c.detail) ||
					got.Drift != (c.verdict == emu.Timeout) {
					t.Fatalf("probe %d: %+v by %+v, want %s", i, got, got.By, c.verdict)
				}
			}
		})
	}
}

// TestDriftOfARouter has a person let pass in a router what it reports: between the report and the drop, and before
// both.
func TestDriftOfARouter(t *testing.T) {
	for _, c := range []struct {
		name, command string
		verdict       emu.Verdict
		detail        string
	}{
		{"between report and drop", "nft add rule ip lab forward handle HANDLE tcp dport 80 accept", emu.Open, ""},
		{"before the report", "nft insert rule ip lab forward handle HANDLE tcp dport 80 accept", emu.Open, ""},
		{
			"dropped before the report", "nft insert rule ip lab forward handle HANDLE tcp dport 80 drop",
			emu.Timeout, "edge: nftables chain forward rule 4 is not wanted",
		},
		{
			"in another table",
			"nft 'add table ip own; add chain ip own forward { type filter hook forward priority 10; }; " +
				"add rule ip own forward accept'",
			emu.Timeout, "edge: nftables table ip own is not wanted",
		},
		{
			"reset in the name of the host",
			"nft insert rule ip lab forward handle HANDLE tcp dport 80 reject with tcp reset", emu.Timeout,
			"10.0.1.4:80 refused, or a rule did in its name: edge: nftables chain forward rule 4",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			state, p := start(t, fabric())
			target := emu.Target{Address: web1, Port: 80, Protocol: emu.TCP}
			if got := p.Probe(t.Context(), "laptop", target); got.Verdict != emu.Blocked ||
				got.By.ID != "no-endpoint" {
				t.Fatalf("before: %+v", got)
			}
			edge := namespace(t, state, "edge")
			listed := byHand(t, edge, "nft -a list chain ip lab forward")
			report := regexp.MustCompile(`log prefix "no-endpoint".* # handle (\d+)`).FindStringSubmatch(listed)
			if report == nil {
				t.Fatal(listed)
			}
			byHand(t, edge, strings.Replace(c.command, "HANDLE", report[1], 1))
			times := manyTimes
			if c.verdict == emu.Timeout {
				p.TimeLimit, times = 300*time.Millisecond, 3
			}
			for i := range times {
				got := p.Probe(t.Context(), "laptop", target)
				if got.Verdict != c.verdict || got.By != nil || !strings.Contains(got.Detail, c.detail) ||
					got.Drift != (c.verdict == emu.Timeout) {
					t.Fatalf("probe %d: %+v by %+v, want %s", i, got, got.By, c.verdict)
				}
			}
		})
	}
}

// TestDriftThatIsUndone ends with the proof that it began with: nothing of the drift is remembered.
func TestDriftThatIsUndone(t *testing.T) {
	state, p := start(t, fabric())
	host, target := namespace(t, state, "sql1"), emu.Target{Address: sql1, Port: 1433, Protocol: emu.TCP}
	for _, c := range []struct {
		line    string
		verdict emu.Verdict
	}{
		{"true", emu.Blocked},
		{"iptables -I INPUT -p tcp --dport 1433 -j ACCEPT", emu.Open},
		{"iptables -D INPUT -p tcp --dport 1433 -j ACCEPT", emu.Blocked},
		{"iptables-save > /dev/null", emu.Blocked},
		{"iptables -t raw -F; nft 'add table inet own; add chain inet own in { type filter hook input priority 10; }'", emu.Blocked},
		{"iptables -P INPUT ACCEPT; iptables -F; iptables -P INPUT DROP", emu.Timeout},
	} {
		byHand(t, host, c.line)
		if c.verdict == emu.Timeout {
			p.TimeLimit = 300 * time.Millisecond
		}
		for range 10 {
			if got := p.Probe(t.Context(), "real1", target); got.Verdict != c.verdict {
				t.Fatalf("%s: %+v", c.line, got)
			}
			if c.verdict == emu.Timeout {
				break
			}
		}
	}
}

// TestTimeoutNamesDifferences has a way that is cut by hand, each in a place and in a manner of its own, where
// nothing reports a drop.
func TestTimeoutNamesDifferences(t *testing.T) {
	for _, c := range []struct{ name, namespace, command, detail string }{
		{"link of the target", "web2", "ip link set eth0 down", "web2: link eth0 state: wanted up, found down"},
		{
			"address of the target", "web2", "ip address flush dev eth0",
			"web2: address 10.0.1.5/24 on eth0 is missing",
		},
		{
			"way back", "laptop",
			"ip route del default; ip address del 203.0.113.10/24 dev eth0; ip address add 203.0.113.11/24 dev eth0",
			"laptop: ",
		},
		{
			"FDB entry at the router", "edge", "bridge fdb del 02:00:0a:00:01:05 dev web2 master",
			"edge: FDB entry 02:00:0a:00:01:05 behind web2",
		},
		{
			"silent drop", "web2",
			"nft 'add table ip own; add chain ip own input { type filter hook input priority 0; policy drop; }'",
			"web2: nftables table ip own is not wanted",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			state, p := start(t, fabric())
			from, target := "web1", emu.Target{Address: web2, Port: 80, Protocol: emu.TCP}
			if c.namespace == "laptop" {
				from, target = "laptop", emu.Target{Address: vip, Port: 80, Protocol: emu.TCP}
			}
			if got := p.Probe(t.Context(), from, target); got.Verdict != emu.Open {
				t.Fatalf("before: %+v", got)
			}
			byHand(t, namespace(t, state, c.namespace), c.command)
			p.TimeLimit = 300 * time.Millisecond
			got := p.Probe(t.Context(), from, target)
			if got.Verdict != emu.Timeout || !strings.Contains(got.Detail, c.detail) {
				t.Errorf("got %+v, want %s", got, c.detail)
			}
		})
	}
}

// TestOlderIptables has guest firewalls of the older iptables, whose rules no transaction numbers: they are
// compared for each report.
func TestOlderIptables(t *testing.T) {
	kerneltest.RequireRoot(t)
	older, err := exec.LookPath("xtables-legacy-multi")
	if err != nil {
		kerneltest.Lacks(t, "the older iptables")
	}
	folder := t.TempDir()
	for _, program := range []string{"iptables", "iptables-restore", "iptables-save"} {
		if err := os.Symlink(older, filepath.Join(folder, program)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	if out, err := exec.Command("unshare", "-n", "iptables", "-S").CombinedOutput(); err != nil {
		kerneltest.Lacks(t, "a kernel with the older iptables: "+string(out))
	}
	state, p := start(t, fabric())
	host, target := namespace(t, state, "sql1"), emu.Target{Address: sql1, Port: 1433, Protocol: emu.TCP}
	for _, c := range []struct {
		line    string
		verdict emu.Verdict
	}{
		{"true", emu.Blocked},
		{"iptables -I INPUT -p tcp --dport 1433 -j ACCEPT", emu.Open},
		{"iptables -D INPUT -p tcp --dport 1433 -j ACCEPT", emu.Blocked},
		{"iptables -D INPUT -j DROP; iptables -P INPUT ACCEPT", emu.Open},
		{"iptables -P INPUT DROP", emu.Timeout},
	} {
		byHand(t, host, c.line)
		if c.verdict == emu.Timeout {
			p.TimeLimit = 300 * time.Millisecond
		}
		for range 5 {
			got := p.Probe(t.Context(), "real1", target)
			if got.Verdict != c.verdict || got.Drift != (c.verdict == emu.Timeout) {
				t.Fatalf("%s: %+v", c.line, got)
			}
		}
	}
}
