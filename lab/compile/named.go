package compile

import (
	"vnetlab/emu"
	"vnetlab/lab"
)

// Named returns the network of a lab with the namespaces of its instances called as people call those. It is for
// reading: a running network has the instances' ids, which don't change with their names.
func Named(l *lab.Lab) *emu.Network {
	network := Network(l)
	named := &emu.Network{PublicNames: network.PublicNames}
	for _, n := range network.Namespaces {
		if name := l.NamespaceName(n.Name); name != n.Name {
			called := *n
			called.Name = name
			n = &called
		}
		named.Namespaces = append(named.Namespaces, n)
	}
	for _, link := range network.Links {
		called := *link
		for _, e := range []*emu.LinkEnd{&called.A, &called.B} {
			e.Namespace = l.NamespaceName(e.Namespace)
		}
		named.Links = append(named.Links, &called)
	}
	for _, t := range network.Tunnels {
		for _, e := range []*emu.TunnelEnd{&t.A, &t.B} {
			e.Namespace = l.NamespaceName(e.Namespace)
		}
		named.Tunnels = append(named.Tunnels, t)
	}
	return named
}
