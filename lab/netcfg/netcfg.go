// Package netcfg reads a network configuration, NetworkConfig.netcfg: all virtual networks of a subscription,
// with their DNS servers and the local network sites they are connected to (MSDN "Azure Virtual Network
// Configuration Schema"). Whether address spaces and subnets fit together is left to the platform's operations.
//
// Files are accepted as the platform exported them: with empty elements, host bits in prefixes, leading zeros in
// addresses, and parts that a lab doesn't build, which get notes.
package netcfg

import (
	"net/netip"

	"vnetlab/emu"
	"vnetlab/lab/strictxml"
)

// Namespace is the XML namespace of network configurations.
const Namespace = "http://schemas.microsoft.com/ServiceHosting/2011/07/NetworkConfiguration"

// NetworkConfiguration is a network configuration.
type NetworkConfiguration struct {
	DNSServers          []DNSServer
	LocalNetworkSites   []LocalNetworkSite
	VirtualNetworkSites []VirtualNetworkSite // in file order
	Origin              emu.Origin

	notes []strictxml.Note
}

// WithoutEffect returns notes on what has no effect on the network, or a different one than in the file, in file
// order.
func (c *NetworkConfiguration) WithoutEffect() []strictxml.Note { return c.notes }

// DNSServer is a name server that networks can refer to. Its name is a label only.
type DNSServer struct {
	Name    string
	Address netip.Addr
	Origin  emu.Origin
}

// LocalNetworkSite is a network elsewhere, on the customer's premises.
type LocalNetworkSite struct {
	Name              string
	AddressSpace      []Prefix
	VPNGatewayAddress netip.Addr // zero: none
	// VirtualNetworkSite is the virtual network of the same file that the site stands for: see standIns. Empty: the
	// site is on the customer's premises.
	VirtualNetworkSite string
	Origin             emu.Origin
}

// VirtualNetworkSite is a virtual network, in an affinity group or a location: exactly one of the two is not empty.
type VirtualNetworkSite struct {
	Name          string
	AffinityGroup string
	Location      string
	Label         string
	AddressSpace  []Prefix
	Subnets       []Subnet
	DNSServers    []DNSServer // those that the network refers to, in its order; each with the position of the reference
	Gateway       *Gateway    // nil: none
	Origin        emu.Origin
}

// Prefix is an address prefix with its position. Bits beyond its length are zero.
type Prefix struct {
	netip.Prefix
	Origin emu.Origin
}

// Subnet is a part of a virtual network.
type Subnet struct {
	Name          string
	AddressPrefix netip.Prefix
	Origin        emu.Origin
}

// Gateway joins a virtual network to other networks.
type Gateway struct {
	Profile              string   // empty: not given
	VPNClientAddressPool []Prefix // of point-to-site clients
	Connections          []Connection
	Origin               emu.Origin
}

// Connection is a connection to a local network site.
type Connection struct {
	LocalNetworkSite string
	Type             string // IPsec or Dedicated
	Origin           emu.Origin
}
