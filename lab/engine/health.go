package engine

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
)

// questions returns the health probes that a change ends, by their ids, and those that it begins.
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

// forgetHealth returns the lab without the answers to health probes that are new, or ask something else from now on.
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

// healthNews are the ids of health probes whose target may have become healthy, or no longer is.
type healthNews struct {
	mu  sync.Mutex
	ids map[string]bool
	// come holds something when there may be news.
	come chan struct{}
}

func newHealthNews() *healthNews {
	return &healthNews{ids: map[string]bool{}, come: make(chan struct{}, 1)}
}

// add never waits.
func (n *healthNews) add(ids ...string) {
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

// take returns the ids that were added since the last time.
func (n *healthNews) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	ids := slices.Collect(maps.Keys(n.ids))
	clear(n.ids)
	return ids
}

// healthRetry is the time until a change of health that the kernel refused is tried again.
const healthRetry = time.Second

// watchHealth brings the answers of health probes to the load balancer, until the engine is closed. Many answers at
// once are one change.
func (e *Engine) watchHealth() {
	for {
		select {
		case <-e.closed:
			return
		case <-e.health.come:
		}
		if err := e.followHealth(); err != nil {
			fmt.Fprintln(os.Stderr, "health probes:", err)
		}
	}
}

// HealthChanged notes that the target of a health probe may have become healthy, or no longer is. It never waits.
func (e *Engine) HealthChanged(probeID string) { e.health.add(probeID) }

// followHealth makes those targets that answered their health probes the load balancer's members.
func (e *Engine) followHealth() error {
	var ids []string
	c, err := e.change(func(old *state) (*state, error) {
		ids = e.health.take()
		next := old.lab
		for _, id := range ids {
			if healthy := e.emu.Healthy(id); next.Healthy(id) != healthy {
				if next == old.lab {
					next = old.lab.Clone()
				}
				next.SetHealth(id, healthy)
			}
		}
		if next == old.lab {
			return nil, errNoChange
		}
		return old.next(next, old.file), nil
	})
	for _, warning := range c.warnings {
		fmt.Fprintln(os.Stderr, warning)
	}
	if err == nil || errors.Is(err, errNoChange) || errors.Is(err, errClosed) {
		return nil
	}
	time.AfterFunc(e.retry, func() { e.health.add(ids...) })
	return err
}
