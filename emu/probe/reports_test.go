package probe

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/listener"
)

// syn is an IPv4 packet with the header length and flags given.
func syn(dscp, headerWords, flags byte, port uint16) []byte {
	p := make([]byte, int(headerWords)*4+20)
	p[0], p[1], p[9] = 4<<4|headerWords, dscp<<2, unix.IPPROTO_TCP
	copy(p[12:], web1.AsSlice())
	copy(p[16:], sql1.AsSlice())
	binary.BigEndian.PutUint16(p[headerWords*4:], port)
	binary.BigEndian.PutUint16(p[headerWords*4+2:], 1433)
	binary.BigEndian.PutUint32(p[headerWords*4+4:], 0x01020304)
	p[int(headerWords)*4+13] = flags
	return p
}

func nflog(t testing.TB, prefix string, packet []byte) []byte {
	t.Helper()
	b, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: nfulaPrefix, Data: append([]byte(prefix), 0)}, {Type: nfulaPayload, Data: packet},
	})
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{unix.AF_INET, 0, 0, emu.LogGroup}, b...)
}

func TestParseReport(t *testing.T) {
	const nonce = 20002<<48 | 7
	udp := func(dscp byte, text []byte) []byte {
		p := syn(dscp, 5, 2, 40000)[:28]
		p[9] = unix.IPPROTO_UDP
		return append(p, text...)
	}
	question := listener.Question(nonce, 5000)
	for _, c := range []struct {
		name string
		data []byte
		port uint16
		ok   bool
	}{
		{"datagram", nflog(t, "id", udp(emu.ProbeDSCP, question)), 20002, true},
		{"DNS query", nflog(t, "id", udp(emu.ProbeDSCP, listener.Question(nonce, 53))), 20002, true},
		{"datagram of somebody", nflog(t, "id", udp(0, question)), 0, false},
		{"datagram without nonce", nflog(t, "id", udp(emu.ProbeDSCP, []byte("hello"))), 0, false},
		{"datagram, cut off", nflog(t, "id", udp(emu.ProbeDSCP, question[:20])), 0, false},
		{"empty datagram", nflog(t, "id", udp(emu.ProbeDSCP, nil)), 0, false},
		{"SYN", nflog(t, "id", syn(emu.ProbeDSCP, 5, 2, 20000)), 20000, true},
		{"SYN with ECN", nflog(t, "id", syn(emu.ProbeDSCP, 5, 0xc2, 20000)), 20000, true},
		{"IP options", nflog(t, "id", syn(emu.ProbeDSCP, 8, 2, 20001)), 20001, true},
		{"SYN-ACK", nflog(t, "id", syn(emu.ProbeDSCP, 5, 0x12, 20000)), 0, false},
		{"RST", nflog(t, "id", syn(emu.ProbeDSCP, 5, 4, 20000)), 0, false},
		{"not a probe", nflog(t, "id", syn(0, 5, 2, 20000)), 0, false},
		{"no id", nflog(t, "", syn(emu.ProbeDSCP, 5, 2, 20000)), 0, false},
		{"cut off", nflog(t, "id", syn(emu.ProbeDSCP, 5, 2, 20000)[:30]), 0, false},
		{"no packet", nflog(t, "id", nil), 0, false},
		{"empty", nil, 0, false},
	} {
		p, id, ok := parseReport(c.data)
		if ok != c.ok ||
			ok &&
				(id != "id" || p.port() != c.port || p.destination != netip.MustParseAddrPort("10.0.2.4:1433") || p.source.Addr() != web1) {
			t.Errorf("%s: %+v %q %t", c.name, p, id, ok)
		}
		if ok && (p.protocol == emu.TCP) != (p.sequence == 0x01020304) {
			t.Errorf("%s: number %x", c.name, p.sequence)
		}
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add(nflog(f, "id", syn(emu.ProbeDSCP, 5, 2, 20000)))
	f.Add(nflog(f, "id", syn(emu.ProbeDSCP, 15, 2, 20000)[:62]))
	datagram := syn(emu.ProbeDSCP, 5, 2, 20000)[:28]
	datagram[9] = unix.IPPROTO_UDP
	f.Add(nflog(f, "id", append(datagram, listener.Question(1, 53)...)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, id, ok := parseReport(data); ok && id == "" {
			t.Error("a report without id")
		}
	})
}
