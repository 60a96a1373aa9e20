// Package diff compares networks: what must be removed, added and changed to turn one [emu.Network] into another, down
// to elements of sets, and which connections end with that. Whoever has something running in a network takes a [Change]
// and looks at nothing else.
package diff

import (
	"net/netip"
	"reflect"
	"slices"

	"vnetlab/emu"
)

// Change is what turns one network into another.
type Change struct {
	From, To *emu.Network
	// A namespace of another kind is removed and added.
	Removed, Added []*emu.Namespace
	Changed        []NamespaceChange
	// A link that differs in more than the stations behind its ports is removed and added, and so are the links of a
	// namespace that is. Those of removed and added namespaces are among these too.
	RemovedLinks, AddedLinks []*emu.Link
	ChangedPorts             []PortChange
	// A tunnel that differs is removed and added, and so are the tunnels of a namespace that is.
	RemovedTunnels, AddedTunnels []emu.Tunnel
	RemovedNames, AddedNames     []emu.NameRecord // public
}

// NamespaceChange is the difference in a namespace that stays. Another place in the lab file is no difference.
type NamespaceChange struct {
	From, To                       *emu.Namespace
	RemovedLoopback, AddedLoopback []netip.Addr
	RemovedBridges, AddedBridges   []emu.Bridge
	ChangedBridges                 []BridgeChange
	// Routes and neighbors on a link that is removed and added are too.
	RemovedRoutes, AddedRoutes       []emu.Route
	RemovedNeighbors, AddedNeighbors []emu.Neighbor
	Ruleset, Switch                  *RulesetChange
	// The connections of a removed translation are closed ([Change.Closed]).
	RemovedTranslations, AddedTranslations []emu.Translation
	Firewall                               *FirewallChange
	// What is not in the kernel: name servers, proxies, services and programs, health probes, files.
	DNS                      bool // whether there is a name server, and where it answers
	RemovedViews, AddedViews []*emu.NameView
	Proxies                  bool
	Services                 bool
	RemovedHealthProbes      []emu.HealthProbe
	AddedHealthProbes        []emu.HealthProbe
	Files                    bool // resolver, hosts, host name
	Boundary                 bool // what runs in the namespace ends, and starts again within the new one
}

// BridgeChange is a bridge that stays with another MAC address or other addresses.
type BridgeChange struct{ From, To emu.Bridge }

// PortChange is a port of a bridge that stays with other stations behind it.
type PortChange struct {
	Namespace, Device, Bridge string
	Removed, Added            []emu.MAC
}

// FirewallChange is a firewall that differs; nil: there is none.
type FirewallChange struct{ From, To *emu.Firewall }

// IsEmpty reports whether the networks are equal.
func (c *Change) IsEmpty() bool {
	differences := *c
	differences.From, differences.To = nil, nil
	return reflect.ValueOf(differences).IsZero()
}

// Networks returns the change that turns one network into the other. Parts that both networks share by pointer cost
// next to nothing: a network shares most of them with the one that was made from it.
func Networks(from, to *emu.Network) *Change {
	c := &Change{From: from, To: to}
	c.RemovedNames, c.AddedNames = difference(from.PublicNames, to.PublicNames)
	stayed := c.namespaces()
	anew := map[string]bool{} // the namespaces that are removed and added
	for _, n := range c.Removed {
		if slices.ContainsFunc(c.Added, func(o *emu.Namespace) bool { return o.Name == n.Name }) {
			anew[n.Name] = true
		}
	}
	lost := c.links(anew)
	c.tunnels(anew)
	for _, s := range stayed {
		c.change(s.from, s.to, lost[s.to.Name])
		delete(lost, s.to.Name)
	}
	if len(lost) > 0 { // of namespaces that are the same but for a link
		for _, n := range to.Namespaces {
			if devices := lost[n.Name]; devices != nil && !slices.Contains(c.Added, n) {
				c.change(n, n, devices)
			}
		}
	}
	return c
}

func (c *Change) change(from, to *emu.Namespace, lost map[string]bool) {
	if n, ok := namespaceChange(from, to, lost); ok {
		c.Changed = append(c.Changed, n)
	}
}

// stay is a namespace that stays, perhaps with differences.
type stay struct{ from, to *emu.Namespace }

