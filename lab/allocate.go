package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"math"
	"math/bits"
	"net/http"
	"net/netip"
	"slices"

	"vnetlab/lab/limits"
)

// assign finds an address for a new instance of the deployment: the one asked for, or the lowest free one.
func (l *Lab) assign(d *Deployment, subnet string, static netip.Addr) (netip.Addr, *Error) {
	block, where, err := l.blockOf(d, subnet)
	if err != nil {
		return netip.Addr{}, err
	}
	if static.IsValid() {
		switch {
		case d.VirtualNetwork == "":
			return netip.Addr{}, badRequest("A static address needs a virtual network.")
		case !block.Contains(static):
			return netip.Addr{}, badRequest("The address %s is not in %s (%s).", static, where, block)
		case !assignable(block, static):
			return netip.Addr{}, reserved(static, where, block)
		case l.taken(d, static):
			return netip.Addr{}, addressInUse(static)
		}
		return static, nil
	}
	n := lowestFree(reservedAtStart, func(yield func(int) bool) {
		for a := range l.addresses(d) {
			if block.Contains(a) && !yield(Offset(block, a)) {
				return
			}
		}
	})
	if int64(n) >= size(block)-reservedAtEnd {
		return netip.Addr{}, badRequest(
			"No free address is left in %s (%s): all %d are in use.",
			where,
			block,
			usable(block),
		)
	}
	return Nth(block, n), nil
}

// addressInUse refuses a static address that somebody in the network has. The code is the platform's (azure-xplat-cli
// issue 422); the text is ours.
func addressInUse(address netip.Addr) *Error {
	return &Error{
		Code: "Networking.DeploymentVNetAddressAllocationFailure", HTTPStatus: http.StatusBadRequest,
		Message: fmt.Sprintf("The address %s is in use.", address),
	}
}

// reserved refuses an address that the platform keeps for itself in each subnet.
func reserved(address netip.Addr, where string, block netip.Prefix) *Error {
	return badRequest("The address %s of %s (%s) is reserved.", address, where, block).
		WithHint("The first four addresses of a subnet and its last one are.")
}

// blockOf is where addresses of a deployment's instances come from, with its name for people.
func (l *Lab) blockOf(d *Deployment, subnet string) (netip.Prefix, string, *Error) {
	if d.VirtualNetwork == "" {
		if subnet != "" {
			return netip.Prefix{}, "", badRequest(
				"The subnet %s is given, but the deployment is in no virtual network.",
				subnet,
			).
				WithHint("Give the cloud service a virtualNetwork, or leave the subnet out.")
		}
		return d.Block, "the cloud service", nil
	}
	n, ok := l.virtualNetwork(d.VirtualNetwork)
	if !ok {
		return netip.Prefix{}, "", badRequest("The virtual network %s does not exist.", d.VirtualNetwork)
	}
	found, ok := n.Subnet(subnet)
	switch {
	case subnet == "":
		return netip.Prefix{}, "", didYouMean(
			badRequest("No subnet of the virtual network %s is given.", n.Name),
			"",
			n.subnetNames(),
		)
	case !ok:
		return netip.Prefix{}, "", didYouMean(
			badRequest("The virtual network %s has no subnet %s.", n.Name, subnet),
			subnet,
			n.subnetNames(),
		)
	case subnet == gatewaySubnet:
		return netip.Prefix{}, "", badRequest("The subnet GatewaySubnet is for the virtual network's gateway alone.")
	}
	return found.AddressPrefix, "the subnet " + subnet, nil
}

const gatewaySubnet = "GatewaySubnet"

// addresses are those in use in the isolation domain of a deployment: its virtual network, or itself. The deployment
// may be one that isn't in the lab yet.
func (l *Lab) addresses(d *Deployment) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		if !d.addresses(yield) || d.VirtualNetwork == "" {
			return
		}
		for other := range l.deployments() {
			if other != d && other.VirtualNetwork == d.VirtualNetwork && !other.addresses(yield) {
				return
			}
		}
	}
}

func (d *Deployment) addresses(yield func(netip.Addr) bool) bool {
	for _, i := range d.Instances {
		if i.DIP.IsValid() && !yield(i.DIP) {
			return false
		}
	}
	return d.InternalLoadBalancer == nil || yield(d.InternalLoadBalancer.Address)
}

func (l *Lab) taken(d *Deployment, address netip.Addr) bool {
	for a := range l.addresses(d) {
		if a == address {
			return true
		}
	}
	return false
}

// freeBlock is the lowest block of addresses that no deployment has.
func (l *Lab) freeBlock() netip.Prefix {
	n := lowestFree(0, func(yield func(int) bool) {
		for d := range l.deployments() {
			if !yield(Offset(deploymentSpace, d.Block.Addr()) >> (32 - deploymentBits)) {
				return
			}
		}
	})
	return subprefix(deploymentSpace, deploymentBits, n)
}

// freePublicAddress is the lowest public address of a location that nobody has, neither in the lab nor in a
// deployment that isn't in it yet.
func (l *Lab) freePublicAddress(location string, with *Deployment) netip.Addr {
	block := LocationBlock(location)
	n := lowestFree(platformAddresses, func(yield func(int) bool) {
		for a := range l.publicAddresses(with) {
			if a.IsValid() && !yield(Offset(block, a)) {
				return
			}
		}
	})
	return Nth(block, n)
}

