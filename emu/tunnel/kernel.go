package tunnel

import (
	"errors"
	"net"

	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"vnetlab/emu/kernel"
)

// inKernel makes an end that the kernel serves; the error is errors.ErrUnsupported where it can't.
//
// The kernel's WireGuard listens on all addresses of the namespace and lets the routing table choose the source of
// what it sends first, which would be the address of the link and not that of the end. So it marks its packets, and
// the marked go by a route of their own.
func inKernel(s side) (_ end, err error) {
	if err := kernel.AddWireGuard(s.namespace, s.Device); err != nil {
		return nil, err
	}
	made := closers{closer(func() error { return kernel.RemoveLink(s.namespace, s.Device) })}
	defer func() {
		if err != nil {
			// What fails from here on is no reason to do without the kernel, so its cause is not for errors.Is.
			err = errors.Join(errors.New("WireGuard in the kernel: "+err.Error()), made.Close())
		}
	}()
	mark := kernel.TunnelMark(s.Port)
	if err := kernel.RouteMarked(s.namespace, mark, s.Address, s.peer.Addr()); err != nil {
		return nil, err
	}
	made = append(made, closer(func() error { return kernel.UnrouteMarked(s.namespace, mark, s.peer.Addr()) }))
	if err := s.configure(int(mark)); err != nil {
		return nil, err
	}
	return kernelEnd{made, s}, kernel.SetUp(s.namespace, s.Device)
}

type kernelEnd struct {
	closers
	side side
}

func (e kernelEnd) met() (met bool, err error) {
	err = e.side.control(func(c *wgctrl.Client) error {
		d, err := c.Device(e.side.Device)
		met = err == nil && len(d.Peers) == 1 && !d.Peers[0].LastHandshakeTime.IsZero()
		return err
	})
	return met, err
}

// control talks with the WireGuard of the namespace.
func (s side) control(f func(*wgctrl.Client) error) error {
	return s.namespace.Do(func() error {
		c, err := wgctrl.New() // its sockets are in the namespace
		if err != nil {
			return err
		}
		return errors.Join(f(c), c.Close())
	})
}

// configure sets the keys and the peer of the device.
func (s side) configure(mark int) error {
	port := int(s.Port)
	allowed := make([]net.IPNet, len(s.AllowedPrefixes))
	for i, p := range s.AllowedPrefixes {
		allowed[i] = net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
	}
	peer := wgtypes.PeerConfig{
		PublicKey:         s.public,
		PresharedKey:      &s.shared,
		Endpoint:          net.UDPAddrFromAddrPort(s.peer),
		ReplaceAllowedIPs: true,
		AllowedIPs:        allowed,
	}
	if s.greets {
		interval := keepalive
		peer.PersistentKeepaliveInterval = &interval
	}
	return s.control(func(c *wgctrl.Client) error {
		return c.ConfigureDevice(s.Device, wgtypes.Config{
			PrivateKey:   &s.private,
			ListenPort:   &port,
			FirewallMark: &mark,
			ReplacePeers: true,
			Peers:        []wgtypes.PeerConfig{peer},
		})
	})
}