// namespaces finds the namespaces that are removed and added, and returns those that stay, except those that both
// networks share.
func (c *Change) namespaces() (stayed []stay) {
	from, to := unshared(c.From.Namespaces, c.To.Namespaces, func(a, b *emu.Namespace) bool { return a == b })
	old := make(map[string]*emu.Namespace, len(from))
	for _, n := range from {
		old[n.Name] = n
	}
	stays := make(map[string]bool, len(to))
	for _, n := range to {
		switch was := old[n.Name]; {
		case was == nil || was.Kind != n.Kind || was.EstablishedTimeout != n.EstablishedTimeout:
			c.Added = append(c.Added, n)
		default:
			stays[n.Name] = true
			if was != n {
				stayed = append(stayed, stay{was, n})
			}
		}
	}
	for _, n := range from {
		if !stays[n.Name] {
			c.Removed = append(c.Removed, n)
		}
	}
	return stayed
}

// device is the name of a link's end in its namespace.
type device struct{ namespace, name string }

func deviceOf(e emu.LinkEnd) device { return device{e.Namespace, e.Name} }

// links finds the links that differ, and returns by namespace the names of the devices that go with a removed link.
func (c *Change) links(anew map[string]bool) (lost map[string]map[string]bool) {
	replaced := func(l *emu.Link) bool { return len(anew) > 0 && (anew[l.A.Namespace] || anew[l.B.Namespace]) }
	from, to := unshared(c.From.Links, c.To.Links, func(a, b *emu.Link) bool { return a == b && !replaced(a) })
	old := make(map[device]*emu.Link, len(from))
	for _, l := range from {
		old[deviceOf(l.A)] = l
	}
	stays := make(map[*emu.Link]bool, len(to))
	for _, l := range to {
		was := old[deviceOf(l.A)]
		if was == nil || replaced(l) || !sameEnds(was.A, l.A) || !sameEnds(was.B, l.B) {
			c.AddedLinks = append(c.AddedLinks, l)
			continue
		}
		stays[was] = true
		c.stations(was.A, l.A)
		c.stations(was.B, l.B)
	}
	for _, l := range from {
		if stays[l] {
			continue
		}
		c.RemovedLinks = append(c.RemovedLinks, l)
		for _, e := range []emu.LinkEnd{l.A, l.B} {
			if lost == nil {
				lost = map[string]map[string]bool{}
			}
			if lost[e.Namespace] == nil {
				lost[e.Namespace] = map[string]bool{}
			}
			lost[e.Namespace][e.Name] = true
		}
	}
	return lost
}

func (c *Change) stations(from, to emu.LinkEnd) {
	if from.Port == nil {
		return
	}
	if removed, added := difference(from.Port.Stations, to.Port.Stations); len(removed)+len(added) > 0 {
		c.ChangedPorts = append(c.ChangedPorts, PortChange{to.Namespace, to.Name, to.Port.Bridge, removed, added})
	}
}

// sameEnds reports whether both are one end of a link that stays.
func sameEnds(a, b emu.LinkEnd) bool {
	if deviceOf(a) != deviceOf(b) || a.MAC != b.MAC || !equal(a.Addresses, b.Addresses) ||
		(a.Port == nil) != (b.Port == nil) {
		return false
	}
	return a.Port == nil ||
		a.Port.Bridge == b.Port.Bridge && a.Port.ProxyARP == b.Port.ProxyARP && a.Port.Uplink == b.Port.Uplink
}

func (c *Change) tunnels(anew map[string]bool) {
	replaced := func(t emu.Tunnel) bool { return anew[t.A.Namespace] || anew[t.B.Namespace] }
	stays := func(t emu.Tunnel, others []emu.Tunnel) bool {
		return !replaced(t) && slices.ContainsFunc(others, t.Equal)
	}
	from, to := unshared(c.From.Tunnels, c.To.Tunnels, func(a, b emu.Tunnel) bool { return a.Equal(b) && !replaced(a) })
	for _, t := range from {
		if !stays(t, to) {
			c.RemovedTunnels = append(c.RemovedTunnels, t)
		}
	}
	for _, t := range to {
		if !stays(t, from) {
			c.AddedTunnels = append(c.AddedTunnels, t)
		}
	}
}

