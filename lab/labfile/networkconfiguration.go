package labfile

import (
	"vnetlab/lab"
	"vnetlab/lab/netcfg"
)

// networkConfiguration creates the virtual networks of the platform's own file, as importing it in the portal did.
func (l *loader) networkConfiguration(r Reference) {
	configuration := readXML(l, r, "network configuration", netcfg.Read)
	if configuration == nil {
		l.gone.anyNetwork = true
		return
	}
	for _, request := range virtualNetworks(*configuration) {
		if l.gone.affinityGroups[request.AffinityGroup] || !l.accept(r.Origin, l.lab.CreateVirtualNetwork(request)) {
			l.gone.networks[request.Name] = true
		}
	}
}

// virtualNetworks are the networks of a file as the platform is asked for them.
func virtualNetworks(configuration *netcfg.NetworkConfiguration) (requests []lab.VirtualNetwork) {
	for _, site := range configuration.VirtualNetworkSites {
		request := lab.VirtualNetwork{Name: site.Name, AffinityGroup: site.AffinityGroup, Location: site.Location, Origin: site.Origin}
		for _, p := range site.AddressSpace {
			request.AddressSpace = append(request.AddressSpace, p.Prefix)
		}
		for _, s := range site.Subnets {
			request.Subnets = append(request.Subnets, lab.Subnet{Name: s.Name, AddressPrefix: s.AddressPrefix, Origin: s.Origin})
		}
		for _, s := range site.DNSServers {
			request.DNSServers = append(request.DNSServers, s.Address)
		}
		requests = append(requests, request)
	}
	return requests
}

// ReadNetworkConfiguration reads the virtual networks of a network configuration file (.netcfg). The error is an Errors with
// everything that is wrong with the file by itself.
func ReadNetworkConfiguration(file string) ([]lab.VirtualNetwork, error) {
	l := &loader{sources: sources{}}
	configuration := readXML(l, Reference{Text: file}, "network configuration", netcfg.Read)
	if err := l.err(); err != nil {
		return nil, err
	}
	return virtualNetworks(*configuration), nil
}
