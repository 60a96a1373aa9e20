// Package health asks again and again whether targets serve, as the load balancer of the classic platform does: by a TCP handshake, or by
// a GET that must give status 200 (LoadBalancerProbe Schema). Who answers in time is healthy.
package health

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
)

// The platform's defaults, in seconds: a target is down after two questions without a good answer.
const (
	defaultInterval = 15
	defaultTimeout  = 31
)

// State is what is known of one target.
type State struct {
	ID string `json:"id"`
	// Healthy says that the last good answer is not older than the probe's timeout.
	Healthy bool `json:"healthy"`
	// Known says that the first question has ended. Before it has, a target counts as down.
	Known bool `json:"known"`
	// Since is when Healthy became what it is.
	Since time.Time `json:"since"`
	// Detail is what was wrong with the last answer; empty: nothing.
	Detail string `json:"detail,omitempty"`
}

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

// New makes a checker without probes, which finds the running namespaces by their names. Changed, which may be nil, is told when a target
// becomes healthy and, after that, when it no longer is: of several targets from several goroutines at once, of one target once at a time
// and then of its latest state. It may take its time, the probes go on meanwhile; and call all methods but Close. It may still hear of a
// probe that a Set has just ended.
func New(namespaces func(string) (*kernel.Namespace, bool), changed func(id string, healthy bool)) *Checker {
	if changed == nil {
		changed = func(string, bool) {}
	}
	return &Checker{namespaces: namespaces, changed: changed, second: time.Second, running: make(map[string]*runner)}
}

// spread is the time between the first questions of probes that start together.
const spread = time.Millisecond

// Set makes the probes of the network those that run. Probes that ran already go on undisturbed, those that are gone end, new ones
// ask their first question at once, one after the other. A probe that only asks at other times now keeps what it knows; one that asks
// something else begins anew.
func (c *Checker) Set(network *emu.Network) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	wanted := make(map[string]bool)
	started := 0
	for _, s := range network.Namespaces {
		for _, p := range s.HealthProbes {
			p.Interval = cmp.Or(max(p.Interval, 0), defaultInterval)
			p.Timeout = cmp.Or(max(p.Timeout, 0), defaultTimeout)
			wanted[p.ID] = true
			r := &runner{checker: c, namespace: s.Name, probe: p, state: State{ID: p.ID, Since: time.Now()}}
			if old := c.running[p.ID]; old != nil {
				if old.namespace == r.namespace && old.probe == r.probe {
					continue
				}
				old.stop()
				if old.asksSame(r) {
					r.state, r.answered, r.told = old.state, old.answered, old.told
				}
			}
			c.running[p.ID] = r
			delay := time.Duration(started) * spread % (time.Duration(p.Interval) * c.second)
			started++
			ctx, cancel := context.WithCancel(context.Background())
			r.stop = cancel
			c.group.Go(func() { r.run(ctx, delay) })
		}
	}
	for id, r := range c.running {
		if !wanted[id] {
			r.stop()
			delete(c.running, id)
		}
	}
}

// Healthy says whether the target of a probe is healthy, and whether that is known: a target that wasn't asked yet is not healthy.
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
func (c *Checker) States() []State {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]State, 0, len(c.running))
	for _, r := range c.running {
		all = append(all, r.state)
	}
	slices.SortFunc(all, func(a, b State) int { return strings.Compare(a.ID, b.ID) })
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
