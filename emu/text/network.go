package text

import (
	"fmt"
	"io"
	"strings"

	"vnetlab/emu"
)

// WriteNetwork writes a network for people: each namespace with its links, addresses, routes, names and services, and
// its rules as nft and iptables-restore read them, each with the place it comes from.
func WriteNetwork(w io.Writer, n *emu.Network) error {
	ends := map[string][]string{}
	for _, l := range n.Links {
		ends[l.A.Namespace] = append(ends[l.A.Namespace], linkLine(l.A, l.B))
		ends[l.B.Namespace] = append(ends[l.B.Namespace], linkLine(l.B, l.A))
	}
	for _, t := range n.Tunnels {
		ends[t.A.Namespace] = append(ends[t.A.Namespace], tunnelLine(t, t.A, t.B))
		ends[t.B.Namespace] = append(ends[t.B.Namespace], tunnelLine(t, t.B, t.A))
	}
	p := &printer{w: w}
	p.line(0, "%d namespaces, %d links", len(n.Namespaces), len(n.Links))
	for _, s := range n.Namespaces {
		p.namespace(s, ends[s.Name])
	}
	if len(n.PublicNames) > 0 {
		p.line(0, "")
		p.line(0, "public names")
		for _, r := range n.PublicNames {
			p.line(1, "%s %s", r.Name, r.Address)
		}
	}
	return p.err
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(depth int, format string, args ...any) {
	if p.err != nil {
		return
	}
	text := strings.TrimRight(strings.Repeat("  ", depth)+fmt.Sprintf(format, args...), " ")
	_, p.err = fmt.Fprintln(p.w, text)
}

// block indents a text of several lines.
func (p *printer) block(depth int, text string) {
	for l := range strings.Lines(text) {
		p.line(depth, "%s", strings.ReplaceAll(strings.TrimSuffix(l, "\n"), "\t", "  "))
	}
}

func (p *printer) namespace(s *emu.Namespace, links []string) {
	p.line(0, "")
	p.line(0, "namespace %s (%s)%s", s.Name, s.Kind, originComment(s.Origin))
	if s.EstablishedTimeout != 0 {
		p.line(1, "established TCP connections are forgotten after %d s without packets", s.EstablishedTimeout)
	}
	for _, a := range s.Loopback {
		p.line(1, "address %s on lo", a)
	}
	for _, b := range s.Bridges {
		p.line(1, "bridge %s %s %s", b.Name, b.MAC, join(b.Addresses))
	}
	for _, l := range links {
		p.line(1, "%s", l)
	}
	for _, r := range s.Routes {
		p.line(1, "%s", r)
	}
	for _, n := range s.Neighbors {
		p.line(1, "neighbor %s %s on %s", n.Address, n.MAC, n.Device)
	}
	if len(s.Resolver.Servers) > 0 {
		p.line(1, "name servers %s; search %s", join(s.Resolver.Servers), strings.Join(s.Resolver.Search, " "))
	}
	if b := s.Boundary.String(); b != "" {
		p.line(1, "boundary: %s", b)
	}
	if s.DNS != nil {
		p.dns(s.DNS)
	}
	for _, x := range s.Proxies {
		p.line(1, "HTTP proxy on %s", x.Listen)
		for _, r := range x.Routes {
			p.line(2, "%s to %s", r.Host, r.Backend)
		}
	}
	for _, v := range s.Services {
		p.line(1, "%s%s", v, originComment(v.Origin))
		for _, d := range v.Desktops {
			p.line(2, "%s", d)
		}
	}
	for i, r := range s.Rulesets() {
		if i == 0 {
			p.line(1, "nftables")
		}
		p.block(2, annotatedNFTables(r))
	}
	if s.Firewall != nil {
		p.line(1, "iptables")
		p.block(2, annotatedIPTables(s.Firewall))
	}
}

func (p *printer) dns(s *emu.NameServer) {
	p.line(1, "DNS on %s", join(s.Addresses))
	for _, v := range s.Views {
		p.line(2, "%s for %s", v.Domain, join(v.Clients))
		for _, r := range v.Records {
			p.line(3, "%s %s", r.Name, r.Address)
		}
	}
}

func linkLine(own, other emu.LinkEnd) string {
	s := fmt.Sprintf("link %s %s", own.Name, own.MAC)
	if len(own.Addresses) > 0 {
		s += " " + join(own.Addresses)
	}
	if port := own.Port; port != nil {
		s += " port of " + port.Bridge
		if len(port.Stations) > 1 {
			s += fmt.Sprintf(" for %d stations", len(port.Stations))
		}
	}
	return s + ", to " + other.Namespace + " " + other.Name
}

// tunnelLine describes one end of a tunnel.
func tunnelLine(t emu.Tunnel, own, other emu.TunnelEnd) string {
	return fmt.Sprintf("tunnel %s on %s, %s to %s of %s, for %s",
		t.ID, own.Device, own.Listen(), other.Listen(), other.Namespace, join(own.AllowedPrefixes))
}
