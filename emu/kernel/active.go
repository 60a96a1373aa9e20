package kernel

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// activeWithin is how long links may take until they carry packets. The kernel notices a carrier at once or, when
// many come up, some seconds later.
const activeWithin = 30 * time.Second

// questionsAtOnce keeps the descriptions of devices, 4 KiB each, within the receive buffer of a socket.
const questionsAtOnce = 20

// waitActive returns when the devices with the given indexes carry packets. A link that is set up before its other end
// waits for the kernel to notice the carrier. Only then do its queue, and the bridge it is a port of, take packets;
// until then packets are lost.
//
// Since Linux 6.8 a request for a device makes the kernel look at its carrier at once. So each is requested, rather
// than all listed.
func waitActive(ctx context.Context, s *routeSocket, devices map[int]string) error {
	withoutStatistics := nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStatistics))
	idle := slices.Sorted(maps.Keys(devices))
	slices.Reverse(idle) // the ports before their bridges, mostly
	start := time.Now()
	for pause := time.Duration(0); ; pause = min(2*pause+time.Millisecond, 50*time.Millisecond) {
		active := map[int]bool{}
		questions := make([]request, len(idle))
		for i, index := range idle {
			questions[i] = newRequest("look at "+devices[index], unix.RTM_GETLINK, 0,
				linkInfo(unix.AF_UNSPEC, index, 0, 0), withoutStatistics)
			questions[i].answer = func(m []byte) error {
				attrs, err := parseAttributes(m[unix.SizeofIfInfomsg:])
				state := attrs[unix.IFLA_OPERSTATE]
				active[index] = len(state) > 0 && state[0] == netlink.OperUp
				return err
			}
		}
		for part := range slices.Chunk(questions, questionsAtOnce) {
			if err := s.do(part...); err != nil {
				return err
			}
		}
		idle = slices.DeleteFunc(idle, func(index int) bool { return active[index] })
		if len(idle) == 0 {
			return nil
		}
		if time.Since(start) > activeWithin {
			return fmt.Errorf("%d of %d links carry no packets %s after they were set up, %s is one", len(idle),
				len(devices), activeWithin, devices[idle[0]])
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// awaited returns the devices of the namespace that become active only with their other ends: the links made from here,
// and the bridges that have ports.
func (p *node) awaited() map[int]string {
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
