package lab

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"vnetlab/emu"
)

// anybodyAddress and AnybodyName are of the unnamed internet host that a lab without internet hosts is seen from.
var anybodyAddress = netip.MustParseAddr("203.0.113.254")

// AnybodyName names the internet host of a lab that has none.
const AnybodyName = "anybody"

var anybody = []*InternetHost{{Name: AnybodyName, Address: anybodyAddress}}

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

// Running lists the instances of the deployment that run.
func (d *Deployment) Running() []*Instance {
	var all []*Instance
	for _, i := range d.Instances {
		if i.State == Running {
			all = append(all, i)
		}
	}
	return all
}

// Internet lists the internet hosts: those of the lab, or the unnamed one where it has none.
func (l *Lab) Internet() []*InternetHost {
	if len(l.InternetHosts) > 0 {
		return l.InternetHosts
	}
	return anybody
}

func (l *Lab) memberNames() []string {
	var all []string
	for m := range l.members() {
		all = append(all, l.MemberName(m))
	}
	return all
}

// Namespace returns the name of the namespace that the member of a name lives in. An instance that doesn't run has none.
func (l *Lab) Namespace(name string) (string, error) {
	m, err := l.member(name)
	if err != nil {
		return "", err
	}
	if i := m.Instance; i != nil && i.State != Running {
		return "", conflict("%s doesn't run: its state is %s.", name, i.State).WithHint("lab vm start %s", l.InstanceName(i))
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
	return slices.DeleteFunc(slices.Clone(Locations), func(location string) bool { return !slices.Contains(used, location) })
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

// EmuTarget turns what a person wrote into what a probe tries: the address of a member, an address as such, or a DNS name, which is
// looked up where the probe starts. It says who is meant, so that nobody else's answer counts.
func (l *Lab) EmuTarget(t Target) (emu.Target, error) {
	target := emu.Target{Name: t.Name, Port: t.Port, Protocol: t.Protocol, Meant: l.meant(t)}
	m, refusal := l.member(t.Name)
	if refusal == nil {
		if m.WebSite != nil { // never reached by its own address
			target.Name = m.WebSite.DNSName()
			return target, nil
		}
		target.Address = m.Address()
		if !target.Address.IsValid() {
			return emu.Target{}, conflict("%s has no address: its state is %s.", t.Name, m.Instance.State).WithHint("lab vm start %s", l.InstanceName(m.Instance))
		}
		return target, nil
	}
	if a, err := netip.ParseAddr(t.Name); err == nil {
		target.Address = a
		return target, nil
	}
	if d := l.stagingNamed(t.Name); d != nil {
		target.Name = d.PrivateID + ".cloudapp.net"
		return target, nil
	}
	if !strings.Contains(t.Name, ".") || refusal.Code != codeNotFound || l.readsAsInstance(t.Name) {
		return emu.Target{}, refusal
	}
	return target, nil
}

// NameOf is who has an address, in the words of the lab: a public address is a cloud service's DNS name or an internet host; what
// nobody has stays an address. Addresses inside networks may be had by several; from tells whose view it is.
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

// ParseTarget reads NAME:PORT or NAME:PORT/PROTOCOL.
func ParseTarget(text string) (Target, error) {
	name, rest, ok := cutLast(text, ":")
	port, protocol, hasProtocol := strings.Cut(rest, "/")
	if !hasProtocol {
		protocol = string(emu.TCP)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	for _, address := range []string{name, text} {
		if a, err := netip.ParseAddr(strings.Trim(address, "[]")); err == nil && !a.Is4() {
			return Target{}, badRequest("%s is an IPv6 address; a lab has only IPv4.", shorten(address))
		}
	}
	const form = "Write NAME:PORT, for example sql1:1433 or contactsql.cloudapp.net:57500."
	switch {
	case strings.Contains(text, "://"):
		return Target{}, badRequest("%s is a URL and not a target.", shorten(text)).WithHint(form)
	case !ok || name == "" || port == "":
		return Target{}, badRequest("%s is not a target.", shorten(text)).WithHint(form)
	case err != nil || n == 0:
		return Target{}, badRequest("The port of %s is not a number from 1 to 65535.", shorten(text)).WithHint(form)
	case protocol != string(emu.TCP) && protocol != string(emu.UDP):
		return Target{}, badRequest("The protocol of %s is neither tcp nor udp.", shorten(text)).
			WithHint("Write NAME:PORT or NAME:PORT/udp, for example sql1:1434/udp.")
	}
	return Target{Name: name, Port: uint16(n), Protocol: emu.Protocol(protocol)}, nil
}

// String gives the target as a person writes it.
func (t Target) String() string {
	s := t.Name + ":" + strconv.Itoa(int(t.Port))
	if t.Protocol == emu.UDP {
		s += "/udp"
	}
	return s
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
