package lab

import (
	"maps"
	"slices"
)

// Clone gives a copy that shares nothing that operations change in place.
func (l *Lab) Clone() *Lab {
	c := *l
	c.AffinityGroups = slices.Clone(l.AffinityGroups) // the resources themselves never change
	c.VirtualNetworks = slices.Clone(l.VirtualNetworks)
	c.ReservedIPs = slices.Clone(l.ReservedIPs)
	c.WebSites = slices.Clone(l.WebSites)
	c.InternetHosts = slices.Clone(l.InternetHosts)
	c.LocalNetworks = slices.Clone(l.LocalNetworks)
	c.Expectations = slices.Clone(l.Expectations)
	c.Exposure = slices.Clone(l.Exposure)
	c.healthy = maps.Clone(l.healthy)
	c.CloudServices = make([]*CloudService, len(l.CloudServices))
	for i, s := range l.CloudServices {
		service := *s
		service.Production, service.Staging = s.Production.clone(), s.Staging.clone()
		c.CloudServices[i] = &service
	}
	return &c
}

func (d *Deployment) clone() *Deployment {
	if d == nil {
		return nil
	}
	c := *d
	c.Roles = slices.Clone(d.Roles)
	c.Instances = make([]*Instance, len(d.Instances))
	for n, i := range d.Instances {
		instance := *i
		instance.Endpoints = slices.Clone(i.Endpoints)
		instance.deployment = &c
		c.Instances[n] = &instance
	}
	return &c
}
