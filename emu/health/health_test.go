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

	gate sync.Mutex // while it is held no question begins

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
	namespaces := func(name string) (*kernel.Namespace, bool) {
		b.gate.Lock()
		defer b.gate.Unlock()
		return state.Namespace(name)
	}
	b.Checker = New(namespaces, func(_ string, healthy bool) {
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
		ID:       id,
		Source:   source,
		Target:   netip.AddrPortFrom(kerneltest.Address(0, 0), kerneltest.Port),
		Protocol: protocol,
		Path:     path,
	}
}

// once asks so seldom that a test sees no second question, and has all the time for its answer.
func once(p emu.HealthProbe) emu.HealthProbe {
	p.Interval, p.Timeout = 6000, 18000
	return p
}

// patient asks as often as others, but how slow the machine is doesn't make it down.
func patient(p emu.HealthProbe) emu.HealthProbe {
	p.Timeout = 18000
	return p
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
	if !kerneltest.Becomes(ready) {
		b.t.Fatalf("waited for %s in vain: %+v", what, b.States())
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
	var told []bool
	b.wait("what changed is told", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		told = slices.Clone(b.told)
		return len(told) >= len(want)
	})
	if !slices.Equal(told, want) {
		b.t.Errorf("told %v, want %v", told, want)
	}
}

// answered is when a target answered well, the last time.
func (b *bench) answered(id string) time.Time {
	b.Checker.mu.Lock()
	defer b.Checker.mu.Unlock()
	return b.running[id].answered
}

func TestTCP(t *testing.T) {
	b := newBench(t)
	l, _ := b.listen(nil)
	if healthy, known := b.Healthy("web"); healthy || known {
		t.Error("known before Set")
	}
	begun := time.Now()
	p := probe("web", "tcp", "")
	b.set(once(p))
	b.waitHealthy("web", true)
	t.Logf("the first answer took %s", time.Since(begun))
	b.wantTold(true)
	if s := b.States(); len(s) != 1 || s[0].ID != "web" || s[0].Detail != "" || s[0].Since.Before(begun) {
		t.Errorf("%+v", s)
	}

	// With the platform's timeout it is down, and not before two questions could go unanswered.
	l.Close()
	answered, closed := b.answered("web"), time.Now()
	b.set(p)
	b.waitHealthy("web", false)
	if s := b.States(); s[0].Since.Before(closed) || s[0].Since.Sub(answered) < defaultTimeout*second {
		t.Errorf("%+v, answered %s, closed %s", s, answered, closed)
	}
	b.wantTold(true, false)
	b.wait("what is wrong", func() bool { return strings.Contains(b.States()[0].Detail, "connection refused") })
	// The first good answer is enough.
	b.set(patient(p))
	b.listen(nil)
	b.waitHealthy("web", true)
	b.wantTold(true, false, true)
}

// TestOneMissIsForgiven has the target away for one question.
func TestOneMissIsForgiven(t *testing.T) {
	b := newBench(t)
	l, count := b.listen(nil)
	b.set(patient(probe("web", "tcp", "")))
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
	b.gate.Lock()
	b.set(p)
	if healthy, known := b.Healthy("web"); healthy || known {
		t.Error("known before the first question has ended")
	}
	b.gate.Unlock()
	b.waitHealthy("web", false)
	if s := b.States(); s[0].Detail != p.Target.String()+": no answer within 150ms" {
		t.Errorf("%+v", s)
	}
	b.wantTold()
}

