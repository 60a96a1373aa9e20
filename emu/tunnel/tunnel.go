// Package tunnel joins routers of a network by encrypted tunnels: WireGuard of the kernel where it has it, and
// wireguard-go on a TUN device where not. Both speak the same protocol and are set up alike.
//
// Keys are generated with a tunnel and never leave memory. A tunnel needs its process: in the end of the process the
// TUN devices end, and the namespaces with all else.
package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
)

// side is all that one end of a tunnel must know.
type side struct {
	emu.TunnelEnd
	namespace *kernel.Namespace
	peer      netip.AddrPort // where the other end listens
	private   wgtypes.Key
	public    wgtypes.Key // of the other end
	shared    wgtypes.Key
	greets    bool // first, and again before the keys are too old
}

// end is one end of a tunnel.
type end interface {
	io.Closer
	// met reports whether the two ends have agreed on keys.
	met() (bool, error)
}

// maker makes one end, which listens but has nothing routed into it. What it made before an error it takes away.
type maker func(side) (end, error)

const (
	// keepalive is the interval in which one end of each tunnel sends something. It so is the one that greets,
	// always: when both do at once, neither understands the other's answer, and five seconds pass until the next
	// attempt.
	keepalive = 25 * time.Second
	// meetTimeout is how long the ends may take to meet; they need a few milliseconds, and five seconds more for each
	// packet that is lost.
	meetTimeout = 20 * time.Second
)

// Open makes a tunnel between the namespaces a and b of its two ends. When it returns, the ends have met and the
// tunnel carries packets. Closing it takes away the devices and with them the routes.
func Open(ctx context.Context, a, b *kernel.Namespace, t emu.Tunnel) (io.Closer, error) {
	return open(ctx, a, b, t, best)
}

// best encrypts in the kernel where that is possible.
func best(s side) (end, error) {
	c, err := inKernel(s)
	if errors.Is(err, errors.ErrUnsupported) {
		return inProcess(s)
	}
	return c, err
}

func open(ctx context.Context, a, b *kernel.Namespace, t emu.Tunnel, way maker) (_ io.Closer, err error) {
	if err := emu.CheckTunnels([]emu.Tunnel{t}); err != nil {
		return nil, err
	}
	ends, err := sides(a, b, t)
	if err != nil {
		return nil, fmt.Errorf("tunnel %s: keys: %w", t.ID, err)
	}
	var made closers
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("tunnel %s: %w", t.ID, err), made.Close())
		}
	}()
	var greeted end
	for _, s := range ends {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := s.checkPath(); err != nil {
			return nil, err
		}
		e, err := way(s)
		if err != nil {
			return nil, err
		}
		made = append(made, e)
		if !s.greets {
			greeted = e // and last to know that all is well
		}
	}
	if err := meet(ctx, greeted); err != nil {
		return nil, fmt.Errorf(
			"UDP between %s of %s and %s of %s doesn't pass: %w",
			t.A.Listen(),
			t.A.Namespace,
			t.B.Listen(),
			t.B.Namespace,
			err,
		)
	}
	for _, s := range ends {
		if err := kernel.RouteInto(s.namespace, s.Device, s.AllowedPrefixes); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// meet waits until the ends have met.
func meet(ctx context.Context, e end) error {
	ctx, cancel := context.WithTimeout(ctx, meetTimeout)
	defer cancel()
	for {
		if met, err := e.met(); met || err != nil {
			return err
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// sides returns both ends, first the one that waits for the other's handshake.
func sides(a, b *kernel.Namespace, t emu.Tunnel) ([2]side, error) {
	var all [2]side
	keyA, errA := wgtypes.GeneratePrivateKey()
	keyB, errB := wgtypes.GeneratePrivateKey()
	shared, errShared := wgtypes.GenerateKey()
	if err := errors.Join(errA, errB, errShared); err != nil {
		return all, err
	}
	all[0] = side{
		TunnelEnd: t.B,
		namespace: b,
		peer:      t.A.Listen(),
		private:   keyB,
		public:    keyA.PublicKey(),
		shared:    shared,
	}
	all[1] = side{
		TunnelEnd: t.A,
		namespace: a,
		peer:      t.B.Listen(),
		private:   keyA,
		public:    keyB.PublicKey(),
		shared:    shared,
		greets:    true,
	}
	return all, nil
}

// checkPath reports errors that WireGuard would not: that the end doesn't have its address, or has no route to the
// other end.
func (s side) checkPath() error {
	return s.namespace.Do(func() error {
		c, err := net.DialUDP(
			"udp4",
			net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.Address, 0)),
			net.UDPAddrFromAddrPort(s.peer),
		)
		if err != nil {
			return fmt.Errorf(
				"%s needs the address %s, on its loopback or a link, and a route to %s: %w",
				s.Namespace,
				s.Address,
				s.peer.Addr(),
				err,
			)
		}
		return c.Close()
	})
}

// closers are closed in reverse order.
type closers []io.Closer

func (all closers) Close() error {
	var errs []error
	for _, a := range slices.Backward(all) {
		errs = append(errs, a.Close())
	}
	return errors.Join(errs...)
}

// closer is a function that closes.
type closer func() error

func (f closer) Close() error { return f() }
