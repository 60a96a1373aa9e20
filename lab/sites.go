package lab

import (
	"errors"
	"net/netip"
	"slices"

	"vnetlab/emu"
)

// HTTPPort is the only port of a web site.
const HTTPPort = 80

// CreateWebSite adds a web site. It lives in the multi-tenant platform of its location and can't join a virtual network
// ("Web Sites, Cloud Services and Virtual Machines: when to use which").
func (l *Lab) CreateWebSite(s WebSite) error {
	if err := checkName("web site", s.Name, siteNames); err != nil {
		return err.At(s.Origin)
	}
	if _, ok := find(l.WebSites, func(o *WebSite) bool { return o.Name == s.Name }); ok {
		return conflict("The host name %s is already taken.", s.DNSName()).At(s.Origin)
	}
	if err := l.checkFree(s.Name); err != nil {
		return err.At(s.Origin)
	}
	if err := checkLocation(s.Location); err != nil {
		return err.At(s.Origin)
	}
	if errs := checkServices(s.Services); len(errs) > 0 {
		return errors.Join(errs...)
	}
	if len(s.Services) == 0 {
		s.Services = []Service{{Port: HTTPPort, Protocol: emu.TCP, Origin: s.Origin}}
	}
	address, ok := firstFree(webSiteSpace, func(a netip.Addr) bool {
		return slices.ContainsFunc(l.WebSites, func(o *WebSite) bool { return o.Location == s.Location && o.Address == a })
	})
	if !ok {
		return badRequest("The web sites of %s are full.", s.Location).At(s.Origin)
	}
	s.Address = address
	l.WebSites = append(l.WebSites, &s)
	return nil
}

// checkFree refuses a name that a member of the lab has already.
func (l *Lab) checkFree(name string) *Error {
	if m, ok := l.Find(name); ok {
		return conflict("The name %s is taken by %s.", name, m.Describe())
	}
	return nil
}

// CreateInternetHost adds a machine to the public internet, with the address asked for or the lowest free one.
func (l *Lab) CreateInternetHost(h InternetHost) error {
	if err := checkName("internet host", h.Name, linuxNames); err != nil {
		return err.At(h.Origin)
	}
	if err := l.checkFree(h.Name); err != nil {
		return err.At(h.Origin)
	}
	if errs := checkServices(h.Services); len(errs) > 0 {
		return errors.Join(errs...)
	}
	address, err := l.internetAddress(h.Address)
	if err != nil {
		return err.At(h.Origin)
	}
	h.Address = address
	l.InternetHosts = append(l.InternetHosts, &h)
	return nil
}

// internetAddress is an address on the internet of the lab: the one asked for, or the lowest free one.
func (l *Lab) internetAddress(wanted netip.Addr) (netip.Addr, *Error) {
	switch {
	case !wanted.IsValid():
		return l.FreeInternetAddress()
	case !ofInternet(wanted):
		return netip.Addr{}, badRequest("The address %s is not in the internet of the lab (%s).", wanted, joinPrefixes(internetSpace)).
			WithHint("Choose one of these, or leave the address out.")
	case l.onInternet(wanted):
		return netip.Addr{}, badRequest("The address %s is in use.", wanted)
	}
	return wanted, nil
}

// FreeInternetAddress is the lowest free address on the internet of the lab that isn't meant for somebody else.
func (l *Lab) FreeInternetAddress(meant ...netip.Addr) (netip.Addr, *Error) {
	for _, p := range internetSpace {
		if a, ok := firstFree(p, func(a netip.Addr) bool { return l.onInternet(a) || slices.Contains(meant, a) }); ok {
			return a, nil
		}
	}
	return netip.Addr{}, badRequest("The internet of the lab is full: no free address is left in %s.",
		joinPrefixes(internetSpace))
}

// onInternet reports whether somebody on the internet of the lab has an address.
func (l *Lab) onInternet(a netip.Addr) bool {
	return a == PublicResolver || a == anybodyAddress ||
		slices.ContainsFunc(l.InternetHosts, func(o *InternetHost) bool { return o.Address == a }) ||
		slices.ContainsFunc(l.LocalNetworks, func(n *LocalNetwork) bool { return n.Address == a })
}

// ofInternet reports whether somebody on the internet of the lab may have an address.
func ofInternet(a netip.Addr) bool {
	return slices.ContainsFunc(internetSpace, func(p netip.Prefix) bool { return assignable(p, a) })
}

// DeleteWebSite removes a web site.
func (l *Lab) DeleteWebSite(name string) error {
	s, ok := find(l.WebSites, func(s *WebSite) bool { return s.Name == name })
	if !ok {
		return didYouMean(notFound("The web site %s does not exist.", shorten(name)), name, names(l.WebSites, func(s *WebSite) string { return s.Name }))
	}
	l.WebSites = remove(l.WebSites, s)
	return nil
}

// DeleteInternetHost removes an internet host.
func (l *Lab) DeleteInternetHost(name string) error {
	h, ok := find(l.InternetHosts, func(h *InternetHost) bool { return h.Name == name })
	if !ok {
		return didYouMean(notFound("The internet host %s does not exist.", shorten(name)), name, names(l.InternetHosts, func(h *InternetHost) string { return h.Name }))
	}
	l.InternetHosts = remove(l.InternetHosts, h)
	return nil
}
