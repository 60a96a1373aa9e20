package lab

import (
	"errors"
	"fmt"
	"net/netip"
)

// PackageDeployment is the body of Create Deployment: what the service definition and configuration say, and what the
// package would have contained.
type PackageDeployment struct {
	Name                 string // empty: of the service in production, "staging" in staging
	Slot                 Slot   // empty: production
	VirtualNetwork       string // of the configuration's VirtualNetworkSite
	DNSServers           []netip.Addr
	ReservedIP           string
	InternalLoadBalancer *InternalLoadBalancer
	Roles                []Role
	Origin               Origin
}

// DeploymentKind tells virtual machines from roles: a service holds one or the other.
type DeploymentKind string

const (
	IaaS DeploymentKind = "virtual machines"
	PaaS DeploymentKind = "roles"
)

// Deployment is what runs in a slot of a cloud service, behind one VIP.
type Deployment struct {
	Service   string
	Name      string
	PrivateID string // 32 hexadecimal digits
	Kind      DeploymentKind
	// VirtualNetwork is what it joined when it was created; empty: the deployment is its own boundary.
	VirtualNetwork string
	// VIP is zero while no instance is allocated.
	VIP        netip.Addr
	ReservedIP string // whose address the VIP is
	// Block is where the addresses of instances outside a virtual network come from.
	Block                netip.Prefix
	DNSServers           []netip.Addr // override the virtual network's
	InternalLoadBalancer *InternalLoadBalancer
	Roles                []Role // as deployed; the instances follow their count
	Instances            []*Instance
	Origin               Origin
}

// InternalLoadBalancer is a private VIP in a subnet of the deployment's virtual network.
type InternalLoadBalancer struct {
	Name    string
	Subnet  string
	Address netip.Addr
	Origin  Origin
}

// CreateDeploymentOp is [Lab.CreateDeployment] as an operation.
type CreateDeploymentOp struct {
	Service    string
	Deployment PackageDeployment
}

func (o CreateDeploymentOp) Do(l *Lab) error { return l.CreateDeployment(o.Service, o.Deployment) }

func (o CreateDeploymentOp) String() string {
	return fmt.Sprintf("deploy to %s of %s", orDefault(o.Deployment.Slot, Production), o.Service)
}

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
		return slotOccupied(
			Production,
		).WithHint("%s holds virtual machines; roles need a cloud service of their own.", s.Name).
			At(p.Origin)
	}
	if s.VirtualNetwork != "" && p.VirtualNetwork != s.VirtualNetwork {
		return badRequest(
			"The cloud service %s is meant for the virtual network %s, its configuration names %s.",
			s.Name,
			s.VirtualNetwork,
			orDefault(p.VirtualNetwork, "none"),
		).
			WithHint("Put <VirtualNetworkSite name=%q/> into NetworkConfiguration.", s.VirtualNetwork).
			At(p.Origin)
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
	if err := checkName("deployment", name, deploymentNames); err != nil {
		return err.At(p.Origin)
	}
	for other := range s.deployments() {
		if other.Name == name {
			return conflict(
				"The cloud service %s has a deployment named %s already.",
				s.Name,
				name,
			).WithHint("Give the new one another name.").
				At(p.Origin)
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
	l.giveIDs(d, p.Slot)
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

// DeleteDeploymentOp is [Lab.DeleteDeployment] as an operation.
type DeleteDeploymentOp struct {
	Service string
	Slot    Slot
}

func (o DeleteDeploymentOp) Do(l *Lab) error { return l.DeleteDeployment(o.Service, o.Slot) }

func (o DeleteDeploymentOp) String() string {
	return fmt.Sprintf("delete the %s deployment of %s", orDefault(o.Slot, Production), o.Service)
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

// SwapDeploymentOp is [Lab.SwapDeployment] as an operation.
type SwapDeploymentOp struct{ Service string }

func (o SwapDeploymentOp) Do(l *Lab) error { return l.SwapDeployment(o.Service) }

func (o SwapDeploymentOp) String() string { return "swap production and staging of " + o.Service }

// SwapDeployment exchanges the VIPs of production and staging. Without a production deployment, staging becomes
// production (MSDN "Swap Deployment").
func (l *Lab) SwapDeployment(service string) error {
	s, staging, err := l.deployment(service, Staging)
	if err != nil {
		return err
	}
	production := s.Production
	if production != nil {
		if endpointCount(production) != endpointCount(staging) {
			return badRequest(
				"Windows Azure cannot perform a VIP swap between deployments that have a different number of endpoints: %s has %d, %s has %d.",
				production.Name,
				endpointCount(production),
				staging.Name,
				endpointCount(staging),
			)
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

func init() {
	register(
		CreateDeploymentOp{},
		DeleteDeploymentOp{},
		SwapDeploymentOp{},
	)
}
