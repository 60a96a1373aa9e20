package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// Feature is something of the machine that labs use.
type Feature struct {
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	Required bool   `json:"required"`         // no lab works without it
	Detail   string `json:"detail,omitempty"` // what was found, or what went wrong
	Cost     string `json:"cost"`             // what is lost without it
	Remedy   string `json:"remedy"`           // how to get it
	Untried  bool   `json:"untried"`          // for want of privileges: whether the machine has it is not known
}

// ErrUntried is why a feature isn't OK that was not tried.
var ErrUntried = errors.New("not tried: it needs root")

// Check tries each feature once. What it makes for that is gone when it returns, or goes with its namespaces.
func Check(ctx context.Context) []Feature {
	privilege := try("privileges", "no lab can start",
		"run it as root; in a container, give it these capabilities (--privileged)", privileges)
	all := []Feature{
		privilege,
		try("iptables", "guest firewalls can't be loaded", "apt-get install iptables",
			func() (string, error) { return version(ctx, "iptables") }),
		try("iptables-restore", "guest firewalls can't be loaded", "apt-get install iptables",
			func() (string, error) { return version(ctx, restoreProgram) }),
		optional(try("nft", "nothing in a lab; only for looking at its rules by hand", "apt-get install nftables",
			func() (string, error) { return version(ctx, "nft") })),
	}
	for _, p := range probes(ctx) {
		if !privilege.OK {
			p.probe = func() (string, error) { return "", ErrUntried }
		}
		all = append(all, try(p.name, p.cost, p.remedy, p.probe))
	}
	switches := func() (string, error) {
		if !privilege.OK {
			return "", ErrUntried
		}
		return "", trySwitch()
	}
	all = append(all, optional(try("nftables bridge",
		"a machine can send from another one's address, so that rules by remote address can be deceived",
		"boot a kernel with CONFIG_NF_TABLES_BRIDGE (Debian package linux-image-amd64)", switches)))
	return append(append(all, tunnelFeatures(privilege.OK)...), limits()...)
}

func try(name, cost, remedy string, probe func() (string, error)) Feature {
	detail, err := probe()
	if err != nil {
		detail = oneLine(err.Error())
	}
	return Feature{
		Name: name, OK: err == nil, Required: true, Detail: detail, Cost: cost, Remedy: remedy,
		Untried: errors.Is(err, ErrUntried),
	}
}

func optional(f Feature) Feature {
	f.Required = false
	return f
}

func privileges() (string, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "", err
	}
	var effective uint64
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "CapEff:"); ok {
			if effective, err = strconv.ParseUint(strings.TrimSpace(value), 16, 64); err != nil {
				return "", err
			}
		}
	}
	var missing []string
	for _, c := range []struct {
		number int
		name   string
	}{{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}, {unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {unix.CAP_NET_RAW, "CAP_NET_RAW"}} {
		if effective&(1<<c.number) == 0 {
			missing = append(missing, c.name)
		}
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("missing: %s", strings.Join(missing, ", "))
	}
	return "CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW", nil
}

func version(ctx context.Context, program string) (string, error) {
	out, err := exec.CommandContext(ctx, program, "--version").CombinedOutput()
	return oneLine(string(out)), err
}

type probe struct {
	name, cost, remedy string
	probe              func() (string, error)
}

func module(name string) string {
	return fmt.Sprintf("modprobe %s, or boot a kernel that has it (Debian package linux-image-amd64)", name)
}

