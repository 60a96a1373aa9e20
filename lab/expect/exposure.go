package expect

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/oracle"
)

// ExposurePrefix starts the names of the cases about the exposure.
const ExposurePrefix = "exposure "

// What the closed world expects of ports that are listed, and of all others.
const (
	Exposed    = "exposed"
	NotExposed = "not exposed"
)

// ExposureQuestion asks whether the internet reaches ports of a public address of the lab.
type ExposureQuestion struct {
	Name     string // of the lab.PublicAddress
	Protocol emu.Protocol
	Ports    []emu.PortRange // in order, without overlaps
	Listed   bool            // they are meant to be exposed
	Origin   emu.Origin
}

// String names the ports as a list of exposed ports does.
func (q ExposureQuestion) String() string {
	return fmt.Sprintf("%s:%s/%s", q.Name, lab.PortsText(q.Ports...), q.Protocol)
}

// ExposureProbe is a connection that helps to answer a question: from somewhere on the internet.
type ExposureProbe struct {
	Source lab.InternetSource
	Target emu.Target // with its address
}

// Exposure is what the internet reaches of a lab at one moment, as the model sees it, and how to hold packets against
// that.
//
// A port is exposed when every rule lets a connection from somewhere on the internet through to it. Whether somebody
// answers there is another question: a service can be started at any time, and no rule stands before it then.
type Exposure struct {
	lab       *lab.Lab
	sources   []lab.InternetSource
	addresses []lab.PublicAddress
	listening map[emu.Protocol][]uint16 // by any instance of the lab
}

// NewExposure looks at a lab.
func NewExposure(l *lab.Lab) *Exposure {
	x := &Exposure{lab: l, sources: l.InternetSources(), addresses: l.PublicAddresses()}
	x.listening = map[emu.Protocol][]uint16{}
	for _, i := range l.Instances() {
		for _, s := range i.Services {
			x.listening[s.Protocol] = append(x.listening[s.Protocol], s.Port)
		}
	}
	for p, ports := range x.listening {
		slices.Sort(ports)
		x.listening[p] = slices.Compact(ports)
	}
	return x
}

// Unaccounted returns a failed case for each address that the network routes and nobody of the lab has, and for each
// that somebody has and the network doesn't route.
func (x *Exposure) Unaccounted(routed []netip.Addr) (all []Case) {
	finding := func(name, format string, args ...any) {
		all = append(all, Case{
			Name: ExposurePrefix + name, Expected: "an address that model and network know", Verdict: emu.Error,
			Message: "model and network differ: " + fmt.Sprintf(format, args...),
		})
	}
	for _, a := range routed {
		has := func(p lab.PublicAddress) bool { return p.Address == a || slices.Contains(p.Outbound, a) }
		if !slices.ContainsFunc(x.addresses, has) {
			finding(a.String(), "the internet routes %s to the lab, where nobody is known to have it", a)
		}
	}
	for _, known := range x.addresses {
		for _, a := range append([]netip.Addr{known.Address}, known.Outbound...) {
			if !slices.Contains(routed, a) {
				finding(known.Name, "%s has %s, which the internet doesn't route", known.Name, a)
			}
		}
	}
	return all
}

// Questions lists what there is to ask, against a list of the ports that are meant to be exposed: each listed entry;
// each port or range that the rules let somebody through to and that isn't listed; and, in case packets get through
// where they shouldn't, ports that are closed. Of a VIP these are the ports of endpoints and the ports that some
// instance of the lab listens on; of any other address all the rest, of which Check asks some.
func (x *Exposure) Questions(listed []lab.ExposedPort) (all []ExposureQuestion) {
	listed = slices.Clone(listed)
	for n, e := range listed {
		listed[n].Name = x.lab.ExposureName(e.Name)
	}
	for _, e := range listed {
		q := ExposureQuestion{e.Name, e.Protocol, []emu.PortRange{e.Ports()}, true, e.Origin}
		if !slices.ContainsFunc(all, func(known ExposureQuestion) bool { return known.String() == q.String() }) {
			all = append(all, q)
		}
	}
	asked := map[string]bool{}
	for _, a := range x.addresses {
		if a.WebSite == nil || !asked[a.Address.String()] {
			for _, protocol := range []emu.Protocol{emu.TCP, emu.UDP} {
				all = append(all, x.unlisted(a, protocol, listed, !asked[a.Address.String()])...)
			}
			asked[a.Address.String()] = true
			continue
		}
		// The rest of the address was asked about by the name of another site.
		all = append(all, x.unlisted(a, emu.TCP, listed, false)...)
	}
	slices.SortStableFunc(all, func(a, b ExposureQuestion) int {
		return cmp.Or(
			cmp.Compare(
				a.Name,
				b.Name,
			),
			cmp.Compare(a.Ports[0].First, b.Ports[0].First),
			cmp.Compare(a.Protocol, b.Protocol),
		)
	})
	return all
}

