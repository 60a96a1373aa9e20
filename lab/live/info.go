package live

import (
	"net/netip"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/emulator"
	"vnetlab/lab"
)

// Summary is what `lab ls` says about a running lab.
type Summary struct {
	Name      string    `json:"name"`
	File      string    `json:"file"` // absolute path of the lab file
	Real      bool      `json:"real"` // started with --real
	PID       int       `json:"pid"`  // of the supervisor
	Started   time.Time `json:"started"`
	Instances int       `json:"instances"`
	Services  int       `json:"services"`
	// Namespaces and Links are what the kernel made of it.
	Namespaces int `json:"namespaces"`
	Links      int `json:"links"`
}

// Info is what a running lab consists of, as its users see it.
type Info struct {
	Summary
	VirtualNetworks []VirtualNetworkInfo `json:"virtualNetworks"`
	CloudServices   []CloudServiceInfo   `json:"cloudServices"`
	WebSites        []HostInfo           `json:"webSites"`
	InternetHosts   []HostInfo           `json:"internetHosts"`
	// Fabric names the namespaces that carry packets between the others.
	Fabric []string `json:"fabric"`
}

// VirtualNetworkInfo is a virtual network with its subnets.
type VirtualNetworkInfo struct {
	Name         string         `json:"name"`
	Location     string         `json:"location"`
	AddressSpace []netip.Prefix `json:"addressSpace"`
	Subnets      []SubnetInfo   `json:"subnets"`
}

// SubnetInfo is a subnet of a virtual network.
type SubnetInfo struct {
	Name          string       `json:"name"`
	AddressPrefix netip.Prefix `json:"addressPrefix"`
}

// CloudServiceInfo is a cloud service with its instances.
type CloudServiceInfo struct {
	Name           string         `json:"name"`
	DNSName        string         `json:"dnsName"`
	VIP            netip.Addr     `json:"vip,omitzero"` // none while the service is empty
	Location       string         `json:"location"`
	Kind           string         `json:"kind,omitempty"` // "virtual machines" or "roles"
	VirtualNetwork string         `json:"virtualNetwork,omitempty"`
	Endpoints      []EndpointInfo `json:"endpoints"`
	Instances      []HostInfo     `json:"instances"`
}

// EndpointInfo is a public port of a cloud service.
type EndpointInfo struct {
	Name       string       `json:"name"`
	Protocol   emu.Protocol `json:"protocol"`
	PublicPort uint16       `json:"publicPort"`
	LocalPort  uint16       `json:"localPort"`
	Instances  []string     `json:"instances"` // behind it
}

// HostInfo is an instance, a web site or an internet host.
type HostInfo struct {
	Name         string                   `json:"name"`
	DNSName      string                   `json:"dnsName,omitempty"` // of a web site
	Address      netip.Addr               `json:"address"`           // of an instance: its DIP
	CloudService string                   `json:"cloudService,omitempty"`
	Role         string                   `json:"role,omitempty"`
	OS           lab.OS                   `json:"os,omitempty"`
	Subnet       string                   `json:"subnet,omitempty"`
	Services     []emulator.ServiceStatus `json:"services"`
}

// summary describes the lab in short.
func (s *server) summary() Summary {
	sum := Summary{
		Name: s.lab.Name, File: s.file, Real: s.start.Real, PID: s.start.HostPID, Started: s.began,
		Instances: len(s.lab.Instances()), Namespaces: len(s.network.Namespaces), Links: len(s.network.Links),
	}
	for _, m := range s.lab.Members() {
		sum.Services += len(m.Services())
	}
	return sum
}

// info describes the lab in full.
func (s *server) info() Info {
	info := Info{
		Summary:         s.summary(),
		VirtualNetworks: []VirtualNetworkInfo{}, CloudServices: []CloudServiceInfo{},
		WebSites: []HostInfo{}, InternetHosts: []HostInfo{},
	}
	statuses := map[string][]emulator.ServiceStatus{}
	for _, status := range s.emu.Services() {
		statuses[status.Namespace] = append(statuses[status.Namespace], status)
	}
	for _, v := range s.lab.VirtualNetworks {
		n := VirtualNetworkInfo{Name: v.Name, Location: s.lab.LocationOf(v.AffinityGroup, v.Location), AddressSpace: v.AddressSpace, Subnets: []SubnetInfo{}}
		for _, sub := range v.Subnets {
			n.Subnets = append(n.Subnets, SubnetInfo{sub.Name, sub.AddressPrefix})
		}
		info.VirtualNetworks = append(info.VirtualNetworks, n)
	}
	for _, c := range s.lab.CloudServices {
		info.CloudServices = append(info.CloudServices, s.cloudServiceInfo(c, statuses))
	}
	for _, m := range s.lab.Members() {
		h := hostInfo(m, statuses)
		switch {
		case m.WebSite != nil:
			h.DNSName = m.WebSite.DNSName()
			info.WebSites = append(info.WebSites, h)
		case m.InternetHost != nil:
			info.InternetHosts = append(info.InternetHosts, h)
		}
	}
	for _, n := range s.network.Namespaces {
		if n.Kind == emu.Router {
			info.Fabric = append(info.Fabric, n.Name)
		}
	}
	return info
}

func (s *server) cloudServiceInfo(c *lab.CloudService, statuses map[string][]emulator.ServiceStatus) CloudServiceInfo {
	info := CloudServiceInfo{
		Name: c.Name, DNSName: c.DNSName(), Location: s.lab.LocationOf(c.AffinityGroup, c.Location),
		VirtualNetwork: c.VirtualNetwork, Endpoints: []EndpointInfo{}, Instances: []HostInfo{},
	}
	d := c.Production
	if d == nil {
		return info
	}
	info.VIP, info.Kind, info.VirtualNetwork = d.VIP, string(d.Kind), d.VirtualNetwork
	for _, f := range d.Frontends() {
		e := EndpointInfo{Name: f.Name, Protocol: f.Protocol, PublicPort: f.PublicPort, Instances: []string{}}
		for _, b := range f.Members {
			e.LocalPort = b.LocalPort
			e.Instances = append(e.Instances, b.Instance.ID)
		}
		info.Endpoints = append(info.Endpoints, e)
	}
	for _, i := range d.Instances {
		info.Instances = append(info.Instances, hostInfo(lab.Member{Instance: i}, statuses))
	}
	return info
}

func hostInfo(m lab.Member, statuses map[string][]emulator.ServiceStatus) HostInfo {
	h := HostInfo{Name: m.ID(), Address: m.Address(), Services: statuses[m.ID()]}
	if h.Services == nil {
		h.Services = []emulator.ServiceStatus{}
	}
	if i := m.Instance; i != nil {
		h.CloudService, h.Role, h.OS, h.Subnet = i.Service, i.Role, i.OS, i.Subnet
	}
	return h
}
