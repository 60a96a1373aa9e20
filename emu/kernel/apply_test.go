package kernel

import (
	"context"
	"fmt"
	"testing"

	"vnetlab/emu/kerneltest"
)

func BenchmarkApply(b *testing.B) {
	kerneltest.RequireRoot(b)
	for _, hosts := range []int{100, 1000} {
		b.Run(fmt.Sprintf("%d", hosts), func(b *testing.B) {
			want := kerneltest.Subnets(40, hosts/40)
			for b.Loop() {
				s, err := Apply(context.Background(), want, nil)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
