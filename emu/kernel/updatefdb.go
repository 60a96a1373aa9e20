package kernel

import "vnetlab/emu"

// fdbKey identifies an FDB entry. A bridge has each MAC address behind one port only.
type fdbKey struct {
	namespace, bridge string
	mac               emu.MAC
}

// lookAtFDB notes which FDB entries move to ports that stay, and which leave them.
func (p *planner) lookAtFDB() {
	for _, c := range p.change.ChangedPorts {
		for _, mac := range c.Added {
			p.takes[fdbKey{c.Namespace, c.Bridge, mac}] = true
		}
		for _, mac := range c.Removed {
			p.leaves[fdbKey{c.Namespace, c.Bridge, mac}] = c.Device
		}
	}
}

// addFDBEntries adds entries of ports that stay. One that leaves another such port is moved in one step.
func (p *planner) addFDBEntries() {
	for _, c := range p.change.ChangedPorts {
		at := p.nodes[c.Namespace]
		index := at.now(c.Device)
		for _, mac := range c.Added {
			if from, ok := p.leaves[fdbKey{c.Namespace, c.Bridge, mac}]; ok {
				p.adds = append(p.adds, step(at, moveFDBEntry(c.Device, index, mac),
					moveFDBEntry(from, at.before(from), mac)))
				continue
			}
			p.adds = append(p.adds, step(at, addFDBEntry(c.Device, index, mac), deleteFDBEntry(c.Device, index, mac)))
		}
	}
}

// removeFDBEntries removes entries of ports that stay: early those that move to a new link.
func (p *planner) removeFDBEntries(early bool) {
	for _, c := range p.change.ChangedPorts {
		at := p.nodes[c.Namespace]
		index := at.before(c.Device)
		for _, mac := range c.Removed {
			s := fdbKey{c.Namespace, c.Bridge, mac}
			if p.takes[s] || p.newEntries[s] != early {
				continue
			}
			p.remove(early, step(at, deleteFDBEntry(c.Device, index, mac), addFDBEntry(c.Device, index, mac)))
		}
	}
}
