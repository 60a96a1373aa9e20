package lab

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
)

// LocalNetwork is an on-premises site: its address space behind a VPN device, and hosts in it.
type LocalNetwork struct {
	Name              string
	AddressSpace      []netip.Prefix
	VPNGatewayAddress netip.Addr // public; zero in a request: the lowest free one
	Hosts             []*LocalHost
	Origin            Origin
}

// LocalHost is a machine of an on-premises site.
type LocalHost struct {
	Name     string
	Address  netip.Addr // zero in a request: the lowest free one
	Services []Service
	Boundary emu.Boundary
	Origin   Origin
}

// VPNGateway joins a virtual network to local network sites and to other virtual networks.
type VPNGateway struct {
	Address netip.Addr // public
	// Connections name local network sites and virtual networks. Two virtual networks are joined when each names the other.
	Connections []string
	Origin      Origin
}

const maxConnections = 10 // of a gateway ("Configure a VNet to VNet connection")

func (l *Lab) localNetwork(name string) (*LocalNetwork, bool) {
	return find(l.LocalNetworks, func(n *LocalNetwork) bool { return n.Name == name })
}

// CreateLocalNetwork adds an on-premises site with its hosts.
func (l *Lab) CreateLocalNetwork(n LocalNetwork) error {
	var errs []error
	refuse := func(err *Error) { errs = append(errs, err.At(n.Origin)) }
	if err := checkName("local network site", n.Name, resourceName, "a letter, then letters, digits, hyphens and underscores"); err != nil {
		refuse(err)
	}
	_, isLocal := l.localNetwork(n.Name)
	if _, isVirtual := l.virtualNetwork(n.Name); isLocal || isVirtual {
		refuse(conflict("A network named %s already exists.", n.Name))
	}
	if len(n.AddressSpace) == 0 {
		refuse(badRequest("The local network site %s has no address space.", n.Name))
	}
	for i, p := range n.AddressSpace {
		if err := checkAddressSpace(n.Name, p); err != nil {
			refuse(err)
		} else if p.Bits() > 29 {
			refuse(badRequest("The address prefix %s of %s is too small; the smallest is a /29.", p, n.Name))
		}
		for _, q := range n.AddressSpace[:i] {
			if p.Overlaps(q) {
				refuse(badRequest("The address prefixes %s and %s of %s overlap.", q, p, n.Name))
			}
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	address, err := l.internetAddress(n.VPNGatewayAddress)
	if err != nil {
		return err.At(n.Origin)
	}
	n.VPNGatewayAddress = address
	requests := n.Hosts
	n.Hosts = nil
	for _, h := range requests {
		if err := l.addLocalHost(&n, *h); err != nil {
			return err
		}
	}
	l.LocalNetworks = append(l.LocalNetworks, &n)
	return nil
}

// DeleteLocalNetwork removes a site that no gateway is connected to.
func (l *Lab) DeleteLocalNetwork(name string) error {
	n, err := l.existingSite(name)
	if err != nil {
		return err
	}
	for _, v := range l.VirtualNetworks {
		if v.Gateway != nil && slices.Contains(v.Gateway.Connections, name) {
			return conflict("The local network site %s is connected to the virtual network %s.", name, v.Name)
		}
	}
	l.LocalNetworks = remove(l.LocalNetworks, n)
	return nil
}

// UpdateLocalNetwork replaces the address space and the VPN device's address of a site, as the import of a network configuration does. The
// hosts of the site stay, and so does the device's address where none is asked for.
func (l *Lab) UpdateLocalNetwork(n LocalNetwork) error {
	old, err := l.existingSite(n.Name)
	if err != nil {
		return err.At(n.Origin)
	}
	n.Hosts = old.Hosts
	if !n.VPNGatewayAddress.IsValid() {
		n.VPNGatewayAddress = old.VPNGatewayAddress
	}
	next := l.Clone()
	next.LocalNetworks = remove(next.LocalNetworks, old)
	if err := next.CreateLocalNetwork(n); err != nil {
		return err
	}
	for _, v := range l.VirtualNetworks {
		if v.Gateway == nil || !slices.Contains(v.Gateway.Connections, n.Name) {
			continue
		}
		without := *v
		without.Gateway = nil
		replace(next.VirtualNetworks, v, &without)
		if err := next.CreateGateway(v.Name, VPNGateway{Connections: v.Gateway.Connections, Origin: n.Origin}); err != nil {
			return err
		}
	}
	now, _ := next.localNetwork(n.Name)
	replace(l.LocalNetworks, old, now)
	return nil
}

func (l *Lab) localNetworkNames() []string {
	return names(l.LocalNetworks, func(n *LocalNetwork) string { return n.Name })
}

// CreateGateway gives a virtual network a gateway with connections. The network needs a subnet named GatewaySubnet, and the address
// spaces of all that is joined must not overlap ("Configure a VNet to VNet connection").
func (l *Lab) CreateGateway(network string, g VPNGateway) error {
	n, ok := l.virtualNetwork(network)
	if !ok {
		return didYouMean(notFound("The virtual network %s does not exist.", shorten(network)), network, l.virtualNetworkNames()).At(g.Origin)
	}
	if n.Gateway != nil {
		return conflict("The virtual network %s has a gateway already.", network).At(g.Origin)
	}
	if _, ok := n.Subnet(gatewaySubnet); !ok {
		return badRequest("The virtual network %s has no subnet named %s.", network, gatewaySubnet).At(g.Origin)
	}
	if len(g.Connections) > maxConnections {
		return badRequest("The gateway of %s has %d connections; the most is %d.", network, len(g.Connections), maxConnections).At(g.Origin)
	}
	joined := map[string][]netip.Prefix{network: n.AddressSpace}
	for _, c := range g.Connections {
		if c == network {
			return badRequest("The gateway of %s can't connect %s with itself.", network, network).At(g.Origin)
		}
		space, ok := l.spaceOf(c)
		if !ok {
			candidates := slices.DeleteFunc(append(l.virtualNetworkNames(), l.localNetworkNames()...), func(name string) bool { return name == network })
			return didYouMean(badRequest("The gateway of %s has a connection to %s, which is neither a local network site nor another virtual network.", network, shorten(c)), c, candidates).At(g.Origin)
		}
		for other, prefixes := range joined {
			if p, q, overlap := overlapping(prefixes, space); overlap {
				return badRequest("The address spaces of %s (%s) and %s (%s) overlap: they can't be joined.", other, p, c, q).At(g.Origin)
			}
		}
		joined[c] = space
	}
	changed := *n
	g.Address = l.freePublicAddress(l.LocationOf(n.AffinityGroup, n.Location), nil)
	changed.Gateway = &g
	replace(l.VirtualNetworks, n, &changed)
	return nil
}

// DeleteGateway takes a virtual network's gateway away.
func (l *Lab) DeleteGateway(network string) error {
	n, ok := l.virtualNetwork(network)
	if !ok || n.Gateway == nil {
		return notFound("The virtual network %s has no gateway.", shorten(network))
	}
	changed := *n
	changed.Gateway = nil
	replace(l.VirtualNetworks, n, &changed)
	return nil
}

// spaceOf is the address space of a network, virtual or local.
func (l *Lab) spaceOf(name string) ([]netip.Prefix, bool) {
	if n, ok := l.virtualNetwork(name); ok {
		return n.AddressSpace, true
	}
	if n, ok := l.localNetwork(name); ok {
		return n.AddressSpace, true
	}
	return nil, false
}

func overlapping(a, b []netip.Prefix) (p, q netip.Prefix, overlap bool) {
	for _, p := range a {
		for _, q := range b {
			if p.Overlaps(q) {
				return p, q, true
			}
		}
	}
	return netip.Prefix{}, netip.Prefix{}, false
}

// Connection is a tunnel between a virtual network and a local network site, or between two virtual networks.
type Connection struct {
	Network        *VirtualNetwork
	LocalNetwork   *LocalNetwork // or
	VirtualNetwork *VirtualNetwork
}

// Connections lists the connections that are up: those to sites, and those between virtual networks that name each other.
func (l *Lab) Connections() []Connection {
	var all []Connection
	for i, n := range l.VirtualNetworks {
		if n.Gateway == nil {
			continue
		}
		for _, name := range n.Gateway.Connections {
			if site, ok := l.localNetwork(name); ok {
				all = append(all, Connection{Network: n, LocalNetwork: site})
			}
		}
		for _, other := range l.VirtualNetworks[i+1:] {
			if other.Gateway != nil && slices.Contains(n.Gateway.Connections, other.Name) && slices.Contains(other.Gateway.Connections, n.Name) {
				all = append(all, Connection{Network: n, VirtualNetwork: other})
			}
		}
	}
	return all
}

// SiteOf is the site of an on-premises host.
func (l *Lab) SiteOf(h *LocalHost) *LocalNetwork {
	n, _ := find(l.LocalNetworks, func(n *LocalNetwork) bool { return slices.Contains(n.Hosts, h) })
	return n
}

// joined tells whether two domains are one, or connected by a gateway.
func (l *Lab) joined(a, b string) bool {
	return a == b || slices.ContainsFunc(l.Connections(), func(c Connection) bool {
		x, y := c.Network.Name, ""
		if c.LocalNetwork != nil {
			y = siteDomain(c.LocalNetwork)
		} else {
			y = c.VirtualNetwork.Name
		}
		return x == a && y == b || x == b && y == a
	})
}

func siteDomain(n *LocalNetwork) string { return "site." + strings.ToLower(n.Name) }