// probes make what a lab would make, in their own namespaces.
func probes(ctx context.Context) []probe {
	network := func(n *emu.Network) func() (string, error) {
		return func() (string, error) { return "", applyAndCompare(ctx, n) }
	}
	rules := func(hook emu.Hook, statements ...emu.Statement) func() (string, error) {
		return network(&emu.Network{Namespaces: []*emu.Namespace{{
			Name: "probe", Kind: emu.Router,
			Ruleset: &emu.Ruleset{
				Table: "probe",
				Chains: []*emu.Chain{
					{Name: "target"},
					{Name: "probe", Hook: hook, Rules: []emu.Rule{{Statements: statements}}},
				},
			},
		}}})
	}
	tcp := emu.MatchProtocol{Protocol: "tcp"}
	a := netip.MustParseAddr("192.0.2.1")
	all := []probe{
		{
			"network namespaces", "no lab can start", "boot a kernel with CONFIG_NET_NS",
			network(&emu.Network{Namespaces: []*emu.Namespace{{Name: "probe", Kind: emu.Router}}}),
		},
		{
			"PID, mount and UTS namespaces", "instances can't run programs",
			"boot a kernel with CONFIG_PID_NS and CONFIG_UTS_NS", processNamespaces,
		},
		{"veth", "nothing can be connected", module("veth"), network(bridgeless())},
		{
			"bridge", "no subnet can be made", module("bridge") + "; ports that answer ARP need Linux 4.1",
			network(bridged()),
		},
		{
			"nftables", "no router of a lab can decide anything", module("nf_tables"),
			rules(emu.ForwardHook, tcp, emu.MatchPort{Port: 80}, emu.Counter{}, emu.Drop{}),
		},
		{
			"connection tracking", "no firewall and no VIP works", module("nf_conntrack nft_ct"),
			rules(emu.ForwardHook, emu.MatchEstablished{}, emu.Accept{}),
		},
		{
			"nftables nat", "no VIP works", module("nft_chain_nat"),
			rules(emu.DNATHook, tcp, emu.DNAT{To: netip.AddrPortFrom(a, 80)}),
		},
		{
			"nftables hash", "no load-balanced endpoint works", module("nft_hash"),
			rules(emu.DNATHook, tcp, emu.DNATByHash{
				By: emu.FiveTuple,
				To: []netip.AddrPort{netip.AddrPortFrom(a, 80)},
			}),
		},
		{
			"nftables timeouts", "endpoints with an idle timeout don't work",
			"boot a kernel with CONFIG_NF_CONNTRACK_TIMEOUT", network(&emu.Network{Namespaces: []*emu.Namespace{
				{
					Name: "probe", Kind: emu.Router,
					Ruleset: onlyTimeouts([]emu.TimeoutPolicy{{Name: "idle", Protocol: emu.TCP, Seconds: 240}}),
				},
			}}),
		},
		{
			"nftables fib", "no lab starts: nothing drops what internet hosts send from the addresses of others",
			module("nft_fib_ipv4"), rules(emu.RawHook, emu.MatchForgedSource{}, emu.Drop{}),
		},
		{
			"nftables log", "no drop can be proved, so that nothing is ever found blocked",
			module("nft_log nfnetlink_log"), rules(emu.ForwardHook, emu.MatchProbe{}, emu.Log{Prefix: "probe"}),
		},
		{
			"nflog", "no drop can be proved, so that nothing is ever found blocked", module("nfnetlink_log"),
			func() (string, error) { return "", bindLog() },
		},
	}
	for _, m := range []struct{ name, rule, module string }{
		{"match conntrack", "-m conntrack --ctstate ESTABLISHED", "xt_conntrack"},
		{"match comment", "-m comment --comment probe", "xt_comment"},
		{"match multiport", "-p tcp -m multiport --dports 80,443", "xt_multiport"},
		{"match iprange", "-m iprange --src-range 192.0.2.1-192.0.2.9", "xt_iprange"},
		{"match dscp", "-m dscp --dscp 0x2b", "xt_dscp"},
		{"target NFLOG", "-j NFLOG --nflog-prefix probe --nflog-group 1", "xt_NFLOG"},
	} {
		all = append(all, probe{
			"iptables " + m.name, "guest firewalls that use it can't be loaded", module(m.module),
			func() (string, error) {
				return "", loadLine(ctx, m.rule)
			},
		})
	}
	return all
}

// bridgeless joins two hosts by one link.
func bridgeless() *emu.Network {
	return &emu.Network{
		Namespaces: []*emu.Namespace{{Name: "a", Kind: emu.Host}, {Name: "b", Kind: emu.Host}},
		Links: []*emu.Link{{
			A: emu.LinkEnd{Namespace: "a", Name: "eth0", MAC: emu.MAC{2, 0, 0, 0, 0, 1}},
			B: emu.LinkEnd{Namespace: "b", Name: "eth0", MAC: emu.MAC{2, 0, 0, 0, 0, 2}},
		}},
	}
}

// bridged has a port of each kind.
func bridged() *emu.Network {
	n := bridgeless()
	n.Namespaces[0].Bridges = []emu.Bridge{{Name: "probe", MAC: emu.MAC{2, 0, 0, 0, 0, 3}}}
	n.Namespaces[0].Neighbors = []emu.Neighbor{{
		Device: "probe", Address: netip.MustParseAddr("192.0.2.1"),
		MAC: emu.MAC{2, 0, 0, 0, 0, 2},
	}}
	n.Links[0].A.Port = &emu.BridgePort{
		Bridge: "probe", Stations: []emu.MAC{{2, 0, 0, 0, 0, 2}}, ProxyARP: true,
		Uplink: true,
	}
	return n
}

// applyAndCompare makes a network and sees whether the kernel has all of it: an old one passes over what it doesn't
// know.
func applyAndCompare(ctx context.Context, want *emu.Network) (err error) {
	s, err := Apply(ctx, want, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	found, err := Diff(ctx, want, s)
	if err == nil && len(found) > 0 {
		err = errors.New(found[0].String())
	}
	return err
}

// processNamespaces leaves a thread in the new namespaces; it ends with the goroutine.
func processNamespaces() (string, error) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWNS|unix.CLONE_NEWUTS|unix.CLONE_NEWPID))
	}()
	return "", <-done
}

// bindLog asks for the packets of the log group, as probes do.
func bindLog() (err error) {
	n, err := newNamespace("probe", func() error { return nil })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	return n.Do(func() (err error) {
		c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.Close()) }()
		const config, command, bind = 1, 1, 1 // NFULNL_MSG_CONFIG, NFULA_CFG_CMD, NFULNL_CFG_CMD_BIND
		cmd, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: command, Data: []byte{bind}}})
		if err != nil {
			return err
		}
		header := binary.BigEndian.AppendUint16([]byte{unix.AF_INET, unix.NFNETLINK_V0}, emu.LogGroup)
		_, err = c.Execute(netlink.Message{
			Header: netlink.Header{
				Type:  unix.NFNL_SUBSYS_ULOG<<8 | config,
				Flags: netlink.Request | netlink.Acknowledge,
			},
			Data: append(header, cmd...),
		})
		return err
	})
}

// loadLine loads a firewall of one rule.
func loadLine(ctx context.Context, match string) (err error) {
	r, err := newRestorer()
	if err != nil {
		return err
	}
	n, err := newNamespace("probe", func() error { return nil })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	return r.load(ctx, n, "*filter\n-A INPUT "+match+"\nCOMMIT\n")
}
