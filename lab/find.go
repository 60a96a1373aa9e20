package lab

import (
	"iter"
	"slices"
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

// Members lists instances, internet hosts, web sites and on-premises hosts. A lab without internet hosts has an
// unnamed one.
func (l *Lab) Members() []Member { return slices.Collect(l.members()) }

// place is where an instance is.
type place struct {
	deployment *Deployment
	slot       Slot
	instance   *Instance
}

// placed yields where each instance of the lab is.
func (l *Lab) placed() iter.Seq[place] {
	return func(yield func(place) bool) {
		for _, s := range l.CloudServices {
			for d := range s.deployments() {
				slot := s.SlotOf(d)
				for _, i := range d.Instances {
					if !yield(place{d, slot, i}) {
						return
					}
				}
			}
		}
	}
}

// places are where the instances of a lab are.
type places struct {
	byID   map[string]place
	byHost map[string][]place // by the host names that the instances have in their services
}

// index returns where the instances are. The first who asks a lab makes its index; operations look through the
// instances instead, since each makes another lab.
func (l *Lab) index() *places {
	all := l.places.Load()
	if all == nil {
		all = &places{map[string]place{}, map[string][]place{}}
		for at := range l.placed() {
			all.byID[at.instance.ID] = at
			all.byHost[at.instance.Name] = append(all.byHost[at.instance.Name], at)
		}
		l.places.Store(all)
	}
	return all
}

// place finds an instance by its id.
func (l *Lab) place(id string) (place, bool) {
	at, ok := l.index().byID[id]
	return at, ok
}

// Deployment is what an instance belongs to in this lab, be the instance as it is or as it was in another state of
// the lab; nil when it is gone.
func (l *Lab) Deployment(i *Instance) *Deployment {
	if at, ok := l.place(i.ID); ok && at.instance.Service == i.Service {
		return at.deployment
	}
	return nil
}

func find[T any](all []*T, match func(*T) bool) (*T, bool) {
	if i := slices.IndexFunc(all, match); i >= 0 {
		return all[i], true
	}
	return nil, false
}

func names[T any](all []*T, name func(*T) string) []string {
	out := make([]string, len(all))
	for i, v := range all {
		out[i] = name(v)
	}
	return out
}
