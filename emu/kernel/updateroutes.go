package kernel

import (
	"fmt"
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/emu/diff"
)

// addBridges adds bridges, and addresses to bridges and the loopback. (Bridges of new namespaces are there already.)
func (p *planner) addBridges() {
	for _, c := range p.change.Changed {
		at := p.nodes[c.To.Name]
		for _, a := range c.AddedLoopback {
			p.adds = append(p.adds, addressStep(at, "lo", at.now("lo"), hostPrefix(a)))
		}
		for _, b := range c.AddedBridges {
			index := at.now(b.Name)
			mtu := setMTU(b, index)
			p.adds = append(p.adds, step(at, newBridge(b, index), deleteLink(b.Name, index)), op{at: at, do: &mtu})
			for _, a := range b.Addresses {
				p.adds = append(p.adds, addressStep(at, b.Name, index, a))
			}
		}
		for _, b := range c.ChangedBridges {
			p.changeBridge(at, c, b)
		}
	}
}

func (p *planner) changeBridge(at *node, c diff.NamespaceChange, b diff.BridgeChange) {
	index := at.now(b.To.Name)
	// What comes first here is undone last.
	if bare(diff.BridgeChange{From: b.To, To: b.From}) {
		for _, r := range c.From.Routes {
			if r.Device == b.From.Name {
				undo := newRoute(r, index, create)
				p.adds = append(p.adds, op{at: at, undo: &undo})
			}
		}
	}
	if losesNeighbors(b) {
		p.adds = append(p.adds, oldNeighbors(at, c, b.From.Name)...)
		p.adds = append(p.adds, step(at, setBridge(b.To, index), setBridge(b.From, index)))
		for _, n := range c.To.Neighbors {
			if n.Device == b.To.Name {
				do := setNeighbor(n, index)
				p.adds = append(p.adds, op{at: at, do: &do})
			}
		}
	}
	for _, a := range b.To.Addresses {
		if !slices.Contains(b.From.Addresses, a) {
			p.adds = append(p.adds, addressStep(at, b.To.Name, index, a))
		}
	}
}

// oldNeighbors restores the neighbors of a bridge when what follows is undone.
func oldNeighbors(at *node, c diff.NamespaceChange, bridge string) []op {
	var ops []op
	for _, n := range c.From.Neighbors {
		if n.Device == bridge {
			undo := setNeighbor(n, at.before(bridge))
			ops = append(ops, op{at: at, undo: &undo})
		}
	}
	return ops
}

// removeBridges removes bridges, and addresses of bridges and the loopback.
func (p *planner) removeBridges(early bool) {
	for _, c := range p.change.Changed {
		at := p.nodes[c.To.Name]
		for _, b := range c.RemovedBridges {
			if p.makesRoom[deviceAt{c.To.Name, b.Name}] != early {
				continue
			}
			index := at.before(b.Name)
			for _, a := range slices.Backward(b.Addresses) {
				undo := addAddress(b.Name, index, a)
				p.remove(early, op{at: at, undo: &undo})
			}
			mtu := setMTU(b, index)
			p.remove(early, op{at: at, undo: &mtu}, step(at, deleteLink(b.Name, index), newBridge(b, index)))
		}
		for _, b := range c.ChangedBridges {
			// With its last address a device loses its routes and neighbors, so that the new ones must come later.
			if bare(b) != early {
				continue
			}
			if early {
				p.remove(early, oldNeighbors(at, c, b.From.Name)...)
			}
			for _, a := range b.From.Addresses {
				if !slices.Contains(b.To.Addresses, a) {
					p.remove(early, reverse([]op{addressStep(at, b.To.Name, at.before(b.To.Name), a)})...)
				}
			}
		}
		if early {
			continue
		}
		for _, a := range c.RemovedLoopback {
			p.remove(early, reverse([]op{addressStep(at, "lo", at.now("lo"), hostPrefix(a))})...)
		}
	}
}

// losesNeighbors reports whether the kernel forgets the neighbors of the bridge: with its MAC address, and when it
// starts or stops answering ARP requests.
func losesNeighbors(b diff.BridgeChange) bool {
	return b.From.MAC != b.To.MAC || (len(b.From.Addresses) == 0) != (len(b.To.Addresses) == 0)
}

// losesRoutes reports whether the routes of a device end before others come.
func (p *planner) losesRoutes(c diff.NamespaceChange, device string) bool {
	return p.makesRoom[deviceAt{c.To.Name, device}] ||
		slices.ContainsFunc(c.ChangedBridges, func(b diff.BridgeChange) bool { return b.To.Name == device && bare(b) })
}

// bare reports whether a bridge loses its last address.
func bare(b diff.BridgeChange) bool { return len(b.From.Addresses) > 0 && len(b.To.Addresses) == 0 }

// neighborKey is what two neighbors of a namespace can't share.
type neighborKey struct {
	device  string
	address netip.Addr
}

