package engine

import (
	"context"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/expect"
	"vnetlab/lab/oracle"
)

// Probe finds out by a connection whether one name reaches another, and compares the answer with the model's.
func (e *Engine) Probe(ctx context.Context, req api.ProbeRequest) (api.ProbeResult, error) {
	target, err := lab.ParseTarget(req.To)
	if err != nil {
		return api.ProbeResult{}, err
	}
	l, p, o, err := e.observe(ctx, req.From, target)
	if err != nil {
		return api.ProbeResult{}, err
	}
	difference := expect.Difference(p, o)
	return api.ProbeResult{
		From: req.From, To: req.To, Address: o.Address, Port: target.Port, Protocol: target.Protocol,
		Verdict: o.Verdict, By: o.By,
		SeenAs: l.NameOf(o.AnsweredBy, o.SeenAs), SeenAsAddress: o.SeenAs, AnsweredBy: o.AnsweredBy,
		RTTMicros: o.RTT.Microseconds(), Detail: o.Detail,
		Members: probeMembers(l, o), Predicted: predicted(p), Agrees: difference == "", Difference: difference,
	}, nil
}

func probeMembers(l *lab.Lab, o emu.Observation) (all []api.ProbeMember) {
	for _, m := range o.Members {
		all = append(all, api.ProbeMember{
			Member: m.Namespace, Verdict: m.Verdict, By: m.By,
			SeenAs: l.NameOf(m.Namespace, m.SeenAs), SeenAsAddress: m.SeenAs, Detail: m.Detail,
		})
	}
	return all
}

// predicted returns nil where the model has no verdict.
func predicted(p oracle.Prediction) *api.Prediction {
	if !p.Known() {
		return nil
	}
	return &api.Prediction{Verdict: p.Verdict, By: p.By}
}

// observe asks model and packets. Where they differ because the lab was changed meanwhile, it asks again and keeps
// changes away until it has the answer. It returns the lab that the answer is about.
func (e *Engine) observe(
	ctx context.Context, from string, to lab.Target,
) (*lab.Lab, oracle.Prediction, emu.Observation, error) {
	generation := e.generation.Load()
	l := e.now().lab
	p, o, err := e.observeOnce(ctx, l, from, to)
	if generation%2 == 0 && generation == e.generation.Load() || err == nil && p.Agrees(o) {
		return l, p, o, err
	}
	e.packets.RLock()
	defer e.packets.RUnlock()
	l = e.now().lab
	p, o, err = e.observeOnce(ctx, l, from, to)
	return l, p, o, err
}

func (e *Engine) observeOnce(
	ctx context.Context, l *lab.Lab, from string, to lab.Target,
) (p oracle.Prediction, o emu.Observation, err error) {
	namespace, err := l.Namespace(from)
	if err != nil {
		return p, o, err
	}
	target, err := l.EmuTarget(to)
	if err != nil {
		return p, o, err
	}
	if p, err = oracle.Predict(l, from, to); err != nil {
		return p, o, err
	}
	o = e.emu.Probe(ctx, namespace, target)
	o.By = p.Explain(o)
	p, o = oracle.InNames(l, p, o)
	return p, o, nil
}
