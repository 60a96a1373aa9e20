package live

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/lab"
	"vnetlab/lab/labfile"
)

// questions gives the health probes that a change ends, by their ids, and the ones that it begins.
func questions(change *diff.Change) (ended map[string]emu.HealthProbe, begun []emu.HealthProbe) {
	ended = map[string]emu.HealthProbe{}
	end := func(all []emu.HealthProbe) {
		for _, p := range all {
			ended[p.ID] = p
		}
	}
	for _, n := range change.Removed {
		end(n.HealthProbes)
	}
	for _, n := range change.Added {
		begun = append(begun, n.HealthProbes...)
	}
	for _, c := range change.Changed {
		end(c.RemovedHealthProbes)
		begun = append(begun, c.AddedHealthProbes...)
	}
	return ended, begun
}

// forgetHealth gives the lab without the answers to health probes that ask something else from now on, or didn't exist before.
func forgetHealth(l *lab.Lab, ended map[string]emu.HealthProbe, begun []emu.HealthProbe) *lab.Lab {
	without := l
	for _, p := range begun {
		was := ended[p.ID]
		was.Interval, was.Timeout = p.Interval, p.Timeout // when it asks doesn't matter
		if was != p && l.Healthy(p.ID) {
			if without == l {
				without = l.Clone()
			}
			without.SetHealth(p.ID, false)
		}
	}
	return without
}

// healthNews are the ids of health probes whose target may serve, or no longer does.
type healthNews struct {
	mu  sync.Mutex
	ids map[string]bool
	// come has something when there may be news.
	come chan struct{}
}

func newHealthNews() *healthNews {
	return &healthNews{ids: map[string]bool{}, come: make(chan struct{}, 1)}
}

// tell never waits.
func (n *healthNews) tell(ids ...string) {
	if len(ids) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, id := range ids {
		n.ids[id] = true
	}
	select {
	case n.come <- struct{}{}:
	default:
	}
}

// take gives the ids that were told since the last time.
func (n *healthNews) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	ids := slices.Collect(maps.Keys(n.ids))
	clear(n.ids)
	return ids
}

// healthRetry is how long a change of health that the kernel refused waits for its next try.
const healthRetry = time.Second

// watchHealth brings what health probes find out to the load balancer, until the lab ends. Many answers at once are one change.
func (s *server) watchHealth() {
	for {
		select {
		case <-s.stopping:
			return
		case <-s.health.come:
		}
		if err := s.followHealth(); err != nil {
			fmt.Fprintln(os.Stderr, "health probes:", err)
		}
	}
}

// followHealth makes the load balancer's members those that answered their probes.
func (s *server) followHealth() error {
	var ids []string
	_, err := s.change(func(l *lab.Lab, file labfile.Input) (*lab.Lab, labfile.Input, error) {
		ids = s.health.take()
		next := l
		for _, id := range ids {
			if healthy := s.emu.Healthy(id); l.Healthy(id) != healthy {
				if next == l {
					next = l.Clone()
				}
				next.SetHealth(id, healthy)
			}
		}
		if next == l {
			return nil, file, errNoChange
		}
		return next, file, nil
	})
	if err == nil || errors.Is(err, errNoChange) {
		return nil
	}
	time.AfterFunc(healthRetry, func() { s.health.tell(ids...) })
	return err
}
