package kernel

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
)

// op is one step of an update in the links, addresses, neighbors or routes of a namespace; nil: nothing to do.
type op struct {
	at       *node
	do, undo *request
}

// plan is the steps of an update. What makes room for something new comes early, everything else that is to go comes
// late.
type plan struct {
	early, adds, late []op
	near              []*node // where links are made
}

// planner puts an update's changes into their order.
type planner struct {
	*update
	plan
	newDevices map[deviceAt]bool
	newEntries map[fdbKey]bool   // behind new links
	takes      map[fdbKey]bool   // that come to a port which stays
	leaves     map[fdbKey]string // the port that stays of which they go
	makesRoom  map[deviceAt]bool // devices that are deleted early
}

type deviceAt struct{ namespace, device string }

// do carries out the steps in their order, as many in one write as there are one after the other in a namespace.
func (u *update) do(ctx context.Context, ops []op) error {
	for len(ops) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := 1
		for n < len(ops) && ops[n].at == ops[0].at {
			n++
		}
		part, p := ops[:n], ops[0].at
		ops = ops[n:]
		if err := p.open(); err != nil {
			return err
		}
		u.done(func(context.Context) error {
			for _, o := range slices.Backward(part) {
				if o.undo != nil {
					_ = p.route.do(*o.undo) // it may never have been done
				}
			}
			return nil
		})
		var requests []request
		for _, o := range part {
			if o.do != nil {
				requests = append(requests, *o.do)
			}
		}
		if err := p.route.do(requests...); err != nil {
			return fmt.Errorf("namespace %s: %w", p.ns.Name, err)
		}
	}
	return nil
}

func step(at *node, do, undo request) op { return op{at, &do, &undo} }

// reverse returns the steps that undo others, in reverse order.
func reverse(ops []op) []op {
	var all []op
	for _, o := range slices.Backward(ops) {
		all = append(all, op{o.at, o.undo, o.do})
	}
	return all
}

// number assigns the numbers of the new devices.
func (u *update) number() error {
	for _, l := range u.change.RemovedLinks {
		for _, e := range []emu.LinkEnd{l.A, l.B} {
			u.nodes[e.Namespace].remove(e.Name)
		}
	}
	add := func(p *node, device string) error {
		if u.fresh[p.name()] == p {
			return p.number(device)
		}
		u.next++
		return p.add(device, u.next-1)
	}
	for _, p := range u.added {
		for _, b := range p.want.Bridges {
			if err := add(p, b.Name); err != nil {
				return err
			}
		}
	}
	for _, c := range u.change.Changed {
		p := u.nodes[c.To.Name]
		for _, b := range c.RemovedBridges {
			p.remove(b.Name)
		}
		for _, b := range c.AddedBridges {
			if err := add(p, b.Name); err != nil {
				return err
			}
		}
	}
	for _, l := range u.change.AddedLinks {
		for _, e := range []emu.LinkEnd{l.A, l.B} {
			p := u.node(e.Namespace)
			if p.gone {
				return fmt.Errorf("link %s: there is no namespace %s", e.Name, e.Namespace)
			}
			if err := add(p, e.Name); err != nil {
				return err
			}
			if e.Port != nil && p.now(e.Port.Bridge) == 0 {
				return fmt.Errorf("link %s of %s: there is no bridge %s", e.Name, e.Namespace, e.Port.Bridge)
			}
		}
	}
	return nil
}

// plan orders the changes.
func (u *update) plan() (plan, error) {
	p := &planner{
		update: u, newDevices: map[deviceAt]bool{}, newEntries: map[fdbKey]bool{}, takes: map[fdbKey]bool{},
		leaves: map[fdbKey]string{}, makesRoom: map[deviceAt]bool{},
	}
	p.lookAhead()
	p.removeRoutes(true)
	p.removeFDBEntries(true)
	p.removeLinks(true)
	p.removeBridges(true)
	p.addBridges()
	p.addLinks()
	p.addFDBEntries()
	if err := p.addRoutes(); err != nil {
		return plan{}, err
	}
	p.removeRoutes(false)
	p.removeFDBEntries(false)
	p.removeLinks(false)
	p.removeBridges(false)
	return p.plan, nil
}

