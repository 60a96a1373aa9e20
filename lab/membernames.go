package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/lab/spelling"
)

// An instance goes by the names
//
//	NAME                only production
//	SERVICE.NAME        only production
//	SERVICE.SLOT.NAME   of the slot that is said: production or staging
//
// where NAME is its host name in the cloud service. What a name means doesn't depend on what else exists: a name that
// two instances go by means neither, and whoever uses it is told the longer ones. A swap moves the names with the
// slots. Internet hosts, web sites and on-premises hosts go by their one name, which means them even where a virtual
// machine has the same host name.

// Staging deployments have SERVICE.staging in place of a DNS name, which is hard to guess and another one after each
// deployment.

// GoesBy reports whether an instance with a host name, in a slot of a cloud service, goes by a name.
func GoesBy(name, service string, slot Slot, hostName string) bool {
	if name == hostName {
		return slot == Production
	}
	rest, ok := strings.CutPrefix(name, service)
	if !ok {
		return false
	}
	if rest, ok = strings.CutPrefix(rest, "."); !ok {
		return false
	}
	if rest == hostName {
		return slot == Production
	}
	if rest, ok = strings.CutPrefix(rest, string(slot)); !ok {
		return false
	}
	rest, ok = strings.CutPrefix(rest, ".")
	return ok && rest == hostName
}

func (p place) goesBy(name string) bool {
	return GoesBy(name, p.instance.Service, p.slot, p.instance.Name)
}

// goingBy returns the instances that go by a name.
func (l *Lab) goingBy(name string) (all []place) {
	// A host name is the name itself, or what follows its first or its second dot.
	for rest, n := name, 0; n < 3; n++ {
		for _, at := range l.index().byHost[rest] {
			if at.goesBy(name) {
				all = append(all, at)
			}
		}
		var ok bool
		if _, rest, ok = strings.Cut(rest, "."); !ok {
			break
		}
	}
	return all
}

// hostNamed returns the member that isn't an instance and has a name.
func (l *Lab) hostNamed(name string) (Member, bool) {
	for m := range l.hosts() {
		if m.ID() == name {
			return m, true
		}
	}
	return Member{}, false
}

// Find returns the member that a name means; false where there is none, or more than one.
func (l *Lab) Find(name string) (Member, bool) {
	m, err := l.member(name)
	return m, err == nil
}

// member finds a member by its name, or refuses.
func (l *Lab) member(name string) (Member, *Error) {
	if m, ok := l.hostNamed(name); ok {
		return m, nil
	}
	at, err := l.only(name, l.goingBy(name))
	switch {
	case err != nil:
		return Member{}, err
	case at.instance != nil:
		return Member{Instance: at.instance}, nil
	}
	err = notFound("The lab %s has no instance, internet host or web site named %s.", l.Name, shorten(name))
	if hint := l.serviceAsMember(name); hint != "" {
		return Member{}, err.WithHint("%s", hint)
	}
	return Member{}, l.suggest(err, name, l.memberNames())
}

// serviceAsMember says what goes by the name of a cloud service, or by that of one of its slots, which is no member;
// nothing for another name.
func (l *Lab) serviceAsMember(name string) string {
	service, staging := strings.CutSuffix(name, "."+string(Staging))
	s, ok := l.cloudService(service)
	switch {
	case !ok:
		return ""
	case staging && s.Staging == nil:
		return fmt.Sprintf("The cloud service %s has no staging deployment.", s.Name)
	case staging:
		return fmt.Sprintf("The VIP of the staging deployment is %s as a target only.", name)
	}
	return fmt.Sprintf("The VIP of the cloud service %s goes by %s as a target.", s.Name, s.DNSName())
}

// instance finds an instance by its name, or refuses. Operations ask it of labs in the making, so it makes no index.
func (l *Lab) instance(name string) (*Deployment, *Instance, *Error) {
	if m, ok := l.hostNamed(name); ok {
		return nil, nil, notFound("%s is %s.", name, m.Describe()).WithHint("%s", l.sameHostName(name))
	}
	var all []place
	for at := range l.placed() {
		if at.goesBy(name) {
			all = append(all, at)
		}
	}
	at, err := l.only(name, all)
	switch {
	case err != nil:
		return nil, nil, err
	case at.instance != nil:
		return at.deployment, at.instance, nil
	}
	var names []string
	for at := range l.placed() {
		names = append(names, l.InstanceName(at.instance))
	}
	return nil, nil, l.suggest(notFound("The lab %s has no instance named %s.", l.Name, shorten(name)), name, names)
}

// only returns the one instance that goes by a name; none where there is none, and a refusal where there are several.
func (l *Lab) only(name string, all []place) (place, *Error) {
	switch len(all) {
	case 0:
		return place{}, nil
	case 1:
		return all[0], nil
	}
	return place{}, Ambiguous(name, l.placeNames(all))
}

// Ambiguous is the refusal of a name that several instances go by; longer are names that mean one of them each.
func Ambiguous(name string, longer []string) *Error {
	return badRequest(
		"The name %s may mean %s.",
		shorten(name),
		spelling.Or(longer),
	).WithHint("Write the one that is meant.")
}

