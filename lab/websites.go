package lab

import (
	"errors"
	"net/netip"
	"slices"

	"vnetlab/emu"
)

// WebSite is a site in the multi-tenant platform: SITE.azurewebsites.net. It can't join a virtual network.
type WebSite struct {
	Name     string
	Location string
	Address  netip.Addr // inside the platform's scale unit; unreachable from elsewhere
	Services []Service
	Boundary emu.Boundary
	Origin   Origin
}

// HTTPPort is the only port of a web site.
const HTTPPort = 80

// DNSName is the site's host name.
func (s *WebSite) DNSName() string { return s.Name + ".azurewebsites.net" }

// CreateWebSiteOp is [Lab.CreateWebSite] as an operation.
type CreateWebSiteOp struct{ WebSite }

func (o CreateWebSiteOp) Do(l *Lab) error { return l.CreateWebSite(o.WebSite) }

func (o CreateWebSiteOp) String() string { return "create web site " + o.Name }

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
	if err := checkBoundary(s.Boundary); err != nil {
		return err.At(s.Origin)
	}
	s.Boundary = s.Boundary.Over(l.Boundary)
	address, ok := firstFree(webSiteSpace, func(a netip.Addr) bool {
		return slices.ContainsFunc(
			l.WebSites,
			func(o *WebSite) bool { return o.Location == s.Location && o.Address == a },
		)
	})
	if !ok {
		return badRequest("The web sites of %s are full.", s.Location).At(s.Origin)
	}
	s.Address = address
	l.WebSites = append(l.WebSites, &s)
	return nil
}

// DeleteWebSiteOp is [Lab.DeleteWebSite] as an operation.
type DeleteWebSiteOp struct{ Name string }

func (o DeleteWebSiteOp) Do(l *Lab) error { return l.DeleteWebSite(o.Name) }

func (o DeleteWebSiteOp) String() string { return "delete web site " + o.Name }

// DeleteWebSite removes a web site.
func (l *Lab) DeleteWebSite(name string) error {
	s, ok := find(l.WebSites, func(s *WebSite) bool { return s.Name == name })
	if !ok {
		return didYouMean(
			notFound("The web site %s does not exist.", shorten(name)),
			name,
			names(l.WebSites, func(s *WebSite) string { return s.Name }),
		)
	}
	l.WebSites = remove(l.WebSites, s)
	return nil
}

func init() {
	register(
		CreateWebSiteOp{},
		DeleteWebSiteOp{},
	)
}
