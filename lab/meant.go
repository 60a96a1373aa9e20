package lab

import (
	"strings"

	"vnetlab/emu"
)

// meant names the namespaces of which one answers when a target is reached: the member with its name, one of those behind the endpoint of a
// cloud service's DNS name, the instance with a name of the platform's own name server or of its own public address. Nobody in particular is
// meant by an address, or by a name that a name server of the user's own may have.
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

// behind lists the ids of the instances behind a public port; of all instances where there is no such port, since a name server of the user's
// own may lead straight to them.
func (d *Deployment) behind(protocol emu.Protocol, port uint16) (ids []string) {
	for _, f := range d.Frontends() {
		if !f.Internal && f.Protocol == protocol && f.PublicPort == port {
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
