package lab

import (
	"errors"
	"fmt"
	"net/netip"

	"vnetlab/lab/limits"
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
		if p.Bits() <= limits.SmallestSubnet {
			return p
		}
	}
	return netip.Prefix{}
}

func (l *Lab) localNetwork(name string) (*LocalNetwork, bool) {
	return find(l.LocalNetworks, func(n *LocalNetwork) bool { return n.Name == name })
}

// CreateLocalNetworkOp is [Lab.CreateLocalNetwork] as an operation.
type CreateLocalNetworkOp struct{ LocalNetwork }

func (o CreateLocalNetworkOp) Do(l *Lab) error { return l.CreateLocalNetwork(o.LocalNetwork) }

func (o CreateLocalNetworkOp) String() string { return "create local network site " + o.Name }

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

// DeleteLocalNetworkOp is [Lab.DeleteLocalNetwork] as an operation.
type DeleteLocalNetworkOp struct{ Name string }

func (o DeleteLocalNetworkOp) Do(l *Lab) error { return l.DeleteLocalNetwork(o.Name) }

func (o DeleteLocalNetworkOp) String() string { return "delete local network site " + o.Name }

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

// UpdateLocalNetworkOp is [Lab.UpdateLocalNetwork] as an operation.
type UpdateLocalNetworkOp struct{ LocalNetwork } // its hosts stay

func (o UpdateLocalNetworkOp) Do(l *Lab) error { return l.UpdateLocalNetwork(o.LocalNetwork) }

func (o UpdateLocalNetworkOp) String() string { return "change local network site " + o.Name }

// UpdateLocalNetwork replaces the address space and the VPN device's address of a site, as the import of a network
// configuration does. The hosts of the site stay, and so does the device's address where none is asked for.
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
		if err := next.checkGateway(v, n.Origin); err != nil {
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

// existingSite finds an on-premises site, or refuses.
func (l *Lab) existingSite(name string) (*LocalNetwork, *Error) {
	n, ok := l.localNetwork(name)
	if !ok {
		return nil, didYouMean(
			notFound("The local network site %s does not exist.", shorten(name)),
			name,
			l.localNetworkNames(),
		)
	}
	return n, nil
}

func init() {
	register(
		CreateLocalNetworkOp{},
		DeleteLocalNetworkOp{},
		UpdateLocalNetworkOp{},
	)
}