// namespaceChange compares two states of a namespace. Lost are the devices whose link is removed.
func namespaceChange(from, to *emu.Namespace, lost map[string]bool) (NamespaceChange, bool) {
	c := NamespaceChange{
		Ruleset: Rulesets(from.Ruleset, to.Ruleset),
		Switch:  Rulesets(from.Switch, to.Switch),
		Proxies: !reflect.DeepEqual(from.Proxies, to.Proxies),
		Services: !slices.EqualFunc(from.Services, to.Services, func(a, b emu.Service) bool {
			return a.Same(b) && equal(a.Env, b.Env) && equal(a.Desktops, b.Desktops)
		}),
		Files: from.HostName() != to.HostName() || !equal(from.Hosts, to.Hosts) ||
			!equal(from.Resolver.Servers, to.Resolver.Servers) || !equal(from.Resolver.Search, to.Resolver.Search),
		Boundary: !from.Boundary.Equal(to.Boundary),
	}
	c.RemovedLoopback, c.AddedLoopback = difference(from.Loopback, to.Loopback)
	c.RemovedTranslations, c.AddedTranslations = difference(from.Translations, to.Translations)
	c.RemovedRoutes, c.AddedRoutes = differenceAfter(
		from.Routes,
		to.Routes,
		lost,
		func(r emu.Route) string { return r.Device },
	)
	c.RemovedNeighbors, c.AddedNeighbors = differenceAfter(
		from.Neighbors,
		to.Neighbors,
		lost,
		func(n emu.Neighbor) string { return n.Device },
	)
	c.RemovedHealthProbes, c.AddedHealthProbes = difference(from.HealthProbes, to.HealthProbes)
	c.bridges(from.Bridges, to.Bridges)
	c.names(from.DNS, to.DNS)
	if !equalFirewalls(from.Firewall, to.Firewall) {
		c.Firewall = &FirewallChange{from.Firewall, to.Firewall}
	}
	if reflect.ValueOf(c).IsZero() {
		return c, false
	}
	c.From, c.To = from, to
	return c, true
}

func (c *NamespaceChange) bridges(from, to []emu.Bridge) {
	old := make(map[string]emu.Bridge, len(from))
	for _, b := range from {
		old[b.Name] = b
	}
	for _, b := range to {
		was, ok := old[b.Name]
		delete(old, b.Name)
		switch {
		case !ok:
			c.AddedBridges = append(c.AddedBridges, b)
		case was.MAC != b.MAC || !equal(was.Addresses, b.Addresses):
			c.ChangedBridges = append(c.ChangedBridges, BridgeChange{was, b})
		}
	}
	for _, b := range from {
		if _, gone := old[b.Name]; gone {
			c.RemovedBridges = append(c.RemovedBridges, b)
		}
	}
}

func (c *NamespaceChange) names(from, to *emu.NameServer) {
	var was, is emu.NameServer
	if from != nil {
		was = *from
	}
	if to != nil {
		is = *to
	}
	c.DNS = (from == nil) != (to == nil) || !equal(was.Addresses, is.Addresses)
	old, now := unshared(was.Views, is.Views, equalViews)
	without := func(all, others []*emu.NameView) (rest []*emu.NameView) {
		for _, v := range all {
			if !slices.ContainsFunc(others, func(o *emu.NameView) bool { return equalViews(v, o) }) {
				rest = append(rest, v)
			}
		}
		return rest
	}
	c.RemovedViews, c.AddedViews = without(old, now), without(now, old)
}

func equalViews(a, b *emu.NameView) bool {
	return a == b || a.Domain == b.Domain && equal(a.Clients, b.Clients) && equal(a.Records, b.Records)
}

func equalFirewalls(a, b *emu.Firewall) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a == b || slices.EqualFunc(a.Rules, b.Rules, equalFirewallRules)
}

// equalFirewallRules compares all but the place.
func equalFirewallRules(a, b emu.FirewallRule) bool {
	return a.ID == b.ID && a.Comment == b.Comment && a.Drop == b.Drop && a.Protocol == b.Protocol &&
		equal(a.Ports, b.Ports) &&
		a.From == b.From &&
		a.FromTo == b.FromTo
}
