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
	for _, site := range (*configuration).VirtualNetworkSites {
		if l.gone.affinityGroups[site.AffinityGroup] {
			l.gone.networks[site.Name] = true
			continue
		}
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
		if !l.accept(r.Origin, l.lab.CreateVirtualNetwork(request)) {
			l.gone.networks[site.Name] = true
		}
	}
}
