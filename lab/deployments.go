package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab/spelling"
)

// firstDynamicPort is where the platform starts to look for ports of its own choice inside role instances.
const firstDynamicPort = 20000

// CreateDeployment puts a package of web and worker roles into a slot of a cloud service.
func (l *Lab) CreateDeployment(service string, p PackageDeployment) error {
	s, err := l.existing(service)
	if err != nil {
		return err.At(p.Origin)
	}
	p.Slot = orDefault(p.Slot, Production)
	if s.In(p.Slot) != nil {
		return slotOccupied(p.Slot).WithHint("Delete the deployment, or deploy to the other slot.").At(p.Origin)
	}
	if s.Production != nil && s.Production.Kind != PaaS {
		return slotOccupied(Production).WithHint("%s holds virtual machines; roles need a cloud service of their own.", s.Name).At(p.Origin)
	}
	if s.VirtualNetwork != "" && p.VirtualNetwork != s.VirtualNetwork {
		return badRequest("The cloud service %s is meant for the virtual network %s, its configuration names %s.", s.Name, s.VirtualNetwork, orDefault(p.VirtualNetwork, "none")).
			WithHint("Put <VirtualNetworkSite name=%q/> into NetworkConfiguration.", s.VirtualNetwork).At(p.Origin)
	}
	if p.VirtualNetwork != "" {
		if err := l.checkJoin(s, p.VirtualNetwork); err != nil {
			return err.At(p.Origin)
		}
	}
	if len(p.Roles) == 0 {
		return badRequest("The deployment has no role.").At(p.Origin)
	}
	name := orDefault(p.Name, s.Name)
	if p.Name == "" && p.Slot == Staging {
		name = "staging"
	}
	for other := range s.deployments() {
		if other.Name == name {
			return conflict("The cloud service %s has a deployment named %s already.", s.Name, name).WithHint("Give the new one another name.").At(p.Origin)
		}
	}
	d := l.newDeployment(s.Name, name, PaaS, p.VirtualNetwork)
	d.DNSServers, d.Origin = p.DNSServers, p.Origin
	if err := l.settle(d, p.ReservedIP, p.InternalLoadBalancer); err != nil {
		return err.At(p.Origin)
	}
	var errs []error
	ports := publicPorts{}
	for _, role := range p.Roles {
		errs = append(errs, l.addRole(d, role, ports)...)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if err := checkReservedEndpoints(d, d.ReservedIP, d.Instances...); err != nil {
		return err.WithHint("Give a role an input endpoint.").At(p.Origin)
	}
	for _, i := range d.Instances {
		i.ID = l.instanceID(d, i.Name)
	}
	l.allocateVIP(d)
	l.allocatePublicIPs(d, d.Instances...)
	l.deploy(s, p.Slot, d)
	return nil
}

// deploy puts a deployment into a slot of a service.
func (l *Lab) deploy(s *CloudService, slot Slot, d *Deployment) {
	changed := *s
	if s.In(slot) == nil {
		changed.VirtualNetwork = orDefault(s.VirtualNetwork, d.VirtualNetwork)
		l.created++
	}
	if slot == Staging {
		changed.Staging = d
	} else {
		changed.Production = d
	}
	l.replaceService(s, &changed)
}

// publicPorts are the public ports of a deployment that is being made, with who has each.
type publicPorts map[publicPort]bool

type publicPort struct {
	internal bool // on the internal load balancer
	protocol emu.Protocol
	port     uint16
}

// take refuses a port that another endpoint of the deployment has.
func (p publicPorts) take(port publicPort) *Error {
	if p[port] {
		return portInUse(port.port)
	}
	p[port] = true
	return nil
}

// addRole checks a role and adds its instances to a deployment that isn't in its slot yet.
func (l *Lab) addRole(d *Deployment, role Role, ports publicPorts) (errs []error) {
	refuse := func(o Origin, err *Error) { errs = append(errs, err.At(o)) }
	if err := checkName("role", role.Name, roleNames); err != nil {
		refuse(role.Origin, err)
		return errs
	}
	if role.InstanceCount < 1 {
		refuse(role.Origin, tooFewInstances(role.Name, role.InstanceCount))
	}
	role.InputEndpoints = slices.Clone(role.InputEndpoints)
	for n, e := range role.InputEndpoints {
		if err := ports.take(publicPort{e.InternalLoadBalancer != "", e.Protocol, e.Port}); err != nil {
			refuse(e.Origin, err)
		}
		acl, aclErrs := checkACL(e.ACL)
		e.ACL, e.Probe = acl, e.Probe.complete()
		role.InputEndpoints[n] = e
		errs = append(errs, aclErrs...)
		if err := checkBalancing(d, e.Probe, e.IdleTimeoutInMinutes, e.InternalLoadBalancer); err != nil {
			refuse(e.Origin, err)
		}
	}
	role.InstanceInputEndpoints = slices.Clone(role.InstanceInputEndpoints)
	for n, e := range role.InstanceInputEndpoints {
		acl, aclErrs := checkACL(e.ACL)
		role.InstanceInputEndpoints[n].ACL = acl
		errs = append(errs, aclErrs...)
		if span := int(e.Public.Last) - int(e.Public.First) + 1; span < role.InstanceCount {
			refuse(e.Origin, badRequest("The endpoint %s has %s for %s of %s.", e.Name, spelling.Count(span, "public port"), spelling.Count(role.InstanceCount, "instance"), role.Name))
			continue
		}
		for p := int(e.Public.First); p <= int(e.Public.Last); p++ {
			if err := ports.take(publicPort{false, e.Protocol, uint16(p)}); err != nil {
				refuse(e.Origin, err)
				break
			}
		}
	}
	role.InternalEndpoints = withPorts(role)
	if role.PublicIPName != "" {
		if err := l.checkPublicIPs(d, role.InstanceCount); err != nil {
			refuse(role.Origin, err)
		}
		if err := checkLabel(d, role); err != nil {
			refuse(role.Origin, err)
		}
	}
	errs = append(errs, checkServices(role.Services)...)
	d.Roles = append(d.Roles, role)
	for range role.InstanceCount {
		if err := l.addInstance(d, role); err != nil {
			if err.Hint == "" {
				err = err.WithHint("The role %s asks for %s.", role.Name, spelling.Count(role.InstanceCount, "instance"))
			}
			refuse(role.Origin, err)
			return errs
		}
	}
	return errs
}

// checkLabel holds that a role's label makes DNS names, and others than those of the roles before it.
func checkLabel(d *Deployment, role Role) *Error {
	if role.PublicIPLabel == "" {
		return nil
	}
	if err := checkName("domain name label", role.PublicIPLabel, labelNames); err != nil {
		return err
	}
	for _, other := range d.Roles {
		if strings.EqualFold(other.PublicIPLabel, role.PublicIPLabel) {
			return badRequest("The roles %s and %s have the same domain name label %s.", other.Name, role.Name, role.PublicIPLabel)
		}
	}
	return nil
}

func tooFewInstances(role string, n int) *Error {
	return badRequest("The role %s can't have %d instances: a role has at least one.", role, n)
}

// withPorts picks a port for each internal endpoint without one.
func withPorts(role Role) []InternalEndpoint {
	used := map[uint16]bool{}
	for _, e := range role.InternalEndpoints {
		used[e.Ports.First] = true
	}
	all := slices.Clone(role.InternalEndpoints)
	next := uint16(firstDynamicPort)
	for n := range all {
		if all[n].Ports.First != 0 || all[n].Protocol == "" {
			continue
		}
		for used[next] {
			next++
		}
		used[next] = true
		all[n].Ports = emu.PortRange{First: next, Last: next}
	}
	return all
}

// addInstance adds the next instance of a role, without its id.
func (l *Lab) addInstance(d *Deployment, role Role) *Error {
	n := 0
	for _, i := range d.Instances {
		if i.Role == role.Name {
			n++
		}
	}
	dip, err := l.assign(d, role.Subnet, netip.Addr{})
	if err != nil {
		return err
	}
	instance := &Instance{
		Name: fmt.Sprintf("%s_IN_%d", role.Name, n), Service: d.Service, Role: role.Name, OS: Windows, Subnet: role.Subnet, DIP: dip, State: Running,
		Firewall: role.Firewall, FirewallOff: role.FirewallOff, FirewallOrigin: orDefault(role.FirewallOrigin, role.Origin),
		Services: role.Services, PublicIPName: role.PublicIPName, PublicIPLabel: numbered(role.PublicIPLabel, n), InternalEndpoints: role.InternalEndpoints, Origin: role.Origin,
	}
	for _, e := range role.InputEndpoints {
		instance.Endpoints = append(instance.Endpoints, Endpoint{
			Name: e.Name, Protocol: e.Protocol, PublicPort: e.Port, LocalPort: orDefault(e.LocalPort, e.Port), LoadBalancedSet: e.Name,
			Distribution: orDefault(e.Distribution, DistributeNone), ACL: e.ACL, Probe: e.Probe, IdleTimeoutInMinutes: e.IdleTimeoutInMinutes,
			InternalLoadBalancer: e.InternalLoadBalancer, Origin: e.Origin,
		})
	}
	for _, e := range role.InstanceInputEndpoints {
		instance.Endpoints = append(instance.Endpoints, Endpoint{
			Name: e.Name, Protocol: e.Protocol, PublicPort: e.Public.First + uint16(n), LocalPort: e.LocalPort,
			Distribution: DistributeNone, ACL: e.ACL, Origin: e.Origin,
		})
	}
	d.Instances = append(d.Instances, instance)
	return nil
}

// numbered is the label of an instance: that of its role with its number.
func numbered(label string, n int) string {
	if label == "" {
		return ""
	}
	return fmt.Sprintf("%s.%d", label, n)
}

// deployment finds the deployment in a slot, or refuses.
func (l *Lab) deployment(service string, slot Slot) (*CloudService, *Deployment, *Error) {
	s, err := l.existing(service)
	if err != nil {
		return nil, nil, err
	}
	d := s.In(orDefault(slot, Production))
	if d == nil {
		return nil, nil, notFound("The cloud service %s has no %s deployment.", service, orDefault(slot, Production))
	}
	return s, d, nil
}

// DeleteDeployment empties a slot and releases its VIP.
func (l *Lab) DeleteDeployment(service string, slot Slot) error {
	_, d, err := l.deployment(service, slot)
	if err != nil {
		return err
	}
	l.replaceDeployment(d, nil)
	return nil
}

// SwapDeployment exchanges the VIPs of production and staging. Without a production deployment, staging becomes production
// (MSDN "Swap Deployment").
func (l *Lab) SwapDeployment(service string) error {
	s, staging, err := l.deployment(service, Staging)
	if err != nil {
		return err
	}
	production := s.Production
	if production != nil {
		if endpointCount(production) != endpointCount(staging) {
			return badRequest("Windows Azure cannot perform a VIP swap between deployments that have a different number of endpoints: %s has %d, %s has %d.",
				production.Name, endpointCount(production), staging.Name, endpointCount(staging))
		}
		production, staging = production.copy(), staging.copy()
		production.VIP, staging.VIP = staging.VIP, production.VIP
		production.ReservedIP, staging.ReservedIP = staging.ReservedIP, production.ReservedIP
	}
	changed := *s
	changed.Production, changed.Staging = staging, production
	l.replaceService(s, &changed)
	return nil
}

// endpointCount counts the endpoints that the roles of a deployment define.
func endpointCount(d *Deployment) (n int) {
	for _, r := range d.Roles {
		n += len(r.InputEndpoints) + len(r.InstanceInputEndpoints)
	}
	return n
}

// ScaleRole changes how many instances a role has: Change Deployment Configuration. The last ones go, new ones come after the last.
func (l *Lab) ScaleRole(service string, slot Slot, role string, wanted int) error {
	_, d, err := l.deployment(service, slot)
	if err != nil {
		return err
	}
	if d.Kind != PaaS {
		return badRequest("The deployment of %s holds virtual machines; only roles are scaled.", service)
	}
	n := slices.IndexFunc(d.Roles, func(r Role) bool { return r.Name == role })
	if n < 0 {
		var all []string
		for _, r := range d.Roles {
			all = append(all, r.Name)
		}
		return didYouMean(notFound("The deployment of %s has no role %s.", service, role), role, all)
	}
	if wanted < 1 {
		return tooFewInstances(role, wanted).WithHint("Without any, it is a deployment less: lab deployment delete %s", service)
	}
	for _, e := range d.Roles[n].InstanceInputEndpoints {
		if span := int(e.Public.Last) - int(e.Public.First) + 1; span < wanted {
			return badRequest("The endpoint %s has %s for %s of %s.", e.Name, spelling.Count(span, "public port"), spelling.Count(wanted, "instance"), role)
		}
	}
	if more := wanted - d.Roles[n].InstanceCount; d.Roles[n].PublicIPName != "" && more > 0 {
		if err := l.checkPublicIPs(d, more); err != nil {
			return err
		}
	}
	now := d.copy()
	now.Roles[n].InstanceCount = wanted
	have := 0
	now.Instances = slices.DeleteFunc(now.Instances, func(i *Instance) bool {
		if i.Role == role {
			have++
		}
		return i.Role == role && have > wanted
	})
	for ; have < wanted; have++ {
		if err := l.addInstance(now, now.Roles[n]); err != nil {
			return err
		}
		last := now.Instances[len(now.Instances)-1]
		last.ID = l.instanceID(now, last.Name)
		l.allocatePublicIPs(now, last)
	}
	l.replaceDeployment(d, now)
	return nil
}
