package health

import (
	"context"
	"time"

	"vnetlab/emu"
)

// runner runs one probe.
type runner struct {
	checker   *Checker
	namespace string
	probe     emu.HealthProbe
	stop      context.CancelFunc

	// Guarded by the checker's mutex.
	state    emu.HealthState
	answered time.Time // well, the last time
	told     bool      // the health that changed was last called with
	telling  bool      // a goroutine does so
}

// asksSame reports whether another runner sends the same health probe, so that its answers hold for this one too.
func (r *runner) asksSame(other *runner) bool {
	a, b := r.probe, other.probe
	a.Interval, a.Timeout = b.Interval, b.Timeout
	return r.namespace == other.namespace && a == b
}

// run asks until ctx ends, first after the delay. The questions begin an interval apart, however long the answers take.
func (r *runner) run(ctx context.Context, delay time.Duration) {
	interval := time.Duration(r.probe.Interval) * r.checker.second
	timeout := time.Duration(r.probe.Timeout) * r.checker.second
	next, down := time.NewTimer(delay), time.NewTimer(0)
	defer next.Stop()
	defer down.Stop()
	down.Stop()
	if r.state.Healthy { // of the runner before this one
		down.Reset(time.Until(r.answered.Add(timeout)))
		r.become(ctx, true)
	}
	begin := time.Now().Add(delay)
	answers := make(chan error, 1)
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			limit := min(interval, timeout)
			r.checker.group.Go(func() { answers <- r.ask(ctx, limit) })
		case err := <-answers:
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				down.Reset(timeout)
			}
			r.record(ctx, err)
			// A question that began late or took long makes no other come sooner than it would have.
			for begin = begin.Add(interval); time.Since(begin) > interval; {
				begin = begin.Add(interval)
			}
			next.Reset(time.Until(begin))
		case <-down.C:
			r.become(ctx, false)
		}
	}
}

// record notes how a question ended.
func (r *runner) record(ctx context.Context, err error) {
	r.checker.mu.Lock()
	r.state.Known = true
	r.state.Detail = ""
	if err != nil {
		r.state.Detail = err.Error()
	} else {
		r.answered = time.Now()
	}
	r.checker.mu.Unlock()
	if err == nil {
		r.become(ctx, true)
	}
}

// become records the health and makes sure that changed is called.
func (r *runner) become(ctx context.Context, healthy bool) {
	r.checker.mu.Lock()
	defer r.checker.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if r.state.Healthy != healthy {
		r.state.Healthy, r.state.Since = healthy, time.Now()
	}
	if r.told != healthy && !r.telling {
		r.telling = true
		r.checker.group.Go(func() { r.tell(ctx) })
	}
}

// tell calls changed until its last call had the current health. It has its own goroutine: if the runner waited, it
// would send no health probes, and the target would count as down.
func (r *runner) tell(ctx context.Context) {
	for {
		r.checker.mu.Lock()
		healthy := r.state.Healthy
		if ctx.Err() != nil || r.told == healthy {
			r.telling = false
			r.checker.mu.Unlock()
			return
		}
		r.told = healthy
		r.checker.mu.Unlock()
		r.checker.changed(r.probe.ID, healthy)
	}
}
