package kernel

import "vnetlab/emu"

// station is who is behind a port of a bridge. A bridge knows each behind one port alone.
type station struct {
	namespace, bridge string
	mac               emu.MAC
}

// lookAtStations notes which stations come to ports that stay, and which go from them.
func (p *planner) lookAtStations() {
	for _, c := range p.change.ChangedPorts {
		for _, mac := range c.Added {
			p.takes[station{c.Namespace, c.Bridge, mac}] = true
		}
		for _, mac := range c.Removed {
			p.leaves[station{c.Namespace, c.Bridge, mac}] = c.Device
		}
	}
}

// addStations adds stations behind ports that stay. One that goes from another such port takes its new place at once.
func (p *planner) addStations() {
	for _, c := range p.change.ChangedPorts {
		at := p.places[c.Namespace]
		index := at.now(c.Device)
		for _, mac := range c.Added {
			if from, ok := p.leaves[station{c.Namespace, c.Bridge, mac}]; ok {
				p.adds = append(p.adds, step(at, moveStation(c.Device, index, mac), moveStation(from, at.before(from), mac)))
				continue
			}
			p.adds = append(p.adds, step(at, addStation(c.Device, index, mac), deleteStation(c.Device, index, mac)))
		}
	}
}

// removeStations removes stations from ports that stay: early those that come to a new link.
func (p *planner) removeStations(early bool) {
	for _, c := range p.change.ChangedPorts {
		at := p.places[c.Namespace]
		index := at.before(c.Device)
		for _, mac := range c.Removed {
			s := station{c.Namespace, c.Bridge, mac}
			if p.takes[s] || p.newStations[s] != early {
				continue
			}
			p.remove(early, step(at, deleteStation(c.Device, index, mac), addStation(c.Device, index, mac)))
		}
	}
}
