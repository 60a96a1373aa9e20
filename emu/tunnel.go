package emu

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// TunnelMTU is the size in bytes of the largest packet inside a tunnel: WireGuard and its UDP add 60 to it and may
// fill it up to the next multiple of 16, and what comes out must fit every link.
const TunnelMTU = MTU - 80

// Tunnel joins two routers by an encrypted point-to-point link over the links that are between them anyway. Its keys
// are generated with it and never leave memory.
type Tunnel struct {
	ID string    `json:"id"` // unique in the network
	A  TunnelEnd `json:"a"`
	B  TunnelEnd `json:"b"`
}

// TunnelEnd is one end of a tunnel: an interface of its namespace. It has no address.
type TunnelEnd struct {
	Namespace string `json:"namespace"`
	Device    string `json:"device"` // at most 15 bytes
	// Address and Port, of UDP, are where the end listens and what its packets come from. The namespace has the
	// address, on its loopback or on a link, and a route to that of the other end. No two ends in one namespace have
	// the same port.
	Address netip.Addr `json:"address"`
	Port    uint16     `json:"port"`
	// AllowedPrefixes are what is behind the other end: routed into the tunnel, and accepted from it as sources.
	AllowedPrefixes []netip.Prefix `json:"allowedPrefixes"`
}

// Listen is where the end listens.
func (e TunnelEnd) Listen() netip.AddrPort { return netip.AddrPortFrom(e.Address, e.Port) }

// Ends are both ends, each with the other.
func (t Tunnel) Ends() [2][2]TunnelEnd { return [2][2]TunnelEnd{{t.A, t.B}, {t.B, t.A}} }

// Equal reports whether two tunnels are the same; the order of prefixes has no meaning.
func (t Tunnel) Equal(u Tunnel) bool {
	same := func(a, b TunnelEnd) bool {
		return a.Namespace == b.Namespace && a.Device == b.Device && a.Listen() == b.Listen() &&
			slices.Equal(sorted(a.AllowedPrefixes), sorted(b.AllowedPrefixes))
	}
	return t.ID == u.ID && same(t.A, u.A) && same(t.B, u.B)
}

func sorted(all []netip.Prefix) []netip.Prefix {
	return slices.SortedFunc(slices.Values(all), comparePrefixes)
}

func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// CheckTunnels returns everything that is wrong with the tunnels of a network.
func CheckTunnels(all []Tunnel) error {
	var errs []error
	ids, places := map[string]bool{}, map[string]string{}
	take := func(t Tunnel, place string) {
		if other, taken := places[place]; taken {
			errs = append(errs, fmt.Errorf("tunnel %s: %s is that of tunnel %s too", t.ID, place, other))
		}
		places[place] = t.ID
	}
	for _, t := range all {
		if ids[t.ID] || t.ID == "" {
			errs = append(errs, fmt.Errorf("tunnel %q: the id is empty or another tunnel's", t.ID))
		}
		ids[t.ID] = true
		for _, pair := range t.Ends() {
			if err := pair[0].check(pair[1]); err != nil {
				errs = append(errs, fmt.Errorf("tunnel %s: %w", t.ID, err))
			}
			take(t, fmt.Sprintf("device %s of %s", pair[0].Device, pair[0].Namespace))
			take(t, fmt.Sprintf("port %d of %s", pair[0].Port, pair[0].Namespace))
		}
	}
	return errors.Join(errs...)
}

const maxDeviceName = 15 // bytes, IFNAMSIZ without the final zero

func (e TunnelEnd) check(other TunnelEnd) error {
	switch {
	case e.Namespace == "" || e.Namespace == other.Namespace:
		return fmt.Errorf("it must join two namespaces, not %q and %q", e.Namespace, other.Namespace)
	case e.Device == "" || len(e.Device) > maxDeviceName:
		return fmt.Errorf("%s: the device name %q must have 1 to %d bytes", e.Namespace, e.Device, maxDeviceName)
	case !e.Address.Is4() || e.Port == 0:
		return fmt.Errorf("%s: %s is no IPv4 address and port to listen on", e.Namespace, e.Listen())
	}
	for i, p := range e.AllowedPrefixes {
		switch {
		case !p.IsValid() || !p.Addr().Is4() || p != p.Masked():
			return fmt.Errorf("%s: the allowed prefix %s is no IPv4 network", e.Namespace, p)
		case p.Contains(e.Address) || p.Contains(other.Address):
			return fmt.Errorf(
				"%s: the allowed prefix %s has an end of the tunnel in it, whose packets can't pass through the tunnel itself",
				e.Namespace,
				p,
			)
		case slices.Contains(e.AllowedPrefixes[:i], p):
			return fmt.Errorf("%s: the allowed prefix %s is there twice", e.Namespace, p)
		}
	}
	return nil
}
