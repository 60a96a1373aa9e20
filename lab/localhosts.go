package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"vnetlab/emu"
)

// LocalHost is a machine of an on-premises site.
type LocalHost struct {
	Name     string
	Address  netip.Addr // zero in a request: the lowest free one
	Services []Service
	Boundary emu.Boundary
	Origin   Origin
}

// AddLocalHostOp is [Lab.AddLocalHost] as an operation.
type AddLocalHostOp struct {
	Site string
	Host LocalHost
}

func (o AddLocalHostOp) Do(l *Lab) error { return l.AddLocalHost(o.Site, o.Host) }

func (o AddLocalHostOp) String() string {
	return fmt.Sprintf("add host %s to local network site %s", o.Host.Name, o.Site)
}

// AddLocalHost adds a host to an on-premises site, with the address asked for or the lowest free one.
func (l *Lab) AddLocalHost(site string, h LocalHost) error {
	n, err := l.existingSite(site)
	if err != nil {
		return err.At(h.Origin)
	}
	changed := *n
	changed.Hosts = slices.Clone(n.Hosts)
	if err := l.addLocalHost(&changed, h); err != nil {
		return err
	}
	replace(l.LocalNetworks, n, &changed)
	return nil
}

// DeleteLocalHostOp is [Lab.DeleteLocalHost] as an operation.
type DeleteLocalHostOp struct{ Site, Name string }

func (o DeleteLocalHostOp) Do(l *Lab) error { return l.DeleteLocalHost(o.Site, o.Name) }

func (o DeleteLocalHostOp) String() string {
	return fmt.Sprintf("delete host %s of local network site %s", o.Name, o.Site)
}

// DeleteLocalHost removes a host from an on-premises site.
func (l *Lab) DeleteLocalHost(site, name string) error {
	n, err := l.existingSite(site)
	if err != nil {
		return err
	}
	h, ok := n.host(name)
	if !ok {
		return didYouMean(
			notFound("The local network site %s has no host %s.", site, shorten(name)),
			name,
			names(n.Hosts, func(h *LocalHost) string { return h.Name }),
		)
	}
	changed := *n
	changed.Hosts = remove(n.Hosts, h)
	replace(l.LocalNetworks, n, &changed)
	return nil
}

func (n *LocalNetwork) host(name string) (*LocalHost, bool) {
	return find(n.Hosts, func(h *LocalHost) bool { return h.Name == name })
}

// addLocalHost adds a host to a site that isn't in the lab yet. Hosts are in its LAN.
func (l *Lab) addLocalHost(n *LocalNetwork, h LocalHost) error {
	if err := checkName("host", h.Name, linuxNames); err != nil {
		return err.At(h.Origin)
	}
	if _, ok := n.host(h.Name); ok {
		return conflict("The site %s has a host %s already.", n.Name, h.Name).At(h.Origin)
	}
	if err := l.checkFree(h.Name); err != nil {
		return err.At(h.Origin)
	}
	if errs := checkServices(h.Services); len(errs) > 0 {
		return errors.Join(errs...)
	}
	if err := checkBoundary(h.Boundary); err != nil {
		return err.At(h.Origin)
	}
	h.Boundary = h.Boundary.Over(l.Boundary)
	address, err := n.freeAddress(h)
	if err != nil {
		return err.At(h.Origin)
	}
	h.Address = address
	n.Hosts = append(n.Hosts, &h)
	return nil
}

// freeAddress is the address that a new host of the site gets: the one asked for, or the lowest free one.
func (n *LocalNetwork) freeAddress(h LocalHost) (netip.Addr, *Error) {
	lan := n.LAN()
	if !lan.IsValid() {
		return h.Address, badRequest("The local network site %s (%s) has no room for hosts.", n.Name,
			joinPrefixes(n.AddressSpace)).
			WithHint("Hosts are in a prefix of at least a /29.")
	}
	taken := func(a netip.Addr) bool {
		return slices.ContainsFunc(n.Hosts, func(o *LocalHost) bool { return o.Address == a })
	}
	if !h.Address.IsValid() {
		a, ok := firstFree(lan, taken)
		if !ok {
			return a, badRequest("No free address is left in %s (%s): all %d are in use.", n.Name, lan, usable(lan))
		}
		return a, nil
	}
	switch {
	case !lan.Contains(h.Address):
		return h.Address, badRequest("The address %s of the host %s is not in %s.", h.Address, h.Name, lan).
			WithHint("Hosts are in the first prefix of the site's address space that isn't smaller than a /29.")
	case !assignable(lan, h.Address):
		return h.Address, reserved(h.Address, n.Name, lan)
	case taken(h.Address):
		return h.Address, badRequest("The address %s is in use.", h.Address)
	}
	return h.Address, nil
}

func init() {
	register(
		AddLocalHostOp{},
		DeleteLocalHostOp{},
	)
}
