package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
)

// Limits of the classic platform ("Azure subscription and service limits").
const (
	maxVirtualMachines = 50  // of a cloud service
	maxInputEndpoints  = 150 // of a cloud service with virtual machines
	maxACLRules        = 50  // of an endpoint
	firstAutomaticPort = 49152
)

// slotOccupied is the platform's refusal to put a second deployment into a slot, and so of mixing virtual machines and roles.
func slotOccupied() *Error {
	return conflict("The specified deployment slot Production is occupied.")
}

func (l *Lab) cloudService(name string) (*CloudService, bool) {
	return find(l.CloudServices, func(s *CloudService) bool { return s.Name == name })
}

// CloudService finds a cloud service by its name.
func (l *Lab) CloudService(name string) (*CloudService, bool) { return l.cloudService(name) }

// CreateHostedService adds an empty cloud service. The virtual network it will join must exist and be bound to the same affinity
// group or location.
func (l *Lab) CreateHostedService(s HostedService) error {
	if err := checkName("cloud service", s.Name, serviceName, "3 to 63 lowercase letters, digits and hyphens"); err != nil {
		return err.At(s.Origin)
	}
	if _, ok := l.cloudService(s.Name); ok {
		return conflict("The specified DNS name %s.cloudapp.net is already taken.", s.Name).At(s.Origin)
	}
	switch {
	case s.AffinityGroup != "" && s.Location != "":
		return badRequest("The cloud service %s has an affinity group and a location; it takes one of the two.", s.Name).At(s.Origin)
	case s.AffinityGroup != "":
		if _, ok := l.affinityGroup(s.AffinityGroup); !ok {
			// The platform's own text for an affinity group that isn't there.
			return didYouMean(badRequest("The affinity group name is empty or was not specified."), s.AffinityGroup, l.affinityGroupNames()).At(s.Origin)
		}
	default:
		if err := checkLocation(s.Location); err != nil {
			return err.At(s.Origin)
		}
	}
	service := &CloudService{
		Name: s.Name, AffinityGroup: s.AffinityGroup, Location: s.Location, VirtualNetwork: s.VirtualNetwork, Origin: s.Origin,
	}
	if s.VirtualNetwork != "" {
		if err := l.checkJoin(service, s.VirtualNetwork); err != nil {
			return err.At(s.Origin)
		}
	}
	l.CloudServices = append(l.CloudServices, service)
	return nil
}

// checkJoin refuses a virtual network that the service's deployments can't be in.
func (l *Lab) checkJoin(s *CloudService, network string) *Error {
	n, ok := l.virtualNetwork(network)
	if !ok {
		return didYouMean(badRequest("The virtual network %s does not exist.", network), network, l.virtualNetworkNames())
	}
	if n.AffinityGroup != "" && n.AffinityGroup != s.AffinityGroup {
		// The platform's own text, the space before the full stop included.
		name := s.AffinityGroup
		if name == "" {
			name = s.Location
		}
		return badRequest("The affinity group name %s specified for this hosted service is invalid. The hosted service must reside in the same affinity group as the virtual network .", name).
			WithHint("Create the cloud service in the affinity group %s.", n.AffinityGroup)
	}
	if n.Location != "" && n.Location != l.LocationOf(s.AffinityGroup, s.Location) {
		return badRequest("The cloud service %s is in %s, the virtual network %s in %s.", s.Name, l.LocationOf(s.AffinityGroup, s.Location), n.Name, n.Location).
			WithHint("A virtual network doesn't span locations: create the cloud service in %s.", n.Location)
	}
	return nil
}