// unlisted asks about what isn't listed of a public address: what is exposed, and with closed what isn't.
func (x *Exposure) unlisted(
	a lab.PublicAddress, protocol emu.Protocol, listed []lab.ExposedPort, closed bool,
) (all []ExposureQuestion) {
	question := func(origin emu.Origin, ports ...emu.PortRange) {
		all = append(all, ExposureQuestion{a.Name, protocol, ports, false, origin})
	}
	var known portSet
	for _, e := range listed {
		if e.Name == a.Name && e.Protocol == protocol {
			known = known.with(e.Ports())
		}
	}
	exposed := x.reached(a, protocol)
	for _, e := range exposed {
		for _, rest := range (portSet{e}).without(known) {
			question(x.origin(a, protocol, rest.First), rest)
		}
	}
	if !closed {
		return all
	}
	known = known.with(exposed...)
	if a.Deployment == nil {
		if rest := everyPort.without(known); len(rest) > 0 {
			question(a.Origin, rest...)
		}
		return all
	}
	candidates := slices.Clone(x.listening[protocol])
	for _, i := range a.Deployment.Instances {
		for _, e := range i.Endpoints {
			if e.Protocol == protocol {
				candidates = append(candidates, e.PublicPort)
			}
		}
	}
	slices.Sort(candidates)
	for _, port := range slices.Compact(candidates) {
		if port != 0 && !known.has(port) {
			question(x.origin(a, protocol, port), emu.PortRange{First: port, Last: port})
		}
	}
	return all
}

// reached lists the ports of a public address that all rules let somebody on the internet through to; those of
// endpoints one by one.
func (x *Exposure) reached(a lab.PublicAddress, protocol emu.Protocol) (all portSet) {
	for _, s := range lab.DistinctSources(a.SourcesTo(x.sources), a.RemoteRanges()) {
		through := oracle.LetThrough(x.lab, s.Address, a, protocol)
		if a.Deployment == nil {
			all = all.with(through...)
			continue
		}
		for _, p := range through {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	slices.SortFunc(all, compareRanges)
	return all
}

// origin is the place of the endpoint that a port is of, or else of whoever has the address.
func (x *Exposure) origin(a lab.PublicAddress, protocol emu.Protocol, port uint16) emu.Origin {
	if a.Deployment == nil {
		return a.Origin
	}
	for _, i := range a.Deployment.Instances {
		for _, e := range i.Endpoints {
			if e.Protocol == protocol && e.PublicPort == port {
				return e.Origin
			}
		}
	}
	return emu.Origin{}
}

// samples lists the ports that stand for those of a question.
//
// A rule treats all ports of an interval alike, so the first and the last of each interval between the ranges of
// rules speak for those between them. Ports on which somebody listens are asked because there it matters, and some
// others by chance, in case the kernel doesn't keep to the rules that it was given.
func (x *Exposure) samples(q ExposureQuestion, a lab.PublicAddress) (all []uint16) {
	if len(q.Ports) == 1 && q.Ports[0].First == q.Ports[0].Last {
		return []uint16{q.Ports[0].First}
	}
	intervals := q.Ports
	candidates := slices.Clone(x.listening[q.Protocol])
	switch {
	case a.Instance != nil:
		intervals = append(slices.Clone(intervals), oracle.PortIntervals(x.lab, a.Instance)...)
	case a.Deployment != nil:
		for _, p := range x.reached(a, q.Protocol) {
			intervals = append(slices.Clone(intervals), p)
		}
	}
	for _, r := range intervals {
		candidates = append(candidates, r.First, r.Last)
	}
	for _, r := range q.Ports {
		for range 2 {
			candidates = append(candidates, r.First+uint16(rand.UintN(uint(r.Last-r.First)+1)))
		}
	}
	slices.Sort(candidates)
	return slices.DeleteFunc(slices.Compact(candidates), func(p uint16) bool { return !portSet(q.Ports).has(p) })
}
