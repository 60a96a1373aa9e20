package kernel

import (
	"fmt"
	"maps"

	"vnetlab/emu"
)

// node is a namespace while it is built or changed.
type node struct {
	want  *emu.Namespace // of one that is built
	ns    *Namespace
	route *routeSocket // nil: not opened yet
	// index has the number of each device. The numbers are chosen beforehand, so that no request must wait for the
	// answer to another. Of a namespace that is changed it is that of the state, as it was before the update.
	index map[string]int
	// What the update changes in it.
	added   map[string]int
	removed map[string]bool
	gone    bool      // the namespace is removed
	ends    []linkEnd // of the links of this namespace
	near    []link    // the links that are made from this namespace
}

type link struct{ near, far linkEnd }

// name is that of the namespace.
func (p *node) name() string {
	if p.ns != nil {
		return p.ns.Name
	}
	return p.want.Name
}

// open opens the socket.
func (p *node) open() error {
	if p.route != nil {
		return nil
	}
	return p.ns.Do(func() (err error) {
		p.route, err = newRouteSocket()
		return err
	})
}

// before returns the number of a device before the update; 0: there was none.
func (p *node) before(device string) int { return p.index[device] }

// now returns the number of a device after the update.
func (p *node) now(device string) int {
	if i, ok := p.added[device]; ok {
		return i
	}
	if p.removed[device] {
		return 0
	}
	return p.index[device]
}

// number chooses the index of a device of a namespace that is built.
func (p *node) number(device string) error {
	if p.index[device] != 0 {
		return fmt.Errorf("%s has two devices %s", p.name(), device)
	}
	p.index[device] = len(p.index) + 1
	return nil
}

// add sets the number of a device that the update makes.
func (p *node) add(device string, index int) error {
	if p.now(device) != 0 {
		return fmt.Errorf("%s has two devices %s", p.name(), device)
	}
	if p.added == nil {
		p.added = map[string]int{}
	}
	p.added[device] = index
	return nil
}

func (p *node) remove(device string) {
	if p.removed == nil {
		p.removed = map[string]bool{}
	}
	p.removed[device] = true
}

// keep applies what the update changed to the numbers of the devices.
func (p *node) keep() {
	for device := range p.removed {
		delete(p.index, device)
	}
	maps.Copy(p.index, p.added)
}

// create makes the namespace and what needs no link.
func (p *node) create(w *sysctlFiles) (err error) {
	p.ns, err = newNamespace(p.want.Name, func() (err error) {
		if err := w.write(sysctls(p.want)); err != nil {
			return err
		}
		p.route, err = newRouteSocket()
		return err
	})
	if err != nil {
		return err
	}
	requests := []request{linkUp("lo", p.index["lo"])}
	for _, addr := range p.want.Loopback {
		requests = append(requests, addAddress("lo", p.index["lo"], hostPrefix(addr)))
	}
	for _, b := range p.want.Bridges {
		requests = append(requests, newBridge(b, p.index[b.Name]), setMTU(b, p.index[b.Name]))
		for _, addr := range b.Addresses {
			requests = append(requests, addAddress(b.Name, p.index[b.Name], addr))
		}
	}
	return p.route.do(requests...)
}

// finish does what needs the links: ports, addresses, neighbors, routes, and the nftables rules.
func (p *node) finish() error {
	var requests []request
	for _, e := range p.ends {
		requests = append(requests, e.requests()...)
	}
	for _, n := range p.want.Neighbors {
		if p.index[n.Device] == 0 {
			return fmt.Errorf("neighbor %s: there is no device %s", n.Address, n.Device)
		}
		requests = append(requests, addNeighbor(n, p.index[n.Device]))
	}
	for _, r := range p.want.Routes {
		if p.index[r.Device] == 0 {
			return fmt.Errorf("route to %s: there is no device %s", r.Destination, r.Device)
		}
		requests = append(requests, addRoute(r, p.index[r.Device]))
	}
	if err := p.route.do(requests...); err != nil {
		return err
	}
	if all := p.want.Rulesets(); len(all) > 0 {
		return p.ns.loadRulesets(all...)
	}
	return nil
}
