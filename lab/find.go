package lab

import (
	"iter"
	"slices"
	"strings"
)

// deployments are those of a service, production first.
func (s *CloudService) deployments() iter.Seq[*Deployment] {
	return func(yield func(*Deployment) bool) {
		if s.Production != nil && !yield(s.Production) {
			return
		}
		if s.Staging != nil {
			yield(s.Staging)
		}
	}
}

// Deployments lists the service's deployments, production first.
func (s *CloudService) Deployments() []*Deployment { return slices.Collect(s.deployments()) }

// deployments are those of all services.
func (l *Lab) deployments() iter.Seq[*Deployment] {
	return func(yield func(*Deployment) bool) {
		for _, s := range l.CloudServices {
			if s.Production != nil && !yield(s.Production) || s.Staging != nil && !yield(s.Staging) {
				return
			}
		}
	}
}

// Deployments lists the deployments of all services.
func (l *Lab) Deployments() []*Deployment { return slices.Collect(l.deployments()) }

// instances are those of all deployments, whatever their state.
func (l *Lab) instances() iter.Seq2[*Deployment, *Instance] {
	return func(yield func(*Deployment, *Instance) bool) {
		for d := range l.deployments() {
			for _, i := range d.Instances {
				if !yield(d, i) {
					return
				}
			}
		}
	}
}

// Instances lists the instances of all deployments, whatever their state.
func (l *Lab) Instances() []*Instance {
	var all []*Instance
	for d := range l.deployments() {
		all = append(all, d.Instances...)
	}
	return all
}

// members are the instances, then all else.
func (l *Lab) members() iter.Seq[Member] {
	return func(yield func(Member) bool) {
		for _, i := range l.instances() {
			if !yield(Member{Instance: i}) {
				return
			}
		}
		for m := range l.hosts() {
			if !yield(m) {
				return
			}
		}
	}
}

// hosts are the members that aren't instances.
func (l *Lab) hosts() iter.Seq[Member] {
	return func(yield func(Member) bool) {
		for _, h := range l.Internet() {
			if !yield(Member{InternetHost: h}) {
				return
			}
		}
		for _, s := range l.WebSites {
			if !yield(Member{WebSite: s}) {
				return
			}
		}
		for _, n := range l.LocalNetworks {
			for _, h := range n.Hosts {
				if !yield(Member{LocalHost: h}) {
					return
				}
			}
		}
	}
}

// Members lists instances, internet hosts, web sites and on-premises hosts. A lab without internet hosts has an unnamed one.
func (l *Lab) Members() []Member { return slices.Collect(l.members()) }

// Find gives the member with a name: its short name, or SERVICE.NAME of an instance.
func (l *Lab) Find(name string) (Member, bool) {
	if _, i := l.findInstance(name); i != nil {
		return Member{Instance: i}, true
	}
	for m := range l.hosts() {
		if m.ID() == name {
			return m, true
		}
	}
	return Member{}, false
}

// findInstance gives the instance with a name, and its deployment; nil: none.
func (l *Lab) findInstance(name string) (*Deployment, *Instance) {
	for d, i := range l.instances() {
		if i.ID == name {
			return d, i
		}
	}
	for d, i := range l.instances() {
		if isPath(name, i.Service, i.Name) || isPath(name, i.Service, d.Name, i.Name) {
			return d, i
		}
	}
	return nil, nil
}

// isPath tells whether a name is the parts with dots between them.
func isPath(name string, parts ...string) bool {
	for n, part := range parts {
		rest, ok := strings.CutPrefix(name, part)
		if n < len(parts)-1 && ok {
			rest, ok = strings.CutPrefix(rest, ".")
		}
		if !ok {
			return false
		}
		name = rest
	}
	return name == ""
}

// place is where an instance is.
type place struct {
	deployment *Deployment
	instance   *Instance
}

// place finds an instance by its id. The first who asks a lab makes its index; operations look through the instances instead, since each
// makes another lab.
func (l *Lab) place(id string) (place, bool) {
	all := l.places.Load()
	if all == nil {
		made := map[string]place{}
		for d, i := range l.instances() {
			made[i.ID] = place{d, i}
		}
		all = &made
		l.places.Store(all)
	}
	at, ok := (*all)[id]
	return at, ok
}

// Deployment is what an instance belongs to in this lab, be the instance as it is or as it was in another state of the lab; nil when it is
// gone.
func (l *Lab) Deployment(i *Instance) *Deployment {
	if at, ok := l.place(i.ID); ok && at.instance.Service == i.Service {
		return at.deployment
	}
	return nil
}
