package lab

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// Locations are the regions of the classic platform, in the order in which they opened, nearly: each owns a block of
// addresses by its place here, so new ones go to the end. What comes after Australia opened in 2015 and 2016.
var Locations = []string{
	"West US", "East US", "North Central US", "South Central US", "Central US", "East US 2",
	"North Europe", "West Europe", "East Asia", "Southeast Asia", "Japan East", "Japan West",
	"Brazil South", "Australia East", "Australia Southeast",
	"Central India", "South India", "West India", "Canada Central", "Canada East", "UK South", "UK West",
	"West US 2", "West Central US",
}

// Addresses of the emulated internet. They are from ranges set aside for benchmarks, documentation and carriers (RFC
// 2544, 5737, 6598), so they can't be mistaken for anybody's.
var (
	publicSpace   = netip.MustParsePrefix("198.18.0.0/15") // VIPs: one /20 for each location
	internetSpace = []netip.Prefix{
		netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("192.0.2.0/24"),
	}
	// deviceSpace has the addresses that stand for those of VPN devices which can't be on the internet of the lab. No
	// location owns any of it, and no internet host can have one.
	deviceSpace     = netip.MustParsePrefix("198.19.128.0/17")
	deploymentSpace = netip.MustParsePrefix(
		"100.64.0.0/11",
	) // DIPs outside virtual networks: one /22 for each deployment
	webSiteSpace = netip.MustParsePrefix("100.96.0.0/22") // inside a web sites scale unit, the same in each
	privateSpace = []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"),
	}
	// forbiddenSpace is what no network can have ("Virtual Network FAQ"); the platform's resolver is the lab's too.
	// "This network" (RFC 1122) and the former class E are no addresses of hosts.
	forbiddenSpace = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("169.254.0.0/16"),
		netip.PrefixFrom(PlatformResolver, 32),
		netip.MustParsePrefix("224.0.0.0/4"),
		netip.MustParsePrefix("240.0.0.0/4"),
	}
)

// PublicResolver is the name server of the emulated internet.
var PublicResolver = netip.MustParseAddr("192.0.2.53")

// PlatformResolver answers DNS for instances, in every virtual network and deployment.
var PlatformResolver = netip.MustParseAddr("168.63.129.16")

const (
	// reservedAtStart and reservedAtEnd are the addresses of a subnet that no instance gets: the network, the gateway
	// and two for the platform, and the broadcast address ("Virtual Network FAQ").
	reservedAtStart = 4
	reservedAtEnd   = 1
	// platformAddresses are the first addresses of a location's public block, kept for the platform's own services.
	platformAddresses = 16
	// outboundAddresses is how many addresses the web sites of a location share for their outbound connections.
	outboundAddresses = 4
)

// deploymentBits is the length of a deployment's block.
const deploymentBits = 22

// LocationBlock is the part of the public address space that a location owns.
func LocationBlock(location string) netip.Prefix {
	i := slices.Index(Locations, location)
	return subprefix(publicSpace, 20, i)
}

// OfDatacenter reports whether an address is one that the platform gives out in a lab, such as that of a gateway.
func OfDatacenter(a netip.Addr) bool {
	return a.IsValid() && publicSpace.Contains(a) && !deviceSpace.Contains(a)
}

// WebSitesInbound is the one address that all web sites of a location share for requests.
func WebSitesInbound(location string) netip.Addr { return Nth(LocationBlock(location), 1) }

// WebSitesOutbound are the addresses that connections of the location's web sites come from.
func WebSitesOutbound(location string) []netip.Addr {
	out := make([]netip.Addr, outboundAddresses)
	for i := range out {
		out[i] = Nth(LocationBlock(location), 2+i)
	}
	return out
}

// WebSitesBlock is the address range inside a web sites scale unit.
func WebSitesBlock() netip.Prefix { return webSiteSpace }

// Gateway is the default gateway of a subnet: its first address.
func Gateway(subnet netip.Prefix) netip.Addr { return Nth(subnet, 1) }

// PrivateSpace is what is not routed on the internet, nor between isolation domains.
func PrivateSpace() []netip.Prefix {
	return append(slices.Clone(privateSpace),
		netip.MustParsePrefix("100.64.0.0/10"),
		netip.MustParsePrefix("169.254.0.0/16"),
		netip.PrefixFrom(PlatformResolver, 32),
	)
}

// assignable tells whether an instance may have the address in the subnet.
func assignable(subnet netip.Prefix, addr netip.Addr) bool {
	n := int64(Offset(subnet, addr))
	return subnet.Contains(addr) && n >= reservedAtStart && n < size(subnet)-reservedAtEnd
}

// firstFree is the lowest assignable address of a subnet that isn't taken.
func firstFree(subnet netip.Prefix, taken func(netip.Addr) bool) (netip.Addr, bool) {
	for i := int64(reservedAtStart); i < size(subnet)-reservedAtEnd; i++ {
		if a := Nth(subnet, int(i)); !taken(a) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

func size(p netip.Prefix) int64 { return 1 << (32 - p.Bits()) }

// usable is how many instances fit into a subnet.
func usable(p netip.Prefix) int64 { return size(p) - reservedAtStart - reservedAtEnd }

// Nth is the nth address of a prefix, from 0.
func Nth(p netip.Prefix, n int) netip.Addr {
	a := p.Masked().Addr().As4()
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])+uint32(n))
	return netip.AddrFrom4(a)
}

// Offset is the position of an address in a prefix, from 0.
func Offset(p netip.Prefix, addr netip.Addr) int {
	base, a := p.Masked().Addr().As4(), addr.As4()
	return int(binary.BigEndian.Uint32(a[:])) - int(binary.BigEndian.Uint32(base[:]))
}

// subprefix is the nth prefix of the given length in p.
func subprefix(p netip.Prefix, bits, n int) netip.Prefix {
	a := p.Masked().Addr().As4()
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])+uint32(n)<<(32-bits))
	return netip.PrefixFrom(netip.AddrFrom4(a), bits)
}

// checkAddressSpace refuses a prefix that the address space of a network can't have. Public addresses are as good as
// private ones: they are the network's own, and the internet doesn't reach them ("Virtual Network FAQ", 2015).
func checkAddressSpace(network string, p netip.Prefix) *Error {
	if !p.IsValid() || !p.Addr().Is4() {
		return badRequest("The address space of %s is not valid: %s is not an IPv4 prefix.", network, p)
	}
	if p != p.Masked() {
		return badRequest(
			"The address prefix %s of %s has host bits set.",
			p,
			network,
		).WithHint("Write %s.", p.Masked())
	}
	if forbidden, ok := overlapsAny(p, forbiddenSpace); ok {
		return badRequest("The address space of %s is not valid: %s overlaps %s, which no network can have.", network,
			p, forbidden)
	}
	if own, ok := overlapsAny(p, append([]netip.Prefix{publicSpace}, internetSpace...)); ok {
		return badRequest(
			"The address space of %s is not valid: %s overlaps %s, which is on the internet of the lab.",
			network,
			p,
			own,
		)
	}
	return nil
}

func overlapsAny(p netip.Prefix, all []netip.Prefix) (netip.Prefix, bool) {
	i := slices.IndexFunc(all, p.Overlaps)
	if i < 0 {
		return netip.Prefix{}, false
	}
	return all[i], true
}