func keyOf(n emu.Neighbor) neighborKey { return neighborKey{n.Device, n.Address} }

// removeRoutes removes routes and neighbors. Those that new ones replace are replaced in one step instead.
func (p *planner) removeRoutes(early bool) {
	for _, n := range p.change.Removed { // nothing to do: they go with the namespace
		at := p.nodes[n.Name]
		for _, r := range n.Routes {
			if p.makesRoom[deviceAt{n.Name, r.Device}] == early {
				undo := newRoute(r, at.before(r.Device), create)
				p.remove(early, op{at: at, undo: &undo})
			}
		}
		for _, e := range n.Neighbors {
			if p.makesRoom[deviceAt{n.Name, e.Device}] == early {
				undo := setNeighbor(e, at.before(e.Device))
				p.remove(early, op{at: at, undo: &undo})
			}
		}
	}
	for _, c := range p.change.Changed {
		at := p.nodes[c.To.Name]
		destinations, addresses := map[netip.Prefix]bool{}, map[neighborKey]bool{}
		for _, r := range c.AddedRoutes {
			destinations[r.Destination] = true
		}
		for _, n := range c.AddedNeighbors {
			addresses[keyOf(n)] = true
		}
		for _, r := range c.RemovedRoutes {
			if gone := p.losesRoutes(c, r.Device); gone == early && (gone || !destinations[r.Destination]) {
				p.remove(early, step(at, deleteRoute(r, at.before(r.Device)), newRoute(r, at.before(r.Device), create)))
			}
		}
		for _, b := range c.ChangedBridges {
			if !early || !bare(b) {
				continue
			}
			for _, r := range c.From.Routes {
				if r.Device == b.From.Name && !slices.Contains(c.RemovedRoutes, r) {
					undo := newRoute(r, at.before(r.Device), create)
					p.remove(early, op{at: at, undo: &undo})
				}
			}
		}
		for _, n := range c.RemovedNeighbors {
			if slices.ContainsFunc(c.ChangedBridges,
				func(b diff.BridgeChange) bool { return b.To.Name == n.Device && losesNeighbors(b) }) {
				continue // lost already
			}
			if gone := p.makesRoom[deviceAt{c.To.Name, n.Device}]; gone == early && (gone || !addresses[keyOf(n)]) {
				p.remove(early, step(at, deleteNeighbor(n, at.before(n.Device)), setNeighbor(n, at.before(n.Device))))
			}
		}
	}
}

// addRoutes adds neighbors and routes.
func (p *planner) addRoutes() error {
	for _, at := range p.added {
		if err := p.addRoutesOf(at, diff.NamespaceChange{
			To: at.want, AddedRoutes: at.want.Routes,
			AddedNeighbors: at.want.Neighbors,
		}); err != nil {
			return err
		}
	}
	for _, c := range p.change.Changed {
		if err := p.addRoutesOf(p.nodes[c.To.Name], c); err != nil {
			return err
		}
	}
	return nil
}

func (p *planner) addRoutesOf(at *node, c diff.NamespaceChange) error {
	neighbors, routes := map[neighborKey]emu.Neighbor{}, map[netip.Prefix]emu.Route{} // whose place is taken
	for _, n := range c.RemovedNeighbors {
		if !p.makesRoom[deviceAt{c.To.Name, n.Device}] {
			neighbors[keyOf(n)] = n
		}
	}
	for _, r := range c.RemovedRoutes {
		if !p.losesRoutes(c, r.Device) {
			routes[r.Destination] = r
		}
	}
	for _, n := range c.AddedNeighbors {
		index := at.now(n.Device)
		if index == 0 {
			return fmt.Errorf("namespace %s: neighbor %s: there is no device %s", at.name(), n.Address, n.Device)
		}
		undo := deleteNeighbor(n, index)
		if old, ok := neighbors[keyOf(n)]; ok {
			undo = setNeighbor(old, index)
		}
		p.adds = append(p.adds, step(at, setNeighbor(n, index), undo))
	}
	for _, b := range c.ChangedBridges {
		if !bare(b) {
			continue
		}
		for _, r := range c.To.Routes {
			if r.Device == b.To.Name && !slices.Contains(c.AddedRoutes, r) {
				p.adds = append(p.adds, step(at, addRoute(r, at.now(r.Device)), deleteRoute(r, at.now(r.Device))))
			}
		}
	}
	for _, r := range c.AddedRoutes {
		index := at.now(r.Device)
		if index == 0 {
			return fmt.Errorf("namespace %s: route to %s: there is no device %s", at.name(), r.Destination, r.Device)
		}
		if old, ok := routes[r.Destination]; ok {
			p.adds = append(p.adds, step(at, setRoute(r, index), setRoute(old, at.before(old.Device))))
			continue
		}
		p.adds = append(p.adds, step(at, addRoute(r, index), deleteRoute(r, index)))
	}
	return nil
}
