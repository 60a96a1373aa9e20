package kernel

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"vnetlab/emu/kerneltest"
)

// BenchmarkDiff reads whole networks back, the first time as the end of an up does and again.
func BenchmarkDiff(b *testing.B) {
	kerneltest.RequireRoot(b)
	for _, size := range sizes {
		want := kerneltest.Subnets(size[0], size[1])
		s, err := Apply(context.Background(), want, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint(size[0]*size[1]), func(b *testing.B) {
			var before, after unix.Rusage
			_ = unix.Getrusage(unix.RUSAGE_SELF, &before)
			n := 0
			for b.Loop() {
				n++
				if d, err := Diff(context.Background(), want, s); err != nil || len(d) > 0 {
					b.Fatal(d, err)
				}
			}
			_ = unix.Getrusage(unix.RUSAGE_SELF, &after)
			cpu := func(r unix.Rusage) float64 { return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e6 }
			b.ReportMetric((cpu(after)-cpu(before))/float64(n), "cpu-ms/op")
		})
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}
}
