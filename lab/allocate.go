package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
)

// assign finds an address for a new instance of the deployment: the one asked for, or the lowest free one.
func (l *Lab) assign(d *Deployment, subnet string, static netip.Addr) (netip.Addr, *Error) {
	block, where, err := l.blockOf(d, subnet)
	if err != nil {
		return netip.Addr{}, err
	}
	taken := l.takenIn(d, block)
	if static.IsValid() {
		switch {
		case d.VirtualNetwork == "":
			return netip.Addr{}, badRequest("A static address needs a virtual network.")
		case !assignable(block, static):
			return netip.Addr{}, badRequest("The address %s is not an assignable address of %s (%s).", static, where, block).
				WithHint("The first four addresses and the last one are reserved.")
		case taken(static):
			return netip.Addr{}, badRequest("The address %s is in use.", static)
		}
		return static, nil
	}
	dip, ok := firstFree(block, taken)
	if !ok {
		return netip.Addr{}, badRequest("No free address is left in %s (%s): all %d are in use.", where, block, usable(block))
	}
	return dip, nil
}

// blockOf is where addresses of a deployment's instances come from, with its name for people.
func (l *Lab) blockOf(d *Deployment, subnet string) (netip.Prefix, string, *Error) {
	if d.VirtualNetwork == "" {
		if subnet != "" {
			return netip.Prefix{}, "", badRequest("The subnet %s is given, but the deployment is in no virtual network.", subnet).
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
		return netip.Prefix{}, "", didYouMean(badRequest("No subnet of the virtual network %s is given.", n.Name), "", n.subnetNames())
	case !ok:
		return netip.Prefix{}, "", didYouMean(badRequest("The virtual network %s has no subnet %s.", n.Name, subnet), subnet, n.subnetNames())
	case subnet == gatewaySubnet:
		return netip.Prefix{}, "", badRequest("The subnet GatewaySubnet is for the virtual network's gateway alone.")
	}
	return found.AddressPrefix, "the subnet " + subnet, nil
}

const gatewaySubnet = "GatewaySubnet"

// takenIn tells which addresses of a block are in use in the isolation domain of a deployment: its virtual network, or itself.
func (l *Lab) takenIn(d *Deployment, block netip.Prefix) func(netip.Addr) bool {
	taken := map[netip.Addr]bool{}
	collect := func(d *Deployment) {
		for _, i := range d.Instances {
			if block.Contains(i.DIP) { // a subnet has few of the addresses of a large network
				taken[i.DIP] = true
			}
		}
		if d.InternalLoadBalancer != nil {
			taken[d.InternalLoadBalancer.Address] = true
		}
	}
	collect(d)
	for _, other := range l.Deployments() {
		if d.VirtualNetwork != "" && other.VirtualNetwork == d.VirtualNetwork {
			collect(other)
		}
	}
	return func(a netip.Addr) bool { return taken[a] }
}

// Deployments lists the deployments of all services.
func (l *Lab) Deployments() []*Deployment {
	var all []*Deployment
	for _, s := range l.CloudServices {
		all = append(all, s.Deployments()...)
	}
	return all
}

// freeBlock is the lowest block of addresses that no deployment has.
func (l *Lab) freeBlock() netip.Prefix {
	used := map[netip.Prefix]bool{}
	for _, d := range l.Deployments() {
		used[d.Block] = true
	}
	for n := 0; ; n++ {
		if b := subprefix(deploymentSpace, 22, n); !used[b] {
			return b
		}
	}
}

// freePublicAddress is the lowest public address of a location that nobody has.
func (l *Lab) freePublicAddress(location string) netip.Addr {
	used := map[netip.Addr]bool{}
	for _, r := range l.ReservedIPs {
		used[r.Address] = true
	}
	for _, n := range l.VirtualNetworks {
		if n.Gateway != nil {
			used[n.Gateway.Address] = true
		}
	}
	for _, d := range l.Deployments() {
		used[d.VIP] = true
		for _, i := range d.Instances {
			used[i.PublicIP] = true
		}
	}
	block := LocationBlock(location)
	for n := platformAddresses; ; n++ {
		if a := Nth(block, n); !used[a] {
			return a
		}
	}
}

// maxPublicIPs is how many instances of a subscription have public addresses of their own ("Instance-Level Public IP").
const maxPublicIPs = 5

// checkPublicIPs refuses more public addresses of instances' own than the subscription or the deployment's network can have.
func (l *Lab) checkPublicIPs(d *Deployment, more int) *Error {
	if n, ok := l.virtualNetwork(d.VirtualNetwork); ok && n.AffinityGroup != "" {
		return badRequest("The virtual network %s is bound to an affinity group; an instance-level public IP needs one that is bound to a location.", n.Name)
	}
	have := 0
	for _, i := range l.Instances() {
		if i.PublicIPName != "" {
			have++
		}
	}
	if have+more > maxPublicIPs {
		return badRequest("The subscription would have %d instance-level public IPs; the most is %d.", have+more, maxPublicIPs)
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
	d.VIP = l.freePublicAddress(l.location(d))
}

// releaseVIP takes the VIP when no instance is allocated any more ("Virtual Network FAQ"). A reserved IP stays the deployment's.
func (l *Lab) releaseVIP(d *Deployment) {
	for _, i := range d.Instances {
		if i.Allocated() {
			return
		}
	}
	if d.ReservedIP == "" {
		d.VIP = netip.Addr{}
	}
}

// newDeployment makes an empty deployment with an identity of its own.
func (l *Lab) newDeployment(service, name string, kind DeploymentKind, network string) *Deployment {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", l.Name, service, l.created))
	return &Deployment{
		Service: service, Name: name, PrivateID: hex.EncodeToString(sum[:16]), Kind: kind, VirtualNetwork: network, Block: l.freeBlock(),
	}
}

// instanceID is the short name where no other member of the lab has it; then with the service's, then with the deployment's name too.
func (l *Lab) instanceID(d *Deployment, name string) string {
	for _, id := range []string{name, d.Service + "." + name} {
		if !l.named(id) {
			return id
		}
	}
	return d.Service + "." + d.Name + "." + name
}

// named tells whether a member has the id.
func (l *Lab) named(id string) bool {
	for _, d := range l.Deployments() {
		for _, i := range d.Instances {
			if i.ID == id {
				return true
			}
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