// lookAhead finds out which devices must make room for new ones: those of the same name, and ports with an FDB entry
// that moves to another.
func (p *planner) lookAhead() {
	ends := func(l *emu.Link, each func(emu.LinkEnd)) {
		each(l.A)
		each(l.B)
	}
	for _, l := range p.change.AddedLinks {
		ends(l, func(e emu.LinkEnd) {
			p.newDevices[deviceAt{e.Namespace, e.Name}] = true
			if e.Port != nil {
				for _, mac := range e.Port.Stations {
					p.newEntries[fdbKey{e.Namespace, e.Port.Bridge, mac}] = true
				}
			}
		})
	}
	p.lookAtFDB()
	for _, c := range p.change.Changed {
		for _, b := range c.AddedBridges {
			p.newDevices[deviceAt{c.To.Name, b.Name}] = true
		}
		for _, b := range c.RemovedBridges {
			if p.newDevices[deviceAt{c.To.Name, b.Name}] {
				p.makesRoom[deviceAt{c.To.Name, b.Name}] = true
			}
		}
	}
	for _, l := range p.change.RemovedLinks {
		room := false
		ends(l, func(e emu.LinkEnd) {
			room = room || p.newDevices[deviceAt{e.Namespace, e.Name}]
			if e.Port != nil {
				for _, mac := range e.Port.Stations {
					s := fdbKey{e.Namespace, e.Port.Bridge, mac}
					room = room || p.newEntries[s] || p.takes[s]
				}
			}
		})
		if room {
			ends(l, func(e emu.LinkEnd) { p.makesRoom[deviceAt{e.Namespace, e.Name}] = true })
		}
	}
}

// remove adds steps to the early or to the late ones.
func (p *planner) remove(early bool, ops ...op) {
	if early {
		p.early = append(p.early, ops...)
		return
	}
	p.late = append(p.late, ops...)
}

// link returns the ends of a link with the numbers of its devices; near is the end that makes it.
func (u *update) link(
	l *emu.Link, number func(*node, string) int, at func(string) *node,
) (near, far linkEnd, here, there *node) {
	end := func(e emu.LinkEnd) (linkEnd, *node) {
		p := at(e.Namespace)
		end := linkEnd{LinkEnd: e, index: number(p, e.Name), home: p.ns}
		if e.Port != nil {
			end.master = number(p, e.Port.Bridge)
		}
		return end, p
	}
	near, here = end(l.A)
	far, there = end(l.B)
	if near.Port == nil && far.Port != nil {
		near, far, here, there = far, near, there, here
	}
	far.far = true
	return near, far, here, there
}

// endSteps completes an end of a link; it ends with its link.
func endSteps(at *node, e linkEnd) []op {
	var ops []op
	only := func(do request) { ops = append(ops, op{at: at, do: &do}) }
	for _, do := range e.requests() {
		only(do)
	}
	return ops
}

func (p *planner) removeLinks(early bool) {
	old := func(name string) *node { return p.nodes[name] }
	var completed, made, doomed []op
	var groups []*node
	for _, l := range p.change.RemovedLinks {
		if p.makesRoom[deviceAt{l.A.Namespace, l.A.Name}] != early {
			continue
		}
		near, far, here, there := p.link(l, (*node).before, old)
		completed = append(completed, slices.Concat(endSteps(here, near), endSteps(there, far))...)
		create := newVeth(near, far)
		made = append(made, op{at: here, do: &create})
		doomed = append(doomed, step(here, setGroup(near.Name, near.index, doomedGroup),
			setGroup(near.Name, near.index, 0)))
		if !slices.Contains(groups, here) {
			groups = append(groups, here)
		}
	}
	byNode(completed)
	byNode(made)
	byNode(doomed)
	p.remove(early, reverse(completed)...) // nothing to do: it goes with the link
	p.remove(early, reverse(made)...)
	p.remove(early, doomed...)
	for _, at := range groups {
		do := deleteGroup(doomedGroup)
		p.remove(early, op{at: at, do: &do})
	}
}

// byNode puts the steps of each namespace together, and leaves them in their order.
func byNode(ops []op) {
	slices.SortStableFunc(ops, func(a, b op) int { return strings.Compare(a.at.ns.Name, b.at.ns.Name) })
}

func (p *planner) addLinks() {
	var made, completed []op
	for _, l := range p.change.AddedLinks {
		near, far, here, there := p.link(l, (*node).now, p.node)
		made = append(made, step(here, newVeth(near, far), deleteLink(near.Name, near.index)))
		completed = append(completed, slices.Concat(endSteps(here, near), endSteps(there, far))...)
		if len(here.near) == 0 {
			p.near = append(p.near, here)
		}
		here.near = append(here.near, link{near, far})
		here.ends, there.ends = append(here.ends, near), append(there.ends, far)
	}
	byNode(made)
	byNode(completed)
	p.adds = append(append(p.adds, made...), completed...)
}

func addressStep(at *node, device string, index int, a netip.Prefix) op {
	return step(at, addAddress(device, index, a), deleteAddress(device, index, a))
}
