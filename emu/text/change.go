package text

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/emu/diff"
)

// Change returns a change line by line: what it removes after a minus, what it adds after a plus.
func Change(c *diff.Change) string {
	p := changePrinter{}
	name := func(n *emu.Namespace) string { return n.Name }
	lines(&p, '-', "namespace ", c.Removed, name)
	lines(&p, '+', "namespace ", c.Added, name)
	lines(&p, '-', "", c.RemovedLinks, linkText)
	lines(&p, '+', "", c.AddedLinks, linkText)
	for _, port := range c.ChangedPorts {
		station := func(m emu.MAC) string { return fmt.Sprintf("%s: station %s behind %s", port.Namespace, m, port.Device) }
		lines(&p, '-', "", port.Removed, station)
		lines(&p, '+', "", port.Added, station)
	}
	tunnel := func(t emu.Tunnel) string {
		return fmt.Sprintf("tunnel %s between %s and %s", t.ID, t.A.Namespace, t.B.Namespace)
	}
	lines(&p, '-', "", c.RemovedTunnels, tunnel)
	lines(&p, '+', "", c.AddedTunnels, tunnel)
	for i := range c.Changed {
		p.namespace(&c.Changed[i])
	}
	closed := c.Closed()
	for _, namespace := range slices.Sorted(maps.Keys(closed)) {
		lines(&p, '-', namespace+": ", closed[namespace], diff.Closed.String)
	}
	record := func(r emu.NameRecord) string { return "public name " + r.Name + " " + r.Address.String() }
	lines(&p, '-', "", c.RemovedNames, record)
	lines(&p, '+', "", c.AddedNames, record)
	return p.String()
}

func linkText(l *emu.Link) string { return l.A.Namespace + ": " + linkLine(l.A, l.B) }

type changePrinter struct{ strings.Builder }

func (p *changePrinter) line(mark byte, text string) {
	fmt.Fprintf(p, "%c %s\n", mark, strings.TrimRight(text, " "))
}

func lines[T any](p *changePrinter, mark byte, prefix string, all []T, text func(T) string) {
	for _, v := range all {
		p.line(mark, prefix+text(v))
	}
}

func (p *changePrinter) namespace(c *diff.NamespaceChange) {
	in := c.To.Name + ": "
	loopback := func(a netip.Addr) string { return fmt.Sprintf("address %s on lo", a) }
	bridge := func(b emu.Bridge) string { return fmt.Sprintf("bridge %s %s %s", b.Name, b.MAC, join(b.Addresses)) }
	neighbor := func(n emu.Neighbor) string { return fmt.Sprintf("neighbor %s %s on %s", n.Address, n.MAC, n.Device) }
	lines(p, '-', in, c.RemovedLoopback, loopback)
	lines(p, '+', in, c.AddedLoopback, loopback)
	lines(p, '-', in, c.RemovedBridges, bridge)
	lines(p, '+', in, c.AddedBridges, bridge)
	for _, b := range c.ChangedBridges {
		p.line('-', in+bridge(b.From))
		p.line('+', in+bridge(b.To))
	}
	lines(p, '-', in, c.RemovedRoutes, emu.Route.String)
	lines(p, '+', in, c.AddedRoutes, emu.Route.String)
	lines(p, '-', in, c.RemovedNeighbors, neighbor)
	lines(p, '+', in, c.AddedNeighbors, neighbor)
	for _, r := range c.Rulesets() {
		p.texts(
			in,
			r.From == nil,
			r.To == nil,
			func() string { return NFTables(r.From) },
			func() string { return NFTables(r.To) },
		)
	}
	if f := c.Firewall; f != nil {
		p.texts(
			in,
			f.From == nil,
			f.To == nil,
			func() string { return IPTables(f.From) },
			func() string { return IPTables(f.To) },
		)
	}
	for _, o := range []struct {
		differs bool
		what    string
	}{
		{c.DNS || len(c.RemovedViews)+len(c.AddedViews) > 0, "name server"},
		{c.Proxies, "HTTP proxies"},
		{c.Services, "services"},
		{len(c.RemovedHealthProbes)+len(c.AddedHealthProbes) > 0, "health probes"},
		{c.Files, "host name, hosts, resolver"},
		{c.Boundary, "boundary: what runs there is started anew"},
	} {
		if o.differs {
			p.line('~', in+o.what)
		}
	}
}

// texts prints the lines in which two texts differ.
func (p *changePrinter) texts(in string, noFrom, noTo bool, from, to func() string) {
	var a, b []string
	if !noFrom {
		a = strings.Split(strings.TrimSpace(from()), "\n")
	}
	if !noTo {
		b = strings.Split(strings.TrimSpace(to()), "\n")
	}
	for _, e := range diff.Lines(a, b) {
		switch {
		case e.New < 0:
			p.line('-', in+strings.TrimSpace(a[e.Old]))
		case e.Old < 0:
			p.line('+', in+strings.TrimSpace(b[e.New]))
		}
	}
}
