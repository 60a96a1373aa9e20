package emu

import (
	"net/netip"
	"reflect"
	"slices"
)

// Change is what turns one network into another.
type Change struct {
	Removed []string          `json:"removed,omitempty"` // names of namespaces
	Added   []string          `json:"added,omitempty"`
	Changed []NamespaceChange `json:"changed,omitempty"`
	// A link that differs in anything is removed and added, and so are the links of a namespace that is. Those of removed and added
	// namespaces are among these too.
	RemovedLinks []Link `json:"removedLinks,omitempty"`
	AddedLinks   []Link `json:"addedLinks,omitempty"`
	// Tunnels likewise.
	RemovedTunnels []Tunnel `json:"removedTunnels,omitempty"`
	AddedTunnels   []Tunnel `json:"addedTunnels,omitempty"`
	// PublicNames says that the names which every name server answers differ.
	PublicNames bool `json:"publicNames,omitempty"`
}

// NamespaceChange is the difference in a namespace that stays. What a lab file says in another place, with the same effect, is no
// difference.
type NamespaceChange struct {
	Name            string         `json:"name"`
	RemovedLoopback []netip.Addr   `json:"removedLoopback,omitempty"`
	AddedLoopback   []netip.Addr   `json:"addedLoopback,omitempty"`
	RemovedBridges  []Bridge       `json:"removedBridges,omitempty"`
	AddedBridges    []Bridge       `json:"addedBridges,omitempty"`
	ChangedBridges  []BridgeChange `json:"changedBridges,omitempty"`
	// Routes and neighbours on a link that is removed and added are too.
	RemovedRoutes    []Route         `json:"removedRoutes,omitempty"`
	AddedRoutes      []Route         `json:"addedRoutes,omitempty"`
	RemovedNeighbors []Neighbor      `json:"removedNeighbors,omitempty"`
	AddedNeighbors   []Neighbor      `json:"addedNeighbors,omitempty"`
	Ruleset          *RulesetChange  `json:"ruleset,omitempty"`
	Firewall         *FirewallChange `json:"firewall,omitempty"`
	// What is not in the kernel: name servers, proxies, services and programs, health probes, files.
	DNS          bool `json:"dns,omitempty"`
	Proxies      bool `json:"httpProxies,omitempty"`
	Services     bool `json:"services,omitempty"`
	HealthProbes bool `json:"healthProbes,omitempty"`
	Files        bool `json:"files,omitempty"` // resolver, hosts, host name
}

// BridgeChange is a bridge that stays with another MAC address or other addresses.
type BridgeChange struct{ From, To Bridge }

// RulesetChange is a ruleset that differs; nil: there is none.
type RulesetChange struct{ From, To *Ruleset }

// FirewallChange is a firewall that differs; nil: there is none.
type FirewallChange struct{ From, To *Firewall }

// IsEmpty says whether the networks are equal.
func (c *Change) IsEmpty() bool { return reflect.ValueOf(*c).IsZero() }

// Changes gives what turns one network into the other, in the order of the networks.
func Changes(from, to *Network) *Change {
	c := &Change{PublicNames: !slices.Equal(from.PublicNames, to.PublicNames)}
	old, now := byName(from), byName(to)
	stays := func(name string) bool {
		a, b := old[name], now[name]
		return a != nil && b != nil && a.Kind == b.Kind
	}
	for i := range from.Namespaces {
		if name := from.Namespaces[i].Name; !stays(name) {
			c.Removed = append(c.Removed, name)
		}
	}
	devices := c.links(from.Links, to.Links, stays)
	c.tunnels(from.Tunnels, to.Tunnels, stays)
	for i := range to.Namespaces {
		name := to.Namespaces[i].Name
		if !stays(name) {
			c.Added = append(c.Added, name)
			continue
		}
		if n, ok := namespaceChange(old[name], now[name], devices[name]); ok {
			c.Changed = append(c.Changed, n)
		}
	}
	return c
}

func byName(n *Network) map[string]*Namespace {
	all := make(map[string]*Namespace, len(n.Namespaces))
	for i := range n.Namespaces {
		all[n.Namespaces[i].Name] = &n.Namespaces[i]
	}
	return all
}

// device is the name of a link's end in its namespace.
type device struct{ namespace, name string }

// links finds the links that differ, and gives the names of the devices of each namespace that end with a removed link.
func (c *Change) links(from, to []Link, stays func(string) bool) map[string]map[string]bool {
	at := make(map[device]*Link, len(from))
	for i := range from {
		at[device{from[i].A.Namespace, from[i].A.Name}] = &from[i]
	}
	kept := make(map[*Link]bool, len(from))
	for i := range to {
		l := &to[i]
		old := at[device{l.A.Namespace, l.A.Name}]
		if old != nil && stays(l.A.Namespace) && stays(l.B.Namespace) && equalEnds(old.A, l.A) && equalEnds(old.B, l.B) {
			kept[old] = true
			continue
		}
		c.AddedLinks = append(c.AddedLinks, *l)
	}
	removed := map[string]map[string]bool{}
	for i := range from {
		l := &from[i]
		if kept[l] {
			continue
		}
		c.RemovedLinks = append(c.RemovedLinks, *l)
		for _, e := range []LinkEnd{l.A, l.B} {
			if removed[e.Namespace] == nil {
				removed[e.Namespace] = map[string]bool{}
			}
			removed[e.Namespace][e.Name] = true
		}
	}
	return removed
}

