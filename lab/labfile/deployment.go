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

// deployment creates the deployment of a cloud service in a slot.
func (l *loader) deployment(s CloudService, d *Deployment, slot lab.Slot) bool {
	before := len(l.problems)
	request, ok := l.packageOf(d)
	request.Slot = slot
	if slot == lab.Production {
		l.reserve(s, &request)
	}
	return ok && l.accept(d.Origin, l.lab.CreateDeployment(string(s.Name), request)) && len(l.problems) == before
}

// reserve sets the reserved IP of a deployment. The lab file names it for the cloud service, or the service
// configuration does.
func (l *loader) reserve(s CloudService, request *lab.PackageDeployment) {
	named := s.ReservedIP.Text
	switch {
	case named != "" && request.ReservedIP != "" && named != request.ReservedIP:
		l.problems = append(l.problems, invalid(s.ReservedIP.Origin,
			"the reserved IP is %s here and %s in the service configuration", quoted(named),
			quoted(request.ReservedIP)).
			hint("Keep one of the two."))
	case named != "":
		request.ReservedIP = named
	}
	if l.gone.reservedIPs.has(request.ReservedIP) {
		request.ReservedIP = ""
	}
}

// packageOf reads the definition and the configuration of a deployment, and its roles in the lab file. It returns
// false if they are too wrong to go on.
func (l *loader) packageOf(d *Deployment) (request lab.PackageDeployment, ok bool) {
	if l.broken[d.Origin] {
		return request, false
	}
	definition := readXML(l, d.Definition, "service definition", csdef.Read)
	configuration := readXML(l, d.Configuration, "service configuration", cscfg.Read)
	if definition != nil {
		l.unknownRoles(d, *definition)
	}
	if definition == nil || configuration == nil || !l.accept(d.Configuration.Origin,
		(*configuration).Check(*definition)) {
		return request, false
	}
	return l.packageDeployment(d, *definition, *configuration), true
}

// document is a file of the platform.
type document interface{ WithoutEffect() []strictxml.Note }

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
	l.notes = append(l.notes, doc.WithoutEffect()...)
	if some, ok := any(doc).(interface{ Unsupported() strictxml.Errors }); ok {
		// What this version can't build is an error, and the rest of the file is checked all the same.
		l.accept(r.Origin, some.Unsupported().Err())
	}
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
		p := invalid(d.Roles[name].Origin, "the service definition has no role %s", quoted(name)).
			hint("It has: %s.", strings.Join(defined, ", "))
		if near, ok := spelling.Nearest(name, defined); ok {
			p = p.hint("Did you mean %s?", near)
		}
		l.problems = append(l.problems, p)
	}
}

func (l *loader) packageDeployment(d *Deployment, definition *csdef.Definition,
	configuration *cscfg.Configuration,
) lab.PackageDeployment {
	request := lab.PackageDeployment{Name: string(d.Name), Origin: d.Origin}
	if configuration.VirtualNetworkSite != nil {
		request.VirtualNetwork = configuration.VirtualNetworkSite.Name
	}
	for _, s := range configuration.DNSServers {
		request.DNSServers = append(request.DNSServers, s.Address)
	}
	for _, r := range configuration.ReservedIPs {
		request.ReservedIP = r.Name
	}
	for _, b := range configuration.LoadBalancers {
		request.InternalLoadBalancer = &lab.InternalLoadBalancer{
			Name: b.Name, Subnet: b.Subnet,
			Address: b.StaticAddress, Origin: b.Origin,
		}
	}
	for _, defined := range definition.Roles {
		request.Roles = append(request.Roles, l.role(d, definition, configuration, defined))
	}
	return request
}

// role joins the settings of a role in the three files.
func (l *loader) role(d *Deployment, definition *csdef.Definition, configuration *cscfg.Configuration,
	defined csdef.Role,
) lab.Role {
	configured, _ := configuration.Role(defined.Name) // Check has found it
	content := d.Roles[defined.Name]
	role := lab.Role{Name: defined.Name, InstanceCount: configured.InstanceCount, Origin: defined.Origin}
	position := content.Origin
	if position.IsZero() {
		position = defined.Origin
	}
	role.Firewall, role.FirewallOff, role.FirewallOrigin = l.firewall(content.Firewall, position)
	if a, ok := configuration.InstanceAddress(defined.Name); ok {
		if len(a.Subnets) > 0 {
			role.Subnet = a.Subnets[0].Name
		}
		if len(a.PublicIPs) > 0 {
			role.PublicIPName, role.PublicIPLabel = a.PublicIPs[0].Name, a.PublicIPs[0].DomainNameLabel
		}
	}
	endpoints(&role, definition, configuration, defined, content.Services)
	listening := map[string]listener{}
	for _, e := range role.InputEndpoints {
		listening[e.Name] = listener{e.Protocol, e.LocalPort}
	}
	for _, e := range role.InstanceInputEndpoints {
		listening[e.Name] = listener{e.Protocol, e.LocalPort}
	}
	for _, e := range role.InternalEndpoints {
		if e.Ports.First != 0 {
			listening[e.Name] = listener{protocol(Protocol(e.Protocol)), e.Ports.First}
		}
	}
	role.Boundary = l.boundary(content.Machine)
	role.Services = l.services(content.Services, listening, "role "+defined.Name)
	brought := l.plugins(&role, defined, configured)
	if l.file == nil { // no lab file names the listeners
		listenEverywhere(&role, brought)
	}
	return role
}
