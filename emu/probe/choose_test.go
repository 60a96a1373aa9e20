package probe

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/emu/kerneltest"
	"vnetlab/emu/listener"
)

// TestChooseIsWhatTheKernelChooses asks routers that distribute in each mode over sets of several sizes, from
// several addresses and ports, and compares who answers with what emu.Distribution.Choose says.
func TestChooseIsWhatTheKernelChooses(t *testing.T) {
	const clients, tries = 6, 12
	set := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, 0, byte(i + 1)}) }
	client := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, byte(10 + 7*i)}) }
	router := &emu.Namespace{
		Name:    "router",
		Kind:    emu.Router,
		Ruleset: &emu.Ruleset{Table: "lab", Sockets: []emu.SocketMap{{Name: "endpoints"}}},
	}
	caller := &emu.Namespace{
		Name: "caller",
		Kind: emu.Host,
		Routes: []emu.Route{
			{Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: gateway[laptop], Device: "eth0"},
		},
	}
	link := &emu.Link{
		A: emu.LinkEnd{
			Namespace: "router",
			Name:      "uplink",
			MAC:       emu.MACOf(gateway[laptop]),
			Addresses: []netip.Prefix{netip.MustParsePrefix("203.0.113.1/24")},
		},
		B: emu.LinkEnd{Namespace: "caller", Name: "eth0", MAC: emu.MACOf(client(0))},
	}
	for i := range clients {
		link.B.Addresses = append(link.B.Addresses, netip.PrefixFrom(client(i), 24))
	}
	type balanced struct {
		by       emu.Distribution
		protocol emu.Protocol
		n        int
		port     uint16
	}
	var all []balanced
	const serving = 80
	for _, protocol := range []emu.Protocol{emu.TCP, emu.UDP} {
		router.Services = append(
			router.Services, emu.Service{Name: string(protocol), Port: serving, Protocol: protocol},
		)
		for _, by := range []emu.Distribution{emu.FiveTuple, emu.AddressesAndProtocol, emu.AddressPair} {
			for _, n := range []int{2, 3, 5, 16, 50} {
				b := balanced{by, protocol, n, uint16(1000 + len(all))}
				all = append(all, b)
				var to []netip.AddrPort
				for i := range n {
					to = append(to, netip.AddrPortFrom(set(i), serving))
				}
				name := fmt.Sprint("set", b.port)
				router.Ruleset.Chains = append(
					router.Ruleset.Chains,
					&emu.Chain{Name: name, Rules: []emu.Rule{{Statements: []emu.Statement{
						emu.MatchProtocol{Protocol: string(protocol)}, emu.DNATByHash{By: by, To: to},
					}}}},
				)
				router.Ruleset.Sockets[0].Elements = append(
					router.Ruleset.Sockets[0].Elements,
					emu.SocketMapElement{Address: vip, Protocol: protocol, Port: b.port, Chain: name},
				)
			}
		}
	}
	for i := range 50 {
		router.Loopback = append(router.Loopback, set(i))
	}
	router.Ruleset.Chains = append(
		router.Ruleset.Chains,
		&emu.Chain{
			Name:  "prerouting",
			Hook:  emu.DNATHook,
			Rules: []emu.Rule{{Statements: []emu.Statement{emu.Dispatch{Map: "endpoints"}}}},
		},
	)
	state, p := start(t, &emu.Network{Namespaces: []*emu.Namespace{router, caller}, Links: []*emu.Link{link}})
	from := namespace(t, state, "caller")

	for _, b := range all {
		t.Run(fmt.Sprintf("%s over %d %s", b.protocol, b.n, b.by), func(t *testing.T) {
			to := netip.AddrPortFrom(vip, b.port)
			for i := range clients {
				for n := range tries {
					source := netip.AddrPortFrom(client(i), uint16(21000+100*int(b.port-1000)+n*7))
					a := askFrom(t, from, b.protocol, source, to)
					want := b.by.Choose(source, to, b.protocol, b.n)
					if a.Address != set(want) || a.SeenAs != source {
						t.Fatalf("%s to %s: %s answered %s, want %s", source, to, a.Address, a.SeenAs, set(want))
					}
					paths := read(p, func(n *topology) []path {
						all, _ := n.paths("caller", source.Addr(), b.protocol, to)
						return all
					})
					if b.by.ByPort() {
						if len(paths) != b.n {
							t.Fatalf("%d paths, want %d", len(paths), b.n)
						}
						paths = paths[want : want+1]
					}
					if len(paths) != 1 || paths[0].end != (end{"router", netip.AddrPortFrom(set(want), serving)}) ||
						forkOf(paths).of(source.Port()) != 0 {
						t.Fatalf("paths %+v, want one to %s", paths, set(want))
					}
					got, err := tracked(namespace(t, state, "router"), ctaTupleOrig, b.protocol, source, to)
					if err != nil || got != (connectionEntry{b.protocol, source, to, paths[0].end.at, source}) {
						t.Fatalf("the router remembers %+v, %v", got, err)
					}
					got, err = tracked(
						namespace(t, state, "router"),
						ctaTupleReply,
						b.protocol,
						paths[0].end.at,
						source,
					)
					if err != nil || got.caller != source {
						t.Fatalf("the router remembers %+v, %v", got, err)
					}
				}
			}
		})
	}
	never, to := netip.MustParseAddrPort("203.0.113.10:1"), netip.AddrPortFrom(vip, 1000)
	if got, err := tracked(namespace(t, state, "router"), ctaTupleOrig, emu.TCP, never, to); err == nil {
		t.Errorf("the router remembers %+v of a connection that never was", got)
	}
}

// askFrom asks a built-in listener from an address and port.
func askFrom(t *testing.T, ns *kernel.Namespace, protocol emu.Protocol, from, to netip.AddrPort) (a listener.Answer) {
	t.Helper()
	var local net.Addr = net.TCPAddrFromAddrPort(from)
	if protocol == emu.UDP {
		local = net.UDPAddrFromAddrPort(from)
	}
	var c net.Conn
	if err := ns.Do(func() (err error) {
		c, err = (&net.Dialer{LocalAddr: local, Timeout: kerneltest.Patience}).Dial(string(protocol)+"4", to.String())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(kerneltest.Patience)) //nolint:errcheck // the read fails
	if protocol == emu.UDP {
		c.Write([]byte("who")) //nolint:errcheck // the read fails
		if err := json.NewDecoder(c).Decode(&a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: lab\r\nAccept: application/json\r\n\r\n")
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil {
		err = json.NewDecoder(r.Body).Decode(&a)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}