func (c *Change) tunnels(from, to []Tunnel, stays func(string) bool) {
	kept := func(t Tunnel, others []Tunnel) bool {
		return stays(t.A.Namespace) && stays(t.B.Namespace) && slices.ContainsFunc(others, t.Equal)
	}
	for _, t := range from {
		if !kept(t, to) {
			c.RemovedTunnels = append(c.RemovedTunnels, t)
		}
	}
	for _, t := range to {
		if !kept(t, from) {
			c.AddedTunnels = append(c.AddedTunnels, t)
		}
	}
}

func equalEnds(a, b LinkEnd) bool {
	if a.Namespace != b.Namespace || a.Name != b.Name || a.MAC != b.MAC || !slices.Equal(a.Addresses, b.Addresses) || (a.Port == nil) != (b.Port == nil) {
		return false
	}
	return a.Port == nil || a.Port.Bridge == b.Port.Bridge && a.Port.ProxyARP == b.Port.ProxyARP && a.Port.Uplink == b.Port.Uplink &&
		slices.Equal(a.Port.Stations, b.Port.Stations)
}

// namespaceChange compares two states of a namespace; gone are the devices whose link is removed.
func namespaceChange(from, to *Namespace, gone map[string]bool) (NamespaceChange, bool) {
	var c NamespaceChange
	never := func(netip.Addr) bool { return false }
	c.RemovedLoopback, c.AddedLoopback = setDifference(from.Loopback, to.Loopback, never)
	c.RemovedRoutes, c.AddedRoutes = setDifference(from.Routes, to.Routes, func(r Route) bool { return gone[r.Device] })
	c.RemovedNeighbors, c.AddedNeighbors = setDifference(from.Neighbors, to.Neighbors, func(n Neighbor) bool { return gone[n.Device] })
	c.bridges(from.Bridges, to.Bridges)
	if !equalRulesets(from.Ruleset, to.Ruleset) {
		c.Ruleset = &RulesetChange{from.Ruleset, to.Ruleset}
	}
	if !equalFirewalls(from.Firewall, to.Firewall) {
		c.Firewall = &FirewallChange{from.Firewall, to.Firewall}
	}
	c.DNS = !reflect.DeepEqual(from.DNS, to.DNS)
	c.Proxies = !reflect.DeepEqual(from.Proxies, to.Proxies)
	c.Services = !slices.EqualFunc(from.Services, to.Services, func(a, b Service) bool { return a.Same(b) && slices.Equal(a.Env, b.Env) })
	c.HealthProbes = !reflect.DeepEqual(from.HealthProbes, to.HealthProbes)
	c.Files = from.HostName() != to.HostName() || !slices.Equal(from.Hosts, to.Hosts) ||
		!slices.Equal(from.Resolver.Servers, to.Resolver.Servers) || !slices.Equal(from.Resolver.Search, to.Resolver.Search)
	if reflect.ValueOf(c).IsZero() {
		return c, false
	}
	c.Name = to.Name
	return c, true
}

// setDifference gives what only one of two lists has. What is lost is removed and, if the new list has it, added.
func setDifference[T comparable](from, to []T, lost func(T) bool) (removed, added []T) {
	if slices.Equal(from, to) && !slices.ContainsFunc(from, lost) {
		return nil, nil // as nearly all are in a change of a large network
	}
	kept := make(map[T]bool, len(from))
	for _, v := range from {
		if !lost(v) {
			kept[v] = true
		}
	}
	still := make(map[T]bool, len(to))
	for _, v := range to {
		still[v] = true
		if !kept[v] {
			added = append(added, v)
		}
	}
	for _, v := range from {
		if !kept[v] || !still[v] {
			removed = append(removed, v)
		}
	}
	return removed, added
}

func (c *NamespaceChange) bridges(from, to []Bridge) {
	old := make(map[string]Bridge, len(from))
	for _, b := range from {
		old[b.Name] = b
	}
	for _, b := range to {
		was, ok := old[b.Name]
		delete(old, b.Name)
		switch {
		case !ok:
			c.AddedBridges = append(c.AddedBridges, b)
		case was.MAC != b.MAC || !slices.Equal(was.Addresses, b.Addresses):
			c.ChangedBridges = append(c.ChangedBridges, BridgeChange{was, b})
		}
	}
	for _, b := range from {
		if _, gone := old[b.Name]; gone {
			c.RemovedBridges = append(c.RemovedBridges, b)
		}
	}
}

func equalRulesets(a, b *Ruleset) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Table != b.Table || !reflect.DeepEqual(a.Prefixes, b.Prefixes) || !reflect.DeepEqual(a.Pairs, b.Pairs) ||
		!reflect.DeepEqual(a.Addresses, b.Addresses) || !reflect.DeepEqual(a.Sockets, b.Sockets) || !slices.Equal(a.Timeouts, b.Timeouts) {
		return false
	}
	return slices.EqualFunc(a.Chains, b.Chains, EqualChains)
}

// EqualChains says whether two chains do the same and are told the same to people.
func EqualChains(a, b Chain) bool {
	return a.Name == b.Name && a.Hook == b.Hook && slices.EqualFunc(a.Rules, b.Rules, func(a, b Rule) bool {
		return a.Comment == b.Comment && reflect.DeepEqual(a.Statements, b.Statements)
	})
}

func equalFirewalls(a, b *Firewall) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.EqualFunc(a.Rules, b.Rules, equalFirewallRules)
}

// equalFirewallRules compares all but the place. A change of a large network asks it of every rule; reflection would take ten times as
// long.
func equalFirewallRules(a, b FirewallRule) bool {
	return a.ID == b.ID && a.Comment == b.Comment && a.Drop == b.Drop && a.Protocol == b.Protocol && slices.Equal(a.Ports, b.Ports) &&
		a.From == b.From && a.FromTo == b.FromTo
}
