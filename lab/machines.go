package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"vnetlab/emu"
	"vnetlab/lab/limits"
)

// VirtualMachine is the body of Create Virtual Machine Deployment (the first of a service) and of Add Role (each
// later one).
type VirtualMachine struct {
	Name string
	OS   OS // empty: Windows
	// VirtualNetwork is for a service that has no deployment yet; empty: what the service says.
	VirtualNetwork string
	Subnet         string // required in a virtual network, refused outside
	StaticAddress  netip.Addr
	// ReservedIP is for the first machine of a service: the deployment's VIP.
	ReservedIP string
	// PublicIPName asks for a public address of the instance's own; empty: none.
	PublicIPName string
	// InternalLoadBalancer is for the first machine of a service.
	InternalLoadBalancer *InternalLoadBalancer
	Endpoints            []Endpoint
	Firewall             []GuestFirewallRule
	FirewallOff          bool
	// FirewallOrigin is the place of the firewall's settings, or of the virtual machine when it has none.
	FirewallOrigin Origin
	Services       []Service
	Boundary       emu.Boundary // over the lab's own
	Origin         Origin
}

// AddRoleOp adds a virtual machine. With a location or an affinity group it creates the cloud service that isn't
// there; one that is there must be in that place.
type AddRoleOp struct {
	Service        string
	Location       string
	AffinityGroup  string
	Now            time.Time // for the description of an implicit service
	VirtualMachine VirtualMachine
}

func (o AddRoleOp) Do(l *Lab) error {
	if s, ok := l.cloudService(o.Service); ok {
		if err := o.checkPlace(l, s); err != nil {
			return err.At(o.VirtualMachine.Origin)
		}
	} else if o.Location != "" || o.AffinityGroup != "" {
		if err := l.CreateHostedService(HostedService{
			Name:          o.Service,
			Location:      o.Location,
			AffinityGroup: o.AffinityGroup,
			Description:   ImplicitDescription(o.Now),
			Origin:        o.VirtualMachine.Origin,
		}); err != nil {
			return err
		}
	}
	return l.AddVirtualMachine(o.Service, o.VirtualMachine)
}

func (o AddRoleOp) String() string {
	return fmt.Sprintf("create virtual machine %s in %s", o.VirtualMachine.Name, o.Service)
}

// checkPlace refuses a machine for another place than that of the cloud service it goes to.
func (o AddRoleOp) checkPlace(l *Lab, s *CloudService) *Error {
	const hint = "A machine is where its cloud service is: leave the place out, or choose another cloud service."
	if location := l.LocationOf(s.AffinityGroup, s.Location); o.Location != "" && o.Location != location {
		return conflict(
			"The cloud service %s is in %s, not in %s.",
			s.Name,
			location,
			shorten(o.Location),
		).WithHint(hint)
	}
	switch {
	case o.AffinityGroup == "" || o.AffinityGroup == s.AffinityGroup:
		return nil
	case s.AffinityGroup == "":
		return conflict(
			"The cloud service %s is in no affinity group, not in %s.",
			s.Name,
			shorten(o.AffinityGroup),
		).WithHint(hint)
	default:
		return conflict(
			"The cloud service %s is in the affinity group %s, not in %s.",
			s.Name,
			s.AffinityGroup,
			shorten(o.AffinityGroup),
		).WithHint(hint)
	}
}

