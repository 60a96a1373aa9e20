package kernel

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vnetlab/emu"
	"vnetlab/emu/text"
)

var (
	addr   = netip.MustParseAddr
	prefix = netip.MustParsePrefix
)

func with(statements ...emu.Statement) emu.Rule { return emu.Rule{Statements: statements} }

// everyStatement is a ruleset with each kind of set, hook and statement.
func everyStatement() *emu.Ruleset {
	tcp := emu.MatchProtocol{Protocol: "tcp"}
	return &emu.Ruleset{
		Table: "lab",
		Prefixes: []emu.PrefixSet{
			{Name: "spaces", Elements: []netip.Prefix{
				// two that touch, one of a single address, the last of all, and not in order
				prefix("10.0.1.0/24"), prefix("10.0.0.0/24"), prefix("10.1.0.0/16"), prefix("192.168.1.7/32"),
				prefix("255.255.255.0/24"),
			}},
			{Name: "none"},
			{Name: "low", Elements: []netip.Prefix{prefix("0.0.0.0/8")}},
		},
		Timeouts: []emu.TimeoutPolicy{
			{Name: "idle-4", Protocol: emu.TCP, Seconds: 240},
			{Name: "idle-30", Protocol: emu.TCP, Seconds: 1800},
			{Name: "idle-udp", Protocol: emu.UDP, Seconds: 240},
		},
		Pairs: []emu.PairSet{{Name: "pairs", Elements: [][2]netip.Addr{{addr("10.0.0.1"), addr("10.0.0.2")}}}},
		Addresses: []emu.AddressMap{{
			Name:     "vips",
			Elements: []emu.AddressMapElement{{Key: addr("10.0.0.4"), Value: addr("198.18.0.4")}},
		}},
		Marks: []emu.MarkMap{{
			Name: "marks",
			Elements: []emu.MarkMapElement{
				{Key: addr("10.0.0.4"), Mark: 0x01020304},
				{Key: addr("10.0.0.5"), Mark: 1},
			},
		}},
		Sockets: []emu.SocketMap{{Name: "endpoints", Elements: []emu.SocketMapElement{
			{Address: addr("198.18.0.4"), Protocol: emu.TCP, Port: 57500, Chain: "web.tcp-57500"},
			{Address: addr("198.18.0.4"), Protocol: emu.UDP, Port: 53, Chain: "one"},
		}}},
		Chains: []*emu.Chain{
			{Name: "pre", Hook: emu.DNATHook, Rules: []emu.Rule{
				with(emu.MatchInput{Device: "up"}, emu.Dispatch{Map: "endpoints"}),
				with(emu.Goto{Chain: "one"}),
			}},
			{Name: "post", Hook: emu.SNATHook, Rules: []emu.Rule{
				with(emu.MatchOutput{Device: "fifteen-bytes-x"}, emu.MatchPrefixSet{Of: emu.Source, Set: "spaces"},
					emu.SNATByMap{Map: "vips"}),
				with(emu.MatchMark{Mark: 0x102}, emu.SNAT{To: addr("198.18.0.5")}),
				with(emu.MatchMaskedMark{Mark: 0x1000000, Mask: 0xff000000}, emu.SNAT{To: addr("198.18.0.6")}),
				with(emu.MatchMaskedMark{Mark: 0x100, Mask: 0xff00}, emu.SNAT{To: addr("198.18.0.7")}),
				with(emu.MatchMaskedMark{Mark: 0x0a000004, Mask: 0xffffffff}, emu.MatchMaskedMark{},
					emu.SNAT{To: addr("198.18.0.8")}),
				with(emu.MatchDNATed{}, emu.SNAT{To: addr("198.18.0.4")}),
				with(emu.MatchOutput{Device: "up"},
					emu.SNATByHash{By: emu.FiveTuple, To: []netip.Addr{addr("198.18.0.8"), addr("198.18.0.9")}}),
			}},
			{Name: "raw", Hook: emu.RawHook, Rules: []emu.Rule{
				with(emu.MatchForgedSource{}, emu.Drop{}), with(emu.SetMarkByMap{Map: "marks"}),
				with(emu.MatchPairSet{Set: "pairs"}, emu.NoTrack{}, emu.Accept{}),
			}},
			{Name: "input", Hook: emu.InputHook, Rules: []emu.Rule{
				with(emu.MatchEstablished{}, emu.Accept{}), with(emu.MatchInvalid{}, emu.Drop{}),
			}},
			{Name: "forward", Hook: emu.ForwardHook, Rules: append([]emu.Rule{
				with(tcp, emu.MatchSourcePort{Port: 81}, emu.Accept{}),
				with(emu.MatchPrefixSet{Of: emu.Destination, Set: "spaces"}, tcp, emu.MatchPort{Port: 80},
					emu.Accept{}),
				with(emu.MatchPrefix{Of: emu.Source, Prefix: prefix("10.0.0.0/8")}, emu.Accept{}),
				with(emu.MatchPrefix{Of: emu.Source, Prefix: prefix("10.8.0.0/13")}, emu.Accept{}),
				with(emu.MatchPrefix{Of: emu.Destination, Prefix: prefix("10.0.0.0/31")}, emu.Accept{}),
				with(emu.MatchPrefix{Of: emu.Destination, Prefix: prefix("10.1.2.3/32")}, emu.Accept{}),
				with(emu.MatchPrefix{Of: emu.Source, Prefix: prefix("0.0.0.0/0")},
					emu.MatchProtocol{Protocol: "icmp"}, emu.Drop{}),
			}, emu.DropRules("acl:1", `"quoted" back\slash $x é`, emu.Origin{}, emu.MatchProtocol{Protocol: "udp"},
				emu.MatchPort{Port: 53})...)},
			{Name: "web.tcp-57500", Rules: []emu.Rule{
				with(tcp, emu.DNATByHash{
					By: emu.FiveTuple,
					To: []netip.AddrPort{
						netip.MustParseAddrPort("10.0.0.4:80"),
						netip.MustParseAddrPort("10.0.0.5:8080"), netip.MustParseAddrPort("10.0.0.4:80"),
					},
				}),
				with(tcp, emu.DNATByHash{
					By: emu.AddressesAndProtocol,
					To: []netip.AddrPort{
						netip.MustParseAddrPort("10.0.0.4:80"),
						netip.MustParseAddrPort("10.0.0.5:80"),
					},
				}),
				with(tcp, emu.DNATByHash{
					By: emu.AddressPair,
					To: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.4:80")},
				}),
			}},
			{Name: "one", Rules: []emu.Rule{
				with(tcp, emu.SetTimeout{Policy: "idle-4"}),
				with(emu.MatchProtocol{Protocol: "udp"}, emu.SetTimeout{Policy: "idle-udp"}),
				with(tcp, emu.DNAT{To: netip.MustParseAddrPort("10.0.0.4:1433")}),
			}},
			{Name: "two", Rules: []emu.Rule{
				with(emu.SetMark{Mark: 0x102}),
				with(emu.DNAT{To: netip.AddrPortFrom(addr("10.0.0.4"), 0)}),
			}},
		},
	}
}

