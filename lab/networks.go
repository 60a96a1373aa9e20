package lab

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/lab/limits"
)

// VirtualNetwork is bound to an affinity group or a location, exactly one of the two.
type VirtualNetwork struct {
	Name          string
	AffinityGroup string
	Location      string
	AddressSpace  []netip.Prefix
	Subnets       []Subnet
	DNSServers    []DNSServer // none: the platform's own resolver
	Gateway       *VPNGateway // nil: none. Set by CreateGateway only
	Origin        Origin
}

// DNSServer is a name server of a virtual network. Its name is a label of network configurations; nothing looks it up.
type DNSServer struct {
	Name    string // empty in a request: made from the address
	Address netip.Addr
}

// Subnet is a part of a virtual network's address space.
type Subnet struct {
	Name          string
	AddressPrefix netip.Prefix
	Origin        Origin
}

func (l *Lab) virtualNetwork(name string) (*VirtualNetwork, bool) {
	return find(l.VirtualNetworks, func(n *VirtualNetwork) bool { return n.Name == name })
}

// VirtualNetwork finds a virtual network by its name.
func (l *Lab) VirtualNetwork(name string) (*VirtualNetwork, bool) { return l.virtualNetwork(name) }

func (l *Lab) virtualNetworkNames() []string {
	return names(l.VirtualNetworks, func(n *VirtualNetwork) string { return n.Name })
}

// CreateVirtualNetworkOp is [Lab.CreateVirtualNetwork] as an operation.
type CreateVirtualNetworkOp struct{ VirtualNetwork }

func (o CreateVirtualNetworkOp) Do(l *Lab) error { return l.CreateVirtualNetwork(o.VirtualNetwork) }

func (o CreateVirtualNetworkOp) String() string { return "create virtual network " + o.Name }

// CreateVirtualNetwork adds a virtual network site, as Set Network Configuration does for each site of the file.
func (l *Lab) CreateVirtualNetwork(n VirtualNetwork) error {
	var errs []error
	n.Gateway = nil
	refuse := func(err *Error) { errs = append(errs, err.At(n.Origin)) }
	if err := checkName("virtual network", n.Name, resourceNames); err != nil {
		refuse(err)
	}
	if old, ok := find(l.VirtualNetworks, func(o *VirtualNetwork) bool { return same(o.Name, n.Name) }); ok {
		refuse(conflict("The virtual network %s already exists.", old.Name))
	}
	switch {
	case n.AffinityGroup == "" && n.Location == "":
		// The platform's own text, its spelling included.
		refuse(
			badRequest(
				"Neither Affinity Group nor Location elemet is specified in virtual network site '%s'. Either Affinity Group or Location must be specified for every virtual network.",
				n.Name,
			),
		)
	case n.AffinityGroup != "" && n.Location != "":
		refuse(
			badRequest("The virtual network %s has an affinity group and a location; it takes one of the two.", n.Name),
		)
	case n.Location != "":
		if err := checkLocation(n.Location); err != nil {
			refuse(err)
		}
	default:
		if _, ok := l.affinityGroup(n.AffinityGroup); !ok {
			err := notFound("The affinity group %s of the virtual network %s does not exist.", n.AffinityGroup, n.Name).
				WithHint("Create it first: it says in which location the network is.")
			refuse(didYouMean(err, n.AffinityGroup, l.affinityGroupNames()))
		}
		if other, ok := find(
			l.VirtualNetworks,
			func(o *VirtualNetwork) bool { return o.AffinityGroup == n.AffinityGroup },
		); ok {
			refuse(
				badRequest(
					"Only one virtual network can be assigned an affinity group: %s has %s already.",
					n.AffinityGroup,
					other.Name,
				).
					WithHint("Create another affinity group for %s.", n.Name),
			)
		}
	}
	errs = append(errs, checkPrefixes(n)...)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	n.DNSServers = named(n.DNSServers)
	l.VirtualNetworks = append(l.VirtualNetworks, &n)
	return nil
}

// named returns name servers with a name for each.
func named(servers []DNSServer) []DNSServer {
	servers = slices.Clone(servers)
	for i := range servers {
		servers[i].Name = cmp.Or(strings.TrimSpace(servers[i].Name), "dns-"+servers[i].Address.String())
	}
	return servers
}

