package lab

import (
	"fmt"
	"net/netip"
	"slices"

	"vnetlab/lab/limits"
)

// ReservedIP is a public address that stays with the subscription.
type ReservedIP struct {
	Name     string
	Location string
	Address  netip.Addr
	Origin   Origin
}

func (l *Lab) reservedIP(name string) (*ReservedIP, bool) {
	return find(l.ReservedIPs, func(r *ReservedIP) bool { return r.Name == name })
}

func (l *Lab) reservedIPNames() []string {
	return names(l.ReservedIPs, func(r *ReservedIP) string { return r.Name })
}

// UsedBy is the deployment whose VIP a reserved IP is; nil when it is free.
func (l *Lab) UsedBy(r *ReservedIP) *Deployment {
	for d := range l.deployments() {
		if d.ReservedIP == r.Name {
			return d
		}
	}
	return nil
}

// CreateReservedIPOp is [Lab.CreateReservedIP] as an operation.
type CreateReservedIPOp struct{ ReservedIP }

func (o CreateReservedIPOp) Do(l *Lab) error { return l.CreateReservedIP(o.ReservedIP) }

func (o CreateReservedIPOp) String() string { return "create reserved IP " + o.Name }

// CreateReservedIP reserves a public address of a location. The address can't be chosen ("Reserved IP Overview").
func (l *Lab) CreateReservedIP(r ReservedIP) error {
	if err := checkName("reserved IP", r.Name, resourceNames); err != nil {
		return err.At(r.Origin)
	}
	if old, ok := find(l.ReservedIPs, func(o *ReservedIP) bool { return same(o.Name, r.Name) }); ok {
		return conflict("The reserved IP %s already exists.", old.Name).At(r.Origin)
	}
	if err := checkLocation(r.Location); err != nil {
		return err.At(r.Origin)
	}
	if len(l.ReservedIPs) >= limits.ReservedIPs {
		return badRequest(
			"The subscription has %d reserved IPs already, the most it can have.",
			limits.ReservedIPs,
		).At(r.Origin)
	}
	r.Address = l.freePublicAddress(r.Location, nil)
	l.ReservedIPs = append(l.ReservedIPs, &r)
	return nil
}

// DeleteReservedIPOp is [Lab.DeleteReservedIP] as an operation.
type DeleteReservedIPOp struct{ Name string }

func (o DeleteReservedIPOp) Do(l *Lab) error { return l.DeleteReservedIP(o.Name) }

func (o DeleteReservedIPOp) String() string { return "delete reserved IP " + o.Name }

// DeleteReservedIP gives an address back.
func (l *Lab) DeleteReservedIP(name string) error {
	r, err := l.existingReservedIP(name)
	if err != nil {
		return err
	}
	if d := l.UsedBy(r); d != nil {
		return conflict("The reserved IP %s is in use by the deployment %s of %s.", name, d.Name, d.Service).
			WithHint("lab reserved-ip disassociate %s", argument(name))
	}
	l.ReservedIPs = remove(l.ReservedIPs, r)
	return nil
}

func (l *Lab) existingReservedIP(name string) (*ReservedIP, *Error) {
	if r, ok := l.reservedIP(name); ok {
		return r, nil
	}
	return nil, didYouMean(notFound("The reserved IP %s does not exist.", shorten(name)), name, l.reservedIPNames())
}

// checkReservation refuses a reserved IP that a deployment can't have.
func (l *Lab) checkReservation(d *Deployment, name string) *Error {
	r, err := l.existingReservedIP(name)
	if err != nil {
		return err
	}
	if user := l.UsedBy(r); user != nil && user != d {
		return conflict("The reserved IP %s is in use by the deployment %s of %s.", name, user.Name, user.Service)
	}
	if location := l.location(d); r.Location != location {
		return badRequest(
			"The reserved IP %s is in %s, the cloud service %s in %s.",
			name,
			r.Location,
			d.Service,
			location,
		)
	}
	if n, ok := l.virtualNetwork(d.VirtualNetwork); ok && n.AffinityGroup != "" {
		return badRequest(
			"The virtual network %s is bound to an affinity group; a reserved IP needs one that is bound to a location.",
			n.Name,
		)
	}
	return nil
}

// checkReservedEndpoints refuses a deployment with a reserved IP and no endpoint, in the platform's words
// (azure-xplat-cli issue 2664). It had to have one when it was created: the first of a service's virtual machines is
// the deployment then.
func checkReservedEndpoints(d *Deployment, name string, instances ...*Instance) *Error {
	if name == "" || slices.ContainsFunc(instances, func(i *Instance) bool { return len(i.Endpoints) > 0 }) {
		return nil
	}
	return badRequest(
		"Deployment %s uses ReservedIP %s but does not contain any endpoints. Deployment must contain at least one endpoint in order to use a ReservedIP.",
		d.Name,
		name,
	)
}

// AssociateReservedIPOp is [Lab.AssociateReservedIP] as an operation.
type AssociateReservedIPOp struct {
	Name, Service string
	Slot          Slot
}

func (o AssociateReservedIPOp) Do(l *Lab) error {
	return l.AssociateReservedIP(o.Name, o.Service, o.Slot)
}

func (o AssociateReservedIPOp) String() string {
	return fmt.Sprintf("associate reserved IP %s with %s", o.Name, o.Service)
}

// AssociateReservedIP makes a reserved IP the VIP of a service's deployment.
func (l *Lab) AssociateReservedIP(name, service string, slot Slot) error {
	_, d, err := l.deployment(service, slot)
	if err != nil {
		return err
	}
	if err := l.checkReservation(d, name); err != nil {
		return err
	}
	if err := checkReservedEndpoints(d, name, d.Instances...); err != nil {
		return err.WithHint("Add an endpoint first.")
	}
	if d.ReservedIP != "" && d.ReservedIP != name {
		return conflict("The deployment of %s has the reserved IP %s already.", service, d.ReservedIP).
			WithHint("lab reserved-ip disassociate %s", argument(d.ReservedIP))
	}
	now := d.copy()
	now.ReservedIP, now.VIP = name, netip.Addr{}
	l.allocateVIP(now)
	l.replaceDeployment(d, now)
	return nil
}

// DisassociateReservedIPOp is [Lab.DisassociateReservedIP] as an operation.
type DisassociateReservedIPOp struct{ Name string }

func (o DisassociateReservedIPOp) Do(l *Lab) error {
	return l.DisassociateReservedIP(o.Name)
}

func (o DisassociateReservedIPOp) String() string { return "disassociate reserved IP " + o.Name }

// DisassociateReservedIP frees a reserved IP; its deployment gets another VIP. The address stays reserved.
func (l *Lab) DisassociateReservedIP(name string) error {
	r, err := l.existingReservedIP(name)
	if err != nil {
		return err
	}
	d := l.UsedBy(r)
	if d == nil {
		return conflict("The reserved IP %s is not in use.", name)
	}
	now := d.copy()
	now.ReservedIP, now.VIP = "", netip.Addr{}
	if slices.ContainsFunc(d.Instances, (*Instance).Allocated) {
		l.allocateVIP(now)
	}
	l.replaceDeployment(d, now)
	return nil
}

func init() {
	register(
		CreateReservedIPOp{},
		DeleteReservedIPOp{},
		AssociateReservedIPOp{},
		DisassociateReservedIPOp{},
	)
}
