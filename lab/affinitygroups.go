package lab

import (
	"fmt"
	"slices"
)

// AffinityGroup is a placement scope in a location.
type AffinityGroup struct {
	Name     string
	Location string
	Origin   Origin
}

// CreateAffinityGroupOp is [Lab.CreateAffinityGroup] as an operation.
type CreateAffinityGroupOp struct{ AffinityGroup }

func (o CreateAffinityGroupOp) Do(l *Lab) error { return l.CreateAffinityGroup(o.AffinityGroup) }

func (o CreateAffinityGroupOp) String() string {
	return fmt.Sprintf("create affinity group %s in %s", o.Name, o.Location)
}

// CreateAffinityGroup adds an affinity group to a location.
func (l *Lab) CreateAffinityGroup(g AffinityGroup) error {
	if err := checkName("affinity group", g.Name, resourceNames); err != nil {
		return err.At(g.Origin)
	}
	if old, ok := find(l.AffinityGroups, func(o *AffinityGroup) bool { return same(o.Name, g.Name) }); ok {
		return conflict("The affinity group %s already exists.", old.Name).At(g.Origin)
	}
	if err := checkLocation(g.Location); err != nil {
		return err.At(g.Origin)
	}
	l.AffinityGroups = append(l.AffinityGroups, &g)
	return nil
}

// checkLocation refuses what isn't a location of the platform. The text for none at all is the platform's.
func checkLocation(location string) *Error {
	if location == "" {
		return badRequest(
			"Location constraint name is empty or not specified",
		).WithHint("Name a location of the platform, such as West US.")
	}
	if !slices.Contains(Locations, location) {
		return didYouMean(
			badRequest("The location %s is not a location of the platform.", shorten(location)),
			location,
			Locations,
		)
	}
	return nil
}

func (l *Lab) affinityGroup(name string) (*AffinityGroup, bool) {
	return find(l.AffinityGroups, func(g *AffinityGroup) bool { return g.Name == name })
}

func (l *Lab) affinityGroupNames() []string {
	return names(l.AffinityGroups, func(g *AffinityGroup) string { return g.Name })
}

// LocationOf is the location of something bound to an affinity group or, without one, to a location itself.
func (l *Lab) LocationOf(affinityGroup, location string) string {
	if g, ok := l.affinityGroup(affinityGroup); ok {
		return g.Location
	}
	return location
}

// DeleteAffinityGroupOp is [Lab.DeleteAffinityGroup] as an operation.
type DeleteAffinityGroupOp struct{ Name string }

func (o DeleteAffinityGroupOp) Do(l *Lab) error { return l.DeleteAffinityGroup(o.Name) }

func (o DeleteAffinityGroupOp) String() string { return "delete affinity group " + o.Name }

// DeleteAffinityGroup removes an affinity group that nothing is in.
func (l *Lab) DeleteAffinityGroup(name string) error {
	g, ok := l.affinityGroup(name)
	if !ok {
		return didYouMean(
			notFound("The affinity group %s does not exist.", shorten(name)),
			name,
			l.affinityGroupNames(),
		)
	}
	for _, n := range l.VirtualNetworks {
		if n.AffinityGroup == name {
			return conflict("The affinity group %s is in use by the virtual network %s.", name, n.Name).
				WithHint("lab network delete %s", argument(n.Name))
		}
	}
	for _, s := range l.CloudServices {
		if s.AffinityGroup == name {
			return conflict("The affinity group %s is in use by the cloud service %s.", name, s.Name).
				WithHint("lab service delete %s", argument(s.Name))
		}
	}
	l.AffinityGroups = remove(l.AffinityGroups, g)
	return nil
}

func init() {
	register(
		CreateAffinityGroupOp{},
		DeleteAffinityGroupOp{},
	)
}