// checkPrefixes holds the rules of address spaces and subnets ("Virtual Network FAQ").
func checkPrefixes(n VirtualNetwork) (errs []error) {
	refuse := func(o Origin, err *Error) { errs = append(errs, err.At(o)) }
	if len(n.AddressSpace) == 0 {
		refuse(n.Origin, badRequest("The virtual network %s has no address space.", n.Name))
	}
	for i, p := range n.AddressSpace {
		if err := checkAddressSpace(n.Name, p); err != nil {
			refuse(n.Origin, err)
		}
		for _, q := range n.AddressSpace[:i] {
			if p.Overlaps(q) {
				refuse(n.Origin, badRequest("The address prefixes %s and %s of %s overlap.", q, p, n.Name))
			}
		}
	}
	for i, s := range n.Subnets {
		if err := checkName("subnet", s.Name, resourceNames); err != nil {
			refuse(s.Origin, err)
		}
		p := s.AddressPrefix
		switch {
		case !p.IsValid() || !p.Addr().Is4():
			refuse(s.Origin, badRequest("The subnet %s has no IPv4 address prefix.", s.Name))
			continue
		case p != p.Masked():
			refuse(
				s.Origin,
				badRequest(
					"The address prefix %s of subnet %s has host bits set.",
					p,
					s.Name,
				).WithHint("Write %s.", p.Masked()),
			)
		case p.Bits() > limits.SmallestSubnet:
			refuse(s.Origin, badRequest("The subnet %s is too small: %s. The smallest subnet is a /29.", s.Name, p))
		case p.Bits() < limits.LargestSubnet:
			refuse(s.Origin, badRequest("The subnet %s is too large: %s. The largest subnet is a /8.", s.Name, p))
		}
		if !slices.ContainsFunc(n.AddressSpace, func(space netip.Prefix) bool {
			return space.Bits() <= p.Bits() && space.Contains(p.Addr())
		}) {
			refuse(
				s.Origin,
				badRequest(
					"The subnet %s (%s) is not inside the address space of %s (%s).",
					s.Name,
					p,
					n.Name,
					joinPrefixes(n.AddressSpace),
				),
			)
		}
		for _, other := range n.Subnets[:i] {
			if same(other.Name, s.Name) {
				refuse(s.Origin, badRequest("The virtual network %s has a subnet %s already.", n.Name, other.Name))
			}
			if other.AddressPrefix.IsValid() && p.Overlaps(other.AddressPrefix) {
				refuse(
					s.Origin,
					badRequest("The subnets %s (%s) and %s (%s) overlap.", other.Name, other.AddressPrefix, s.Name, p),
				)
			}
		}
	}
	return errs
}

func joinPrefixes(all []netip.Prefix) string {
	out := make([]string, len(all))
	for i, p := range all {
		out[i] = p.String()
	}
	return strings.Join(out, ", ")
}

// Subnet finds a subnet of the network by its name.
func (n *VirtualNetwork) Subnet(name string) (Subnet, bool) {
	i := slices.IndexFunc(n.Subnets, func(s Subnet) bool { return s.Name == name })
	if i < 0 {
		return Subnet{}, false
	}
	return n.Subnets[i], true
}

// subnetNames lists the subnets that instances can be in.
func (n *VirtualNetwork) subnetNames() (names []string) {
	for _, s := range n.Subnets {
		if s.Name != gatewaySubnet {
			names = append(names, s.Name)
		}
	}
	return names
}

// InUse tells whether a deployment is in the virtual network, and in the subnet where one is named.
func (l *Lab) InUse(network, subnet string) bool {
	for d := range l.deployments() {
		if d.VirtualNetwork != network {
			continue
		}
		if subnet == "" || slices.ContainsFunc(d.Instances, func(i *Instance) bool { return i.Subnet == subnet }) ||
			d.InternalLoadBalancer != nil && d.InternalLoadBalancer.Subnet == subnet {
			return true
		}
	}
	return false
}

// DeleteVirtualNetworkOp is [Lab.DeleteVirtualNetwork] as an operation.
type DeleteVirtualNetworkOp struct{ Name string }

func (o DeleteVirtualNetworkOp) Do(l *Lab) error { return l.DeleteVirtualNetwork(o.Name) }

func (o DeleteVirtualNetworkOp) String() string { return "delete virtual network " + o.Name }

