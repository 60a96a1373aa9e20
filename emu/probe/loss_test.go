package probe

import (
	"context"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
)

// TestReportsLostInABurst has more reports than the socket holds. The kernel loses some and says so (ENOBUFS);
// later ones are heard.
func TestReportsLostInABurst(t *testing.T) {
	_, p := start(t, fabric())
	blocked := emu.Target{Address: sql1, Port: 99, Protocol: emu.TCP}
	if got := p.Probe(t.Context(), "web1", blocked); got.Verdict != emu.Blocked {
		t.Fatalf("got %+v", got)
	}
	r, err := p.reports.open.get("sql1")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.conn.SetReadBuffer(1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { p.Probe(ctx, "web1", blocked) })
	}
	wg.Wait()
	if got := p.Probe(t.Context(), "web1", blocked); got.Verdict != emu.Blocked {
		t.Errorf("after the burst: %+v", got)
	}
}

// TestTranslatedSourcePort has a router that must change the probe's source port, because an old connection to the
// same target from the same public address still has it. The report of the first attempt names no probe, that of
// the second does.
func TestTranslatedSourcePort(t *testing.T) {
	n := fabric()
	s, _ := n.Namespace("laptop")
	s.Firewall = &emu.Firewall{}
	_, p := start(t, n)
	target := emu.Target{Address: laptop, Port: 1, Protocol: emu.TCP}

	// The first attempt from web2 waits for a report that never comes. It ends when that of the changed port has
	// come.
	const last = 1000
	var changed atomic.Bool
	deliver := p.reports.deliver
	p.reports.deliver = func(of packet, r report) {
		deliver(of, r)
		first := &p.attempts.ports[firstPort+last+1]
		if f := first.Load(); f == nil || of.source.Port() == f.port {
			return
		}
		changed.Store(true)
		go func() {
			for f := first.Load(); f != nil; f = first.Load() { // again: it may not have begun to wait yet
				f.waitUntil(time.Unix(1, 0))
				time.Sleep(time.Millisecond)
			}
		}()
	}
	probe := func(from string, after uint32) {
		t.Helper()
		start, count := p.attempts.turn("", netip.AddrPortFrom(target.Address, target.Port))
		count.Store(after - start)
		got := p.Probe(t.Context(), from, target)
		if got.Verdict != emu.Blocked || got.By.Namespace != "laptop" {
			t.Errorf("from %s: %+v", from, got)
		}
	}
	probe("web1", 5*last) // the first takes one attempt more: the namespace is compared
	probe("web1", last)
	if changed.Load() {
		t.Error("the port of the first connection was changed")
	}
	probe("web1", 2*last) // its report comes after all of the one before
	changed.Store(false)
	probe("web2", last) // from the port that the first connection still has
	if !changed.Load() {
		t.Error("nothing changed the port")
	}
}

// BenchmarkReporters gives what a namespace's socket for reports costs in this process: bytes, and the time to
// open it.
func BenchmarkReporters(b *testing.B) {
	const count = 200
	n, _ := crowd(1, count, kerneltest.Port)
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	for b.Loop() {
		b.StopTimer()
		_, p := start(b, n)
		before := memory()
		b.StartTimer()
		if err := p.listenEverywhere(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		b.ReportMetric(float64(int64(memory())-int64(before))/count, "B/namespace")
		if err := p.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
