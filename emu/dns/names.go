package dns

import (
	"net/netip"
	"strings"

	wire "github.com/miekg/dns"

	"vnetlab/emu"
)

// names are all names of a network, never changed once made: every server of the network reads the same.
type names struct {
	public zone
	views  map[client][]*view
}

type client struct {
	server string // the namespace of the name server
	addr   netip.Addr
}

type view struct {
	domain string
	zone   zone
}

// zone has the addresses of names, in lower case without the final dot. A name above one of them is there, too, without any.
type zone map[string][]netip.Addr

func newNames(network *emu.Network) *names {
	n := &names{public: newZone(network.PublicNames), views: make(map[client][]*view)}
	for _, s := range network.Namespaces {
		if s.DNS == nil {
			continue
		}
		for _, v := range s.DNS.Views {
			seen := &view{domain: canonical(v.Domain), zone: newZone(v.Records)}
			seen.zone.add(v.Domain)
			for _, c := range v.Clients {
				key := client{s.Name, c}
				n.views[key] = append(n.views[key], seen)
			}
		}
	}
	return n
}

func newZone(records []emu.NameRecord) zone {
	z := make(zone, len(records))
	z.add("")
	for _, r := range records {
		z.add(r.Name, r.Address)
	}
	return z
}

func (z zone) add(name string, addresses ...netip.Addr) {
	name = canonical(name)
	z[name] = append(z[name], addresses...)
	for above := true; above; {
		if _, known := z[name]; !known {
			z[name] = nil
		}
		_, name, above = strings.Cut(name, ".")
	}
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// answer makes the answer of a namespace's name server to the query of a client.
func (n *names) answer(server string, from netip.Addr, query *wire.Msg, udp bool) *wire.Msg {
	m := new(wire.Msg).SetReply(query)
	m.RecursionAvailable = true // there is nothing left to recurse to
	size := wire.MinMsgSize
	if opt := query.IsEdns0(); opt != nil {
		size = max(size, min(int(opt.UDPSize()), udpSize))
		m.SetEdns0(udpSize, false)
		if opt.Version() != 0 {
			m.Rcode = wire.RcodeBadVers
			return m
		}
	}
	if !udp {
		size = wire.MaxMsgSize
	}
	q := query.Question[0] // a message without exactly one was refused by the library
	switch {
	case query.Opcode != wire.OpcodeQuery:
		m.Rcode = wire.RcodeNotImplemented
	case q.Qclass != wire.ClassINET && q.Qclass != wire.ClassANY,
		q.Qtype == wire.TypeAXFR, q.Qtype == wire.TypeIXFR:
		m.Rcode = wire.RcodeRefused
	default:
		n.fill(m, q, n.views[client{server, from}])
	}
	m.Truncate(size)
	return m
}

func (n *names) fill(m *wire.Msg, q wire.Question, views []*view) {
	m.Authoritative = true
	name := canonical(q.Name)
	addresses, exists := n.public[name]
	domain := ""
	for _, v := range views {
		if name == v.domain || strings.HasSuffix(name, "."+v.domain) {
			domain = v.domain
		}
		if own, ok := v.zone[name]; ok {
			addresses, exists = append(own[:len(own):len(own)], addresses...), true
		}
	}
	if q.Qtype == wire.TypeA || q.Qtype == wire.TypeANY {
		for _, a := range addresses {
			m.Answer = append(m.Answer, &wire.A{
				Hdr: wire.RR_Header{Name: q.Name, Rrtype: wire.TypeA, Class: wire.ClassINET, Ttl: ttl},
				A:   a.AsSlice(),
			})
		}
	}
	if !exists {
		m.Rcode = wire.RcodeNameError
	}
	if len(m.Answer) == 0 { // how long that may be remembered, RFC 2308
		m.Ns = []wire.RR{&wire.SOA{
			Hdr: wire.RR_Header{Name: wire.Fqdn(domain), Rrtype: wire.TypeSOA, Class: wire.ClassINET, Ttl: negativeTTL},
			Ns:  wire.Fqdn("ns." + domain), Mbox: wire.Fqdn("hostmaster." + domain),
			Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: negativeTTL,
		}}
	}
}