// suggest adds to a refusal what may have been meant: those with the same host name in another slot, or what is spelt
// nearly like it.
func (l *Lab) suggest(err *Error, name string, names []string) *Error {
	if hint := l.sameHostName(name); hint != "" {
		return err.WithHint("%s", hint)
	}
	return didYouMean(err, name, names)
}

// sameHostName says which instances have a host name without going by it, or in another slot; nothing when there are
// none.
func (l *Lab) sameHostName(name string) string {
	all := l.index().byHost[name]
	if service, rest, ok := strings.Cut(name, "."); ok && len(all) == 0 {
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, string(Staging)+"."), string(Production)+".")
		for _, at := range l.index().byHost[rest] {
			if at.instance.Service == service {
				all = append(all, at)
			}
		}
	}
	if len(all) == 0 {
		return ""
	}
	return "Did you mean " + spelling.Or(l.placeNames(all)) + "?"
}

func (l *Lab) placeNames(all []place) []string {
	names := make([]string, len(all))
	for n, at := range all {
		names[n] = l.InstanceName(at.instance)
	}
	return names
}

// InstanceName returns the shortest name that means an instance of the lab, also of one as it was in another state of
// the lab. Of one that is gone it is the id.
func (l *Lab) InstanceName(i *Instance) string {
	at, ok := l.place(i.ID)
	if !ok || at.instance.Service != i.Service {
		return i.ID
	}
	full := l.fullName(i)
	if at.slot != Production {
		return full
	}
	if _, taken := l.hostNamed(i.Name); !taken && len(l.goingBy(i.Name)) == 1 {
		return i.Name
	}
	if name := i.Service + "." + i.Name; len(l.goingBy(name)) == 1 {
		return name
	}
	return full
}

// fullName returns the name with service and slot of an instance of the lab.
func (l *Lab) fullName(i *Instance) string {
	at, _ := l.place(i.ID)
	return i.Service + "." + string(at.slot) + "." + i.Name
}

// MemberName returns the shortest name that means a member.
func (l *Lab) MemberName(m Member) string {
	if m.Instance != nil {
		return l.InstanceName(m.Instance)
	}
	return m.ID()
}

// NamespaceName returns the name by which people know a namespace: that of the instance in it, or its own.
func (l *Lab) NamespaceName(namespace string) string {
	if at, ok := l.place(namespace); ok {
		return l.InstanceName(at.instance)
	}
	return namespace
}

// CanonicalName returns the shortest of the names that mean the same member; false where the name means none, or
// several.
func (l *Lab) CanonicalName(name string) (string, bool) {
	m, ok := l.Find(name)
	if !ok {
		return "", false
	}
	return l.MemberName(m), true
}

// readsAsInstance reports whether a name can only be that of an instance, so that nobody need look it up: no top-level
// domain of the DNS has an underscore, and a service with a slot and a host name is none.
func (l *Lab) readsAsInstance(name string) bool {
	labels := strings.Split(name, ".")
	if strings.Contains(labels[len(labels)-1], "_") {
		return true
	}
	_, ok := l.cloudService(labels[0])
	return ok && (len(labels) == 2 || len(labels) == 3) &&
		(labels[1] == string(Production) || labels[1] == string(Staging))
}

// stagingNamed returns the staging deployment that goes by SERVICE.staging; nil: none.
func (l *Lab) stagingNamed(name string) *Deployment {
	service, ok := strings.CutSuffix(name, "."+string(Staging))
	if !ok {
		return nil
	}
	s, ok := l.cloudService(service)
	if !ok {
		return nil
	}
	return s.Staging
}

// AddressNamed returns the address that a DNS name of the lab has, or SERVICE.staging; false where nothing has that
// name.
func (l *Lab) AddressNamed(name string) (netip.Addr, bool) {
	if d := l.stagingNamed(name); d != nil && d.VIP.IsValid() {
		return d.VIP, true
	}
	for _, r := range l.PublicNames() {
		if strings.EqualFold(r.Name, name) {
			return r.Address, true
		}
	}
	return netip.Addr{}, false
}

// SameNames reports whether everything in two states of a lab goes by the same names. It looks only at services that
// they don't share.
func SameNames(a, b *Lab) bool {
	if len(a.CloudServices) != len(b.CloudServices) || !slices.Equal(a.hostNames(), b.hostNames()) {
		return false
	}
	for n, s := range a.CloudServices {
		t := b.CloudServices[n]
		if s == t {
			continue
		}
		if s.Name != t.Name || !sameIDs(s.Production, t.Production) || !sameIDs(s.Staging, t.Staging) {
			return false
		}
	}
	return true
}

func sameIDs(a, b *Deployment) bool {
	if a == nil || b == nil {
		return a == b
	}
	same := func(i, j *Instance) bool { return i == j || i.ID == j.ID }
	return a == b || slices.EqualFunc(a.Instances, b.Instances, same)
}

func (l *Lab) hostNames() (all []string) {
	for m := range l.hosts() {
		all = append(all, m.ID())
	}
	return all
}
