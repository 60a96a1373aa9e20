package oracle

import (
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/rules"
)

// walk follows one connection.
type walk struct {
	lab    *lab.Lab
	source lab.Member
	target emu.Target // with an address
}

// lookUp asks for the target's name where the connection starts. It is not known what a name server of the user's own
// answers.
func (w walk) lookUp() (address netip.Addr, known bool) {
	names := w.lab.PublicNames()
	if i := w.source.Instance; i != nil {
		d := w.lab.Deployment(i)
		network, _ := w.lab.VirtualNetwork(d.VirtualNetwork)
		if len(d.DNSServers) > 0 || network != nil && len(network.DNSServers) > 0 {
			return netip.Addr{}, false
		}
		for _, neighbor := range d.Running() {
			names = append(
				names,
				emu.NameRecord{Name: neighbor.Name + "." + i.Service + ".internal.cloudapp.net", Address: neighbor.DIP},
			)
		}
	}
	for _, r := range names {
		if strings.EqualFold(r.Name, strings.TrimSuffix(w.target.Name, ".")) {
			return r.Address, true
		}
	}
	return netip.Addr{}, true
}

// start takes the first step: to the source itself, or out of it.
func (w walk) start() []Outcome {
	a := w.target.Address
	if a == w.source.Address() || a.IsLoopback() {
		return []Outcome{w.listen(w.source, w.target.Port, a)}
	}
	if i := w.source.Instance; i != nil {
		if vip, ok := w.lab.DirectReturnAddress(i); ok && vip == a {
			return []Outcome{w.listen(w.source, w.target.Port, a)}
		}
	}
	switch {
	case w.source.Instance != nil:
		return w.fromInstance(w.source.Instance)
	case w.source.WebSite != nil:
		return w.fromWebSite(w.source.WebSite)
	case w.source.LocalHost != nil:
		return w.fromSite(w.source.LocalHost)
	}
	return w.public(w.source.Address())
}

// fromInstance walks through the isolation domain of the source.
func (w walk) fromInstance(i *lab.Instance) []Outcome {
	a, d := w.target.Address, w.lab.Deployment(i)
	edge := rules.EdgeName(d.Domain())
	// Outside a virtual network a service's two deployments are in one domain, each with a block of its own.
	var subnets []netip.Prefix
	for _, other := range w.lab.Deployments() {
		if other.Domain() == d.Domain() {
			subnets = append(subnets, other.Block)
		}
	}
	space := subnets
	if n, ok := w.lab.VirtualNetwork(d.VirtualNetwork); ok {
		subnets, space = nil, n.AddressSpace
		for _, s := range n.Subnets {
			subnets = append(subnets, s.AddressPrefix)
		}
	}
	if blocked, ok := w.platform(edge, subnets); ok {
		return blocked
	}
	for _, other := range w.lab.Deployments() {
		if other.Domain() != d.Domain() {
			continue
		}
		if other.VIP.IsValid() && other.VIP == a {
			return w.vip(other, d.VIP, i.DIP)
		}
		if ilb := other.InternalLoadBalancer; ilb != nil && ilb.Address == a {
			return w.vip(other, i.DIP, i.DIP)
		}
		for _, m := range other.Running() {
			if m.PublicIP == a {
				return w.publicIP(m, d.VIP)
			}
		}
	}
	for _, other := range w.lab.Deployments() {
		if other.Domain() != d.Domain() {
			continue
		}
		for _, m := range other.Running() {
			switch {
			case m.DIP != a:
			case other != d && d.VirtualNetwork == "":
				return blocked(edge, rules.OtherDeploymentID(other.Name))
			default:
				return []Outcome{w.arrive(lab.Member{Instance: m}, w.target.Port, i.DIP)}
			}
		}
	}
	if outcome, ok := w.throughTunnel(d.Domain(), i.DIP); ok {
		return outcome
	}
	own := slices.IndexFunc(subnets, func(p netip.Prefix) bool { return p.Contains(i.DIP) })
	switch {
	case own >= 0 && subnets[own].Contains(a): // nobody answers in the subnet: no rule is involved
		return []Outcome{{Verdict: emu.Timeout}}
	case d.VirtualNetwork == "" && contains(space, a):
		return blocked(edge, rules.OtherDeploymentID(w.neighbor(d, a)))
	case contains(space, a):
		return blocked(edge, rules.NoInstance)
	case contains(lab.PrivateSpace(), a):
		return because(
			blocked(edge, rules.PrivateAddress),
			i.Origin,
			"%s is not in %s: private addresses have no route between networks",
			a,
			d.Domain(),
		)
	}
	if i.PublicIP.IsValid() {
		return w.public(i.PublicIP)
	}
	return w.public(d.VIP)
}

