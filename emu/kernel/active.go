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

// activeWithin is how long links may take until they carry packets. The kernel notices a carrier at once or, when many come up, some
// seconds later.
const activeWithin = 30 * time.Second

// waitActive returns when the devices with the given indexes carry packets. A link that is set up before its other end waits for the
// kernel to notice the carrier, and only then its queue, and the bridge it is a port of, take packets; till then they are lost.
func waitActive(ctx context.Context, s *routeSocket, devices map[int]string) error {
	start := time.Now()
	for pause := time.Duration(0); ; pause = min(2*pause+time.Millisecond, 50*time.Millisecond) {
		idle, err := inactive(s, devices)
		if err == nil && len(idle) == 0 {
			return nil
		}
		if err != nil && !errors.Is(err, errInterrupted) {
			return err
		}
		if time.Since(start) > activeWithin {
			return fmt.Errorf("links carry no packets %s after they were set up, %d of %d: %w", activeWithin, len(idle), len(devices), err)
		}
		// Since Linux 6.8 asking for a device makes the kernel look at its carrier. Otherwise it looks at a hundred a second.
		if err := s.do(idle...); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// inactive gives a question for each of the devices that don't carry packets.
func inactive(s *routeSocket, devices map[int]string) ([]request, error) {
	withoutStatistics := nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStatistics))
	links, err := s.dump(unix.RTM_GETLINK, nl.NewIfInfomsg(unix.AF_UNSPEC), withoutStatistics)
	if err != nil {
		return nil, err
	}
	var idle []request
	for _, m := range links {
		index := int(nl.DeserializeIfInfomsg(m).Index)
		name, awaited := devices[index]
		if !awaited {
			continue
		}
		attrs, err := parseAttributes(m[unix.SizeofIfInfomsg:])
		if err != nil {
			return nil, err
		}
		if state := attrs[unix.IFLA_OPERSTATE]; len(state) == 0 || state[0] != netlink.OperUp {
			idle = append(idle, newRequest("look at "+name, unix.RTM_GETLINK, 0, linkInfo(unix.AF_UNSPEC, index, 0, 0), withoutStatistics))
		}
	}
	return idle, nil
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