// AddVirtualMachine adds a virtual machine to a cloud service: Create Virtual Machine Deployment for the first, Add
// Role for each later one. It gets the lowest free address of its subnet; the first one gives the service its VIP.
func (l *Lab) AddVirtualMachine(service string, vm VirtualMachine) error {
	s, err := l.existing(service)
	if err != nil {
		return err.At(vm.Origin)
	}
	var errs []error
	refuse := func(err *Error) { errs = append(errs, err.At(vm.Origin)) }
	vm.OS = orDefault(vm.OS, Windows)
	if err := checkMachineName(vm); err != nil {
		refuse(err)
	}
	d := s.Production
	switch {
	case d != nil && d.Kind != IaaS, s.Staging != nil:
		refuse(
			slotOccupied(
				Production,
			).WithHint("%s holds roles; virtual machines need a cloud service of their own.", s.Name),
		)
		return errors.Join(errs...)
	case d != nil:
		if err := checkLaterMachine(d, vm); err != nil {
			refuse(err)
		}
	default:
		if d, err = l.firstMachine(s, vm); err != nil {
			refuse(err)
			return errors.Join(errs...)
		}
	}
	if len(d.Instances) >= limits.VirtualMachines {
		refuse(
			badRequest(
				"The cloud service %s has %d virtual machines already, the most it can hold.",
				s.Name,
				limits.VirtualMachines,
			),
		)
	}
	if slices.ContainsFunc(d.Instances, func(i *Instance) bool { return strings.EqualFold(i.Name, vm.Name) }) {
		refuse(conflict("The cloud service %s has a virtual machine %s already.", s.Name, vm.Name))
	}
	instance := &Instance{
		Name:           vm.Name,
		Service:        s.Name,
		OS:             vm.OS,
		Subnet:         vm.Subnet,
		StaticAddress:  vm.StaticAddress.IsValid(),
		State:          Running,
		Firewall:       vm.Firewall,
		FirewallOff:    vm.FirewallOff,
		FirewallOrigin: orDefault(vm.FirewallOrigin, vm.Origin),
		Services:       vm.Services,
		Boundary:       vm.Boundary.Over(l.Boundary),
		PublicIPName:   vm.PublicIPName,
		Origin:         vm.Origin,
	}
	for _, e := range vm.Endpoints {
		made, refusals := newEndpoint(d, instance, e)
		if errs = append(errs, refusals...); len(refusals) == 0 {
			instance.Endpoints = append(instance.Endpoints, made)
		}
	}
	if s.Production == nil && len(vm.Endpoints) == 0 {
		if err := checkReservedEndpoints(d, d.ReservedIP); err != nil {
			refuse(err.WithHint("Give %s an endpoint: it is the first virtual machine of %s.", vm.Name, s.Name))
		}
	}
	errs = append(errs, checkServices(vm.Services)...)
	if err := checkBoundary(vm.Boundary); err != nil {
		refuse(err)
	}
	if instance.DIP, err = l.assign(d, vm.Subnet, vm.StaticAddress); err != nil {
		refuse(err)
	}
	if vm.PublicIPName != "" {
		if err := l.checkPublicIPs(d, 1); err != nil {
			refuse(err)
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	now := d.copy()
	now.Instances = append(now.Instances, instance)
	l.giveIDs(now, Production)
	l.allocateVIP(now)
	l.allocatePublicIPs(now, instance)
	l.deploy(s, Production, now)
	return nil
}

func checkMachineName(vm VirtualMachine) *Error {
	if vm.OS == Windows {
		if err := checkName("Windows virtual machine", vm.Name, windowsNames); err != nil {
			return err
		}
		if onlyDigits.MatchString(vm.Name) {
			return badRequest("The name %s of a Windows virtual machine can't be all digits.", vm.Name)
		}
		return nil
	}
	return checkName("virtual machine", vm.Name, linuxNames)
}

// firstMachine makes the deployment that a service's first virtual machine brings, not in its slot yet.
func (l *Lab) firstMachine(s *CloudService, vm VirtualMachine) (*Deployment, *Error) {
	network := orDefault(vm.VirtualNetwork, s.VirtualNetwork)
	if s.VirtualNetwork != "" && network != s.VirtualNetwork {
		return nil, badRequest(
			"The cloud service %s is meant for the virtual network %s, not %s.",
			s.Name,
			s.VirtualNetwork,
			network,
		)
	}
	if network != "" {
		if err := l.checkJoin(s, network); err != nil {
			return nil, err
		}
	}
	d := l.newDeployment(s.Name, s.Name, IaaS, network)
	d.Origin = s.Origin
	return d, l.settle(d, vm.ReservedIP, vm.InternalLoadBalancer)
}

// settle gives a new deployment what can be given at its creation alone.
func (l *Lab) settle(d *Deployment, reserved string, balancer *InternalLoadBalancer) *Error {
	if reserved != "" {
		if err := l.checkReservation(d, reserved); err != nil {
			return err
		}
		d.ReservedIP = reserved
	}
	if balancer == nil {
		return nil
	}
	b := *balancer
	if d.VirtualNetwork == "" && b.Address.IsValid() {
		return badRequest("A static address of an internal load balancer needs a virtual network.")
	}
	address, err := l.assign(d, b.Subnet, b.Address)
	if err != nil {
		return err
	}
	if n, ok := l.virtualNetwork(d.VirtualNetwork); ok && n.AffinityGroup != "" {
		return badRequest(
			"The virtual network %s is bound to an affinity group; an internal load balancer needs one that is bound to a location.",
			n.Name,
		)
	}
	b.Address = address
	d.InternalLoadBalancer = &b
	return nil
}

// checkLaterMachine refuses what can be said at the creation of a deployment alone. The platform's cmdlet only
// warned, and left the virtual network out: "VNetName, DnsSettings, DeploymentLabel or DeploymentName Name can only
// be specified on new deployments."
func checkLaterMachine(d *Deployment, vm VirtualMachine) *Error {
	switch {
	case vm.VirtualNetwork != "" && vm.VirtualNetwork != d.VirtualNetwork:
		return badRequest(
			"The deployment of %s is in %s; a virtual network can only be specified on new deployments.",
			d.Service,
			orDefault(d.VirtualNetwork, "no virtual network"),
		).
			WithHint("Create the virtual machine in another cloud service.")
	case vm.ReservedIP != "" && vm.ReservedIP != d.ReservedIP:
		return badRequest(
			"A reserved IP is given to a deployment with its first virtual machine.",
		).WithHint("lab reserved-ip associate %s %s", argument(vm.ReservedIP), d.Service)
	case vm.InternalLoadBalancer != nil:
		return badRequest("An internal load balancer is given to a deployment with its first virtual machine.")
	}
	return nil
}

// ImplicitDescription is what the platform's tools wrote as description of a service that a virtual machine brought
// with it.
func ImplicitDescription(now time.Time) string {
	return "Implicitly created hosted service" + now.UTC().Format("2006-01-02 15:04")
}

// machine finds a virtual machine of a service, or refuses.
func (l *Lab) machine(service, name string) (*Deployment, *Instance, *Error) {
	s, err := l.existing(service)
	if err != nil {
		return nil, nil, err
	}
	if s.Production == nil || s.Production.Kind != IaaS {
		return nil, nil, notFound("The cloud service %s has no virtual machines.", service)
	}
	for _, i := range s.Production.Instances {
		if i.Name == name {
			return s.Production, i, nil
		}
	}
	var all []string
	for _, i := range s.Production.Instances {
		all = append(all, i.Name)
	}
	return nil, nil, didYouMean(
		notFound("The role %s does not exist in the deployment of %s.", name, service),
		name,
		all,
	)
}

// DeleteRoleOp is [Lab.DeleteRole] as an operation.
type DeleteRoleOp struct{ Service, Name string }

func (o DeleteRoleOp) Do(l *Lab) error { return l.DeleteRole(o.Service, o.Name) }

func (o DeleteRoleOp) String() string {
	return fmt.Sprintf("delete virtual machine %s of %s", o.Name, o.Service)
}

// DeleteRole deletes a virtual machine. With the last one the deployment goes and its VIP is released; the cloud
// service stays.
func (l *Lab) DeleteRole(service, name string) error {
	d, i, err := l.machine(service, name)
	if err != nil {
		return err
	}
	if len(d.Instances) == 1 {
		l.replaceDeployment(d, nil)
		return nil
	}
	now := d.copy()
	now.Instances = remove(d.Instances, i)
	releaseVIP(now)
	l.replaceDeployment(d, now)
	return nil
}

func init() {
	register(
		AddRoleOp{},
		DeleteRoleOp{},
	)
}
