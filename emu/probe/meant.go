package probe

import (
	"fmt"
	"net/netip"
	"slices"

	"vnetlab/emu"
)

// settle turns an answer into the verdict [emu.WrongHost] if another machine than those meant gave it, and into an
// error if the machine is unknown. A refusal is an answer, too: only the machine meant can say that nothing
// listens on it.
func (p *Prober) settle(o *emu.Observation, t *task) {
	if len(t.target.Meant) == 0 || o.Verdict != emu.Open && o.Verdict != emu.Refused {
		return
	}
	who := []string{o.AnsweredBy}
	if o.AnsweredBy == "" {
		who = read(p, func(n *topology) []string { return n.answering(t) })
	}
	meant := func(name string) bool { return slices.Contains(t.target.Meant, name) }
	others := slices.DeleteFunc(slices.Clone(who), meant)
	did := "accepted"
	if o.Verdict == emu.Refused {
		did = "refused"
	}
	switch {
	case len(who) > 0 && len(others) == 0:
	case len(who) > 0 && len(others) == len(who):
		o.Verdict, o.Detail = emu.WrongHost, "another machine than the one meant "+did
		if len(others) == 1 {
			o.AnsweredBy = others[0]
		}
	default:
		o.Verdict, o.Detail = emu.Error, fmt.Sprintf(
			"a machine %s, but it is unknown whether it was the one meant", did,
		)
	}
}

// answering lists the namespaces of which one must have answered. A reverse proxy answers for the host of the
// request.
func (t *topology) answering(a *task) []string {
	ends := a.scope.ends
	if a.path != nil {
		ends = []end{a.path.end}
	} else if slices.ContainsFunc(ends, func(e end) bool { return !slices.Contains(a.target.Meant, e.namespace) }) {
		// Several have the address, and not all are meant: the path decides.
		paths, ok := t.paths(a.ns.Name, a.target.Source, a.target.Protocol, a.to)
		if ok && len(paths) == 1 && paths[0].end.namespace != "" {
			ends = []end{paths[0].end}
		}
	}
	var all []string
	note := func(name string) {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	for _, e := range ends {
		behind := []end{e}
		if s := t.namespaces[e.namespace]; s != nil && a.target.Protocol == emu.TCP {
			if p := proxyAt(s, e.at); p != nil {
				if backend, ok := routeOf(p, a.target.Name); ok {
					behind = t.ends(s.Name, emu.TCP, backend)
				}
			}
		}
		for _, b := range behind {
			note(b.namespace)
		}
	}
	return all
}

// places lists where the accepted socket of a connection to a program may be, in the order of the search: where
// the network forwards it, other namespaces with such an address, and, if those aren't all meant, every host. The
// socket of a proxy says nothing about who answered.
func (t *topology) places(a *task) (all []end) {
	note := func(e end) {
		s := t.namespaces[e.namespace]
		if s != nil && proxyAt(s, e.at) == nil && !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	if a.path != nil && a.path.end.namespace != "" {
		note(a.path.end)
	}
	for _, e := range a.scope.ends {
		note(e)
	}
	proxied := len(a.scope.ends) > 0 && len(all) == 0
	if len(a.target.Meant) == 0 || proxied {
		return all
	}
	for _, e := range slices.Clone(all) {
		for _, owner := range t.owners[e.at.Addr()] {
			note(end{owner, e.at})
		}
	}
	if len(all) > 0 &&
		!slices.ContainsFunc(all, func(e end) bool { return !slices.Contains(a.target.Meant, e.namespace) }) {
		return all
	}
	ports := []netip.AddrPort{a.to}
	for _, e := range all {
		ports = append(ports, e.at)
	}
	for name, s := range t.namespaces {
		if s.Kind != emu.Host {
			continue
		}
		for _, at := range ports {
			note(end{name, at})
		}
	}
	return all
}