// DeleteVirtualNetwork removes a virtual network that no deployment is in.
func (l *Lab) DeleteVirtualNetwork(name string) error {
	n, ok := l.virtualNetwork(name)
	if !ok {
		return didYouMean(
			notFound("The virtual network %s does not exist.", shorten(name)),
			name,
			l.virtualNetworkNames(),
		)
	}
	if l.InUse(name, "") {
		return l.networkInUse(name)
	}
	l.VirtualNetworks = remove(l.VirtualNetworks, n)
	return nil
}

// networkInUse refuses what can't be done to a virtual network that deployments are in. The platform had one text for
// all of it, since networks are deleted and changed by the import of a network configuration alone
// (azure-sdk-for-node issue 980).
func (l *Lab) networkInUse(name string) *Error {
	return badRequest("Cannot delete or modify virtual network while in use '%s'.", name).
		WithHint("It is in use by %s. Delete these deployments first.", l.users(name))
}

// users names the cloud services with a deployment in a virtual network.
func (l *Lab) users(network string) string {
	var all []string
	for d := range l.deployments() {
		if d.VirtualNetwork == network && !slices.Contains(all, d.Service) {
			all = append(all, d.Service)
		}
	}
	return strings.Join(all, ", ")
}

// UpdateVirtualNetworkOp is [Lab.UpdateVirtualNetwork] as an operation.
type UpdateVirtualNetworkOp struct{ VirtualNetwork }

func (o UpdateVirtualNetworkOp) Do(l *Lab) error { return l.UpdateVirtualNetwork(o.VirtualNetwork) }

func (o UpdateVirtualNetworkOp) String() string { return "change virtual network " + o.Name }

// UpdateVirtualNetwork replaces a virtual network, as the import of a network configuration does. What a deployment
// uses can't change: the network's place, and each subnet with something in it ("Configure a virtual network using a
// network configuration file").
func (l *Lab) UpdateVirtualNetwork(n VirtualNetwork) error {
	old, ok := l.virtualNetwork(n.Name)
	if !ok {
		return didYouMean(
			notFound("The virtual network %s does not exist.", shorten(n.Name)),
			n.Name,
			l.virtualNetworkNames(),
		).At(n.Origin)
	}
	if l.InUse(n.Name, "") && (n.AffinityGroup != old.AffinityGroup || n.Location != old.Location) {
		return l.networkInUse(n.Name).At(n.Origin)
	}
	for _, s := range old.Subnets {
		if now, ok := n.Subnet(s.Name); l.InUse(n.Name, s.Name) && (!ok || now.AddressPrefix != s.AddressPrefix) {
			// The platform's own text (20533-ImplementingMicrosoftAzureInfrastructureSolutions issue 130).
			return badRequest("Cannot delete or modify subnet while in use '%s'.", s.Name).
				WithHint("It is a subnet of %s, in use by %s.", n.Name, l.users(n.Name)).At(n.Origin)
		}
	}
	without := l.Clone()
	without.VirtualNetworks = slices.DeleteFunc(
		without.VirtualNetworks,
		func(o *VirtualNetwork) bool { return o.Name == n.Name },
	)
	if err := without.CreateVirtualNetwork(n); err != nil {
		return err
	}
	n.DNSServers, n.Gateway = named(n.DNSServers), old.Gateway
	for _, v := range l.VirtualNetworks {
		if v == old || v.Gateway.leadsTo(ToVirtualNetwork, n.Name) {
			if err := without.checkGateway(v, n.Origin); err != nil {
				return err
			}
		}
	}
	replace(l.VirtualNetworks, old, &n)
	return nil
}

// checkGateway refuses the gateway of a network where what it joins has changed: it creates the gateway again. The
// lab is a copy that is given up.
func (l *Lab) checkGateway(of *VirtualNetwork, origin Origin) error {
	if of.Gateway == nil {
		return nil
	}
	if n, ok := l.virtualNetwork(of.Name); ok && n.Gateway != nil {
		without := *n
		without.Gateway = nil
		replace(l.VirtualNetworks, n, &without)
	}
	return l.CreateGateway(of.Name, of.Gateway.request(origin))
}

func init() {
	register(
		CreateVirtualNetworkOp{},
		DeleteVirtualNetworkOp{},
		UpdateVirtualNetworkOp{},
	)
}
