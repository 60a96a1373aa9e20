// Package emu is the emulator of a network on one Linux machine, seen as data.
//
// A [Network] says which network namespaces, links, addresses, routes, rule sets, name servers and services one lab
// has. It is plain data: the same lab has the same Network everywhere, and it can be compared (emu/diff), printed
// (emu/text) and tested without root. The other packages below emu make it real (emu/kernel), serve inside it
// (emu/dns, emu/listener, emu/process, …) and test who reaches whom in it (emu/probe).
//
// Nothing here or below knows what a cloud service is.
package emu

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// MTU is the size in bytes of the largest packet on every link of a lab.
const MTU = 1400

// Network is the desired state of one lab. It is not modified once it is made: another network may share its parts.
// The order of lists has no meaning, except for rules and for the servers of a resolver. No list has an element
// twice.
type Network struct {
	Namespaces []*Namespace `json:"namespaces"`
	Links      []*Link      `json:"links"`
	Tunnels    []Tunnel     `json:"tunnels,omitempty"`
	// PublicNames are the names every name server of the network answers.
	PublicNames []NameRecord `json:"publicNames"`
}

// Kind distinguishes the namespaces that carry packets from those where packets start and end.
type Kind string

const (
	Router Kind = "router" // forwards between its links
	Host   Kind = "host"   // starts and ends connections
)

// Namespace is one network namespace with all that is in it but its links.
type Namespace struct {
	// Name is unique in the network and fit for a file name: [A-Za-z0-9._-]+.
	Name     string `json:"name"`
	Kind     Kind   `json:"kind"`
	Hostname string `json:"hostname,omitempty"` // what programs inside see; empty: Name
	Origin   Origin `json:"origin,omitzero"`
	// EstablishedTimeout is how many seconds a router's connection tracking remembers an established TCP connection
	// without packets, where no [TimeoutPolicy] says otherwise; 0: as the kernel does, days.
	EstablishedTimeout int `json:"establishedTimeout,omitempty"`
	// Loopback addresses are local to the namespace without a link: a router's name server listens on one.
	Loopback  []netip.Addr `json:"loopback,omitempty"`
	Bridges   []Bridge     `json:"bridges,omitempty"`
	Routes    []Route      `json:"routes,omitempty"`
	Neighbors []Neighbor   `json:"neighbors,omitempty"`
	Ruleset   *Ruleset     `json:"ruleset,omitempty"` // nftables
	// Switch are the rules of a router's bridges.
	Switch *Ruleset `json:"switch,omitempty"`
	// Translations are what the rules of a router translate connections for.
	Translations []Translation `json:"translations,omitempty"`
	Firewall     *Firewall     `json:"firewall,omitempty"` // iptables
	DNS          *NameServer   `json:"dns,omitempty"`
	Proxies      []HTTPProxy   `json:"httpProxies,omitempty"`
	Resolver     Resolver      `json:"resolver,omitzero"`
	Hosts        []NameRecord  `json:"hosts,omitempty"` // lines of /etc/hosts beyond localhost
	Services     []Service     `json:"services,omitempty"`
	// Boundary is what programs here may use of the machine.
	Boundary Boundary `json:"boundary,omitzero"`
	// HealthProbes start in this namespace.
	HealthProbes []HealthProbe `json:"healthProbes,omitempty"`
}

// Rulesets lists the tables of the namespace.
func (s Namespace) Rulesets() (all []*Ruleset) {
	for _, r := range []*Ruleset{s.Ruleset, s.Switch} {
		if r != nil {
			all = append(all, r)
		}
	}
	return all
}

// HostName is what programs inside see.
func (s Namespace) HostName() string { return cmp.Or(s.Hostname, s.Name) }

// Bridge joins links of its namespace; its addresses make the namespace the gateway of those behind it.
type Bridge struct {
	Name      string         `json:"name"`
	MAC       MAC            `json:"mac"`
	Addresses []netip.Prefix `json:"addresses,omitempty"`
}

// Link is a veth pair: a cable between two namespaces, or between two bridges of one.
type Link struct {
	A LinkEnd `json:"a"`
	B LinkEnd `json:"b"`
}

// LinkEnd is one interface of a veth pair. It has addresses, or it is a port of a bridge.
type LinkEnd struct {
	Namespace string         `json:"namespace"`
	Name      string         `json:"name"` // at most 15 bytes
	MAC       MAC            `json:"mac"`
	Addresses []netip.Prefix `json:"addresses,omitempty"`
	Port      *BridgePort    `json:"port,omitempty"`
}

