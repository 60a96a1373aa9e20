package health

import (
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/emu/kerneltest"
)

var source = netip.MustParseAddr("168.63.129.16")

// second is what the tests take for a second.
const second = 10 * time.Millisecond

// bench is a router that asks and a host that is asked.
type bench struct {
	*Checker
	t     testing.TB
	n     *emu.Network
	state *kernel.State
	host  *kernel.Namespace

	mu   sync.Mutex
	told []bool
}

func newBench(t testing.TB) *bench {
	t.Helper()
	kerneltest.RequireRoot(t)
	n := kerneltest.Subnets(1, 1)
	edge, _ := n.Namespace(kerneltest.Edge)
	edge.Loopback = []netip.Addr{source}
	state, err := kernel.Apply(t.Context(), n, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { state.Close() })
	b := &bench{t: t, n: n, state: state}
	b.host, _ = state.Namespace(kerneltest.Host(0, 0))
	b.Checker = New(state.Namespace, func(_ string, healthy bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.told = append(b.told, healthy)
	})
	b.second = second
	t.Cleanup(func() { b.Close() })
	return b
}

// probe is one of the classic defaults: each 15 s, down after 31.
func probe(id, protocol, path string) emu.HealthProbe {
	return emu.HealthProbe{
		ID: id, Source: source, Target: netip.AddrPortFrom(kerneltest.Address(0, 0), kerneltest.Port), Protocol: protocol, Path: path,
	}
}

func (b *bench) set(probes ...emu.HealthProbe) {
	edge, _ := b.n.Namespace(kerneltest.Edge)
	edge.HealthProbes = probes
	b.Set(b.n)
}

// listen counts connections until the listener is closed. Answer may be nil.
func (b *bench) listen(answer func(net.Conn)) (l net.Listener, count *atomic.Int32) {
	b.t.Helper()
	l, err := b.host.ListenTCP(netip.AddrPortFrom(netip.IPv4Unspecified(), kerneltest.Port))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { l.Close() })
	count = new(atomic.Int32)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if from := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); from != source {
				b.t.Errorf("the question came from %s", from)
			}
			count.Add(1)
			go func() {
				defer c.Close()
				if answer != nil {
					answer(c)
				}
			}()
		}
	}()
	return l, count
}

func (b *bench) wait(what string, ready func() bool) {
	b.t.Helper()
	for until := time.Now().Add(10 * time.Second); !ready(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			b.t.Fatalf("waited for %s in vain: %+v", what, b.States())
		}
	}
}

func (b *bench) waitHealthy(id string, want bool) {
	b.t.Helper()
	b.wait("the health of "+id, func() bool {
		healthy, known := b.Healthy(id)
		return known && healthy == want
	})
}

func (b *bench) wantTold(want ...bool) {
	b.t.Helper()
	b.wait("what changed is told", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.told) >= len(want)
	})
	for i := range want {
		if b.told[i] != want[i] || len(b.told) > len(want) {
			b.t.Errorf("told %v, want %v", b.told, want)
		}
	}
}

func TestTCP(t *testing.T) {
	b := newBench(t)
	l, _ := b.listen(nil)
	if healthy, known := b.Healthy("web"); healthy || known {
		t.Error("known before Set")
	}
	begun := time.Now()
	b.set(probe("web", "tcp", ""))
	b.waitHealthy("web", true)
	t.Logf("the first answer took %s", time.Since(begun))
	b.wantTold(true)
	if s := b.States(); len(s) != 1 || s[0].ID != "web" || s[0].Detail != "" || s[0].Since.Before(begun) {
		t.Errorf("%+v", s)
	}

	// Two questions go unanswered before it is down.
	l.Close()
	closed := time.Now()
	b.waitHealthy("web", false)
	// The last good answer was at most an interval, and some delay, before the end.
	if took := time.Since(closed); took < (defaultTimeout-defaultInterval-10)*second {
		t.Errorf("down after %s", took)
	}
	b.wantTold(true, false)
	if s := b.States(); !strings.Contains(s[0].Detail, "connection refused") || s[0].Since.Before(closed) {
		t.Errorf("%+v", s)
	}
	// The first good answer is enough.
	b.listen(nil)
	b.waitHealthy("web", true)
	b.wantTold(true, false, true)
}

// TestOneMissIsForgiven has the target away for one question.
func TestOneMissIsForgiven(t *testing.T) {
	b := newBench(t)
	l, count := b.listen(nil)
	p := probe("web", "tcp", "")
	p.Interval, p.Timeout = 20, 100 // one miss, and much delay on a busy machine
	b.set(p)
	b.wait("an answer", func() bool { return count.Load() > 0 })
	b.waitHealthy("web", true)
	l.Close()
	b.wait("a miss", func() bool { return b.States()[0].Detail != "" })
	_, count = b.listen(nil)
	b.wait("another answer", func() bool { return count.Load() > 0 && b.States()[0].Detail == "" })
	b.wantTold(true)
}

func TestSilenceIsAMiss(t *testing.T) {
	b := newBench(t)
	p := probe("web", "tcp", "")
	p.Target = netip.AddrPortFrom(p.Target.Addr(), 9) // the firewall drops it
	b.set(p)
	if healthy, known := b.Healthy("web"); healthy || known {
		t.Error("known before the first question has ended")
	}
	b.waitHealthy("web", false)
	if s := b.States(); s[0].Detail != p.Target.String()+": no answer within 150ms" {
		t.Errorf("%+v", s)
	}
	b.wantTold()
}

