package labfile

import (
	"slices"

	"vnetlab/lab"
	"vnetlab/lab/netcfg"
)

// Networks holds the resources of a network configuration, in the order in which they can be created.
type Networks struct {
	VirtualNetworks []lab.VirtualNetwork
	LocalNetworks   []lab.LocalNetwork // without hosts: the file has none
	Gateways        []lab.CreateGatewayOp
	// Notes are about settings that have no effect on the network, or a different one than in the file.
	Notes []Note
}

// networkConfiguration creates the virtual networks of a network configuration, as its import in the portal did,
// and returns all resources of the file.
func (l *loader) networkConfiguration(r Reference) Networks {
	configuration := readXML(l, r, "network configuration", netcfg.Read)
	if configuration == nil {
		l.gone.anyNetwork = true
		return Networks{}
	}
	all := networks(*configuration)
	for _, request := range all.VirtualNetworks {
		if l.gone.affinityGroups.has(request.AffinityGroup) ||
			!l.accept(r.Origin, l.lab.CreateVirtualNetwork(request)) {
			l.gone.networks.add(request.Name)
		}
	}
	return all
}

// networks returns the networks of a file as requests. A local network site that stands for a virtual network is
// that network.
func networks(configuration *netcfg.NetworkConfiguration) (all Networks) {
	standsFor := map[string]string{}
	for _, site := range configuration.LocalNetworkSites {
		if site.VirtualNetworkSite != "" {
			standsFor[site.Name] = site.VirtualNetworkSite
			continue
		}
		request := lab.LocalNetwork{Name: site.Name, VPNGatewayAddress: site.VPNGatewayAddress, Origin: site.Origin}
		for _, p := range site.AddressSpace {
			request.AddressSpace = append(request.AddressSpace, p.Prefix)
		}
		all.LocalNetworks = append(all.LocalNetworks, request)
	}
	for _, site := range configuration.VirtualNetworkSites {
		all.VirtualNetworks = append(all.VirtualNetworks, virtualNetwork(site))
		if site.Gateway != nil && site.CanHaveGateway() {
			all.Gateways = append(all.Gateways,
				lab.CreateGatewayOp{Network: site.Name, Gateway: gateway(*site.Gateway, standsFor)})
		}
	}
	return all
}

// gateway returns the gateway of a file as a request.
func gateway(g netcfg.Gateway, standsFor map[string]string) lab.VPNGateway {
	request := lab.VPNGateway{Profile: g.Profile, Origin: g.Origin}
	for _, p := range g.VPNClientAddressPool {
		request.ClientAddressPool = append(request.ClientAddressPool, p.Prefix)
	}
	for _, c := range g.Connections {
		to := lab.GatewayConnection{
			Name: c.LocalNetworkSite, To: lab.ToLocalNetwork,
			Dedicated: c.Type == netcfg.Dedicated,
		}
		if network, ok := standsFor[to.Name]; ok {
			to.Name, to.To = network, lab.ToVirtualNetwork
		}
		if !slices.Contains(request.Connections, to) {
			request.Connections = append(request.Connections, to)
		}
	}
	return request
}

func virtualNetwork(site netcfg.VirtualNetworkSite) lab.VirtualNetwork {
	request := lab.VirtualNetwork{
		Name: site.Name, AffinityGroup: site.AffinityGroup, Location: site.Location,
		Origin: site.Origin,
	}
	for _, p := range site.AddressSpace {
		request.AddressSpace = append(request.AddressSpace, p.Prefix)
	}
	for _, s := range site.Subnets {
		request.Subnets = append(request.Subnets, lab.Subnet{
			Name: s.Name, AddressPrefix: s.AddressPrefix,
			Origin: s.Origin,
		})
	}
	for _, s := range site.DNSServers {
		request.DNSServers = append(request.DNSServers, lab.DNSServer{Name: s.Name, Address: s.Address})
	}
	return request
}

// ReadNetworks reads a network configuration file (.netcfg). The error is an Errors with all problems of the file
// by itself.
func ReadNetworks(file string) (Networks, error) {
	l := &loader{sources: sources{}}
	configuration := readXML(l, Reference{Text: file}, "network configuration", netcfg.Read)
	if err := l.err(); err != nil {
		return Networks{}, err
	}
	all := networks(*configuration)
	all.Notes = l.notes
	return all, nil
}