// BridgePort makes a link end a port of a bridge. No port learns: the addresses behind it are known beforehand, so
// nothing is flooded and the cost of ARP doesn't grow with the number of ports.
type BridgePort struct {
	Bridge string `json:"bridge"`
	// Stations are the MAC addresses behind the port: static entries of the forwarding database.
	Stations []MAC `json:"stations,omitempty"`
	// ProxyARP lets the bridge answer ARP requests that arrive on this port from the permanent neighbors of the
	// bridge.
	ProxyARP bool `json:"proxyARP,omitempty"`
	// Uplink ports take what the bridge has no station for: unknown unicast and broadcast.
	Uplink bool `json:"uplink,omitempty"`
}

// Route sends a destination to a gateway, or straight to a link.
type Route struct {
	Destination netip.Prefix `json:"destination"` // 0.0.0.0/0 is the default route
	Gateway     netip.Addr   `json:"gateway,omitzero"`
	Device      string       `json:"device"`
	// OnLink means that the gateway is reached on the device although no address of the device covers it.
	OnLink bool `json:"onLink,omitempty"`
}

// String returns the route as ip route prints it.
func (r Route) String() string {
	s := "route " + r.Destination.String()
	if r.Destination.Bits() == 0 {
		s = "route default"
	}
	if r.Gateway.IsValid() {
		s += " via " + r.Gateway.String()
	}
	s += " dev " + r.Device
	if r.OnLink {
		s += " onlink"
	}
	return s
}

// Neighbor is a permanent entry of the neighbor table.
type Neighbor struct {
	Device  string     `json:"device"`
	Address netip.Addr `json:"address"`
	MAC     MAC        `json:"mac"`
}

// Resolver is the content of /etc/resolv.conf inside a namespace.
type Resolver struct {
	Servers []netip.Addr `json:"servers,omitempty"`
	Search  []string     `json:"search,omitempty"`
}

// NameRecord is an A record, or a line of /etc/hosts. Names are without the final dot.
type NameRecord struct {
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
}

// NameServer answers DNS on port 53 of its addresses, over UDP and TCP: the public names of the network, and to the
// clients of a view that view's names too. Any other name does not exist.
type NameServer struct {
	Addresses []netip.Addr `json:"addresses"`
	Views     []*NameView  `json:"views,omitempty"`
}

// NameView are names that only some clients see.
type NameView struct {
	Clients []netip.Addr `json:"clients"`
	// Domain is the search domain of the view's names; the name server is authoritative for it.
	Domain  string       `json:"domain"`
	Records []NameRecord `json:"records"` // full names, in Domain
}

// HTTPProxy is a reverse proxy that routes requests by their Host header.
type HTTPProxy struct {
	Listen netip.AddrPort   `json:"listen"`
	Routes []HTTPProxyRoute `json:"routes"`
}

// HTTPProxyRoute sends the requests for one host name to a backend.
type HTTPProxyRoute struct {
	Host    string         `json:"host"`
	Backend netip.AddrPort `json:"backend"`
}

// Service listens on a port of its namespace: a program, or without a command the emulator's built-in listener.
type Service struct {
	Name     string   `json:"name"` // unique in the namespace
	Port     uint16   `json:"port"`
	Protocol Protocol `json:"protocol"`
	Command  string   `json:"command,omitempty"` // for sh -c
	Dir      string   `json:"dir,omitempty"`     // working directory of the command
	// Env is added to the environment of the command when it starts: NAME=VALUE.
	Env []string `json:"env,omitempty"`
	// RemoteDesktop makes a built-in listener on a TCP port speak the remote desktop protocol too; empty: it doesn't.
	RemoteDesktop RemoteDesktop `json:"remoteDesktop,omitempty"`
	Desktops      []Desktop     `json:"desktops,omitempty"` // of a forwarder
	Origin        Origin        `json:"origin,omitzero"`
}

// Same reports whether both are one service that goes on: a changed environment is for the next start of a program,
// not a reason for one, and the desktops of a forwarder change while it listens.
func (s Service) Same(o Service) bool {
	return s.Name == o.Name && s.Port == o.Port && s.Protocol == o.Protocol && s.Command == o.Command &&
		s.Dir == o.Dir &&
		s.RemoteDesktop == o.RemoteDesktop
}

// BuiltIn reports whether the emulator listens, rather than a program.
func (s Service) BuiltIn() bool { return s.Command == "" }

