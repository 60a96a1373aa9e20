package dns

import (
	"net/netip"
	"slices"
	"strings"

	wire "github.com/miekg/dns"

	"vnetlab/emu"
	"vnetlab/emu/diff"
)

// names are all names of a network: every server of the network reads the same.
type names struct {
	public zone
	views  map[client][]*view
}

type client struct {
	server string // the namespace of the name server
	addr   netip.Addr
}

type view struct {
	of     *emu.NameView
	domain string
	zone   zone
}

func newNames(network *emu.Network) *names {
	n := &names{public: newZone(network.PublicNames), views: make(map[client][]*view)}
	for _, s := range network.Namespaces {
		n.show(s, views(s))
	}
	return n
}

// update applies a change of the network to the names.
func (n *names) update(c *diff.Change) {
	for _, r := range c.RemovedNames {
		n.public.remove(r)
	}
	for _, s := range c.Removed {
		n.hide(s, views(s))
	}
	for _, s := range c.Changed {
		n.hide(s.From, s.RemovedViews)
		n.show(s.To, s.AddedViews)
	}
	for _, s := range c.Added {
		n.show(s, views(s))
	}
	for _, r := range c.AddedNames {
		n.public.add(r.Name, r.Address)
	}
}

func views(s *emu.Namespace) []*emu.NameView {
	if s.DNS == nil {
		return nil
	}
	return s.DNS.Views
}

// show lets the clients of views see them.
func (n *names) show(server *emu.Namespace, all []*emu.NameView) {
	for _, v := range all {
		seen := &view{of: v, domain: canonical(v.Domain), zone: newZone(v.Records)}
		seen.zone.add(v.Domain)
		for _, c := range v.Clients {
			key := client{server.Name, c}
			n.views[key] = append(n.views[key], seen)
		}
	}
}

// hide ends that.
func (n *names) hide(server *emu.Namespace, all []*emu.NameView) {
	for _, v := range all {
		var seen *view
		for _, c := range v.Clients {
			key := client{server.Name, c}
			of := n.views[key]
			i := slices.IndexFunc(of, func(o *view) bool { return o == seen || seen == nil && sameView(o.of, v) })
			if i < 0 {
				continue
			}
			seen = of[i]
			if n.views[key] = slices.Delete(of, i, i+1); len(of) == 1 {
				delete(n.views, key)
			}
		}
	}
}

// sameView compares views by their contents: an equal view of another network is the same.
func sameView(a, b *emu.NameView) bool {
	return a == b || a.Domain == b.Domain && slices.Equal(a.Clients, b.Clients) && slices.Equal(a.Records, b.Records)
}

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
	public, exists := n.public[name]
	var own []netip.Addr
	domain := ""
	for _, v := range views {
		if inside := name == v.domain || strings.HasSuffix(name, "."+v.domain); inside && len(v.domain) > len(domain) {
			domain = v.domain
		}
		if seen, ok := v.zone[name]; ok {
			own, exists = append(own, seen.addresses...), true
		}
	}
	slices.SortFunc(own, netip.Addr.Compare) // of several views
	if q.Qtype == wire.TypeA || q.Qtype == wire.TypeANY {
		for _, a := range slices.Concat(own, public.addresses) {
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
