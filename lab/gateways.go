package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

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
	return VPNGateway{
		Connections: g.Connections, ClientAddressPool: g.ClientAddressPool, Profile: g.Profile,
		Origin: at,
	}
}

// CreateGatewayOp is [Lab.CreateGateway] as an operation.
type CreateGatewayOp struct {
	Network string
	Gateway VPNGateway
}

func (o CreateGatewayOp) Do(l *Lab) error { return l.CreateGateway(o.Network, o.Gateway) }

func (o CreateGatewayOp) String() string {
	if len(o.Gateway.Connections) == 0 {
		return "create the gateway of " + o.Network
	}
	return fmt.Sprintf("create the gateway of %s to %s", o.Network, strings.Join(o.Gateway.Names(), ", "))
}

// CreateGateway gives a virtual network a gateway with connections. The network needs a subnet named GatewaySubnet,
// and the address spaces of all that is joined must not overlap ("Configure a VNet to VNet connection").
func (l *Lab) CreateGateway(network string, g VPNGateway) error {
	n, ok := l.virtualNetwork(network)
	if !ok {
		return didYouMean(
			notFound("The virtual network %s does not exist.", shorten(network)),
			network,
			l.virtualNetworkNames(),
		).At(g.Origin)
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

// DeleteGatewayOp is [Lab.DeleteGateway] as an operation.
type DeleteGatewayOp struct{ Network string }

func (o DeleteGatewayOp) Do(l *Lab) error { return l.DeleteGateway(o.Network) }

func (o DeleteGatewayOp) String() string { return "delete the gateway of " + o.Network }

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

func init() {
	register(
		CreateGatewayOp{},
		DeleteGatewayOp{},
	)
}
