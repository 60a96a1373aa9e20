package lab

import (
	"net/netip"
	"slices"

	"vnetlab/emu"
)

// Member is something in the lab that starts or ends connections: exactly one of its fields is set.
type Member struct {
	Instance     *Instance
	InternetHost *InternetHost
	WebSite      *WebSite
	LocalHost    *LocalHost
}

// ID is the name of the member's namespace. What people call the member is Lab.MemberName.
func (m Member) ID() string {
	switch {
	case m.Instance != nil:
		return m.Instance.ID
	case m.InternetHost != nil:
		return m.InternetHost.Name
	case m.LocalHost != nil:
		return m.LocalHost.Name
	}
	return m.WebSite.Name
}

// Address is the member's own address.
func (m Member) Address() netip.Addr {
	switch {
	case m.Instance != nil:
		return m.Instance.DIP
	case m.InternetHost != nil:
		return m.InternetHost.Address
	case m.LocalHost != nil:
		return m.LocalHost.Address
	}
	return m.WebSite.Address
}

// Services are what listens in the member.
func (m Member) Services() []Service {
	switch {
	case m.Instance != nil:
		return m.Instance.Services
	case m.InternetHost != nil:
		return m.InternetHost.Services
	case m.LocalHost != nil:
		return m.LocalHost.Services
	}
	return m.WebSite.Services
}

// Listens tells whether a service of the member has the port.
func (m Member) Listens(protocol emu.Protocol, port uint16) bool {
	return slices.ContainsFunc(m.Services(), func(s Service) bool { return s.Protocol == protocol && s.Port == port })
}

// Describe says what the member is.
func (m Member) Describe() string {
	switch {
	case m.Instance != nil && m.Instance.Role != "":
		return "a role instance of " + m.Instance.Service
	case m.Instance != nil:
		return "a virtual machine of " + m.Instance.Service
	case m.InternetHost != nil:
		return "an internet host"
	case m.LocalHost != nil:
		return "an on-premises host"
	}
	return "a web site"
}

func (l *Lab) memberNames() []string {
	var all []string
	for m := range l.members() {
		all = append(all, l.MemberName(m))
	}
	return all
}

// Namespace returns the name of the namespace that the member of a name lives in. An instance that doesn't run has
// none.
func (l *Lab) Namespace(name string) (string, error) {
	m, err := l.member(name)
	if err != nil {
		return "", err
	}
	if i := m.Instance; i != nil && i.State != Running {
		return "", conflict(
			"%s doesn't run: its state is %s.",
			name,
			i.State,
		).WithHint("lab vm start %s", l.InstanceName(i))
	}
	return m.ID(), nil
}

// UsedLocations lists the locations that something of the lab is in, in the platform's order.
func (l *Lab) UsedLocations() []string {
	var used []string // few, however many there are in them
	use := func(location string) {
		if !slices.Contains(used, location) {
			used = append(used, location)
		}
	}
	for _, g := range l.AffinityGroups {
		use(g.Location)
	}
	for _, n := range l.VirtualNetworks {
		use(l.LocationOf(n.AffinityGroup, n.Location))
	}
	for _, s := range l.CloudServices {
		use(l.LocationOf(s.AffinityGroup, s.Location))
	}
	for _, s := range l.WebSites {
		use(s.Location)
	}
	return slices.DeleteFunc(
		slices.Clone(Locations),
		func(location string) bool { return !slices.Contains(used, location) },
	)
}

// PublicNames are the names that everybody can look up, with their addresses.
func (l *Lab) PublicNames() []emu.NameRecord {
	n := len(l.WebSites)
	for _, s := range l.CloudServices {
		n += len(s.publicNames)
	}
	all := make([]emu.NameRecord, 0, n)
	for _, s := range l.CloudServices {
		all = append(all, s.publicNames...)
	}
	for _, s := range l.WebSites {
		all = append(all, emu.NameRecord{Name: s.DNSName(), Address: WebSitesInbound(s.Location)})
	}
	return all
}

// publicNames are the names of a service's deployments.
func publicNames(s *CloudService) (all []emu.NameRecord) {
	for d := range s.deployments() {
		if d.VIP.IsValid() {
			all = append(all, emu.NameRecord{Name: s.NameOf(d), Address: d.VIP})
		}
		for _, i := range d.Instances {
			if name := s.PublicNameOf(d, i); name != "" {
				all = append(all, emu.NameRecord{Name: name, Address: i.PublicIP})
			}
		}
	}
	return all
}

// NameOf is who has an address, in the words of the lab: a public address is a cloud service's DNS name or an
// internet host; what nobody has stays an address. Addresses inside networks may be had by several; from tells whose
// view it is.
func (l *Lab) NameOf(from string, a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	for _, s := range l.CloudServices {
		for d := range s.deployments() {
			if d.VIP == a {
				return s.NameOf(d)
			}
		}
	}
	for _, i := range l.instances() {
		if i.PublicIP == a {
			return l.InstanceName(i)
		}
	}
	viewer, _ := l.Find(from)
	for m := range l.members() {
		if m.Address() == a && (m.InternetHost != nil || l.sameDomain(viewer, m)) {
			return l.MemberName(m)
		}
	}
	return a.String()
}

// sameDomain tells whether two members are in one isolation domain, or in two that a gateway joins.
func (l *Lab) sameDomain(a, b Member) bool {
	x, y := l.domain(a), l.domain(b)
	return x != Domain{} && y != Domain{} && l.joined(x, y)
}

// domain is the isolation domain of a member; internet hosts and web sites are in none.
func (l *Lab) domain(m Member) Domain {
	switch {
	case m.Instance != nil:
		return l.Domain(m.Instance)
	case m.LocalHost != nil:
		return Domain{LocalNetwork: l.SiteOf(m.LocalHost).Name}
	}
	return Domain{}
}

// Domain is the isolation domain of an instance.
func (l *Lab) Domain(i *Instance) Domain { return l.Deployment(i).Domain() }

// Domain is the isolation domain of a deployment: its virtual network, or its cloud service where it is in none.
func (d *Deployment) Domain() Domain {
	if d.VirtualNetwork != "" {
		return Domain{VirtualNetwork: d.VirtualNetwork}
	}
	return Domain{CloudService: d.Service}
}
