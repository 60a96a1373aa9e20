package kernel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// activeWithin is how long links may take until they carry packets. The kernel notices a carrier at once or, when it is busy, within a
// second or so.
const activeWithin = 30 * time.Second

// waitActive returns when the devices with the given indexes carry packets. A link that is set up before its other end waits for the
// kernel to notice the carrier, and only then its queue, and the bridge it is a port of, take packets; till then they are lost.
func waitActive(ctx context.Context, s *routeSocket, devices map[int]string) error {
	ask := []nl.NetlinkRequestData{nl.NewIfInfomsg(unix.AF_UNSPEC), nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStatistics))}
	start := time.Now()
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		links, err := s.dump(unix.RTM_GETLINK, ask...)
		if err != nil && !errors.Is(err, errInterrupted) {
			return err
		}
		idle := ""
		if err != nil {
			idle = "a link"
		}
		for _, m := range links {
			name, awaited := devices[int(nl.DeserializeIfInfomsg(m).Index)]
			if !awaited {
				continue
			}
			attrs, err := parseAttributes(m[unix.SizeofIfInfomsg:])
			if err != nil {
				return err
			}
			if state := attrs[unix.IFLA_OPERSTATE]; len(state) == 0 || state[0] != netlink.OperUp {
				idle = name
				break
			}
		}
		if idle == "" {
			return nil
		}
		if time.Since(start) > activeWithin {
			return fmt.Errorf("%s carries no packets %s after it was set up", idle, activeWithin)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// awaited are the devices of the namespace that become active only with their other ends: the links made from here, and the bridges
// that have ports.
func (p *place) awaited() map[int]string {
	all := map[int]string{}
	for _, l := range p.near {
		all[l.near.index] = l.near.Name
	}
	for _, e := range p.ends {
		if e.Port != nil {
			all[e.index], all[e.master] = e.Name, e.Port.Bridge
		}
	}
	return all
}
