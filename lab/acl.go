package lab

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"vnetlab/lab/limits"
)

// ACLRule permits or denies remote addresses on an endpoint. The first rule that matches decides, in ascending order.
// Where none matches, a list with a permit rule denies, and any other permits ("About Network Access Control Lists").
type ACLRule struct {
	Order        int
	Permit       bool
	RemoteSubnet netip.Prefix
	Description  string
	Origin       Origin
}

// Permits reports whether the access control list lets a client in, and returns the rule that decides; nil when no
// rule matches.
func (b Balancing) Permits(client netip.Addr) (bool, *ACLRule) {
	for i := range b.ACL {
		if b.ACL[i].RemoteSubnet.Contains(client) {
			return b.ACL[i].Permit, &b.ACL[i]
		}
	}
	return b.PermitsByDefault(), nil
}

// PermitsByDefault reports whether the access control list lets in a client that none of its rules matches.
func (b Balancing) PermitsByDefault() bool {
	return !slices.ContainsFunc(b.ACL, func(r ACLRule) bool { return r.Permit })
}

// checkACL checks an access control list and returns it in the order of evaluation.
func checkACL(rules []ACLRule) (sorted []ACLRule, errs []error) {
	orders := map[int]bool{}
	for _, r := range rules {
		switch {
		case orders[r.Order]:
			errs = append(errs, badRequest("The access control list has two rules of order %d.", r.Order).At(r.Origin))
		case !limits.ACLOrder.Contains(r.Order):
			errs = append(errs, badRequest("The order of a rule of the access control list is %d; it must be %s.",
				r.Order, limits.ACLOrder).At(r.Origin))
		}
		orders[r.Order] = true
		if !r.RemoteSubnet.IsValid() || !r.RemoteSubnet.Addr().Is4() {
			errs = append(errs,
				badRequest("The rule %d of the access control list has no IPv4 remote subnet.", r.Order).At(r.Origin))
			continue
		}
		r.RemoteSubnet = r.RemoteSubnet.Masked()
		sorted = append(sorted, r)
	}
	if len(rules) > limits.ACLRules {
		errs = append(
			errs,
			badRequest("The access control list has %d rules; the maximum is %d.", len(rules), limits.ACLRules).
				At(rules[limits.ACLRules].Origin),
		)
	}
	slices.SortFunc(sorted, func(a, b ACLRule) int { return cmp.Compare(a.Order, b.Order) })
	return sorted, errs
}

// differentACL refuses a member of a load-balanced set whose access control list isn't the set's. The platform's
// texts are those on lists where there was none and on the numbers of rules (azure-xplat-cli issues 2717 and 1522).
func differentACL(member, e Endpoint) *Error {
	switch set := e.LoadBalancedSet; {
	case len(member.ACL) == 0:
		return badRequest("Existing endpoints in LB set '%s' do not contain ACL.", set)
	case len(member.ACL) != len(e.ACL):
		return badRequest(
			"ACL rules do not match for endpoint in '%s'. Mismatch in rule count. Specified '%d'. Existing '%d'.",
			set,
			len(e.ACL),
			len(member.ACL),
		)
	default:
		return badRequest(
			"The access control list belongs to the load-balanced set %s: all its members must have the same.",
			set,
		)
	}
}

// aclSettings returns rules without the places where they are written, to compare them.
func aclSettings(rules []ACLRule) (all []ACLRule) {
	for _, r := range rules {
		r.Origin = Origin{}
		all = append(all, r)
	}
	return all
}

// sameACL reports whether two access control lists have the same rules.
func sameACL(a, b []ACLRule) bool { return reflect.DeepEqual(aclSettings(a), aclSettings(b)) }

// SetEndpointACLOp is for an endpoint of an instance, by its host name, or without one for the one endpoint of that
// name that the deployment has: of a role, of a load-balanced set, or of one virtual machine.
type SetEndpointACLOp struct {
	Service, Instance, Endpoint string
	Slot                        Slot // empty: production
	Rules                       []ACLRule
}

func (o SetEndpointACLOp) Do(l *Lab) error {
	return l.SetEndpointACL(o.Service, o.Slot, o.Instance, o.Endpoint, o.Rules)
}

func (o SetEndpointACLOp) String() string {
	if o.Instance == "" {
		return fmt.Sprintf(
			"set the access control list of endpoint %s of %s%s",
			o.Endpoint,
			o.Service,
			inStaging(o.Slot),
		)
	}
	return fmt.Sprintf(
		"set the access control list of endpoint %s of %s of %s%s",
		o.Endpoint,
		o.Instance,
		o.Service,
		inStaging(o.Slot),
	)
}

// SetEndpointACL replaces the access control list of an endpoint, of its whole load-balanced set where it is in one.
// Without an instance, which goes by its host name, it is the endpoint of that name that the deployment in the slot
// has, which must be one or one set.
func (l *Lab) SetEndpointACL(service string, slot Slot, instance, name string, rules []ACLRule) error {
	_, d, err := l.deployment(service, slot)
	if err != nil {
		return err
	}
	acl, errs := checkACL(rules)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for _, i := range d.Instances {
		n := slices.IndexFunc(i.Endpoints, func(e Endpoint) bool { return e.Name == name })
		if instance != "" && i.Name != instance || n < 0 {
			continue
		}
		set := i.Endpoints[n].LoadBalancedSet
		if owners := d.owners(name, set); instance == "" && len(owners) > 1 {
			return conflict(
				"The cloud service %s has several endpoints %s: of %s.",
				service,
				name,
				strings.Join(owners, ", "),
			).
				WithHint("Name one of them instead of the cloud service.")
		}
		now := d.copy()
		now.changeEndpoints(func(m *Instance, k int, e Endpoint) bool {
			return m == i && k == n || set != "" && e.LoadBalancedSet == set
		}, func(e *Endpoint) { e.ACL = acl })
		l.replaceDeployment(d, now)
		return nil
	}
	if instance == "" {
		return notFound("The cloud service %s has no endpoint %s.", service+inStaging(slot), name)
	}
	return notFound(
		"The cloud service %s has no instance %s with an endpoint %s.",
		service+inStaging(slot),
		instance,
		name,
	)
}

// owners names the instances with an endpoint of a name. Those of a load-balanced set count as one.
func (d *Deployment) owners(endpoint, set string) (all []string) {
	inSet := false
	for _, i := range d.Instances {
		for _, e := range i.Endpoints {
			member := set != "" && e.LoadBalancedSet == set
			if e.Name != endpoint || member && inSet {
				continue
			}
			all, inSet = append(all, i.Name), inSet || member
		}
	}
	return all
}

func init() {
	register(
		SetEndpointACLOp{},
	)
}
