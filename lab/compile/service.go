package compile

import (
	"slices"

	"vnetlab/lab"
)

// servicePart is a cloud service: its deployments, and the domain of those outside any virtual network.
type servicePart struct {
	service     *lab.CloudService
	location    string
	deployments []*deploymentPart
	domain      *domainPart // nil: there is none
}

// services makes the parts of all cloud services. They nearly always stand where they stood in the previous
// compilation.
func (b *builder) services() []*servicePart {
	networks := make(map[string]*lab.VirtualNetwork, len(b.lab.VirtualNetworks))
	for _, n := range b.lab.VirtualNetworks {
		networks[n.Name] = n
	}
	parts := make([]*servicePart, len(b.lab.CloudServices))
	rest := b.previous.services
	for i, s := range b.lab.CloudServices {
		at := slices.IndexFunc(rest, func(p *servicePart) bool { return p.service == s || p.service.Name == s.Name })
		var old *servicePart
		if at >= 0 {
			old, rest = rest[at], rest[at+1:]
		}
		location := b.lab.LocationOf(s.AffinityGroup, s.Location)
		if old != nil && old.service == s && old.location == location && old.isIn(networks) {
			parts[i] = old
			continue
		}
		parts[i] = newServicePart(s, location, networks, old)
	}
	return parts
}

// isIn says whether the virtual networks of the deployments are still these.
func (p *servicePart) isIn(networks map[string]*lab.VirtualNetwork) bool {
	for _, d := range p.deployments {
		if d.network != nil && networks[d.network.Name] != d.network {
			return false
		}
	}
	return true
}

func newServicePart(
	s *lab.CloudService,
	location string,
	networks map[string]*lab.VirtualNetwork,
	old *servicePart,
) *servicePart {
	if old == nil {
		old = &servicePart{}
	}
	p := &servicePart{service: s, location: location}
	own := domain{port: "s." + s.Name, location: location, origin: s.Origin}
	for _, d := range s.Deployments() {
		part := find(old.deployments, func(o *deploymentPart) bool { return o.deployment.PrivateID == d.PrivateID })
		if network := networks[d.VirtualNetwork]; part == nil || part.deployment != d || part.network != network {
			part = newDeploymentPart(d, network, part)
		}
		p.deployments = append(p.deployments, part)
		if d.VirtualNetwork == "" {
			own.of = d.Domain()
			own.add(part)
		}
	}
	if len(own.deployments) > 0 {
		// A swap is no other order.
		slices.SortFunc(
			own.shares,
			func(a, b *edgeShare) int { return a.subnets[0].prefix.Addr().Compare(b.subnets[0].prefix.Addr()) },
		)
		p.domain = newDomainPart(own, old.domain)
	}
	return p
}
