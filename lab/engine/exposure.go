package engine

import (
	"context"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/compile"
	"vnetlab/lab/expect"
	"vnetlab/lab/rules"
)

// exposureChecks lists the checks of what the internet reaches, against a list of what it is meant to reach; nil:
// there is nothing to check. Whether a port is exposed is a question about the lab that runs.
func (e *Engine) exposureChecks(listed []lab.ExposedPort) (all []check) {
	if listed == nil {
		return nil
	}
	now := e.now()
	x := expect.NewExposure(now.lab)
	for _, c := range x.Unaccounted(compile.RoutedAddresses(now.network())) {
		all = append(all, func(context.Context) api.Case { return c })
	}
	for _, q := range x.Questions(listed) {
		all = append(all, func(ctx context.Context) api.Case { return e.checkExposure(ctx, now.lab, x, q) })
	}
	return all
}

// checkExposure answers a question about the exposure of a lab. Where that was changed meanwhile and the answer isn't
// the expected one, it asks about the lab as it is then, and keeps changes away until it has the answer.
func (e *Engine) checkExposure(
	ctx context.Context, l *lab.Lab, x *expect.Exposure, q expect.ExposureQuestion,
) api.Case {
	ask := func(p expect.ExposureProbe) emu.Observation { return AskFromInternet(ctx, e.emu, p) }
	generation := e.generation.Load()
	c := x.Check(q, ask)
	if c.Passed || generation%2 == 0 && generation == e.generation.Load() && l == e.now().lab {
		return c
	}
	e.packets.RLock()
	defer e.packets.RUnlock()
	return expect.NewExposure(e.now().lab).Check(q, ask)
}

// AskFromInternet makes a probe from an internet host or, for an unnamed address, from the router of the internet.
func AskFromInternet(ctx context.Context, emulator Emulator, p expect.ExposureProbe) emu.Observation {
	from, target := p.Source.Host, p.Target
	if from == "" {
		from, target.Source = rules.Internet, p.Source.Address
	}
	return emulator.Probe(ctx, from, target)
}