// neighbor names the deployment beside d, outside any virtual network, that has an address in its block.
func (w walk) neighbor(d *lab.Deployment, a netip.Addr) string {
	for _, other := range w.lab.Deployments() {
		if other.Domain() == d.Domain() && other.Block.Contains(a) {
			return other.Name
		}
	}
	return ""
}

// publicIP walks to an instance by its own public address: all ports lead to it, its guest firewall decides.
func (w walk) publicIP(i *lab.Instance, client netip.Addr) []Outcome {
	if w.source.Instance == i {
		return blocked(rules.EdgeName(w.lab.Domain(i)), rules.HairpinToSelf)
	}
	return []Outcome{w.arrive(lab.Member{Instance: i}, w.target.Port, client)}
}

// platform tells what the addresses of the edge itself answer: DNS, and nothing else.
func (w walk) platform(edge string, subnets []netip.Prefix) ([]Outcome, bool) {
	a := w.target.Address
	if a == lab.PlatformResolver && w.target.Port == 53 {
		return []Outcome{{Verdict: emu.Open}}, true
	}
	isGateway := func(p netip.Prefix) bool { return lab.Gateway(p) == a }
	if a == lab.PlatformResolver || slices.ContainsFunc(subnets, isGateway) {
		return blocked(edge, rules.PlatformPort), true
	}
	return nil, false
}

// fromWebSite walks out of the web sites of a location, by any of their shared addresses.
func (w walk) fromWebSite(s *lab.WebSite) []Outcome {
	edge := rules.WebSitesEdgeName(s.Location)
	if outcome, ok := w.platform(edge, nil); ok {
		return outcome
	}
	if contains(lab.PrivateSpace(), w.target.Address) {
		return because(
			blocked(edge, rules.PrivateAddress),
			s.Origin,
			"a web site is in no virtual network: %s has no route",
			w.target.Address,
		)
	}
	var all []Outcome
	for _, source := range lab.WebSitesOutbound(s.Location) {
		all = append(all, w.public(source)...)
	}
	return all
}

// public walks across the internet: every public address is reached the same way from everywhere.
func (w walk) public(source netip.Addr) []Outcome {
	a := w.target.Address
	for _, d := range w.lab.Deployments() {
		if d.VIP.IsValid() && d.VIP == a {
			return w.vip(d, source, source)
		}
		for _, i := range d.Running() {
			if i.PublicIP == a {
				return w.publicIP(i, source)
			}
		}
	}
	for _, s := range w.lab.WebSites {
		edge := rules.WebSitesEdgeName(s.Location)
		switch {
		case a == lab.WebSitesInbound(s.Location) && w.target.Port == lab.HTTPPort && w.target.Protocol == emu.TCP:
			return []Outcome{w.proxied()}
		case a == lab.WebSitesInbound(s.Location) || slices.Contains(lab.WebSitesOutbound(s.Location), a):
			return blocked(edge, rules.NoEndpoint)
		}
	}
	for _, h := range w.lab.Internet() {
		if h.Address == a {
			return []Outcome{w.arrive(lab.Member{InternetHost: h}, w.target.Port, source)}
		}
	}
	for _, n := range w.lab.LocalNetworks {
		if n.Address == a {
			return blocked(rules.SiteName(n), rules.NoEndpoint)
		}
	}
	for _, n := range w.lab.VirtualNetworks {
		if n.Gateway != nil && n.Gateway.Address == a {
			return blocked(rules.NetworkEdgeName(n.Name), rules.PlatformPort)
		}
	}
	if a == lab.PublicResolver {
		if w.target.Port == 53 {
			return []Outcome{{Verdict: emu.Open}}
		}
		return []Outcome{{Verdict: emu.Refused}}
	}
	if contains(lab.PrivateSpace(), a) {
		return blocked(rules.Internet, rules.PrivateAddress)
	}
	for _, location := range w.lab.UsedLocations() {
		if lab.LocationBlock(location).Contains(a) {
			return blocked(rules.DatacenterName(location), rules.NoDeployment)
		}
	}
	return blocked(rules.Internet, rules.NobodyThere)
}

