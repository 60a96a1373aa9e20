package lab

import (
	"net/netip"
	"strconv"
	"strings"

	"vnetlab/emu"
)

// Target is name:port[/protocol]; the name is an instance, an internet host, a web site, a DNS name or an address.
type Target struct {
	Name     string
	Port     uint16
	Protocol emu.Protocol
}

// meant names the namespaces of which one answers when a target is reached: the member with its name, one of those
// behind the endpoint of a cloud service's DNS name, the instance with a name of the platform's own name server or of
// its own public address. Nobody in particular is meant by an address, or by a name that a name server of the user's
// own may have.
func (l *Lab) meant(t Target) []string {
	if m, ok := l.Find(t.Name); ok {
		return []string{m.ID()}
	}
	if d := l.stagingNamed(t.Name); d != nil {
		return d.behind(t.Protocol, t.Port)
	}
	name := strings.ToLower(strings.TrimSuffix(t.Name, "."))
	for _, s := range l.WebSites {
		if strings.EqualFold(s.DNSName(), name) {
			return []string{s.Name}
		}
	}
	if host, ok := strings.CutSuffix(name, ".internal.cloudapp.net"); ok {
		var ids []string // one in each slot: each deployment has its own names
		for _, i := range l.instances() {
			if strings.EqualFold(i.Name+"."+i.Service, host) {
				ids = append(ids, i.ID)
			}
		}
		return ids
	}
	for _, s := range l.CloudServices {
		for d := range s.deployments() {
			if strings.EqualFold(s.NameOf(d), name) {
				return d.behind(t.Protocol, t.Port)
			}
			for _, i := range d.Instances {
				if strings.EqualFold(s.PublicNameOf(d, i), name) {
					return []string{i.ID}
				}
			}
		}
	}
	return nil
}

// behind lists the ids of the instances behind a public port; of all instances where there is no such port, since a
// name server of the user's own may lead straight to them.
func (d *Deployment) behind(protocol emu.Protocol, port uint16) (ids []string) {
	for _, f := range d.Frontends() {
		if !f.Internal() && f.Protocol == protocol && f.PublicPort == port {
			for _, m := range f.Members {
				ids = append(ids, m.Instance.ID)
			}
			return ids
		}
	}
	for _, i := range d.Instances {
		ids = append(ids, i.ID)
	}
	return ids
}

// EmuTarget turns what a person wrote into what a probe tries: the address of a member, an address as such, or a DNS
// name, which is looked up where the probe starts. It says who is meant, so that nobody else's answer counts.
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
			return emu.Target{}, conflict(
				"%s has no address: its state is %s.",
				t.Name,
				m.Instance.State,
			).WithHint("lab vm start %s", l.InstanceName(m.Instance))
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
