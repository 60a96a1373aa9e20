package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"vnetlab/emu"
)

// AddressRange is every address from First to Last.
type AddressRange struct{ First, Last netip.Addr }

func rangeOf(p netip.Prefix) AddressRange {
	p = p.Masked()
	last := p.Addr().As4()
	binary.BigEndian.PutUint32(last[:], binary.BigEndian.Uint32(last[:])|^uint32(0)>>p.Bits())
	return AddressRange{p.Addr(), netip.AddrFrom4(last)}
}

// Contains reports whether the address is in the range.
func (r AddressRange) Contains(a netip.Addr) bool {
	return r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0
}

func compareRanges(a, b AddressRange) int {
	if c := a.First.Compare(b.First); c != 0 {
		return c
	}
	return a.Last.Compare(b.Last)
}

// InternetSource is where on the internet a connection starts: an internet host of the lab, or an address that nobody
// of the lab has.
type InternetSource struct {
	Host    string // empty: none
	Address netip.Addr
}

// String names the source in a sentence.
func (s InternetSource) String() string {
	if s.Host == "" {
		return "an unnamed host of the internet (" + s.Address.String() + ")"
	}
	return s.Host
}

// InternetSources lists the internet hosts of the lab, then the UnnamedAddresses.
func (l *Lab) InternetSources() (all []InternetSource) {
	for _, h := range l.Internet() {
		all = append(all, InternetSource{h.Name, h.Address})
	}
	for _, a := range l.UnnamedAddresses() {
		all = append(all, InternetSource{Address: a})
	}
	return all
}

// SourcesTo returns those of the sources from which packets come to the address by the internet.
func (a PublicAddress) SourcesTo(sources []InternetSource) (all []InternetSource) {
	for _, s := range sources {
		if !slices.ContainsFunc(a.Inside, func(p netip.Prefix) bool { return p.Contains(s.Address) }) {
			all = append(all, s)
		}
	}
	return all
}

// DistinctSources picks from where to ask about something whose rules tell these ranges of addresses apart: of the
// sources that are in the same ones of the ranges the first that is a host and the first that is none. To ask from
// the others is to ask the same again.
func DistinctSources(sources []InternetSource, remotes []AddressRange) (all []InternetSource) {
	seen := map[string]bool{}
	for _, s := range sources {
		class := make([]byte, len(remotes)+1)
		if s.Host != "" {
			class[len(remotes)] = 1
		}
		for i, r := range remotes {
			if r.Contains(s.Address) {
				class[i] = 1
			}
		}
		if !seen[string(class)] {
			seen[string(class)] = true
			all = append(all, s)
		}
	}
	return all
}

// UnnamedAddresses are addresses of the internet that nobody of the lab has, one for all that the lab's rules about
// public addresses treat in the same way: what comes from any other address fares like one of these, or like an
// internet host of the lab.
func (l *Lab) UnnamedAddresses() []netip.Addr {
	remotes := l.NetworkRanges()
	for d := range l.deployments() {
		remotes = append(remotes, d.RemoteRanges()...)
	}
	return l.RepresentativeAddresses(remotes)
}

// NetworkRanges lists the address spaces of virtual networks and sites. One may have addresses of the internet: to
// those behind its gateways that isn't the internet then, to all others it is.
func (l *Lab) NetworkRanges() (all []AddressRange) {
	for _, n := range l.VirtualNetworks {
		for _, p := range n.AddressSpace {
			all = append(all, rangeOf(p))
		}
	}
	for _, n := range l.LocalNetworks {
		for _, p := range n.AddressSpace {
			all = append(all, rangeOf(p))
		}
	}
	return all
}

// RemoteRanges lists the ranges of addresses that rules of the deployment name, of the rules that clients from the
// internet meet: access control lists of public endpoints, and guest firewalls of whoever is behind those or has a
// public address. No range is listed twice.
func (d *Deployment) RemoteRanges() (all []AddressRange) {
	for _, f := range d.Frontends() {
		if !f.Internal() {
			all = append(all, f.remoteRanges()...)
		}
	}
	for _, i := range d.Instances {
		if i.PublicIP.IsValid() {
			all = append(all, i.remoteRanges()...)
		}
	}
	return sortedRanges(all)
}

// RemoteRanges lists the ranges of addresses that the rules about the public address name.
func (a PublicAddress) RemoteRanges() []AddressRange {
	switch {
	case a.Instance != nil:
		return sortedRanges(a.Instance.remoteRanges())
	case a.Deployment != nil:
		return a.Deployment.RemoteRanges()
	}
	return nil
}

// RemoteRangesAt lists those that the rules for one port name.
func (a PublicAddress) RemoteRangesAt(protocol emu.Protocol, port uint16) []AddressRange {
	if a.Deployment == nil {
		return a.RemoteRanges()
	}
	if f, ok := a.Deployment.Frontend(a.Address, protocol, port); ok {
		return sortedRanges(f.remoteRanges())
	}
	return nil
}

