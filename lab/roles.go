package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab/limits"
	"vnetlab/lab/spelling"
)

// publicPorts are the public ports of a deployment that is being made, with who has each.
type publicPorts map[publicPort]bool

type publicPort struct {
	internal bool // on the internal load balancer
	protocol emu.Protocol
	port     uint16
}

// Role is a web or worker role.
type Role struct {
	Name                   string
	InstanceCount          int
	Subnet                 string
	InputEndpoints         []InputEndpoint
	InstanceInputEndpoints []InstanceInputEndpoint
	InternalEndpoints      []InternalEndpoint  // with Ports zero, the platform picks one port
	PublicIPName           string              // of each instance's own public address; empty: none
	PublicIPLabel          string              // of its DNS name, LABEL.NUMBER.SERVICE.cloudapp.net; empty: it has none
	Firewall               []GuestFirewallRule // beyond what the platform opens for the endpoints
	FirewallOff            bool
	FirewallOrigin         Origin
	Services               []Service
	Boundary               emu.Boundary // of each instance, over the lab's own
	Origin                 Origin
}

// InputEndpoint is a load-balanced public port of a role.
type InputEndpoint struct {
	Name      string
	Protocol  emu.Protocol // http and https are tcp
	Port      uint16       // public
	LocalPort uint16       // 0: the same as Port
	Balancing
	Origin Origin
}

// InstanceInputEndpoint gives each instance of a role a public port of its own, from a range and in order.
type InstanceInputEndpoint struct {
	Name      string
	Protocol  emu.Protocol
	LocalPort uint16
	Public    emu.PortRange
	ACL       []ACLRule
	Origin    Origin
}

