package probe

import (
	"bytes"
	"context"
	"os"
	"testing"

	"golang.org/x/sync/errgroup"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/emu/kerneltest"
)

// pair is one probe of many.
type pair struct {
	From   string // a namespace
	Target emu.Target
}

// sweep makes many probes, at most parallelism at a time, and returns their observations in the order of the pairs.
func sweep(ctx context.Context, p *Prober, pairs []pair, parallelism int) []emu.Observation {
	observations := make([]emu.Observation, len(pairs))
	var g errgroup.Group
	g.SetLimit(parallelism)
	for i, pair := range pairs {
		g.Go(func() error {
			observations[i] = p.Probe(ctx, pair.From, pair.Target)
			return nil
		})
	}
	g.Wait() //nolint:errcheck // no probe returns one
	return observations
}

// crowd is a network of hosts that all listen on the port their firewalls open, and all pairs of them.
func crowd(subnets, hostsPer int, port uint16) (*emu.Network, []pair) {
	n := kerneltest.Subnets(subnets, hostsPer)
	for _, s := range n.Namespaces {
		if s.Kind == emu.Host {
			s.Services = append(s.Services, tcp(kerneltest.Port))
		}
	}
	var pairs []pair
	for a := range subnets * hostsPer {
		for b := range subnets * hostsPer {
			if a != b {
				pairs = append(pairs, pair{
					From: kerneltest.Host(a/hostsPer, a%hostsPer),
					Target: emu.Target{
						Address:  kerneltest.Address(b/hostsPer, b%hostsPer),
						Port:     port,
						Protocol: emu.TCP,
					},
				})
			}
		}
	}
	return n, pairs
}

// neighborsLeft counts the entries of the hosts of a network in the kernel's neighbor table.
func neighborsLeft(t *testing.T, n *emu.Network, state *kernel.State) (left int) {
	t.Helper()
	for _, s := range n.Namespaces {
		if s.Kind != emu.Host {
			continue
		}
		var table []byte
		if err := namespace(t, state, s.Name).Do(func() (err error) {
			table, err = os.ReadFile("/proc/thread-self/net/arp")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		left += bytes.Count(table, []byte("\n")) - 1
	}
	return left
}

// TestSweep probes all pairs of a subnet at once, in both directions, several times. They need more entries in the
// kernel's neighbor table than it holds by default.
func TestSweep(t *testing.T) {
	const hosts, times = 40, 3
	for _, c := range []struct {
		name string
		port uint16
		want emu.Verdict
	}{
		{"open", kerneltest.Port, emu.Open},
		{"blocked", 7000, emu.Blocked},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, pairs := crowd(1, hosts, c.port)
			state, p := start(t, n)
			for range times {
				for i, o := range sweep(t.Context(), p, pairs, len(pairs)) {
					if o.Verdict != c.want || o.Address != pairs[i].Target.Address {
						t.Fatalf("%+v: %+v", pairs[i], o)
					}
				}
			}
			// Each host may have its gateway. A listener that closes its connection late may bring one of the
			// others back.
			if left, most := neighborsLeft(t, n, state), hosts+neighborLimit()/neighborShare; left > most {
				t.Errorf("%d neighbors are left, want at most %d", left, most)
			}
		})
	}
}
