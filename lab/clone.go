package lab

import "slices"

// Clone gives a lab that shares the resources of l. A resource never changes once it is in a lab: an operation puts a
// changed copy in its place, and copies in the places of the deployment and the cloud service that hold it. So a
// resource that is in two labs is the same in both, with all that is in it.
func (l *Lab) Clone() *Lab {
	return &Lab{
		Name:            l.Name,
		AffinityGroups:  slices.Clone(l.AffinityGroups),
		VirtualNetworks: slices.Clone(l.VirtualNetworks),
		ReservedIPs:     slices.Clone(l.ReservedIPs),
		CloudServices:   slices.Clone(l.CloudServices),
		WebSites:        slices.Clone(l.WebSites),
		InternetHosts:   slices.Clone(l.InternetHosts),
		LocalNetworks:   slices.Clone(l.LocalNetworks),
		Boundary:        l.Boundary,
		Expectations:    slices.Clip(l.Expectations), // only ever appended to
		Exposure:        slices.Clip(l.Exposure),
		created:         l.created,
	}
}

// replaceService puts a service in the place of another one.
func (l *Lab) replaceService(old, now *CloudService) {
	now.publicNames = publicNames(now)
	replace(l.CloudServices, old, now)
	l.places.Store(nil)
}

// replaceDeployment puts a deployment in the place of another one; nil empties the slot.
func (l *Lab) replaceDeployment(old, now *Deployment) {
	s, _ := l.cloudService(old.Service)
	changed := *s
	if s.Staging == old {
		changed.Staging = now
	} else {
		changed.Production = now
	}
	l.replaceService(s, &changed)
}

// replaceInstance puts an instance of a deployment in the place of another one.
func (l *Lab) replaceInstance(d *Deployment, old, now *Instance) {
	changed := d.copy()
	replace(changed.Instances, old, now)
	l.replaceDeployment(d, changed)
}

// copy gives a deployment with the same instances that can be changed until it is in a lab.
func (d *Deployment) copy() *Deployment {
	c := *d
	c.Roles, c.Instances = slices.Clone(d.Roles), slices.Clone(d.Instances)
	return &c
}

// copy gives an instance that can be changed until it is in a lab.
func (i *Instance) copy() *Instance {
	c := *i
	c.Endpoints = slices.Clone(i.Endpoints)
	return &c
}

func replace[T any](all []*T, old, now *T) {
	if i := slices.Index(all, old); i >= 0 {
		all[i] = now
	}
}

func remove[T any](all []*T, gone *T) []*T {
	kept := make([]*T, 0, len(all))
	for _, v := range all {
		if v != gone {
			kept = append(kept, v)
		}
	}
	return kept
}
