package emulator

import (
	"context"
	"time"

	"vnetlab/emu"
)

// Health lists the states of the targets of all health probes.
func (e *Emulator) Health() []emu.HealthState { return e.health.States() }

// Healthy reports whether the target of a health probe is healthy.
func (e *Emulator) Healthy(id string) bool {
	healthy, _ := e.health.Healthy(id)
	return healthy
}

// healthTimeout is how long Start waits for the first answers to health probes. A target that is silent for longer
// is down.
const healthTimeout = 2 * time.Second

// waitHealth returns when every health probe had its first answer or failed for the first time.
func (e *Emulator) waitHealth(ctx context.Context, report func(done, total int)) error {
	last := -1
	deadline := time.Now().Add(max(healthTimeout, e.opts.Patience))
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		states, known := e.health.States(), 0
		for _, s := range states {
			if s.Known {
				known++
			}
		}
		if known != last && len(states) > 0 {
			report(known, len(states))
			last = known
		}
		if known == len(states) || time.Now().After(deadline) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}