// proxied is the answer of the reverse proxy of the web sites, which knows the site by the host name asked for.
func (w walk) proxied() Outcome {
	for _, s := range w.lab.WebSites {
		if strings.EqualFold(s.DNSName(), w.target.Name) && (lab.Member{WebSite: s}).Listens(emu.TCP, lab.HTTPPort) {
			return Outcome{Verdict: emu.Open, AnsweredBy: s.Name}
		}
	}
	return Outcome{Verdict: emu.Open}
}

// vip walks through the load balancer of a deployment: its endpoint, its access control list, the members that serve.
// Client is the source address that the list and the members see, source that by which the load balancer chooses.
func (w walk) vip(d *lab.Deployment, client, source netip.Addr) []Outcome {
	edge := rules.EdgeName(d.Domain())
	s, _ := w.lab.CloudService(d.Service)
	f, ok := d.Frontend(w.target.Address, w.target.Protocol, w.target.Port)
	if ilb := d.InternalLoadBalancer; !ok && ilb != nil && ilb.Address == w.target.Address {
		return because(
			blocked(edge, rules.NoInternalEndpoint),
			s.Origin,
			"the internal load balancer %s of %s has no endpoint on port %d/%s",
			ilb.Name,
			s.NameOf(d),
			w.target.Port,
			w.target.Protocol,
		)
	}
	if !ok {
		return because(
			blocked(edge, rules.NoEndpoint),
			s.Origin,
			"%s has no endpoint on port %d/%s",
			s.NameOf(d),
			w.target.Port,
			w.target.Protocol,
		)
	}
	inside := rules.Inside(!f.Internal() && w.source.Instance != nil && w.lab.Domain(w.source.Instance) == d.Domain())
	if permitted, rule := f.Permits(client); !permitted {
		if rule == nil {
			return blocked(edge, rules.ACLDefaultID(d, f, inside))
		}
		return blocked(edge, rules.ACLRuleID(d, f, inside, *rule))
	}
	serving := f.Serving()
	switch {
	case len(serving) == 0:
		return []Outcome{
			{Verdict: emu.NoBackend, By: &emu.RuleReference{Namespace: edge, ID: rules.NoBackendID(d, f)}, Given: edge},
		}
	case f.DirectServerReturn && w.source.Instance != nil && w.lab.Deployment(w.source.Instance) == d:
		return blocked(edge, rules.DirectReturnID(d, f))
	case f.DirectServerReturn:
		serving = serving[:1]
	}
	if by := f.Distribution.Hash(); !by.ByPort() { // one for each source
		at := netip.AddrPortFrom(w.target.Address, w.target.Port)
		chosen := by.Choose(netip.AddrPortFrom(source, 0), at, w.target.Protocol, len(serving))
		serving = serving[chosen : chosen+1]
	}
	var all []Outcome
	for _, m := range serving {
		if m.Instance == w.source.Instance {
			itself := blocked(edge, rules.HairpinToSelf)[0]
			itself.Given = m.Instance.ID
			all = append(all, itself)
			continue
		}
		all = append(all, w.arrive(lab.Member{Instance: m.Instance}, m.LocalPort, client))
	}
	return all
}

// arrive is the last step: the guest firewall, then whoever listens.
func (w walk) arrive(m lab.Member, port uint16, source netip.Addr) Outcome {
	if i := m.Instance; i != nil {
		// The guest takes a packet from an address of its own for a forgery.
		if vip, ok := w.lab.DirectReturnAddress(i); ok && vip == source {
			return Outcome{Verdict: emu.Timeout, Given: m.ID()}
		}
	}
	if i := m.Instance; i != nil && !i.FirewallOff {
		if id, dropped := w.guestFirewall(i, port, source); dropped {
			return Outcome{Verdict: emu.Blocked, By: &emu.RuleReference{Namespace: i.ID, ID: id}, Given: i.ID}
		}
	}
	return w.listen(m, port, source)
}

// listen is the answer of a member: the wrong one where another is meant, be it that somebody listens or that nobody
// does.
func (w walk) listen(m lab.Member, port uint16, source netip.Addr) Outcome {
	o := Outcome{Verdict: emu.Refused, Given: m.ID()}
	if m.Listens(w.target.Protocol, port) {
		o = Outcome{Verdict: emu.Open, AnsweredBy: m.ID(), SeenAs: source, Given: m.ID()}
	}
	if len(w.target.Meant) > 0 && !slices.Contains(w.target.Meant, m.ID()) {
		o.Verdict, o.AnsweredBy = emu.WrongHost, m.ID()
	}
	return o
}
