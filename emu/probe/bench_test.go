package probe

import (
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
)

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
	overflows := p.overflows.count(0)
	for b.Loop() {
		for i, o := range sweep(b.Context(), p, pairs, 64) {
			if o.Verdict != want {
				b.Fatalf("%+v: %+v", pairs[i], o)
			}
		}
	}
	b.ReportMetric(float64(len(pairs)*b.N)/b.Elapsed().Seconds(), "probes/s")
	b.ReportMetric(float64(p.overflows.count(0)-overflows), "overflows")
}

func BenchmarkSweepOpen(b *testing.B)    { benchmarkSweep(b, kerneltest.Port, emu.Open) }
func BenchmarkSweepBlocked(b *testing.B) { benchmarkSweep(b, 7000, emu.Blocked) }
