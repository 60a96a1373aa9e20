package lab

import (
	"errors"
	"net/netip"
	"slices"

	"vnetlab/emu"
)

// anybodyAddress and AnybodyName are of the unnamed internet host that a lab without internet hosts is seen from.
var anybodyAddress = netip.MustParseAddr("203.0.113.254")

// AnybodyName names the internet host of a lab that has none.
const AnybodyName = "anybody"

var anybody = []*InternetHost{{Name: AnybodyName, Address: anybodyAddress}}

// InternetHost is a machine on the public internet that belongs to nobody here.
type InternetHost struct {
	Name     string
	Address  netip.Addr
	Services []Service
	Boundary emu.Boundary
	Origin   Origin
}

// Internet lists the internet hosts: those of the lab, or the unnamed one where it has none.
func (l *Lab) Internet() []*InternetHost {
	if len(l.InternetHosts) > 0 {
		return l.InternetHosts
	}
	return anybody
}

// checkFree refuses a name that a member of the lab has already.
func (l *Lab) checkFree(name string) *Error {
	if m, ok := l.hostNamed(name); ok {
		return conflict("The name %s is taken by %s.", name, m.Describe())
	}
	for at := range l.placed() {
		if at.goesBy(name) {
			return conflict("The name %s is taken by %s.", name, Member{Instance: at.instance}.Describe())
		}
	}
	return nil
}

// CreateInternetHostOp is [Lab.CreateInternetHost] as an operation.
type CreateInternetHostOp struct{ InternetHost }

func (o CreateInternetHostOp) Do(l *Lab) error { return l.CreateInternetHost(o.InternetHost) }

func (o CreateInternetHostOp) String() string { return "create internet host " + o.Name }

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
	if err := checkBoundary(h.Boundary); err != nil {
		return err.At(h.Origin)
	}
	h.Boundary = h.Boundary.Over(l.Boundary)
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
		return netip.Addr{}, badRequest(
			"The address %s is not in the internet of the lab (%s).",
			wanted,
			joinPrefixes(internetSpace),
		).
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

// DeleteInternetHostOp is [Lab.DeleteInternetHost] as an operation.
type DeleteInternetHostOp struct{ Name string }

func (o DeleteInternetHostOp) Do(l *Lab) error { return l.DeleteInternetHost(o.Name) }

func (o DeleteInternetHostOp) String() string { return "delete internet host " + o.Name }

// DeleteInternetHost removes an internet host.
func (l *Lab) DeleteInternetHost(name string) error {
	h, ok := find(l.InternetHosts, func(h *InternetHost) bool { return h.Name == name })
	if !ok {
		return didYouMean(
			notFound("The internet host %s does not exist.", shorten(name)),
			name,
			names(l.InternetHosts, func(h *InternetHost) string { return h.Name }),
		)
	}
	l.InternetHosts = remove(l.InternetHosts, h)
	return nil
}

func init() {
	register(
		CreateInternetHostOp{},
		DeleteInternetHostOp{},
	)
}
