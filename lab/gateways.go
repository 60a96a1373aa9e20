package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"vnetlab/emu"
)

// LocalNetwork is an on-premises site: its address space behind a VPN device, and hosts in it.
type LocalNetwork struct {
	Name         string
	AddressSpace []netip.Prefix
	// VPNGatewayAddress is the public address of the VPN device, as it was asked for; zero: none was.
	VPNGatewayAddress netip.Addr
	// Address is the VPN device's on the internet of the lab: VPNGatewayAddress where the lab can have it there,
	// otherwise one that stands for it. In a request it may be zero, or the address wanted to stand for the device's.
	Address netip.Addr
	Hosts   []*LocalHost
	Origin  Origin
}

// Mapped reports whether the VPN device has another address on the internet of the lab than was asked for.
func (n *LocalNetwork) Mapped() bool {
	return n.VPNGatewayAddress.IsValid() && n.VPNGatewayAddress != n.Address
}

// MappingText says for people which address stands for the VPN device's.
func (n *LocalNetwork) MappingText() string {
	return fmt.Sprintf("the VPN device of local network site %q has the address %s in the lab, which stands for %s",
		n.Name, n.Address, n.VPNGatewayAddress)
}

// LAN is where the hosts of the site are: the first prefix of its address space that has room for some; zero: none has.
func (n *LocalNetwork) LAN() netip.Prefix {
	for _, p := range n.AddressSpace {
		if p.Bits() <= smallestSubnet {
			return p
		}
	}
	return netip.Prefix{}
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
	Address     netip.Addr // public
	Connections []GatewayConnection
	// ClientAddressPool is where the addresses of point-to-site clients come from. A lab has no such clients.
	ClientAddressPool []netip.Prefix
	Profile           string // as a network configuration has it; it means nothing to the network
	Origin            Origin
}

// GatewayConnection is what a gateway leads to.
type GatewayConnection struct {
	Name string
	// To is what the name is of. In a request it may be empty: a local network site, and where there is none of the
	// name a virtual network.
	To NetworkKind
	// Dedicated connections are circuits of their own (ExpressRoute). What the site says of itself isn't used for
	// them ("Configure a virtual network for ExpressRoute"), so that a lab doesn't know what is behind: they aren't
	// up.
	Dedicated bool
}

// NetworkKind is the kind of a network at the end of a connection: a site and a virtual network may have one name.
// Two virtual networks are joined when each names the other.
type NetworkKind string

const (
	ToLocalNetwork   NetworkKind = "localNetwork"
	ToVirtualNetwork NetworkKind = "virtualNetwork"
)

// ConnectTo lists connections to networks by their names.
func ConnectTo(names ...string) []GatewayConnection {
	all := make([]GatewayConnection, len(names))
	for i, name := range names {
		all[i].Name = name
	}
	return all
}

// leadsTo reports whether the gateway has a connection to a network, in use or dedicated.
func (g *VPNGateway) leadsTo(kind NetworkKind, name string) bool {
	return g != nil && slices.ContainsFunc(g.Connections,
		func(c GatewayConnection) bool { return c.To == kind && c.Name == name })
}

// Names lists what the gateway leads to.
func (g *VPNGateway) Names() []string {
	all := make([]string, len(g.Connections))
	for i, c := range g.Connections {
		all[i] = c.Name
	}
	return all
}

// request is the gateway as it is asked for when there is such a one.
func (g *VPNGateway) request(at Origin) VPNGateway {
	return VPNGateway{Connections: g.Connections, ClientAddressPool: g.ClientAddressPool, Profile: g.Profile,
		Origin: at}
}

const maxConnections = 10 // of a gateway ("Configure a VNet to VNet connection")

func (l *Lab) localNetwork(name string) (*LocalNetwork, bool) {
	return find(l.LocalNetworks, func(n *LocalNetwork) bool { return n.Name == name })
}

// CreateLocalNetwork adds an on-premises site with its hosts.
func (l *Lab) CreateLocalNetwork(n LocalNetwork) error {
	var errs []error
	refuse := func(err *Error) { errs = append(errs, err.At(n.Origin)) }
	if err := checkName("local network site", n.Name, resourceNames); err != nil {
		refuse(err)
	}
	if old, ok := find(l.LocalNetworks, func(o *LocalNetwork) bool { return same(o.Name, n.Name) }); ok {
		refuse(conflict("The local network site %s already exists.", old.Name))
	}
	if len(n.AddressSpace) == 0 {
		refuse(badRequest("The local network site %s has no address space.", n.Name))
	}
	for i, p := range n.AddressSpace {
		if err := checkAddressSpace(n.Name, p); err != nil {
			refuse(err)
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
	address, err := l.deviceAddress(n)
	if err != nil {
		return err.At(n.Origin)
	}
	n.Address = address
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
		if v.Gateway.leadsTo(ToLocalNetwork, name) {
			return conflict("The local network site %s is connected to the virtual network %s.", name, v.Name).
				WithHint("lab gateway delete %s", argument(v.Name))
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
	if !n.Address.IsValid() && n.VPNGatewayAddress == old.VPNGatewayAddress {
		n.Address = old.Address
	}
	next := l.Clone()
	next.LocalNetworks = remove(next.LocalNetworks, old)
	if err := next.CreateLocalNetwork(n); err != nil {
		return err
	}
	for _, v := range l.VirtualNetworks {
		if !v.Gateway.leadsTo(ToLocalNetwork, n.Name) {
			continue
		}
		without := *v
		without.Gateway = nil
		replace(next.VirtualNetworks, v, &without)
		if err := next.CreateGateway(v.Name, v.Gateway.request(n.Origin)); err != nil {
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
	connections, err := l.resolve(n, g)
	if err != nil {
		return err.At(g.Origin)
	}
	g.Connections = connections
	if err := l.checkJoined(n, g); err != nil {
		return err.At(g.Origin)
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