// everySwitchStatement is a ruleset of bridges with what only those have, beside a set and a chain that the other
// has, too.
func everySwitchStatement() *emu.Ruleset {
	return &emu.Ruleset{
		Family: emu.BridgeFamily, Table: "lab",
		Ports: []emu.PortSet{
			{Name: "pairs", Elements: []emu.PortAddress{
				{Device: "10.0.0.4", Address: addr("10.0.0.4")}, {Device: "fifteen-bytes-x", Address: addr("10.0.0.5")},
			}},
			{Name: "nobody"},
		},
		Chains: []*emu.Chain{{Name: "pre", Hook: emu.SwitchHook, Rules: append([]emu.Rule{
			with(emu.MatchPortAddress{Set: "pairs"}, emu.Accept{}),
			with(emu.MatchPortARP{Set: "pairs"}, emu.Accept{}),
			with(emu.MatchInput{Device: "up-*"}, emu.Accept{}),
			with(emu.MatchARP{}, emu.Counter{}, emu.Drop{}),
		}, emu.DropRules("spoofed", "not its own", emu.Origin{}, emu.MatchIPv4{})...)}},
	}
}

// nft and the product make the same of a ruleset, in what is listed and in what the kernel has.
func TestRulesetEqualsNft(t *testing.T) {
	all := []*emu.Ruleset{everyStatement(), everySwitchStatement()}
	byNft := empty(t, "nft")
	run(t, byNft, text.NFTables(all[0])+text.NFTables(all[1]), "nft", "-f", "-")
	ours := empty(t, "ours")
	if err := ours.loadRulesets(all...); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(run(t, byNft, "", "nft", "list", "ruleset"),
		run(t, ours, "", "nft", "list", "ruleset")); diff != "" {
		t.Errorf("nft list ruleset: -nft +ours\n%s", diff)
	}
	if diff := cmp.Diff(netlinkLines(t, byNft), netlinkLines(t, ours)); diff != "" {
		t.Errorf("nft --debug=netlink list ruleset: -nft +ours\n%s", diff)
	}
}

