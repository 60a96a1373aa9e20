package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"vnetlab/emu"
)

// PublicAddress is an address that the internet routes to the lab.
type PublicAddress struct {
	// Name is what a list of exposed ports calls it: the DNS name of a cloud service, its StagingName, the name of an
	// instance with a public address of its own, the DNS name of a web site, the name of a network with a gateway or
	// of an on-premises site.
	Name    string
	Address netip.Addr
	// Deployment is whose VIP it is, Instance whose own public address, WebSite one of those behind it. None of them:
	// a gateway or a VPN device, which let nobody in.
	Deployment *Deployment
	Instance   *Instance
	WebSite    *WebSite
	// Outbound are further addresses, of a web site, by which connections leave and none come in.
	Outbound []netip.Addr
	// Inside is the address space of the virtual network that it leads into, and of those connected to that. From
	// there nobody comes by the internet: answers would stay inside.
	Inside []netip.Prefix
	Origin Origin
}

// PublicAddresses lists every address that the internet routes to the lab: VIPs of both slots, public addresses of
// running instances, web sites, which share one address in each location, with their outbound addresses, gateways of
// virtual networks and VPN devices of sites.
func (l *Lab) PublicAddresses() (all []PublicAddress) {
	inside := l.spaces()
	for _, s := range l.CloudServices {
		for d := range s.deployments() {
			in := inside[d.VirtualNetwork]
			if d.VIP.IsValid() {
				all = append(all, PublicAddress{
					Name: s.exposureName(d), Address: d.VIP, Deployment: d, Inside: in, Origin: s.Origin,
				})
			}
			for _, i := range d.Instances {
				if i.State == Running && i.PublicIP.IsValid() {
					all = append(all, PublicAddress{
						Name: l.InstanceName(i), Address: i.PublicIP, Instance: i, Inside: in, Origin: i.Origin,
					})
				}
			}
		}
	}
	for _, s := range l.WebSites {
		all = append(all, PublicAddress{
			Name: s.DNSName(), Address: WebSitesInbound(s.Location), WebSite: s,
			Outbound: WebSitesOutbound(s.Location), Origin: s.Origin,
		})
	}
	gateway := func(name string, a netip.Addr, o Origin) {
		if slices.ContainsFunc(all, func(known PublicAddress) bool { return known.Name == name }) {
			name = a.String() // an instance has the name of the network
		}
		all = append(all, PublicAddress{Name: name, Address: a, Origin: o})
	}
	for _, n := range l.VirtualNetworks {
		if n.Gateway != nil {
			gateway(n.Name, n.Gateway.Address, n.Origin)
		}
	}
	for _, n := range l.LocalNetworks {
		gateway(n.Name, n.Address, n.Origin)
	}
	return all
}

// spaces are the address spaces of the virtual networks, each with those of the networks that a gateway joins it to.
func (l *Lab) spaces() map[string][]netip.Prefix {
	all := map[string][]netip.Prefix{}
	add := func(network string, space []netip.Prefix) { all[network] = append(slices.Clip(all[network]), space...) }
	for _, n := range l.VirtualNetworks {
		add(n.Name, n.AddressSpace)
	}
	for _, c := range l.Connections() {
		if c.LocalNetwork != nil {
			add(c.Network.Name, c.LocalNetwork.AddressSpace)
			continue
		}
		add(c.Network.Name, c.VirtualNetwork.AddressSpace)
		add(c.VirtualNetwork.Name, c.Network.AddressSpace)
	}
	return all
}

// PublicAddressNamed returns the public address that a list of exposed ports calls so; false when the lab has none of
// that name now.
func (l *Lab) PublicAddressNamed(name string) (PublicAddress, bool) {
	all, name := l.PublicAddresses(), l.ExposureName(name)
	if i := slices.IndexFunc(all, func(a PublicAddress) bool { return a.Name == name }); i >= 0 {
		return all[i], true
	}
	return PublicAddress{}, false
}

// ExposureName returns the Name that the public address of an entry in a list of exposed ports has now: that of an
// instance may be a longer one than before.
func (l *Lab) ExposureName(name string) string {
	if m, ok := l.Find(name); ok && m.Instance != nil {
		return l.InstanceName(m.Instance)
	}
	return name
}

// exposureName is what the VIP of a deployment is called in a list of exposed ports.
func (s *CloudService) exposureName(d *Deployment) string {
	if s.SlotOf(d) == Staging {
		return s.StagingName()
	}
	return s.DNSName()
}

// StagingName is what stands for the VIP of a service's staging deployment. Its DNS name
// is hard to guess, and another one after each deployment.
func (s *CloudService) StagingName() string { return s.Name + ".staging" }