// AddVirtualMachine adds a virtual machine to a cloud service: Create Virtual Machine Deployment for the first, Add Role for each
// later one. It gets the lowest free address of its subnet; the first one gives the service its VIP.
func (l *Lab) AddVirtualMachine(service string, vm VirtualMachine) error {
	s, ok := l.cloudService(service)
	if !ok {
		return notFound("The hosted service does not exist.").WithHint("Create the cloud service %s first.", service).At(vm.Origin)
	}
	var errs []error
	refuse := func(err *Error) { errs = append(errs, err.At(vm.Origin)) }
	vm.OS = orDefault(vm.OS, Windows)
	if vm.OS == Windows {
		if err := checkName("Windows virtual machine", vm.Name, windowsName, "1 to 15 letters, digits and hyphens"); err != nil {
			refuse(err)
		} else if onlyDigits.MatchString(vm.Name) {
			refuse(badRequest("The name %s of a Windows virtual machine can't be all digits.", vm.Name))
		}
	} else if err := checkName("virtual machine", vm.Name, linuxName, "1 to 63 letters, digits and hyphens"); err != nil {
		refuse(err)
	}

	d := s.Production
	if d != nil && d.Kind != IaaS {
		refuse(slotOccupied().WithHint("%s holds roles; virtual machines need a cloud service of their own.", s.Name))
		return errors.Join(errs...)
	}
	if d == nil {
		d = &Deployment{Name: s.Name, Kind: IaaS, VirtualNetwork: s.VirtualNetwork, Origin: s.Origin}
	}
	if len(d.Instances) >= maxVirtualMachines {
		refuse(badRequest("The cloud service %s has %d virtual machines already, the most it can hold.", s.Name, maxVirtualMachines))
	}
	if slices.ContainsFunc(d.Instances, func(i *Instance) bool { return strings.EqualFold(i.Name, vm.Name) }) {
		refuse(conflict("The cloud service %s has a virtual machine %s already.", s.Name, vm.Name))
	}
	endpoints, endpointErrs := buildEndpoints(d, vm)
	errs = append(errs, endpointErrs...)
	errs = append(errs, checkServices(vm.Services)...)

	if s.Production == nil {
		d.Block = l.freeBlock()
	}
	dip, err := l.assign(d, vm.Subnet, vm.StaticAddress)
	if err != nil {
		refuse(err)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if s.Production == nil {
		d.VIP = l.freeVIP(l.LocationOf(s.AffinityGroup, s.Location))
		s.Production = d
	}
	instance := &Instance{
		ID: l.instanceID(s.Name, vm.Name), Name: vm.Name, Service: s.Name, OS: vm.OS, Subnet: vm.Subnet, DIP: dip,
		StaticAddress: vm.StaticAddress.IsValid(), Endpoints: endpoints, FirewallOff: vm.FirewallOff,
		FirewallOrigin: orDefault(vm.FirewallOrigin, vm.Origin), Services: vm.Services, Origin: vm.Origin,
	}
	if !vm.FirewallOff {
		instance.Firewall = append(osFirewall(vm.OS), vm.Firewall...)
	}
	d.Instances = append(d.Instances, instance)
	return nil
}

// CreateDeployment puts a package of web and worker roles into the production slot of a cloud service.
func (l *Lab) CreateDeployment(service string, p PackageDeployment) error {
	s, ok := l.cloudService(service)
	if !ok {
		return notFound("The hosted service does not exist.").WithHint("Create the cloud service %s first.", service).At(p.Origin)
	}
	if s.Production != nil {
		return slotOccupied().WithHint("A cloud service holds one production deployment, of roles or of virtual machines.").At(p.Origin)
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
	d := &Deployment{
		Name: orDefault(p.Name, s.Name), Kind: PaaS, VirtualNetwork: p.VirtualNetwork, DNSServers: p.DNSServers,
		Block: l.freeBlock(), Origin: p.Origin,
	}
	var errs []error
	ports := map[socket]bool{}
	for _, role := range p.Roles {
		errs = append(errs, l.addRole(s, d, role, ports)...)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	d.VIP = l.freeVIP(l.LocationOf(s.AffinityGroup, s.Location))
	s.Production = d
	return nil
}

// socket is a public port of a deployment.
type socket struct {
	protocol emu.Protocol
	port     uint16
}

// addRole adds the instances of a role to a deployment that isn't in its slot yet.
func (l *Lab) addRole(s *CloudService, d *Deployment, role Role, ports map[socket]bool) (errs []error) {
	refuse := func(o Origin, err *Error) { errs = append(errs, err.At(o)) }
	if err := checkName("role", role.Name, roleName, "1 to 63 letters, digits, dots, hyphens and underscores"); err != nil {
		refuse(role.Origin, err)
		return errs
	}
	if role.InstanceCount < 1 {
		refuse(role.Origin, badRequest("The role %s has no instance.", role.Name))
	}
	var endpoints []Endpoint
	var opened []GuestFirewallRule
	for _, e := range role.InputEndpoints {
		if at := (socket{e.Protocol, e.Port}); ports[at] {
			refuse(e.Origin, portInUse(e.Port))
		} else {
			ports[at] = true
		}
		acl, aclErrs := checkACL(e.ACL)
		errs = append(errs, aclErrs...)
		built := Endpoint{
			Name: e.Name, Protocol: e.Protocol, PublicPort: e.Port, LocalPort: orDefault(e.LocalPort, e.Port), LoadBalancedSet: e.Name,
			Distribution: orDefault(e.Distribution, DistributeNone), ACL: acl, Origin: e.Origin,
		}
		endpoints = append(endpoints, built)
		opened = append(opened, endpointFirewall(built))
	}
	errs = append(errs, checkServices(role.Services)...)
	for i := range role.InstanceCount {
		dip, err := l.assign(d, role.Subnet, netip.Addr{})
		if err != nil {
			refuse(role.Origin, err.WithHint("The role %s asks for %d instances.", role.Name, role.InstanceCount))
			return errs
		}
		name := fmt.Sprintf("%s_IN_%d", role.Name, i)
		instance := &Instance{
			ID: l.instanceID(s.Name, name), Name: name, Service: s.Name, Role: role.Name, OS: Windows, Subnet: role.Subnet, DIP: dip,
			Endpoints: endpoints, FirewallOff: role.FirewallOff, FirewallOrigin: orDefault(role.FirewallOrigin, role.Origin),
			Services: role.Services, Origin: role.Origin,
		}
		if !role.FirewallOff {
			instance.Firewall = append(slices.Clone(opened), role.Firewall...)
		}
		d.Instances = append(d.Instances, instance)
	}
	return errs
}

// assign finds an address for a new instance of the deployment: the one asked for, or the lowest free one.
func (l *Lab) assign(d *Deployment, subnet string, static netip.Addr) (netip.Addr, *Error) {
	block, where := d.Block, "the cloud service"
	if d.VirtualNetwork == "" {
		if subnet != "" {
			return netip.Addr{}, badRequest("The subnet %s is given, but the deployment is in no virtual network.", subnet).
				WithHint("Give the cloud service a virtualNetwork, or leave the subnet out.")
		}
		if static.IsValid() {
			return netip.Addr{}, badRequest("A static address needs a virtual network.")
		}
	} else {
		n, ok := l.virtualNetwork(d.VirtualNetwork)
		if !ok {
			return netip.Addr{}, badRequest("The virtual network %s does not exist.", d.VirtualNetwork)
		}
		found, ok := n.Subnet(subnet)
		switch {
		case subnet == "":
			return netip.Addr{}, didYouMean(badRequest("No subnet of the virtual network %s is given.", n.Name), "", n.subnetNames())
		case !ok:
			return netip.Addr{}, didYouMean(badRequest("The virtual network %s has no subnet %s.", n.Name, subnet), subnet, n.subnetNames())
		case subnet == "GatewaySubnet":
			return netip.Addr{}, badRequest("The subnet GatewaySubnet is for the virtual network's gateway alone.")
		}
		block, where = found.AddressPrefix, "the subnet "+subnet
	}
	taken := l.takenIn(d)
	if static.IsValid() {
		switch {
		case !assignable(block, static):
			return netip.Addr{}, badRequest("The address %s is not an assignable address of %s (%s).", static, where, block).
				WithHint("The first four addresses and the last one are reserved.")
		case taken(static):
			return netip.Addr{}, badRequest("The address %s is in use.", static)
		}
		return static, nil
	}
	dip, ok := firstFree(block, taken)
	if !ok {
		return netip.Addr{}, badRequest("No free address is left in %s (%s): all %d are in use.", where, block, usable(block))
	}
	return dip, nil
}

// takenIn tells which addresses are in use in the isolation domain of a deployment: its virtual network, or itself.
func (l *Lab) takenIn(d *Deployment) func(netip.Addr) bool {
	taken := map[netip.Addr]bool{}
	collect := func(d *Deployment) {
		for _, i := range d.Instances {
			taken[i.DIP] = true
		}
	}
	collect(d)
	if d.VirtualNetwork != "" {
		for _, s := range l.CloudServices {
			if s.Production != nil && s.Production.VirtualNetwork == d.VirtualNetwork {
				collect(s.Production)
			}
		}
	}
	return func(a netip.Addr) bool { return taken[a] }
}

// freeBlock is the lowest block of addresses that no deployment has.
func (l *Lab) freeBlock() netip.Prefix {
	used := map[netip.Prefix]bool{}
	for _, s := range l.CloudServices {
		if s.Production != nil {
			used[s.Production.Block] = true
		}
	}
	for n := 0; ; n++ {
		if b := subprefix(deploymentSpace, 22, n); !used[b] {
			return b
		}
	}
}

// freeVIP is the lowest public address of a location that no deployment has.
func (l *Lab) freeVIP(location string) netip.Addr {
	used := map[netip.Addr]bool{}
	for _, s := range l.CloudServices {
		if s.Production != nil {
			used[s.Production.VIP] = true
		}
	}
	block := LocationBlock(location)
	for n := platformAddresses; ; n++ {
		if a := Nth(block, n); !used[a] {
			return a
		}
	}
}

// instanceID is the short name where no other member of the lab has it.
func (l *Lab) instanceID(service, name string) string {
	if _, taken := l.Find(name); taken {
		return service + "." + name
	}
	return name
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}
