package labfile

import (
	"maps"
	"slices"
	"strings"

	"vnetlab/lab"
	"vnetlab/lab/cscfg"
	"vnetlab/lab/csdef"
	"vnetlab/lab/spelling"
	"vnetlab/lab/strictxml"
)

// firstAutomaticPort is where the search for a local port begins that a definition leaves to the platform.
const firstAutomaticPort = 20000

// deployment creates the production deployment of a service.
func (l *loader) deployment(s CloudService, d *Deployment) bool {
	before := len(l.problems)
	request, ok := l.packageOf(d)
	return ok && l.accept(d.Origin, l.lab.CreateDeployment(string(s.Name), request)) && len(l.problems) == before
}

// packageOf reads what a deployment asks for in its definition, its configuration and what the lab file says of its roles; false when
// that is too wrong to go on.
func (l *loader) packageOf(d *Deployment) (request lab.PackageDeployment, ok bool) {
	if l.broken[d.Origin] {
		return request, false
	}
	definition := readXML(l, d.Definition, "service definition", csdef.Read)
	configuration := readXML(l, d.Configuration, "service configuration", cscfg.Read)
	if definition != nil {
		l.unknownRoles(d, *definition)
	}
	if definition == nil || configuration == nil || !l.accept(d.Configuration.Origin, (*configuration).Check(*definition)) {
		return request, false
	}
	return l.packageDeployment(d, *definition, *configuration), true
}

// document is a file of the platform.
type document interface{ Unsupported() strictxml.Errors }

// readXML reads a file of the platform; nil when it can't be used.
func readXML[D document](l *loader, r Reference, kind string, reader func(file string, data []byte) (D, error)) *D {
	shown, data, ok := l.reference(r, kind)
	if !ok {
		return nil
	}
	doc, err := reader(shown, data)
	if !l.accept(r.Origin, err) {
		return nil
	}
	if remarks, ok := any(doc).(interface{ WithoutEffect() []strictxml.Note }); ok {
		for _, n := range remarks.WithoutEffect() {
			l.notes = append(l.notes, Note(n))
		}
	}
	// What this version can't build is told, and the rest of the file is looked at all the same.
	l.accept(r.Origin, doc.Unsupported().Err())
	return &doc
}

func (l *loader) unknownRoles(d *Deployment, definition *csdef.Definition) {
	var defined []string
	for _, r := range definition.Roles {
		defined = append(defined, r.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Roles)) {
		if slices.Contains(defined, name) {
			continue
		}
		p := invalid(d.Roles[name].Origin, "the service definition has no role %s", quoted(name)).hint("It has: %s.", strings.Join(defined, ", "))
		if near, ok := spelling.Nearest(name, defined); ok {
			p = p.hint("Did you mean %s?", near)
		}
		l.problems = append(l.problems, p)
	}
}

func (l *loader) packageDeployment(d *Deployment, definition *csdef.Definition, configuration *cscfg.Configuration) lab.PackageDeployment {
	request := lab.PackageDeployment{Origin: d.Origin}
	if configuration.VirtualNetworkSite != nil {
		request.VirtualNetwork = configuration.VirtualNetworkSite.Name
	}
	for _, s := range configuration.DNSServers {
		request.DNSServers = append(request.DNSServers, s.Address)
	}
	for _, defined := range definition.Roles {
		configured, _ := configuration.Role(defined.Name) // Check has found it
		content := d.Roles[defined.Name]
		role := lab.Role{Name: defined.Name, InstanceCount: configured.InstanceCount, Origin: defined.Origin}
		place := content.Origin
		if place.IsZero() {
			place = defined.Origin
		}
		role.Firewall, role.FirewallOff, role.FirewallOrigin = l.firewall(content.Firewall, place)
		if a, ok := configuration.InstanceAddress(defined.Name); ok && len(a.Subnets) > 0 {
			role.Subnet = a.Subnets[0].Name
		}
		role.InputEndpoints = inputEndpoints(defined, configuration)
		listening := map[string]listener{}
		for _, e := range role.InputEndpoints {
			listening[e.Name] = listener{e.Protocol, e.LocalPort}
		}
		role.Services = l.services(content.Services, listening, "role "+defined.Name)
		request.Roles = append(request.Roles, role)
	}
	return request
}

// inputEndpoints joins the endpoints of a role with their access control lists.
func inputEndpoints(role csdef.Role, configuration *cscfg.Configuration) (requests []lab.InputEndpoint) {
	taken := map[uint16]bool{}
	for _, e := range role.InputEndpoints {
		taken[e.LocalPort] = true
	}
	free := uint16(firstAutomaticPort)
	for _, e := range role.InputEndpoints {
		request := lab.InputEndpoint{
			Name: e.Name, Protocol: e.Transport(), Port: e.Port, LocalPort: e.LocalPort,
			Distribution: lab.Distribution(e.LoadBalancerDistribution), Origin: e.Origin,
		}
		if e.AutomaticLocalPort {
			for taken[free] {
				free++
			}
			request.LocalPort, taken[free] = free, true
		}
		for _, r := range configuration.EndpointACL(role.Name, e.Name) {
			request.ACL = append(request.ACL, lab.ACLRule(r))
		}
		requests = append(requests, request)
	}
	return requests
}