func TestSetLeavesWhatRunsAlone(t *testing.T) {
	b := newBench(t)
	_, count := b.listen(nil)
	p := once(probe("web", "tcp", ""))
	gone := p
	gone.ID = "gone"
	b.set(p, gone)
	b.waitHealthy("web", true)
	b.waitHealthy("gone", true)
	b.wait("both connections", func() bool { return count.Load() == 2 })
	before := b.States()[1]
	for range 10 {
		b.set(p)
	}
	if s := b.States(); len(s) != 1 || s[0] != before {
		t.Errorf("%+v, before %+v", s, before)
	}

	// Another rhythm asks at once, but knows what it knew.
	p.Interval += 1000
	b.set(p)
	if healthy, known := b.Healthy("web"); !healthy || !known {
		t.Error("another interval made it unhealthy")
	}
	b.wait("a question", func() bool { return count.Load() > 2 })
	if n := count.Load(); n != 3 {
		t.Errorf("%d questions: Set asked more than that one", n)
	}

	// Another target is another question.
	p.Target = netip.AddrPortFrom(p.Target.Addr(), 3389)
	b.gate.Lock()
	b.set(p)
	if healthy, known := b.Healthy("web"); healthy || known {
		t.Error("another target is healthy before it was asked")
	}
	b.gate.Unlock()
	b.waitHealthy("web", false)
	b.set()
	if s := b.States(); len(s) != 0 {
		t.Errorf("%+v", s)
	}
}

// TestSlowListenerOfChanges has changed block while many questions are asked and answered. Nothing counts as down for
// that.
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
	p := patient(probe("web", "tcp", ""))
	p.Interval = 5
	b.set(p)
	if !<-entered {
		t.Error("told of its end first")
	}
	asked, blocked := count.Load(), time.Now()
	b.wait("more answers", func() bool { return count.Load() > asked+25 && b.answered("web").After(blocked) })
	close(release)
	if healthy, _ := b.Healthy("web"); !healthy || len(entered) > 0 {
		t.Errorf("healthy %t, told %d more times", healthy, len(entered))
	}
}

func TestNamespaceThatIsGone(t *testing.T) {
	b := newBench(t)
	b.listen(nil)
	p := probe("web", "tcp", "")
	b.set(once(p))
	b.waitHealthy("web", true)
	edge, _ := b.n.Namespace(kerneltest.Edge)
	nowhere := *b.n
	nowhere.Namespaces = append(slices.Clone(b.n.Namespaces), &emu.Namespace{
		Name: "nowhere", HealthProbes: []emu.HealthProbe{probe("nowhere", "tcp", "")},
	})
	p.Interval, p.Timeout = 1, 18000
	edge.HealthProbes = []emu.HealthProbe{p}
	b.Set(&nowhere)
	b.waitHealthy("nowhere", false)
	if s := b.States(); s[0].Detail != "there is no namespace nowhere" {
		t.Errorf("%+v", s)
	}
	// Let go of while questions are under way.
	running, _ := b.state.Namespace(kerneltest.Edge)
	if err := running.Close(); err != nil {
		t.Error(err)
	}
	b.wait("a question from the namespace that is gone", func() bool {
		return strings.Contains(b.States()[1].Detail, "enter the network namespace of edge")
	})
	p.Timeout = 5
	edge.HealthProbes = []emu.HealthProbe{p}
	b.Set(&nowhere)
	b.waitHealthy("web", false)
}

// TestManyProbes has 2,000 probes ask the same host over HTTP, and leave nothing behind.
func TestManyProbes(t *testing.T) {
	const many = 2000
	b := newBench(t)
	b.second = 20 * time.Second // each has the time that all together take on a busy machine
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
	told := func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.told)
	}
	for told() < many {
		if time.Since(begun) > 5*time.Minute {
			t.Fatalf("%d of %d are healthy", told(), many)
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, s := range b.States() {
		if !s.Healthy {
			t.Fatalf("%+v", s)
		}
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
	if !kerneltest.Becomes(func() bool { return runtime.NumGoroutine() <= goroutines }) {
		t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
	}
	edge, _ := b.state.Namespace(kerneltest.Edge)
	for _, ns := range []*kernel.Namespace{edge, b.host} {
		var table []byte
		left := -1
		if !kerneltest.Becomes(func() bool {
			if err := ns.Do(func() (err error) {
				table, err = os.ReadFile("/proc/thread-self/net/tcp")
				return err
			}); err != nil {
				t.Fatal(err)
			}
			left = strings.Count(string(table), "\n") - 1
			return left == 0
		}) {
			t.Errorf("%d connections are left in %s:\n%.400s", left, ns.Name, table)
		}
	}
}
