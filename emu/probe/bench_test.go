package probe

import (
	"bytes"
	"os"
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
)

// crowd is a network of hosts that all listen on the port their firewalls open, and all pairs of them.
func crowd(subnets, hostsPer int, port uint16) (*emu.Network, []Pair) {
	n := kerneltest.Subnets(subnets, hostsPer)
	for i := range n.Namespaces {
		if s := n.Namespaces[i]; s.Kind == emu.Host {
			s.Services = append(s.Services, tcp(kerneltest.Port))
		}
	}
	var pairs []Pair
	for a := range subnets * hostsPer {
		for b := range subnets * hostsPer {
			if a != b {
				pairs = append(pairs, Pair{
					From:   kerneltest.Host(a/hostsPer, a%hostsPer),
					Target: emu.Target{Address: kerneltest.Address(b/hostsPer, b%hostsPer), Port: port, Protocol: emu.TCP},
				})
			}
		}
	}
	return n, pairs
}

// TestSweep sweeps pairs that would leave more entries in the kernel's neighbour table, which all namespaces share, than a sweep may.
func TestSweep(t *testing.T) {
	n, pairs := crowd(2, 20, kerneltest.Port)
	state, p := start(t, n)
	reported := make([]bool, len(pairs))
	for i, o := range p.Sweep(t.Context(), pairs, 32, func(i int, _ emu.Observation) { reported[i] = true }) {
		if o.Verdict != emu.Open || o.Address != pairs[i].Target.Address || !reported[i] {
			t.Fatalf("%+v: %+v", pairs[i], o)
		}
	}
	// Each host may have its gateway. A listener that closes its connection late may bring one of the others back.
	left, gateways := 0, 0
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
		gateways++
	}
	if most := gateways + neighbourLimit()/4; left > most {
		t.Errorf("%d neighbours are left, want at most %d", left, most)
	}
}

func benchmarkProbe(b *testing.B, port uint16, want emu.Verdict) {
	n, pairs := crowd(1, 2, port)
	_, p := start(b, n)
	for b.Loop() {
		if o := p.Probe(b.Context(), pairs[0].From, pairs[0].Target); o.Verdict != want {
			b.Fatalf("%+v", o)
		}
	}
}

func BenchmarkProbeOpen(b *testing.B)    { benchmarkProbe(b, kerneltest.Port, emu.Open) }
func BenchmarkProbeBlocked(b *testing.B) { benchmarkProbe(b, 7000, emu.Blocked) }

// benchmarkSweep probes all pairs of 100 hosts in four subnets.
func benchmarkSweep(b *testing.B, port uint16, want emu.Verdict) {
	n, pairs := crowd(4, 25, port)
	_, p := start(b, n)
	overflows := neighbourOverflows()
	for b.Loop() {
		for i, o := range p.Sweep(b.Context(), pairs, 64, nil) {
			if o.Verdict != want {
				b.Fatalf("%+v: %+v", pairs[i], o)
			}
		}
	}
	b.ReportMetric(float64(len(pairs)*b.N)/b.Elapsed().Seconds(), "probes/s")
	b.ReportMetric(float64(neighbourOverflows()-overflows), "overflows")
}

func BenchmarkSweepOpen(b *testing.B)    { benchmarkSweep(b, kerneltest.Port, emu.Open) }
func BenchmarkSweepBlocked(b *testing.B) { benchmarkSweep(b, 7000, emu.Blocked) }
