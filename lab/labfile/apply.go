package labfile

import (
	"net/netip"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
)

// gone holds the names of what is in the file and couldn't be created. What refers to it is left out without another
// error, in whatever letter case it does: the first error says why.
type gone struct {
	affinityGroups names
	networks       names
	reservedIPs    names
	members        names // instances, hosts and web sites, and DNS names
	anyNetwork     bool  // a network configuration couldn't be read
	anyMember      bool  // a cloud service is so wrong that its instances' names aren't known
}

// names is a set of names, which don't differ only by letter case.
type names map[string]bool

func (n names) add(name string)      { n[strings.ToLower(name)] = true }
func (n names) has(name string) bool { return n[strings.ToLower(name)] }

// apply runs the operations in the order in which a person would do them in the portal.
func (l *loader) apply() {
	l.gone = gone{affinityGroups: names{}, networks: names{}, reservedIPs: names{}, members: names{}}
	f := l.file
	l.name()
	l.defaults()
	for _, g := range f.AffinityGroups {
		if l.broken[g.Origin] || !l.accept(g.Origin, l.lab.CreateAffinityGroup(lab.AffinityGroup{
			Name: string(g.Name), Location: string(g.Location), Origin: g.Origin,
		})) {
			l.gone.affinityGroups.add(string(g.Name))
		}
	}
	var imported Networks
	if f.NetworkConfiguration.Text != "" {
		imported = l.networkConfiguration(f.NetworkConfiguration)
	}
	for _, n := range f.VirtualNetworks {
		l.virtualNetwork(n)
	}
	l.connect(imported)
	for _, r := range f.ReservedIPs {
		if l.broken[r.Origin] || !l.accept(r.Origin, l.lab.CreateReservedIP(lab.ReservedIP{
			Name: string(r.Name), Location: string(r.Location), Origin: r.Origin,
		})) {
			l.gone.reservedIPs.add(string(r.Name))
		}
	}
	for _, s := range f.CloudServices {
		l.cloudService(s)
	}
	for _, s := range f.WebSites {
		site := lab.WebSite{
			Name: string(s.Name), Location: string(s.Location), Services: l.hostServices(s.Services),
			Boundary: l.boundary(s.Machine), Origin: s.Origin,
		}
		if l.broken[s.Origin] || !l.accept(s.Origin, l.lab.CreateWebSite(site)) {
			l.gone.members.add(site.Name)
			l.gone.members.add(site.DNSName())
		}
	}
	for _, h := range f.InternetHosts {
		host := lab.InternetHost{
			Name: string(h.Name), Address: address(h.Address),
			Services: l.hostServices(h.Services), Boundary: l.boundary(h.Machine), Origin: h.Origin,
		}
		if l.broken[h.Origin] || !l.accept(h.Origin, l.lab.CreateInternetHost(host)) {
			l.gone.members.add(host.Name)
		}
	}
	for _, e := range f.Expect {
		l.expectation(e)
	}
	if f.Exposure != nil {
		l.exposure(f.Exposure)
	}
	for _, s := range f.Steps {
		l.step(s)
	}
}

// name creates the lab, unless the decoder has refused its name.
func (l *loader) name() {
	l.lab = &lab.Lab{Name: "unnamed"} // for the sake of the other problems
	if n := l.file.Lab; n.Text != "" {
		if named, err := lab.New(n.Text, n.Origin); l.accept(n.Origin, err) {
			l.lab = named
		}
	}
}

func (l *loader) virtualNetwork(n VirtualNetwork) {
	if l.broken[n.Origin] || l.gone.affinityGroups.has(string(n.AffinityGroup)) {
		l.gone.networks.add(string(n.Name))
		return
	}
	request := lab.VirtualNetwork{
		Name: string(n.Name), AffinityGroup: string(n.AffinityGroup), Location: string(n.Location), Origin: n.Origin,
	}
	for _, p := range n.AddressSpace {
		request.AddressSpace = append(request.AddressSpace, prefix(p))
	}
	for _, s := range n.Subnets {
		request.Subnets = append(request.Subnets, lab.Subnet{
			Name:          string(s.Name),
			AddressPrefix: prefix(s.AddressPrefix), Origin: s.Origin,
		})
	}
	for _, s := range n.DNSServers {
		request.DNSServers = append(request.DNSServers, lab.DNSServer{
			Name:    string(s.Name),
			Address: address(s.Address),
		})
	}
	if !l.accept(n.Origin, l.lab.CreateVirtualNetwork(request)) {
		l.gone.networks.add(request.Name)
	}
}

// hidden reports whether a name may be missing for a reason that has an error already.
func (l *loader) hidden(name string) bool {
	if l.gone.members.has(name) {
		return true
	}
	if !l.gone.anyMember || name == "" {
		return false
	}
	_, isMember := l.lab.Find(name)
	_, isService := l.lab.CloudService(strings.TrimSuffix(name, ".cloudapp.net"))
	return !isMember && !isService
}

// The decoder has checked addresses and prefixes. Those that the file leaves out are zero.
func address(a Address) netip.Addr {
	parsed, _ := netip.ParseAddr(string(a))
	return parsed
}

func prefix(p Prefix) netip.Prefix {
	parsed, _ := netip.ParsePrefix(string(p))
	return parsed
}

func protocol(p Protocol) emu.Protocol {
	if p == "" {
		return emu.TCP
	}
	return emu.Protocol(p)
}