func (f Frontend) remoteRanges() (all []AddressRange) {
	for _, r := range f.ACL {
		all = append(all, rangeOf(r.RemoteSubnet))
	}
	for _, m := range f.Members {
		all = append(all, m.Instance.remoteRanges()...)
	}
	return all
}

// remoteRanges lists what the added rules of the guest firewall name. The rules that the platform brings name
// addresses inside alone.
func (i *Instance) remoteRanges() (all []AddressRange) {
	if i.FirewallOff {
		return nil
	}
	for _, r := range i.Firewall {
		if r.Inactive != "" || r.Protocol == "icmp" {
			continue
		}
		for _, p := range r.Remote {
			all = append(all, rangeOf(p))
		}
		for _, a := range r.RemoteRanges {
			all = append(all, AddressRange{a[0], a[1]})
		}
	}
	return all
}

func sortedRanges(all []AddressRange) []AddressRange {
	slices.SortFunc(all, compareRanges)
	return slices.Compact(all)
}

// preferredUnnamed is the unnamed address where nothing speaks against it.
var preferredUnnamed = netip.MustParseAddr("198.51.100.7")

// notInternet is where no host of the internet has its address: what is private, the platform's own, or for no host
// at all.
var notInternet = func() (all []AddressRange) {
	more := []netip.Prefix{publicSpace}
	for _, p := range []string{"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"} {
		more = append(more, netip.MustParsePrefix(p))
	}
	for _, p := range append(more, PrivateSpace()...) {
		all = append(all, rangeOf(p))
	}
	return all
}()

// RepresentativeAddresses returns for each way to be in some of the ranges and not in the others one address of the
// internet that nobody of the lab has, if there is one.
//
// Where a range begins or ends, and nowhere else, the set of ranges that an address is in changes. So the addresses
// fall into intervals between these places, in each of which one address stands for all.
func (l *Lab) RepresentativeAddresses(remotes []AddressRange) []netip.Addr {
	remotes = sortedRanges(slices.Clone(remotes))
	bounds := []uint64{0, 1 << 32}
	for _, r := range slices.Concat(remotes, notInternet) {
		bounds = append(bounds, number(r.First), number(r.Last)+1)
	}
	slices.Sort(bounds)
	bounds = slices.Compact(bounds)

	type class struct {
		address netip.Addr
		rank    int
	}
	var classes []*class
	known := map[string]*class{}
	rest := remotes  // those that begin later
	var around []int // the numbers of those that the interval is in
	for i, start := range bounds[:len(bounds)-1] {
		first := addressOf(start)
		if slices.ContainsFunc(notInternet, func(r AddressRange) bool { return r.Contains(first) }) {
			continue
		}
		for ; len(rest) > 0 && rest[0].First.Compare(first) <= 0; rest = rest[1:] {
			around = append(around, len(remotes)-len(rest))
		}
		around = slices.DeleteFunc(around, func(n int) bool { return !remotes[n].Contains(first) })
		ranges := fmt.Sprint(around)
		a, rank, ok := l.unnamedBetween(start, bounds[i+1])
		if !ok {
			continue
		}
		c := known[ranges]
		if c == nil {
			c = &class{a, rank}
			known[ranges] = c
			classes = append(classes, c)
		}
		if rank < c.rank {
			c.address, c.rank = a, rank
		}
	}
	all := make([]netip.Addr, len(classes))
	for i, c := range classes {
		all[i] = c.address
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

// unnamedBetween finds an address from first to before end that nobody of the lab has. A lower rank is better: an
// address that people take for one of a host of this internet.
func (l *Lab) unnamedBetween(first, end uint64) (a netip.Addr, rank int, ok bool) {
	if p := number(preferredUnnamed); first <= p && p < end && !l.onInternet(preferredUnnamed) {
		return preferredUnnamed, 0, true
	}
	for _, p := range internetSpace {
		r := rangeOf(p)
		from, to := max(first, number(r.First)+1), min(end, number(r.Last)) // neither the network nor its broadcast
		for n := from; n < to; n++ {
			if a := addressOf(n); !l.onInternet(a) {
				return a, 1, true
			}
		}
	}
	rank = 3
	if end-first > 2 {
		first, rank = first+1, 2 // 130.88.0.1 looks like a host, 130.88.0.0 like a network
	}
	for n := first; n < end; n++ {
		if a := addressOf(n); !l.onInternet(a) {
			return a, rank, true
		}
	}
	return netip.Addr{}, 0, false
}

func number(a netip.Addr) uint64 {
	b := a.As4()
	return uint64(binary.BigEndian.Uint32(b[:]))
}

func addressOf(n uint64) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n))
	return netip.AddrFrom4(b)
}
