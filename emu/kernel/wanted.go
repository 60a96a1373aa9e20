package kernel

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"

	"vnetlab/emu"
)

// wantedFacts returns what each namespace of a network should have.
func wantedFacts(want *emu.Network) (map[string]*facts, error) {
	all := map[string]*facts{}
	for _, n := range want.Namespaces {
		f, err := wantedObjects(n, true)
		if err != nil {
			return nil, err
		}
		all[n.Name] = f
	}
	for _, l := range want.Links {
		for _, e := range []emu.LinkEnd{l.A, l.B} {
			f, ok := all[e.Namespace]
			if !ok {
				return nil, fmt.Errorf("link %s: there is no namespace %s", e.Name, e.Namespace)
			}
			wantedEnd(f, e)
		}
	}
	for _, t := range want.Tunnels {
		for _, e := range []emu.TunnelEnd{t.A, t.B} {
			f, ok := all[e.Namespace]
			if !ok {
				return nil, fmt.Errorf("tunnel %s: there is no namespace %s", t.ID, e.Namespace)
			}
			wantedTunnel(f, e)
		}
	}
	return all, nil
}

// wantedIn returns what one namespace of a network should have, with its rules or without.
func wantedIn(want *emu.Network, n *emu.Namespace, rules bool) (*facts, error) {
	f, err := wantedObjects(n, rules)
	if err != nil {
		return nil, err
	}
	for _, l := range want.Links {
		for _, e := range []*emu.LinkEnd{&l.A, &l.B} {
			if e.Namespace == n.Name {
				wantedEnd(f, *e)
			}
		}
	}
	for _, t := range want.Tunnels {
		for _, e := range []emu.TunnelEnd{t.A, t.B} {
			if e.Namespace == n.Name {
				wantedTunnel(f, e)
			}
		}
	}
	return f, nil
}

// wantedObjects returns what a namespace should have without its links and tunnels.
func wantedObjects(n *emu.Namespace, rules bool) (*facts, error) {
	f := newFacts()
	f.objects[linkObject("lo")] = properties{"state": "up"}
	f.objects[addressObject(loopback, "lo")] = properties{} // comes with the device
	for rule := range firstRules {
		f.objects[rule] = properties{}
	}
	for _, a := range n.Loopback {
		f.objects[addressObject(hostPrefix(a), "lo")] = properties{}
	}
	for _, b := range n.Bridges {
		link := properties{"kind": "bridge", "state": "up", "mac": b.MAC.String(), "mtu": fmt.Sprint(emu.MTU)}
		if len(b.Addresses) == 0 {
			link["arp"] = "off"
		}
		f.objects[linkObject(b.Name)] = link
		for _, a := range b.Addresses {
			f.objects[addressObject(a, b.Name)] = properties{}
		}
	}
	for _, r := range n.Routes {
		f.objects[routeObject(r.Destination, 0)] = routeProperties(r.Gateway, r.Device, r.OnLink)
	}
	for _, e := range n.Neighbors {
		f.objects[neighborObject(e.Address, e.Device)] = properties{"mac": e.MAC.String()}
	}
	for _, s := range comparedSysctls(n) {
		f.objects[sysctlObject(s.key)] = properties{"value": s.value}
	}
	if !rules {
		return f, nil
	}
	for _, r := range possible(n.Rulesets()) {
		if err := wantedRules(f, r); err != nil {
			return nil, fmt.Errorf("namespace %s: %w", n.Name, err)
		}
	}
	if n.Firewall != nil {
		addInput(f, append([]string{inputPolicy}, n.Firewall.Lines()...))
	}
	return f, nil
}

func wantedEnd(f *facts, e emu.LinkEnd) {
	link := properties{"kind": "veth", "state": "up", "mac": e.MAC.String(), "mtu": fmt.Sprint(emu.MTU)}
	f.objects[linkObject(e.Name)] = link
	for _, a := range e.Addresses {
		f.objects[addressObject(a, e.Name)] = properties{}
	}
	if e.Port == nil {
		return
	}
	link["bridge"] = e.Port.Bridge
	for _, flag := range portFlags(e.Port) {
		link[flag.name] = onOff(flag.on)
	}
	for _, mac := range e.Port.Stations {
		f.objects[fdbObject(mac.String(), e.Name)] = properties{}
	}
}

func wantedRules(f *facts, r *emu.Ruleset) error {
	family := r.Family.String()
	f.objects[tableObject(family, r.Table)] = properties{}
	for _, p := range r.Timeouts {
		f.objects[timeoutObject(p.Name)] = timeoutProperties(p)
	}
	for _, s := range setsOf(r) {
		f.objects[setObject(family, s.Name)] = setProperties(&s.Set)
		for key, value := range elements(&s.Set, s.elements) {
			f.objects[setObject(family, s.Name)+" element "+key] = value
		}
	}
	for _, c := range r.Chains {
		f.objects[chainObject(family, c.Name)] = chainProperties(hooks[c.Hook])
		rules := []rule{}
		for _, w := range c.Rules {
			exprs, err := expressions(w, func(
				_ nftables.SetDatatype, elements []nftables.SetElement,
			) (*nftables.Set, error) {
				return &nftables.Set{Name: contents(elements)}, nil
			})
			if err != nil {
				return fmt.Errorf("chain %s: %w", c.Name, err)
			}
			rules = append(rules, rule{w.String(), code(exprs, comment(w))})
		}
		f.lists[chainObject(family, c.Name)] = rules
	}
	return nil
}

// loopback is the address that each namespace has.
var loopback = netip.MustParsePrefix("127.0.0.1/8")

// Names of objects, the same for what is wanted and what is found.

func sysctlObject(key string) string { return "sysctl net/" + key }

func linkObject(name string) string { return "link " + name }

func addressObject(a netip.Prefix, device string) string {
	return fmt.Sprintf("address %s on %s", a, device)
}

// ofFDB begins the names of the entries of forwarding databases.
const ofFDB = "FDB entry "

func fdbObject(mac, port string) string { return fmt.Sprintf(ofFDB+"%s behind %s", mac, port) }

func tableObject(family, name string) string {
	return fmt.Sprintf("nftables table %s %s", family, name)
}
func setObject(family, name string) string   { return inFamily(family) + "set " + name }
func chainObject(family, name string) string { return inFamily(family) + "chain " + name }

// inFamily begins the name of an object: that of the bridges' rules may have the name of one that the router's have.
func inFamily(family string) string {
	if family == emu.BridgeFamily.String() {
		return "nftables " + family + " "
	}
	return "nftables "
}

func neighborObject(a netip.Addr, device string) string {
	return fmt.Sprintf("neighbor %s on %s", a, device)
}

func routeObject(destination netip.Prefix, metric uint32) string {
	if metric != 0 {
		return fmt.Sprintf("route %s metric %d", destination, metric)
	}
	return fmt.Sprintf("route %s", destination)
}

func routeProperties(gateway netip.Addr, device string, onLink bool) properties {
	p := properties{"device": device}
	if gateway.IsValid() {
		p["gateway"] = gateway.String()
	}
	if onLink {
		p["onlink"] = "on"
	}
	return p
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
