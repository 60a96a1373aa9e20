package process

import (
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
)

// BenchmarkFirstCommand measures a command in an instance that runs nothing yet, and that instance's end.
func BenchmarkFirstCommand(b *testing.B) {
	spec := &emu.Namespace{Name: name, Kind: emu.Host}
	state, err := kernel.Apply(b.Context(), &emu.Network{Namespaces: []*emu.Namespace{spec}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer state.Close()
	ns, _ := state.Namespace(name)
	var first time.Duration
	for b.Loop() {
		in := New(ns, spec, Options{})
		began := time.Now()
		if exit, err := in.Exec(b.Context(), Command{Argv: []string{"true"}}); exit != 0 || err != nil {
			b.Fatal(exit, err)
		}
		first += time.Since(began)
		if err := in.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(first.Microseconds())/float64(b.N), "us/first")
}
