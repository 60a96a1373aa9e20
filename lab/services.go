package lab

// Limits of the classic platform ("Azure subscription and service limits").
const (
	maxVirtualMachines = 50  // of a cloud service
	maxInputEndpoints  = 150 // of a cloud service with virtual machines
	maxACLRules        = 50  // of an endpoint
	maxReservedIPs     = 20
	firstAutomaticPort = 49152
)

// slotOccupied is the platform's refusal to put a second deployment into a slot, and so of mixing virtual machines and roles.
func slotOccupied(slot Slot) *Error {
	name := "Production"
	if slot == Staging {
		name = "Staging"
	}
	return conflict("The specified deployment slot %s is occupied.", name)
}

func (l *Lab) cloudService(name string) (*CloudService, bool) {
	return find(l.CloudServices, func(s *CloudService) bool { return s.Name == name })
}

// CloudService finds a cloud service by its name.
func (l *Lab) CloudService(name string) (*CloudService, bool) { return l.cloudService(name) }

func (l *Lab) serviceNames() []string {
	return names(l.CloudServices, func(s *CloudService) string { return s.Name })
}

// existing finds a cloud service, or refuses in the platform's words.
func (l *Lab) existing(name string) (*CloudService, *Error) {
	if s, ok := l.cloudService(name); ok {
		return s, nil
	}
	return nil, didYouMean(notFound("The hosted service does not exist."), name, l.serviceNames())
}

// CreateHostedService adds an empty cloud service. The virtual network it will join must exist and be bound to the same affinity
// group or location.
func (l *Lab) CreateHostedService(s HostedService) error {
	if err := checkName("cloud service", s.Name, serviceNames); err != nil {
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
		Name: s.Name, AffinityGroup: s.AffinityGroup, Location: s.Location, VirtualNetwork: s.VirtualNetwork,
		Description: s.Description, Origin: s.Origin,
	}
	if s.VirtualNetwork != "" {
		if err := l.checkJoin(service, s.VirtualNetwork); err != nil {
			return err.At(s.Origin)
		}
	}
	l.CloudServices = append(l.CloudServices, service)
	return nil
}

// DeleteHostedService removes a cloud service. All its deployments must be deleted before.
func (l *Lab) DeleteHostedService(name string) error {
	s, err := l.existing(name)
	if err != nil {
		return err
	}
	if s.Production != nil || s.Staging != nil {
		return conflict("The cloud service %s has a deployment.", name).
			WithHint("Delete its deployments first: %s.", deletions(s))
	}
	l.CloudServices = remove(l.CloudServices, s)
	return nil
}

// deletions says how a service is emptied.
func deletions(s *CloudService) string {
	if s.Production != nil && s.Production.Kind == IaaS {
		return "lab vm delete for each virtual machine"
	}
	return "lab deployment delete " + s.Name
}

// checkJoin refuses a virtual network that the service's deployments can't be in.
func (l *Lab) checkJoin(s *CloudService, network string) *Error {
	n, ok := l.virtualNetwork(network)
	if !ok {
		return didYouMean(badRequest("The virtual network %s does not exist.", network), network, l.virtualNetworkNames())
	}
	if n.AffinityGroup != "" && n.AffinityGroup != s.AffinityGroup {
		// The platform's own text, the space before the full stop included.
		name := orDefault(s.AffinityGroup, s.Location)
		return badRequest("The affinity group name %s specified for this hosted service is invalid. The hosted service must reside in the same affinity group as the virtual network .", name).
			WithHint("Create the cloud service in the affinity group %s.", n.AffinityGroup)
	}
	if n.Location != "" && n.Location != l.LocationOf(s.AffinityGroup, s.Location) {
		return badRequest("The cloud service %s is in %s, the virtual network %s in %s.", s.Name, l.LocationOf(s.AffinityGroup, s.Location), n.Name, n.Location).
			WithHint("A virtual network doesn't span locations: create the cloud service in %s.", n.Location)
	}
	return nil
}