// ExposedPort is a port of a public address that the internet is meant to reach, or a range of ports.
type ExposedPort struct {
	Target        // its port is the first
	Last   uint16 // of a range; 0: the port is no range
	Origin Origin
}

// Ports returns the range of the ports.
func (p ExposedPort) Ports() emu.PortRange {
	return emu.PortRange{First: p.Port, Last: max(p.Port, p.Last)}
}

// ParseExposedPort reads NAME:PORT or NAME:FIRST-LAST, with /udp for UDP; /tcp may be left out.
func ParseExposedPort(text string) (ExposedPort, error) {
	name, rest, ok := cutLast(text, ":")
	ports, protocol, hasProtocol := strings.Cut(rest, "/")
	first, last, isRange := strings.Cut(ports, "-")
	if !ok || !isRange {
		target, err := ParseTarget(text)
		return ExposedPort{Target: target}, err
	}
	if hasProtocol {
		protocol = "/" + protocol
	}
	target, err := ParseTarget(name + ":" + first + protocol)
	if err != nil {
		return ExposedPort{}, err
	}
	n, err := strconv.ParseUint(last, 10, 16)
	if err != nil || uint16(n) < target.Port {
		err := badRequest("The ports %s of %s are not a range from 1 to 65535.", shorten(ports), shorten(text))
		return ExposedPort{}, err.WithHint("Write NAME:FIRST-LAST, for example sql1:1-65535/tcp.")
	}
	return ExposedPort{Target: target, Last: uint16(n)}, nil
}

// ExpectExposure says that the internet reaches these ports of public addresses and no others.
func (l *Lab) ExpectExposure(ports []ExposedPort) error {
	var errs []error
	var all []ExposedPort
	for _, p := range ports {
		name, err := l.exposureNamed(p.Name)
		if err != nil {
			errs = append(errs, err.At(p.Origin))
			continue
		}
		p.Name = name
		all = append(all, p)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	l.Exposure = append(append([]ExposedPort{}, l.Exposure...), all...) // not nil: something is said
	return nil
}

// exposureNamed returns the Name of the public address that a person means. An instance with a public address of its
// own comes before a cloud service of the same name, which has a longer name, too, and both before a network. The
// address may be missing for the time being.
func (l *Lab) exposureNamed(name string) (string, *Error) {
	known := names(l.CloudServices, (*CloudService).DNSName)
	for _, s := range l.CloudServices {
		if s.Staging != nil {
			known = append(known, s.StagingName())
		}
	}
	for _, s := range l.WebSites {
		known = append(known, s.DNSName())
	}
	for _, n := range l.VirtualNetworks {
		if n.Gateway != nil {
			known = append(known, n.Name)
		}
	}
	for _, n := range l.LocalNetworks {
		known = append(known, n.Name)
	}
	for _, i := range l.instances() {
		if i.PublicIPName != "" {
			known = append(known, l.InstanceName(i))
		}
	}
	m, isMember := l.Find(name)
	if isMember && m.Instance != nil && m.Instance.PublicIPName != "" {
		return l.fullName(m.Instance), nil // which means it whatever comes
	}
	if s, ok := l.CloudService(name); ok {
		return s.DNSName(), nil
	}
	if slices.Contains(known, name) {
		return name, nil
	}
	switch {
	case isMember && m.WebSite != nil:
		return m.WebSite.DNSName(), nil
	case isMember && m.Instance != nil:
		s := m.Instance.Service
		return "", badRequest("%s has no public address of its own.", l.MemberName(m)).
			WithHint("The ports of its cloud service are %s.cloudapp.net:PORT.", s)
	case isMember && m.InternetHost != nil:
		return "", badRequest("%s is on the internet itself, and exposure lists what the internet reaches.", name)
	case strings.HasSuffix(name, ".cloudapp.net"):
		err := notFound("%s is not the DNS name of a cloud service of this lab.", shorten(name))
		return "", didYouMean(err, name, known)
	}
	return "", didYouMean(notFound("%s has no public address in this lab.", shorten(name)), name, known)
}

// PortsText writes ports as a list of exposed ports does: 80, 1-65535, or several of these with commas between them.
func PortsText(ports ...emu.PortRange) string {
	texts := make([]string, len(ports))
	for i, p := range ports {
		texts[i] = strconv.Itoa(int(p.First))
		if p.Last != p.First {
			texts[i] = fmt.Sprintf("%d-%d", p.First, p.Last)
		}
	}
	return strings.Join(texts, ",")
}
