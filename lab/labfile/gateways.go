package labfile

import (
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
)

// connect creates the local network sites, and then the gateways that join them and the virtual networks. Those of
// the network configuration come first.
func (l *loader) connect(imported Networks) {
	position := l.file.NetworkConfiguration.Origin
	for _, n := range imported.LocalNetworks {
		l.localNetwork(position, n)
	}
	for _, n := range l.file.LocalNetworks {
		request := l.localNetworkRequest(n)
		isImported := func(o lab.LocalNetwork) bool { return o.Name == request.Name }
		switch {
		case l.broken[n.Origin]:
			l.withoutLocalNetwork(request)
		case len(n.AddressSpace) == 0 && slices.ContainsFunc(imported.LocalNetworks, isImported):
			l.localHosts(request)
		default:
			l.localNetwork(n.Origin, request)
		}
	}
	for _, g := range imported.Gateways {
		l.gateway(position, g)
	}
	for _, n := range l.file.VirtualNetworks {
		if n.Gateway == nil {
			continue
		}
		g := lab.CreateGatewayOp{Network: string(n.Name), Gateway: lab.VPNGateway{Origin: n.Gateway.Origin}}
		for _, c := range n.Gateway.Connections {
			g.Gateway.Connections = append(g.Gateway.Connections, lab.GatewayConnection{Name: string(c)})
		}
		l.gateway(n.Gateway.Origin, g)
	}
}

func (l *loader) localNetworkRequest(n LocalNetwork) lab.LocalNetwork {
	request := lab.LocalNetwork{Name: string(n.Name), VPNGatewayAddress: address(n.VPNGatewayAddress), Origin: n.Origin}
	for _, p := range n.AddressSpace {
		request.AddressSpace = append(request.AddressSpace, prefix(p))
	}
	for _, h := range n.Hosts {
		request.Hosts = append(request.Hosts, &lab.LocalHost{
			Name: string(h.Name), Address: address(h.Address), Services: l.hostServices(h.Services),
			Boundary: l.boundary(h.Machine), Origin: h.Origin,
		})
	}
	return request
}

func (l *loader) localNetwork(position emu.Origin, request lab.LocalNetwork) {
	meant := l.meantAddresses()
	switch device := request.VPNGatewayAddress; {
	case !device.IsValid():
		request.Address, _ = l.lab.FreeInternetAddress(meant...) // if there is none, it is refused below
	case slices.ContainsFunc(l.file.InternetHosts, func(h InternetHost) bool { return address(h.Address) == device }):
		// Another address can stand for a VPN device's, but not for the one that the file gives a host.
		request.Address, _ = l.lab.StandIn(device)
	}
	if !l.accept(position, l.lab.CreateLocalNetwork(request)) {
		l.withoutLocalNetwork(request)
		return
	}
	if n := l.lab.LocalNetworks[len(l.lab.LocalNetworks)-1]; n.Mapped() {
		l.note(n.Origin, "%s", n.MappingText())
	}
}

// meantAddresses returns the addresses that the file has for internet hosts and VPN devices. They are set later
// than those of local network sites without one, which must not take them.
func (l *loader) meantAddresses() (all []netip.Addr) {
	for _, h := range l.file.InternetHosts {
		all = append(all, address(h.Address))
	}
	for _, n := range l.file.LocalNetworks {
		all = append(all, address(n.VPNGatewayAddress))
	}
	return all
}

// localHosts adds hosts to a local network site of the network configuration, where they can't be written.
func (l *loader) localHosts(n lab.LocalNetwork) {
	for _, h := range n.Hosts {
		if l.networkHidden(n.Name) || !l.accept(h.Origin, l.lab.AddLocalHost(n.Name, *h)) {
			l.gone.members.add(h.Name)
		}
	}
}

func (l *loader) withoutLocalNetwork(n lab.LocalNetwork) {
	l.gone.networks.add(n.Name)
	for _, h := range n.Hosts {
		if _, taken := l.lab.Find(h.Name); !taken {
			l.gone.members.add(h.Name)
		}
	}
}

// gateway creates a gateway, unless one of its networks is missing for a reason that has an error already.
func (l *loader) gateway(position emu.Origin, g lab.CreateGatewayOp) {
	if slices.ContainsFunc(append([]string{g.Network}, g.Gateway.Names()...), l.networkHidden) {
		return
	}
	l.accept(position, l.lab.CreateGateway(g.Network, g.Gateway))
}

// networkHidden reports whether a network may be missing for a reason that has an error already.
func (l *loader) networkHidden(name string) bool {
	_, isVirtual := l.lab.VirtualNetwork(name)
	isLocal := slices.ContainsFunc(l.lab.LocalNetworks, func(n *lab.LocalNetwork) bool { return n.Name == name })
	return !isVirtual && !isLocal && (l.gone.networks.has(name) || l.gone.anyNetwork)
}
