package labfile

import (
	"net/netip"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
)

// gone holds the names of what is in the file and couldn't be made. What needs them is left out without a word: the reason has been
// told once.
type gone struct {
	affinityGroups map[string]bool
	networks       map[string]bool
	names          map[string]bool // of instances, hosts and sites, and DNS names
	roles          []string
	anyNetwork     bool // a file of networks couldn't be read
	anyName        bool // a service is so wrong that its instances' names aren't known
}

// apply runs the operations in the order in which a person would have clicked.
func (l *loader) apply() {
	l.gone = gone{affinityGroups: map[string]bool{}, networks: map[string]bool{}, names: map[string]bool{}}
	f := l.file
	var err error
	if l.lab, err = lab.New(f.Lab.Text, f.Lab.Origin); !l.accept(f.Lab.Origin, err) {
		l.lab = &lab.Lab{Name: "unnamed"} // for the sake of the other problems
	}
	for _, g := range f.AffinityGroups {
		if l.broken[g.Origin] || !l.accept(g.Origin, l.lab.CreateAffinityGroup(lab.AffinityGroup{
			Name: string(g.Name), Location: string(g.Location), Origin: g.Origin,
		})) {
			l.gone.affinityGroups[string(g.Name)] = true
		}
	}
	if f.NetworkConfiguration.Text != "" {
		l.networkConfiguration(f.NetworkConfiguration)
	}
	for _, n := range f.VirtualNetworks {
		l.virtualNetwork(n)
	}
	for _, s := range f.CloudServices {
		l.cloudService(s)
	}
	for _, s := range f.WebSites {
		site := lab.WebSite{Name: string(s.Name), Location: string(s.Location), Services: l.hostServices(s.Services), Origin: s.Origin}
		if l.broken[s.Origin] || !l.accept(s.Origin, l.lab.CreateWebSite(site)) {
			l.gone.names[site.Name], l.gone.names[site.DNSName()] = true, true
		}
	}
	for _, h := range f.InternetHosts {
		host := lab.InternetHost{Name: string(h.Name), Address: address(h.Address), Services: l.hostServices(h.Services), Origin: h.Origin}
		if l.broken[h.Origin] || !l.accept(h.Origin, l.lab.CreateInternetHost(host)) {
			l.gone.names[host.Name] = true
		}
	}
	for _, e := range f.Expect {
		l.expectation(e)
	}
	if f.Exposure != nil {
		l.exposure(f.Exposure)
	}
}

func (l *loader) virtualNetwork(n VirtualNetwork) {
	if l.broken[n.Origin] || l.gone.affinityGroups[string(n.AffinityGroup)] {
		l.gone.networks[string(n.Name)] = true
		return
	}
	request := lab.VirtualNetwork{
		Name: string(n.Name), AffinityGroup: string(n.AffinityGroup), Location: string(n.Location), Origin: n.Origin,
	}
	for _, p := range n.AddressSpace {
		request.AddressSpace = append(request.AddressSpace, prefix(p))
	}
	for _, s := range n.Subnets {
		request.Subnets = append(request.Subnets, lab.Subnet{Name: string(s.Name), AddressPrefix: prefix(s.AddressPrefix), Origin: s.Origin})
	}
	for _, s := range n.DNSServers {
		request.DNSServers = append(request.DNSServers, address(s.Address))
	}
	if !l.accept(n.Origin, l.lab.CreateVirtualNetwork(request)) {
		l.gone.networks[request.Name] = true
	}
}

func (l *loader) cloudService(s CloudService) {
	if l.broken[s.Origin] {
		l.gone.anyName = true
		return
	}
	_, networkExists := l.lab.VirtualNetwork(string(s.VirtualNetwork))
	hidden := l.gone.networks[string(s.VirtualNetwork)] || l.gone.anyNetwork && s.VirtualNetwork != "" && !networkExists
	if hidden || l.gone.affinityGroups[string(s.AffinityGroup)] || !l.accept(s.Origin, l.lab.CreateHostedService(lab.HostedService{
		Name: string(s.Name), AffinityGroup: string(s.AffinityGroup), Location: string(s.Location),
		VirtualNetwork: string(s.VirtualNetwork), Origin: s.Origin,
	})) {
		l.withoutService(s)
		return
	}
	for _, vm := range s.VirtualMachines {
		if !l.virtualMachine(s, vm) {
			l.withoutMachine(s, vm)
		}
	}
	if s.Production != nil && !l.deployment(s, s.Production) {
		l.withoutRoles(s)
	}
}

func (l *loader) withoutService(s CloudService) {
	for _, vm := range s.VirtualMachines {
		l.machine(vm) // it may be wrong on its own
		l.withoutMachine(s, vm)
	}
	if s.Production != nil {
		l.packageOf(s.Production) // likewise
		l.withoutRoles(s)
	}
	l.gone.names[string(s.Name)+".cloudapp.net"] = true
}