// InternalEndpoint is a port, or a range of ports, that only instances of the same deployment reach.
type InternalEndpoint struct {
	Name     string
	Protocol string // tcp, udp; empty: any
	Ports    emu.PortRange
	// FromRoles are the only roles whose instances may connect, when Restricted.
	FromRoles  []string
	Restricted bool
	Origin     Origin
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
	if slices.ContainsFunc(d.Roles, func(o Role) bool { return same(o.Name, role.Name) }) {
		refuse(role.Origin, conflict("The deployment has a role %s already.", role.Name))
		return errs
	}
	if role.InstanceCount < 1 {
		refuse(role.Origin, tooFewInstances(role.Name, role.InstanceCount))
	}
	role.InputEndpoints = slices.Clone(role.InputEndpoints)
	for n, e := range role.InputEndpoints {
		if err := ports.take(publicPort{e.Internal(), e.Protocol, e.Port}); err != nil {
			refuse(e.Origin, err)
		}
		balancing, balancingErrs := d.balancing(e.Balancing, e.Origin)
		role.InputEndpoints[n].Balancing = balancing
		errs = append(errs, balancingErrs...)
		if err := checkDirectReturn(e.Name, e.Balancing, e.Port, orDefault(e.LocalPort, e.Port)); err != nil {
			refuse(e.Origin, err)
		}
	}
	role.InstanceInputEndpoints = slices.Clone(role.InstanceInputEndpoints)
	for n, e := range role.InstanceInputEndpoints {
		acl, aclErrs := checkACL(e.ACL)
		role.InstanceInputEndpoints[n].ACL = acl
		errs = append(errs, aclErrs...)
		if err := e.checkSpan(role.Name, role.InstanceCount); err != nil {
			refuse(e.Origin, err)
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
	if err := checkBoundary(role.Boundary); err != nil {
		refuse(role.Origin, err)
	}
	role.Boundary = role.Boundary.Over(l.Boundary)
	d.Roles = append(d.Roles, role)
	for range role.InstanceCount {
		if err := l.addInstance(d, role); err != nil {
			if err.Hint == "" {
				err = err.WithHint(
					"The role %s asks for %s.",
					role.Name,
					spelling.Count(role.InstanceCount, "instance"),
				)
			}
			refuse(role.Origin, err)
			return errs
		}
	}
	return errs
}

// checkSpan refuses more instances than the endpoint has public ports.
func (e InstanceInputEndpoint) checkSpan(role string, instances int) *Error {
	if span := int(e.Public.Last) - int(e.Public.First) + 1; span < instances {
		return badRequest("The endpoint %s has %s for %s of %s.",
			e.Name, spelling.Count(span, "public port"), spelling.Count(instances, "instance"), role)
	}
	return nil
}

// checkLabel refuses a label that makes no DNS names, or that another role of the deployment has.
func checkLabel(d *Deployment, role Role) *Error {
	if role.PublicIPLabel == "" {
		return nil
	}
	if err := checkName("domain name label", role.PublicIPLabel, labelNames); err != nil {
		return err
	}
	for _, other := range d.Roles {
		if strings.EqualFold(other.PublicIPLabel, role.PublicIPLabel) {
			return badRequest(
				"The roles %s and %s have the same domain name label %s.",
				other.Name,
				role.Name,
				role.PublicIPLabel,
			)
		}
	}
	return nil
}

func tooFewInstances(role string, n int) *Error {
	return badRequest("The role %s can't have %d instances: a role has at least one.", role, n)
}

// withPorts returns the internal endpoints of a role, with a port for each that leaves it to the platform.
func withPorts(role Role) []InternalEndpoint {
	all := slices.Clone(role.InternalEndpoints)
	next := uint16(limits.FirstRolePort)
	for n := range all {
		if all[n].Ports.First != 0 || all[n].Protocol == "" {
			continue
		}
		for slices.ContainsFunc(all, func(e InternalEndpoint) bool { return e.Ports.First <= next && next <= e.Ports.Last }) {
			next++
		}
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
		Name:              fmt.Sprintf("%s_IN_%d", role.Name, n),
		Service:           d.Service,
		Role:              role.Name,
		OS:                Windows,
		Subnet:            role.Subnet,
		DIP:               dip,
		State:             Running,
		Firewall:          role.Firewall,
		FirewallOff:       role.FirewallOff,
		FirewallOrigin:    orDefault(role.FirewallOrigin, role.Origin),
		Services:          role.Services,
		Boundary:          role.Boundary,
		PublicIPName:      role.PublicIPName,
		PublicIPLabel:     numbered(role.PublicIPLabel, n),
		InternalEndpoints: role.InternalEndpoints,
		Origin:            role.Origin,
	}
	for _, e := range role.InputEndpoints {
		instance.Endpoints = append(instance.Endpoints, Endpoint{
			Name: e.Name, Protocol: e.Protocol, PublicPort: e.Port, LocalPort: orDefault(e.LocalPort, e.Port),
			LoadBalancedSet: e.Name, Balancing: e.Balancing, Origin: e.Origin,
		})
	}
	for _, e := range role.InstanceInputEndpoints {
		instance.Endpoints = append(instance.Endpoints, Endpoint{
			Name: e.Name, Protocol: e.Protocol, PublicPort: e.Public.First + uint16(n), LocalPort: e.LocalPort,
			Balancing: Balancing{Distribution: DistributeNone, ACL: e.ACL}, Origin: e.Origin,
		})
	}
	d.Instances = append(d.Instances, instance)
	return nil
}

// joinSets gives a new instance of a role the endpoint settings of those that are there: the access control list of a
// load-balanced set may be another than the role was deployed with.
func (d *Deployment) joinSets(i *Instance) {
	first := d.Instances[slices.IndexFunc(d.Instances, func(o *Instance) bool { return o.Role == i.Role })]
	for n, e := range i.Endpoints {
		if e.LoadBalancedSet != "" {
			i.Endpoints[n].Balancing = first.Endpoints[n].Balancing
		}
	}
}

// numbered is the label of an instance: that of its role with its number.
func numbered(label string, n int) string {
	if label == "" {
		return ""
	}
	return fmt.Sprintf("%s.%d", label, n)
}

// ScaleRoleOp is [Lab.ScaleRole] as an operation.
type ScaleRoleOp struct {
	Service string
	Slot    Slot
	Role    string
	Count   int
}

func (o ScaleRoleOp) Do(l *Lab) error { return l.ScaleRole(o.Service, o.Slot, o.Role, o.Count) }

func (o ScaleRoleOp) String() string {
	return fmt.Sprintf(
		"scale %s of %s%s to %s",
		o.Role,
		o.Service,
		inStaging(o.Slot),
		spelling.Count(o.Count, "instance"),
	)
}

// ScaleRole changes how many instances a role has: Change Deployment Configuration. The last ones go, new ones come
// after the last.
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
		return tooFewInstances(
			role,
			wanted,
		).WithHint("Without any, it is a deployment less: lab deployment delete %s", service)
	}
	for _, e := range d.Roles[n].InstanceInputEndpoints {
		if err := e.checkSpan(role, wanted); err != nil {
			return err
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
		now.joinSets(last)
		l.giveIDs(now, orDefault(slot, Production))
		l.allocatePublicIPs(now, last)
	}
	l.replaceDeployment(d, now)
	return nil
}

func init() {
	register(
		ScaleRoleOp{},
	)
}