// netlinkLines returns what the kernel has in a namespace. The elements of a set come in any order, and nft marks one
// that ends with the last address of all.
func netlinkLines(t *testing.T, n *Namespace) []string {
	mark := regexp.MustCompile(`  userdata = \{ \\x01\\x04\\x01\\x00\\x00\\x00 \}`)
	lines := strings.Split(mark.ReplaceAllString(run(t, n, "", "nft", "--debug=netlink", "list", "ruleset"), ""), "\n")
	slices.Sort(lines)
	return lines
}

// A ruleset as large as the largest cloud services need goes in at once.
func TestLargeRuleset(t *testing.T) {
	const endpoints = 5000
	r := &emu.Ruleset{Table: "lab", Sockets: []emu.SocketMap{{Name: "endpoints"}}}
	for i := range endpoints {
		chain := fmt.Sprintf("endpoint-with-a-rather-long-name-%d", i)
		r.Chains = append(r.Chains, &emu.Chain{Name: chain, Rules: []emu.Rule{
			with(emu.MatchProtocol{Protocol: "tcp"}, emu.DNAT{To: netip.AddrPortFrom(addr("10.0.0.4"), uint16(i+1))}),
		}})
		r.Sockets[0].Elements = append(r.Sockets[0].Elements, emu.SocketMapElement{
			Address: addr("198.18.0.4"), Protocol: emu.TCP, Port: uint16(i + 1), Chain: chain,
		})
	}
	r.Chains = append(r.Chains, &emu.Chain{
		Name: "pre", Hook: emu.DNATHook,
		Rules: []emu.Rule{with(emu.Dispatch{Map: "endpoints"})},
	})
	want := &emu.Network{Namespaces: []*emu.Namespace{{Name: "edge", Kind: emu.Router, Ruleset: r}}}
	start := time.Now()
	s := apply(t, want)
	applied := time.Now()
	if got := differences(t, want, s); got != "" {
		t.Error(got[:min(len(got), 1000)])
	}
	t.Log("apply", applied.Sub(start), "diff", time.Since(applied))
}

// A rule that chooses one of more members than one request has room for.
func TestLargeDistribution(t *testing.T) {
	const members = 1100
	var targets []netip.AddrPort
	for i := range members {
		targets = append(targets, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80))
	}
	choose := with(emu.MatchProtocol{Protocol: "tcp"}, emu.DNATByHash{By: emu.FiveTuple, To: targets})
	r := &emu.Ruleset{Table: "lab", Chains: []*emu.Chain{{Name: "pre", Hook: emu.DNATHook, Rules: []emu.Rule{choose}}}}
	want := &emu.Network{Namespaces: []*emu.Namespace{{Name: "edge", Kind: emu.Router, Ruleset: r}}}
	s := apply(t, want)
	if got := differences(t, want, s); got != "" {
		t.Error(got)
	}
	choose.Statements[1] = emu.DNATByHash{By: emu.FiveTuple, To: targets[1:]}
	if got := differences(t, want, s); len(got) == 0 || len(got) > 400 {
		t.Errorf("one member less is the difference %q", got)
	}
}