func (l *loader) withoutMachine(s CloudService, vm VirtualMachine) {
	l.gone.names[string(vm.Name)] = true
	l.gone.names[string(s.Name+"."+vm.Name)] = true
	// Without an instance the service may be without a VIP.
	l.gone.names[string(s.Name)+".cloudapp.net"] = true
}

// withoutRoles leaves out role instances. Their names are in the definition, which may not be readable.
func (l *loader) withoutRoles(s CloudService) {
	l.gone.anyName = true
	l.gone.names[string(s.Name)+".cloudapp.net"] = true
}

func (l *loader) virtualMachine(s CloudService, vm VirtualMachine) bool {
	before := len(l.problems)
	request, ok := l.machine(vm)
	return ok && l.accept(vm.Origin, l.lab.AddVirtualMachine(string(s.Name), request)) && len(l.problems) == before
}

// machine reads what a virtual machine asks for; false when its part of the file is wrong.
func (l *loader) machine(vm VirtualMachine) (request lab.VirtualMachine, ok bool) {
	request = lab.VirtualMachine{
		Name: string(vm.Name), OS: lab.OS(vm.OS), Subnet: string(vm.Subnet), StaticAddress: address(vm.StaticAddress), Origin: vm.Origin,
	}
	request.Firewall, request.FirewallOff, request.FirewallOrigin = l.firewall(vm.Firewall, vm.Origin)
	if l.broken[vm.Origin] {
		return request, false
	}
	listening := map[string]listener{}
	for _, e := range vm.Endpoints {
		request.Endpoints = append(request.Endpoints, lab.VMEndpoint{
			Name: string(e.Name), Protocol: protocol(e.Protocol), PublicPort: uint16(e.PublicPort), LocalPort: uint16(e.LocalPort),
			LoadBalancedSet: string(e.LoadBalancedSet), Distribution: lab.Distribution(e.Distribution), ACL: acl(e.ACL), Origin: e.Origin,
		})
		listening[string(e.Name)] = listener{protocol(e.Protocol), uint16(e.LocalPort)}
	}
	request.Services = l.services(vm.Services, listening, "virtual machine "+string(vm.Name))
	return request, true
}

func acl(rules []ACLRule) (requested []lab.ACLRule) {
	for _, r := range rules {
		requested = append(requested, lab.ACLRule{
			Order: int(r.Order), Permit: r.Action == "permit", RemoteSubnet: prefix(r.RemoteSubnet), Description: string(r.Description), Origin: r.Origin,
		})
	}
	return requested
}

func (l *loader) expectation(e Expectation) {
	if l.broken[e.Origin] {
		return
	}
	target, err := lab.ParseTarget(e.To.Text)
	if !l.accept(e.To.Origin, err) || l.hidden(string(e.From)) || l.hidden(target.Name) || l.hidden(string(e.SeenAs)) {
		return
	}
	request := lab.Expectation{
		Name: string(e.Name), From: string(e.From), To: target, Verdict: emu.Verdict(e.Verdict), SeenAs: string(e.SeenAs), Real: e.Real, Origin: e.Origin,
	}
	for _, name := range e.AnsweredBy {
		if l.hidden(string(name)) {
			return
		}
		request.AnsweredBy = append(request.AnsweredBy, string(name))
	}
	if request.Verdict == "" {
		request.Verdict = emu.Open // seenAs, answeredBy and http need an answer
	}
	if e.HTTP != nil {
		request.HTTP = &lab.HTTPExpectation{Path: string(e.HTTP.Path), Status: int(e.HTTP.Status), Contains: string(e.HTTP.Contains)}
		if request.HTTP.Path == "" {
			request.HTTP.Path = "/"
		}
		if request.HTTP.Status == 0 {
			request.HTTP.Status = 200
		}
	}
	l.accept(e.Origin, l.lab.Expect(request))
}

func (l *loader) exposure(items []Reference) {
	ports := []lab.ExposedPort{}
	for _, item := range items {
		target, err := lab.ParseTarget(item.Text)
		if l.accept(item.Origin, err) && !l.hidden(target.Name) {
			ports = append(ports, lab.ExposedPort{Target: target, Origin: item.Origin})
		}
	}
	l.accept(l.file.Origin, l.lab.ExpectExposure(ports))
}

// hidden says whether a name may be missing for a reason that has been told.
func (l *loader) hidden(name string) bool {
	if l.gone.names[name] {
		return true
	}
	if !l.gone.anyName || name == "" {
		return false
	}
	_, isMember := l.lab.Find(name)
	_, isService := l.lab.CloudService(strings.TrimSuffix(name, ".cloudapp.net"))
	return !isMember && !isService
}

// The decoder has checked addresses and prefixes; zero stands for those that the file leaves out.
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