func TestSetLeavesWhatRunsAlone(t *testing.T) {
	b := newBench(t)
	_, count := b.listen(nil)
	p := probe("web", "tcp", "")
	p.Interval, p.Timeout = 1000, 3000
	gone := p
	gone.ID = "gone"
	b.set(p, gone)
	b.waitHealthy("web", true)
	b.waitHealthy("gone", true)
	before := b.States()[1]
	for range 10 {
		b.set(p)
	}
	if s := b.States(); len(s) != 1 || s[0] != before {
		t.Errorf("%+v, before %+v", s, before)
	}
	time.Sleep(20 * time.Millisecond)
	if n := count.Load(); n != 2 {
		t.Errorf("%d questions", n)
	}

	// Another rhythm asks at once, but knows what it knew.
	p.Interval = 2000
	b.set(p)
	if healthy, known := b.Healthy("web"); !healthy || !known {
		t.Error("another interval made it unhealthy")
	}
	b.wait("a question", func() bool { return count.Load() == 3 })

	// Another target is another question.
	p.Target = netip.AddrPortFrom(p.Target.Addr(), 3389)
	b.set(p)
	if healthy, known := b.Healthy("web"); healthy || known {
		t.Error("another target is healthy before it was asked")
	}
	b.waitHealthy("web", false)
	b.set()
	if s := b.States(); len(s) != 0 {
		t.Errorf("%+v", s)
	}
}

// TestSlowListenerOfChanges has changed block for longer than the timeout. Nothing counts as down for that.
func TestSlowListenerOfChanges(t *testing.T) {
	b := newBench(t)
	entered, release := make(chan bool, 10), make(chan struct{})
	b.changed = func(id string, healthy bool) {
		if got, known := b.Healthy(id); !known || got != healthy {
			t.Errorf("told %t, found %t", healthy, got)
		}
		entered <- healthy
		<-release
	}
	_, count := b.listen(nil)
	p := probe("web", "tcp", "")
	p.Interval, p.Timeout = 5, 100
	b.set(p)
	if !<-entered {
		t.Error("told of its end first")
	}
	asked := count.Load()
	b.wait("more questions", func() bool { return count.Load() > asked+25 })
	close(release)
	if healthy, _ := b.Healthy("web"); !healthy || len(entered) > 0 {
		t.Errorf("healthy %t, told %d more times", healthy, len(entered))
	}
}

func TestNamespaceThatIsGone(t *testing.T) {
	b := newBench(t)
	b.listen(nil)
	p := probe("web", "tcp", "")
	p.Interval, p.Timeout = 1, 5
	b.set(p)
	b.waitHealthy("web", true)
	nowhere := *b.n
	nowhere.Namespaces = append(slices.Clone(b.n.Namespaces), &emu.Namespace{
		Name: "nowhere", HealthProbes: []emu.HealthProbe{probe("nowhere", "tcp", "")},
	})
	b.Set(&nowhere)
	b.waitHealthy("nowhere", false)
	if s := b.States(); s[0].Detail != "there is no namespace nowhere" {
		t.Errorf("%+v", s)
	}
	// Let go of while questions are under way.
	edge, _ := b.state.Namespace(kerneltest.Edge)
	if err := edge.Close(); err != nil {
		t.Error(err)
	}
	b.waitHealthy("web", false)
}

// TestManyProbes has 2,000 probes ask the same host over HTTP, and leave nothing behind.
func TestManyProbes(t *testing.T) {
	const many = 2000
	b := newBench(t)
	b.second = 100 * time.Millisecond
	l, _ := b.listen(func(c net.Conn) {
		c.Read(make([]byte, 512)) //nolint:errcheck // whatever it says
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
		io.Copy(io.Discard, c) //nolint:errcheck // until the reset
	})
	var all []emu.HealthProbe
	for i := range many {
		all = append(all, probe(strconv.Itoa(i), "http", "/"))
	}
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	goroutines, before, begun := runtime.NumGoroutine(), memory(), time.Now()
	b.set(all...)
	healthy := func() (n int) {
		for _, s := range b.States() {
			if s.Healthy {
				n++
			}
		}
		return n
	}
	for healthy() < many {
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("%d of %d are healthy", healthy(), many)
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("%d healthy after %s, %d bytes each", many, time.Since(begun), (int64(memory())-int64(before))/many)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	b.Set(b.n)
	if s := b.States(); len(s) != 0 {
		t.Error("Set starts probes after Close")
	}
	l.Close()
	for until := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > goroutines; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
		}
	}
	edge, _ := b.state.Namespace(kerneltest.Edge)
	for _, ns := range []*kernel.Namespace{edge, b.host} {
		var table []byte
		if err := ns.Do(func() (err error) {
			table, err = os.ReadFile("/proc/thread-self/net/tcp")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if left := strings.Count(string(table), "\n") - 1; left != 0 {
			t.Errorf("%d connections are left in %s:\n%.400s", left, ns.Name, table)
		}
	}
}