// publicAddresses are those in use, and the zero address.
func (l *Lab) publicAddresses(with *Deployment) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, r := range l.ReservedIPs {
			if !yield(r.Address) {
				return
			}
		}
		for _, n := range l.VirtualNetworks {
			if n.Gateway != nil && !yield(n.Gateway.Address) {
				return
			}
		}
		if with != nil && !with.publicAddresses(yield) {
			return
		}
		for d := range l.deployments() {
			if !d.publicAddresses(yield) {
				return
			}
		}
	}
}

func (d *Deployment) publicAddresses(yield func(netip.Addr) bool) bool {
	if !yield(d.VIP) {
		return false
	}
	for _, i := range d.Instances {
		if !yield(i.PublicIP) {
			return false
		}
	}
	return true
}

// lowestFree is the lowest number from first on that isn't taken. It looks for it window by window, to keep no list
// of all that are taken.
func lowestFree(first int, taken iter.Seq[int]) int {
	for ; ; first += windowSize {
		var window [windowSize / 64]uint64
		for n := range taken {
			if n -= first; n >= 0 && n < windowSize {
				window[n/64] |= 1 << (n % 64)
			}
		}
		for w, word := range window {
			if word != math.MaxUint64 {
				return first + w*64 + bits.TrailingZeros64(^word)
			}
		}
	}
}

const windowSize = 4096

// checkPublicIPs refuses more public addresses of instances' own than the subscription or the deployment's network
// can have.
func (l *Lab) checkPublicIPs(d *Deployment, more int) *Error {
	if n, ok := l.virtualNetwork(d.VirtualNetwork); ok && n.AffinityGroup != "" {
		return badRequest(
			"The virtual network %s is bound to an affinity group; an instance-level public IP needs one that is bound to a location.",
			n.Name,
		)
	}
	have := 0
	for _, i := range l.instances() {
		if i.PublicIPName != "" {
			have++
		}
	}
	if have+more > limits.PublicIPs {
		return badRequest(
			"The subscription would have %d instance-level public IPs; the maximum is %d.",
			have+more,
			limits.PublicIPs,
		)
	}
	return nil
}

// location is where a deployment runs.
func (l *Lab) location(d *Deployment) string {
	s, _ := l.cloudService(d.Service)
	return l.LocationOf(s.AffinityGroup, s.Location)
}

// allocateVIP gives a deployment its VIP: its reserved IP, or a free address. It keeps the one it has.
func (l *Lab) allocateVIP(d *Deployment) {
	if d.VIP.IsValid() {
		return
	}
	if r, ok := l.reservedIP(d.ReservedIP); ok {
		d.VIP = r.Address
		return
	}
	d.VIP = l.freePublicAddress(l.location(d), d)
}

// allocatePublicIPs gives instances of a deployment the public addresses of their own that they ask for.
func (l *Lab) allocatePublicIPs(d *Deployment, instances ...*Instance) {
	for _, i := range instances {
		if i.PublicIPName != "" && !i.PublicIP.IsValid() {
			i.PublicIP = l.freePublicAddress(l.location(d), d)
		}
	}
}

// releaseVIP takes the VIP when no instance is allocated any more ("Virtual Network FAQ"). A reserved IP stays the
// deployment's.
func releaseVIP(d *Deployment) {
	if d.ReservedIP == "" && !slices.ContainsFunc(d.Instances, (*Instance).Allocated) {
		d.VIP = netip.Addr{}
	}
}

// newDeployment makes an empty deployment with an identity of its own.
func (l *Lab) newDeployment(service, name string, kind DeploymentKind, network string) *Deployment {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", l.Name, service, l.created))
	return &Deployment{
		Service:        service,
		Name:           name,
		PrivateID:      hex.EncodeToString(sum[:16]),
		Kind:           kind,
		VirtualNetwork: network,
		Block:          l.freeBlock(),
	}
}

// giveIDs gives each instance of a deployment that has no id one that no other namespace of the lab has: the name by
// which the instance is found in the slot, where nobody else has it. The deployment may be one that isn't in the lab
// yet.
func (l *Lab) giveIDs(d *Deployment, slot Slot) {
	taken := func(id string) bool {
		return l.hasID(id) || slices.ContainsFunc(d.Instances, func(i *Instance) bool { return i.ID == id })
	}
	for _, i := range d.Instances {
		if i.ID != "" {
			continue
		}
		full := i.Service + "." + string(slot) + "." + i.Name
		candidates := []string{full}
		if slot == Production {
			candidates = []string{i.Name, i.Service + "." + i.Name, full}
		}
		at := slices.IndexFunc(candidates, func(id string) bool { return !taken(id) })
		if at >= 0 {
			i.ID = candidates[at]
			continue
		}
		// Those who were in the slot before, and are in the other one now, keep theirs.
		for n := 2; i.ID == ""; n++ {
			if id := fmt.Sprintf("%s.%d", full, n); !taken(id) {
				i.ID = id
			}
		}
	}
}

// hasID reports whether a member has the id.
func (l *Lab) hasID(id string) bool {
	for _, i := range l.instances() {
		if i.ID == id {
			return true
		}
	}
	for _, h := range l.InternetHosts {
		if h.Name == id {
			return true
		}
	}
	for _, s := range l.WebSites {
		if s.Name == id {
			return true
		}
	}
	for _, n := range l.LocalNetworks {
		for _, h := range n.Hosts {
			if h.Name == id {
				return true
			}
		}
	}
	return false
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}
