package live

import (
	"context"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/compile"
	"vnetlab/lab/expect"
	"vnetlab/lab/rules"
)

// exposureChecks lists the checks of what the internet reaches, against a list of what it is meant to reach; nil:
// there is nothing to check. Whether a port is exposed is a question about the lab that runs.
func (s *server) exposureChecks(listed []lab.ExposedPort) (all []check) {
	if listed == nil {
		return nil
	}
	now := s.now()
	x := expect.NewExposure(now.lab)
	for _, c := range x.Unaccounted(compile.RoutedAddresses(now.network())) {
		all = append(all, func(context.Context) expect.Case { return c })
	}
	for _, q := range x.Questions(listed) {
		all = append(all, func(ctx context.Context) expect.Case { return s.checkExposure(ctx, now.lab, x, q) })
	}
	return all
}

// checkExposure answers a question about the exposure of a lab. Where that was changed meanwhile and the answer isn't
// the expected one, it asks about the lab as it is then, and keeps changes away until it has the answer.
func (s *server) checkExposure(
	ctx context.Context, l *lab.Lab, x *expect.Exposure, q expect.ExposureQuestion,
) expect.Case {
	ask := func(p expect.ExposureProbe) emu.Observation { return s.askFromInternet(ctx, p) }
	generation := s.generation.Load()
	c := x.Check(q, ask)
	if c.Passed || generation%2 == 0 && generation == s.generation.Load() && l == s.now().lab {
		return c
	}
	s.packets.RLock()
	defer s.packets.RUnlock()
	return expect.NewExposure(s.now().lab).Check(q, ask)
}

// askFromInternet makes a probe, from an internet host or, for an unnamed address, from the router of the internet
// that has it.
func (s *server) askFromInternet(ctx context.Context, p expect.ExposureProbe) emu.Observation {
	from, target := p.Source.Host, p.Target
	if from == "" {
		from, target.Source = rules.Internet, p.Source.Address
	}
	return s.emu.Probe(ctx, from, target)
}
