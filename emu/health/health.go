// Package health sends health probes periodically, as the load balancer of the classic platform does: a TCP
// handshake, or a GET that must return status 200 (LoadBalancerProbe Schema). A target that answers in time is
// healthy.
package health

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/kernel"
)

// The platform's defaults, in seconds: a target is down after two questions without a good answer.
const (
	defaultInterval = 15
	defaultTimeout  = 31
)

// Checker runs the health probes of a network. Its methods may be called from many goroutines at once.
type Checker struct {
	namespaces func(string) (*kernel.Namespace, bool)
	changed    func(id string, healthy bool)
	second     time.Duration // shorter in tests

	mu      sync.Mutex
	running map[string]*runner // by ids
	closed  bool
	group   sync.WaitGroup
}

// New makes a checker without probes, which finds the running namespaces by their names. Changed, which may be nil,
// is told when a target becomes healthy and, after that, when it no longer is: of several targets from several
// goroutines at once, of one target once at a time and then of its latest state. It may take its time, the probes go
// on meanwhile; and call all methods but Close. It may still hear of a probe that a Set has just ended.
func New(namespaces func(string) (*kernel.Namespace, bool), changed func(id string, healthy bool)) *Checker {
	if changed == nil {
		changed = func(string, bool) {}
	}
	return &Checker{namespaces: namespaces, changed: changed, second: time.Second, running: make(map[string]*runner)}
}

// spread is the time between the first questions of probes that start together.
const spread = time.Millisecond

// Set makes the probes of the network those that run. Probes that ran already go on undisturbed, those that are gone
// end, new ones ask their first question at once, one after the other. A probe that only asks at other times now
// keeps what it knows; one that asks something else begins anew.
func (c *Checker) Set(network *emu.Network) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var wanted []placedProbe
	for _, s := range network.Namespaces {
		wanted = append(wanted, placedProbes(s.Name, s.HealthProbes)...)
	}
	c.change(slices.Collect(maps.Keys(c.running)), wanted)
}

// Update does the same for a change of the network whose health probes run. Its cost is proportional to the change.
func (c *Checker) Update(change *diff.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var gone []string
	end := func(probes []emu.HealthProbe) {
		for _, p := range probes {
			gone = append(gone, p.ID)
		}
	}
	var wanted []placedProbe
	for _, s := range change.Removed {
		end(s.HealthProbes)
	}
	for _, s := range change.Changed {
		end(s.RemovedHealthProbes)
		wanted = append(wanted, placedProbes(s.To.Name, s.AddedHealthProbes)...)
	}
	for _, s := range change.Added {
		wanted = append(wanted, placedProbes(s.Name, s.HealthProbes)...)
	}
	c.change(gone, wanted)
}

// placedProbe is a health probe with the namespace that it starts in.
type placedProbe struct {
	namespace string
	probe     emu.HealthProbe
}

func placedProbes(namespace string, probes []emu.HealthProbe) []placedProbe {
	all := make([]placedProbe, len(probes))
	for i, p := range probes {
		all[i] = placedProbe{namespace, p}
	}
	return all
}

// change ends probes and starts others; one that is among both goes on as far as it stays the same. The mutex is held.
func (c *Checker) change(gone []string, wanted []placedProbe) {
	if c.closed {
		return
	}
	stays := make(map[string]bool, len(wanted))
	started := 0
	for _, w := range wanted {
		stays[w.probe.ID] = true
		if c.start(w.namespace, w.probe, time.Duration(started)*spread) {
			started++
		}
	}
	for _, id := range gone {
		if r := c.running[id]; r != nil && !stays[id] {
			r.stop()
			delete(c.running, id)
		}
	}
}

// start starts a health probe whose first attempt comes after the delay, or within an interval. It returns false if
// the probe runs already.
func (c *Checker) start(namespace string, p emu.HealthProbe, delay time.Duration) bool {
	p.Interval = cmp.Or(max(p.Interval, 0), defaultInterval)
	p.Timeout = cmp.Or(max(p.Timeout, 0), defaultTimeout)
	r := &runner{checker: c, namespace: namespace, probe: p, state: emu.HealthState{ID: p.ID, Since: time.Now()}}
	if old := c.running[p.ID]; old != nil {
		if old.namespace == r.namespace && old.probe == r.probe {
			return false
		}
		old.stop()
		if old.asksSame(r) {
			r.state, r.answered, r.told = old.state, old.answered, old.told
		}
	}
	c.running[p.ID] = r
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	c.group.Go(func() { r.run(ctx, delay%(time.Duration(p.Interval)*c.second)) })
	return true
}

// Healthy reports whether the target of a health probe is healthy, and whether that is known: before the first answer
// a target is not healthy.
func (c *Checker) Healthy(id string) (healthy, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.running[id]
	if r == nil {
		return false, false
	}
	return r.state.Healthy, r.state.Known
}

// States lists what is known of all targets, by their ids.
func (c *Checker) States() []emu.HealthState {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]emu.HealthState, 0, len(c.running))
	for _, r := range c.running {
		all = append(all, r.state)
	}
	slices.SortFunc(all, func(a, b emu.HealthState) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// Close ends all probes and returns when none runs any more. A caller must not hold what changed waits for.
func (c *Checker) Close() error {
	c.mu.Lock()
	c.closed = true
	for id, r := range c.running {
		r.stop()
		delete(c.running, id)
	}
	c.mu.Unlock()
	c.group.Wait()
	return nil
}
