package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// WaitUntilGone returns when the kernel has destroyed every network namespace that nothing held any more before the
// call, whichever process made it.
//
// The kernel destroys namespaces in batches, one after the other, in the order in which they were released. So the call
// releases a namespace that it made and waits for its end, which it learns from the end of a link into it. That batch
// may be the one with the namespaces waited for, and links end before the rest of their namespace does; a second round
// is a later batch, which begins after the end of the first.
func WaitUntilGone(ctx context.Context) error {
	for range 2 {
		if err := endNamespace(ctx); err != nil {
			return fmt.Errorf("wait for the end of network namespaces: %w", err)
		}
	}
	return nil
}

// endNamespace makes a namespace, releases it, and waits until its links are gone.
func endNamespace(ctx context.Context) (err error) {
	var route, events *routeSocket
	watch, err := newNamespace("watch", func() (err error) {
		if route, err = newRouteSocket(); err != nil {
			return err
		}
		events, err = newRouteSocket()
		return err
	})
	defer func() {
		for _, s := range []*routeSocket{route, events} {
			if s != nil {
				err = errors.Join(err, s.close())
			}
		}
	}()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, watch.Close()) }()
	doomed, err := newNamespace("doomed", func() error { return nil })
	if err != nil {
		return err
	}
	near := linkEnd{LinkEnd: emu.LinkEnd{Name: "near", MAC: emu.MAC{2, 0, 0, 0, 0, 1}}, index: 2, home: watch}
	far := linkEnd{LinkEnd: emu.LinkEnd{Name: "far", MAC: emu.MAC{2, 0, 0, 0, 0, 2}}, index: 2, home: doomed}
	if err := route.do(newVeth(near, far)); err != nil {
		return errors.Join(err, doomed.Close())
	}
	if err := unix.Bind(events.fd, &unix.SockaddrNetlink{
		Family: unix.AF_NETLINK,
		Groups: 1 << (unix.RTNLGRP_LINK - 1),
	}); err != nil {
		return errors.Join(os.NewSyscallError("bind", err), doomed.Close())
	}
	if err := doomed.Close(); err != nil {
		return err
	}
	return events.waitForEnd(ctx)
}
