package probe

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"vnetlab/emu"
)

// Pair is one probe of a sweep.
type Pair struct {
	From   string // a namespace
	Target emu.Target
}

// Sweep makes many probes, at most parallelism at a time, source by source, and gives their observations in the order of the
// pairs. Unlike as many calls of Probe it keeps the machine's neighbour table from overflowing. Report gets each observation when
// it is made, from several goroutines; it may be nil.
func (p *Prober) Sweep(ctx context.Context, pairs []Pair, parallelism int, report func(i int, o emu.Observation)) []emu.Observation {
	neighbours := func(from string, to netip.Addr) []neighbour {
		return read(p, func(t *topology) []neighbour { return t.pairNeighbours(from, to) })
	}
	order := make([]int, len(pairs))
	entries := 0
	for i, pair := range pairs {
		order[i] = i
		entries += len(neighbours(pair.From, pair.Target.Address))
	}
	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(pairs[a].From, pairs[b].From) })

	// A quarter: other labs share the table.
	sweeping := entries > neighbourLimit()/4
	b := &broom{namespaces: p.namespaces, sockets: make(map[string]int)}
	defer b.Close() //nolint:errcheck // sockets nothing was sent from

	observations := make([]emu.Observation, len(pairs))
	var g errgroup.Group
	g.SetLimit(max(parallelism, 1))
	for _, i := range order {
		g.Go(func() error {
			pair := pairs[i]
			o := p.Probe(ctx, pair.From, pair.Target)
			if sweeping {
				for _, n := range neighbours(pair.From, o.Address) {
					b.remove(n)
				}
			}
			observations[i] = o
			if report != nil {
				report(i, o)
			}
			return nil
		})
	}
	g.Wait() //nolint:errcheck // no probe returns one
	return observations
}