// String describes what listens where.
func (s Service) String() string {
	switch {
	case s.BuiltIn() && s.RemoteDesktop != "":
		return fmt.Sprintf("service %d/%s: built-in remote desktop %s", s.Port, s.Protocol, s.RemoteDesktop)
	case s.BuiltIn():
		return fmt.Sprintf("service %d/%s: built-in listener", s.Port, s.Protocol)
	}
	return fmt.Sprintf("service %d/%s: %s", s.Port, s.Protocol, s.Command)
}

// HealthProbe checks periodically whether a target serves: tcp by a handshake, http by a GET that must return status
// 200.
type HealthProbe struct {
	ID       string         `json:"id"`     // unique in the network
	Source   netip.Addr     `json:"source"` // a loopback address of the namespace
	Target   netip.AddrPort `json:"target"`
	Protocol string         `json:"protocol"`       // tcp or http
	Path     string         `json:"path,omitempty"` // of http
	// Interval is the time from one question to the next, Timeout how long after the last good answer the target
	// counts as down; both in seconds.
	Interval int `json:"intervalInSeconds"`
	Timeout  int `json:"timeoutInSeconds"`
}

// Protocol is a transport protocol.
type Protocol string

const (
	TCP Protocol = "tcp"
	UDP Protocol = "udp"
)

// Origin is the place in a file that something comes from; the zero Origin is "no such place".
type Origin struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`   // from 1
	Column int    `json:"column,omitempty"` // from 1
}

// IsZero reports whether there is no such place.
func (o Origin) IsZero() bool { return o == Origin{} }

// String returns file:line:column, without the parts that aren't known.
func (o Origin) String() string {
	switch {
	case o.Line == 0:
		return o.File
	case o.Column == 0:
		return fmt.Sprintf("%s:%d", o.File, o.Line)
	}
	return fmt.Sprintf("%s:%d:%d", o.File, o.Line, o.Column)
}

// MAC is an Ethernet address.
type MAC [6]byte

// MACOf derives the locally administered MAC address 02:00:a:b:c:d from the IPv4 address a.b.c.d.
func MACOf(addr netip.Addr) MAC {
	a := addr.As4()
	return MAC{0x02, 0x00, a[0], a[1], a[2], a[3]}
}

// Variant is another address for the same IPv4 address: 02:n:a:b:c:d.
func (m MAC) Variant(n byte) MAC {
	m[1] = n
	return m
}

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// MarshalText returns the address in colon form.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// Namespace finds a namespace by its name.
func (n *Network) Namespace(name string) (*Namespace, bool) {
	for _, s := range n.Namespaces {
		if s.Name == name {
			return s, true
		}
	}
	return nil, false
}

// Sort puts everything in an order for people, and in which equal networks are equal byte for byte. Rules keep
// theirs: it has a meaning. It is for a network that shares nothing with others.
func (n *Network) Sort() {
	byKind := map[Kind]int{Router: 0, Host: 1}
	slices.SortStableFunc(n.Namespaces, func(a, b *Namespace) int {
		return cmp.Or(cmp.Compare(byKind[a.Kind], byKind[b.Kind]), cmp.Compare(a.Name, b.Name))
	})
	for _, s := range n.Namespaces {
		slices.SortFunc(s.Routes, func(a, b Route) int {
			return cmp.Or(
				a.Destination.Addr().Compare(b.Destination.Addr()),
				cmp.Compare(a.Destination.Bits(), b.Destination.Bits()),
			)
		})
		slices.SortFunc(s.Neighbors, func(a, b Neighbor) int {
			return cmp.Or(cmp.Compare(a.Device, b.Device), a.Address.Compare(b.Address))
		})
		slices.SortFunc(s.Bridges, func(a, b Bridge) int { return cmp.Compare(a.Name, b.Name) })
	}
	slices.SortFunc(n.Links, func(a, b *Link) int {
		return cmp.Or(cmp.Compare(a.A.Namespace, b.A.Namespace), cmp.Compare(a.A.Name, b.A.Name))
	})
	slices.SortFunc(n.Tunnels, func(a, b Tunnel) int { return cmp.Compare(a.ID, b.ID) })
	for i := range n.Tunnels {
		slices.SortFunc(n.Tunnels[i].A.AllowedPrefixes, comparePrefixes)
		slices.SortFunc(n.Tunnels[i].B.AllowedPrefixes, comparePrefixes)
	}
	slices.SortFunc(n.PublicNames, func(a, b NameRecord) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.Address.Compare(b.Address))
	})
}
