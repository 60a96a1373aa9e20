package lab

import "vnetlab/emu"

// HostedService is the body of Create Hosted Service.
type HostedService struct {
	Name          string
	AffinityGroup string // or Location
	Location      string
	// VirtualNetwork is what the service's deployments will join; empty: none.
	VirtualNetwork string
	Description    string
	Origin         Origin
}

// CloudService is a container for one deployment, bound for life to a location or an affinity group. It is the
// boundary of its instances unless its deployment is in a virtual network.
type CloudService struct {
	Name          string
	AffinityGroup string
	Location      string
	// VirtualNetwork is what the deployments of this service join.
	VirtualNetwork string
	Description    string
	Production     *Deployment // nil while the slot is empty
	Staging        *Deployment // of roles alone
	Origin         Origin

	publicNames []emu.NameRecord // see Lab.PublicNames
}

// Slot is one of the two places for a deployment in a cloud service.
type Slot string

const (
	Production Slot = "production"
	Staging    Slot = "staging"
)

// inStaging is the end of a service's name where its staging deployment is meant.
func inStaging(slot Slot) string {
	if slot == Staging {
		return "." + string(Staging)
	}
	return ""
}

func networkName(name string) string {
	if name == "" {
		return "no virtual network"
	}
	return "the virtual network " + name
}

// In gives the deployment of a slot; nil when it is empty.
func (s *CloudService) In(slot Slot) *Deployment {
	if slot == Staging {
		return s.Staging
	}
	return s.Production
}

// SlotOf is where a deployment of the service is.
func (s *CloudService) SlotOf(d *Deployment) Slot {
	if d == s.Staging {
		return Staging
	}
	return Production
}

// NameOf is where clients find a deployment of the service: production by the service's DNS name, staging by a name
// that is hard to guess ("What is a cloud service").
func (s *CloudService) NameOf(d *Deployment) string {
	if s.SlotOf(d) == Staging {
		return d.PrivateID + ".cloudapp.net"
	}
	return s.DNSName()
}

// PublicNameOf is where clients find an instance of a deployment by its own public address:
// LABEL.NUMBER.SERVICE.cloudapp.net ("Instance level public IP (Classic) overview"). It is empty for an instance
// without one.
func (s *CloudService) PublicNameOf(d *Deployment, i *Instance) string {
	if !i.PublicIP.IsValid() || i.PublicIPLabel == "" {
		return ""
	}
	return i.PublicIPLabel + "." + s.NameOf(d)
}

// DNSName is where clients find the service's VIP.
func (s *CloudService) DNSName() string { return s.Name + ".cloudapp.net" }

// slotOccupied is the platform's refusal to put a second deployment into a slot, and so of mixing virtual machines
// and roles.
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

// CreateHostedServiceOp is [Lab.CreateHostedService] as an operation.
type CreateHostedServiceOp struct{ HostedService }

func (o CreateHostedServiceOp) Do(l *Lab) error { return l.CreateHostedService(o.HostedService) }

func (o CreateHostedServiceOp) String() string { return "create cloud service " + o.Name }

// CreateHostedService adds an empty cloud service. The virtual network it will join must exist and be bound to the
// same affinity group or location.
func (l *Lab) CreateHostedService(s HostedService) error {
	if err := checkName("cloud service", s.Name, serviceNames); err != nil {
		return err.At(s.Origin)
	}
	if _, ok := l.cloudService(s.Name); ok {
		return conflict("The specified DNS name %s.cloudapp.net is already taken.", s.Name).At(s.Origin)
	}
	switch {
	case s.AffinityGroup != "" && s.Location != "":
		return badRequest(
			"The cloud service %s has an affinity group and a location; it takes one of the two.",
			s.Name,
		).At(s.Origin)
	case s.AffinityGroup != "":
		if _, ok := l.affinityGroup(s.AffinityGroup); !ok {
			// The platform's own text for an affinity group that isn't there.
			return didYouMean(
				badRequest("The affinity group name is empty or was not specified."),
				s.AffinityGroup,
				l.affinityGroupNames(),
			).At(s.Origin)
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

// DeleteHostedServiceOp is [Lab.DeleteHostedService] as an operation.
type DeleteHostedServiceOp struct{ Name string }

func (o DeleteHostedServiceOp) Do(l *Lab) error { return l.DeleteHostedService(o.Name) }

func (o DeleteHostedServiceOp) String() string { return "delete cloud service " + o.Name }

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
		return didYouMean(
			badRequest("The virtual network %s does not exist.", network),
			network,
			l.virtualNetworkNames(),
		)
	}
	if n.AffinityGroup != "" && n.AffinityGroup != s.AffinityGroup {
		// The platform's own text, the space before the full stop included.
		name := orDefault(s.AffinityGroup, s.Location)
		return badRequest(
			"The affinity group name %s specified for this hosted service is invalid. The hosted service must reside in the same affinity group as the virtual network .",
			name,
		).
			WithHint("Create the cloud service in the affinity group %s.", n.AffinityGroup)
	}
	if n.Location != "" && n.Location != l.LocationOf(s.AffinityGroup, s.Location) {
		return badRequest(
			"The cloud service %s is in %s, the virtual network %s in %s.",
			s.Name,
			l.LocationOf(s.AffinityGroup, s.Location),
			n.Name,
			n.Location,
		).
			WithHint("A virtual network doesn't span locations: create the cloud service in %s.", n.Location)
	}
	return nil
}

func init() {
	register(
		CreateHostedServiceOp{},
		DeleteHostedServiceOp{},
	)
}
