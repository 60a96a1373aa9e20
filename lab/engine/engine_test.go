package engine

import (
	"context"
	"errors"
	"iter"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/labfile"
	"vnetlab/lab/labtest"
)

// fake is an emulator without a kernel. It answers every probe with the verdict that the test wants.
type fake struct {
	mu       sync.Mutex
	updates  []*diff.Change
	healthy  map[string]bool
	verdict  emu.Verdict
	refusal  error         // of the next updates
	refused  int           // how often
	wait     error         // of programs that an update starts
	entered  chan struct{} // nil, or receives at the beginning of each update
	proceed  chan struct{} // nil, or an update waits for it
	restarts []string
	drift    []emu.Difference
	onProbe  func() // nil, or called during each probe
}

func (f *fake) Update(_ context.Context, c *diff.Change) (emu.Updated, error) {
	if f.entered != nil {
		f.entered <- struct{}{}
		<-f.proceed
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refusal != nil {
		f.refused++
		return emu.Updated{}, f.refusal
	}
	f.updates = append(f.updates, c)
	u := emu.Updated{Wait: func(context.Context) error { return f.wait }}
	for _, n := range c.Removed {
		u.Removed = append(u.Removed, n.Name)
	}
	for _, n := range c.Added {
		u.Added = append(u.Added, n.Name)
	}
	return u, nil
}

func (f *fake) Restart(_ context.Context, namespace string) (emu.Updated, error) {
	f.restarts = append(f.restarts, namespace)
	return emu.Updated{}, nil
}

func (f *fake) Healthy(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.healthy[id]
}

func (f *fake) refuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refusal = err
}

func (f *fake) refusals() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refused
}

func (f *fake) setHealthy(id string, healthy bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.healthy[id] = healthy
}

func (f *fake) Probe(context.Context, string, emu.Target) emu.Observation {
	if f.onProbe != nil {
		f.onProbe()
	}
	return emu.Observation{Verdict: f.verdict}
}

func (f *fake) Diff(context.Context) ([]emu.Difference, error) { return f.drift, nil }

func (f *fake) DiffNamespace(context.Context, string) ([]emu.Difference, error) { return f.drift, nil }

func (f *fake) Repair(context.Context) (*emu.Repair, error) {
	r := &emu.Repair{Repaired: f.drift}
	f.drift = nil
	return r, nil
}

func (f *fake) Health() []emu.HealthState      { return nil }
func (f *fake) Services() []emu.ServiceStatus  { return nil }
func (f *fake) Limits(l emu.Limits) emu.Limits { return l }
func (f *fake) Unbounded() []string            { return nil }
func (f *fake) OpenTerminal(string) (m, s *os.File, err error) {
	return nil, nil, errors.ErrUnsupported
}

func (f *fake) Dial(context.Context, string, emu.Target) (net.Conn, error) {
	return nil, errors.ErrUnsupported
}

func (f *fake) HTTPGet(context.Context, string, emu.Target, string) (int, []byte, error) {
	return 0, nil, errors.ErrUnsupported
}

func (f *fake) Exec(context.Context, string, emu.Command) (int, error) { return 0, nil }

func (f *fake) Logs(context.Context, string, string, int, bool) (iter.Seq[emu.LogLine], error) {
	return nil, errors.New("runs no program")
}

const shop = `lab: shop
cloudServices:
  - name: web
    location: West US
    virtualMachines:
      - name: web1
        endpoints:
          - name: http
            publicPort: 80
            localPort: 80
            loadBalancedSet: set
            probe: {protocol: tcp, port: 80, intervalInSeconds: 15, timeoutInSeconds: 31}
        firewall: [allow tcp 80]
        services: [{port: 80}]
internetHosts:
  - {name: laptop}
`

// start starts an engine for a lab file, which it returns too.
func start(t *testing.T, f *fake, opts Options) (*Engine, labfile.Input) {
	t.Helper()
	file := labfile.Input{Path: filepath.Join(t.TempDir(), "lab.yaml")}
	if err := os.WriteFile(file.Path, []byte(shop), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := file.Load(labfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if f.healthy == nil {
		f.healthy = map[string]bool{}
	}
	e := New(loaded.Lab, file, opts)
	e.retry = time.Millisecond
	if err := e.Start(f); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e, file
}

func addVM(name string) lab.Operation {
	return lab.AddRoleOp{Service: "web", VirtualMachine: lab.VirtualMachine{Name: name, Services: labtest.Listen(80)}}
}

func TestDoChangesLabAndPackets(t *testing.T) {
	f := &fake{}
	var added []string
	e, _ := start(t, f, Options{NamespacesChanged: func(_, came []string, name func(string) string) error {
		for _, n := range came {
			added = append(added, name(n))
		}
		return errors.New("no name for it")
	}})
	f.wait = errors.New("doesn't listen")
	before := e.Network()
	result, err := e.Do(t.Context(), addVM("web2"))
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Operations) != 1 || result.Operations[0] != addVM("web2").String() {
		t.Errorf("operations %v", result.Operations)
	}
	// Neither the names of namespaces nor a program that fails undoes a change, and both are reported.
	if !slices.Equal(result.Warnings, []string{"no name for it", "doesn't listen"}) {
		t.Errorf("warnings %q", result.Warnings)
	}
	if !slices.Contains(added, "web2") {
		t.Errorf("namespaces that came: %v", added)
	}
	if len(f.updates) != 1 || f.updates[0].From != before || f.updates[0].To != e.Network() {
		t.Errorf("%d updates, not one from the network before to the one after", len(f.updates))
	}
	if _, ok := e.Lab().Find("web2"); !ok {
		t.Error("the lab doesn't have web2")
	}
}

func TestRefusalsChangeNothing(t *testing.T) {
	f := &fake{}
	e, file := start(t, f, Options{})
	before, generation := e.now(), e.generation.Load()
	unchanged := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s is not refused", what)
		}
		if e.now() != before || e.generation.Load()%2 != 0 || len(f.updates) > 0 {
			t.Errorf("%s has changed something", what)
		}
	}
	_, err := e.Do(t.Context(), addVM("web2"), addVM("web1")) // the second is refused
	var platform *lab.Error
	if unchanged("a refused operation", err); !errors.As(err, &platform) || platform.Code == "" {
		t.Errorf("the refusal is %v, not the platform's", err)
	}
	write := func(text string) labfile.Input {
		t.Helper()
		in := labfile.Input{Path: filepath.Join(t.TempDir(), "lab.yaml")}
		if err := os.WriteFile(in.Path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return in
	}
	for what, in := range map[string]labfile.Input{
		"a relative path":     {Path: "lab.yaml"},
		"a broken file":       write("lab: ["),
		"another lab":         write(strings.Replace(shop, "lab: shop", "lab: other", 1)),
		"a forbidden change":  write(strings.Replace(shop, "West US", "East US", 1)),
		"a file that is gone": {Path: file.Path + ".gone"},
	} {
		for _, dryRun := range []bool{true, false} {
			_, err := e.Apply(t.Context(), in, dryRun)
			unchanged(what, err)
		}
	}
	if e.generation.Load() != generation {
		t.Error("what never reached the packets has moved the generation")
	}
	f.refuse(errors.New("ENOMEM"))
	_, err = e.Do(t.Context(), addVM("web2"))
	if unchanged("what the kernel refuses", err); err != nil && !strings.Contains(err.Error(), "ENOMEM") {
		t.Errorf("the refusal is %v", err)
	}
	f.refuse(nil)
	if _, err := e.Do(t.Context(), addVM("web2")); err != nil {
		t.Errorf("after a refusal of the kernel: %v", err)
	}
}

func TestApplyDryRun(t *testing.T) {
	f := &fake{}
	e, file := start(t, f, Options{})
	if _, err := e.Do(t.Context(), addVM("web2")); err != nil {
		t.Fatal(err)
	}
	before := e.now()
	plan, err := e.Apply(t.Context(), file, true)
	if err != nil || len(plan.Operations) != 1 || e.now() != before {
		t.Fatalf("a dry run lists %v, %v", plan.Operations, err)
	}
	done, err := e.Apply(t.Context(), file, false)
	if err != nil || !slices.Equal(done.Operations, plan.Operations) {
		t.Errorf("planned %v, done %v, %v", plan.Operations, done.Operations, err)
	}
	if _, ok := e.Lab().Find("web2"); ok {
		t.Error("web2 is still there")
	}
}

// What the kernel refuses is tried again, until the load balancer has the answers of health probes.
func TestHealthIsFollowedAndRetried(t *testing.T) {
	f := &fake{}
	e, _ := start(t, f, Options{})
	id := e.Lab().CloudServices[0].Production.Frontends()[0].Members[0].ProbeID
	if id == "" || e.Lab().Healthy(id) {
		t.Fatalf("the health probe %q has an answer", id)
	}
	becomes := func(healthy bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); e.Lab().Healthy(id) != healthy; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the target doesn't become healthy %v", healthy)
			}
		}
	}
	f.setHealthy(id, true)
	e.HealthChanged(id)
	becomes(true)
	f.refuse(errors.New("busy"))
	f.setHealthy(id, false)
	e.HealthChanged(id)
	for f.refusals() == 0 { // the package's time limit ends this if nobody follows
		time.Sleep(time.Millisecond)
	}
	if !e.Lab().Healthy(id) {
		t.Fatal("what the kernel refused is in the lab")
	}
	f.refuse(nil)
	becomes(false)
}

// A probe whose packets were changed under it is repeated, and then nothing changes until it has its answer.
func TestProbeDuringChangeIsRepeated(t *testing.T) {
	f := &fake{verdict: emu.Blocked}
	e, _ := start(t, f, Options{})
	probes := 0
	f.onProbe = func() {
		if probes++; probes == 1 {
			if _, err := e.Do(context.Background(), addVM("web2")); err != nil {
				t.Error(err)
			}
		} else if e.packets.TryLock() {
			e.packets.Unlock()
			t.Error("packets may change during the second probe")
		}
	}
	p, err := e.Probe(t.Context(), api.ProbeRequest{From: "laptop", To: "web1:22"})
	if err != nil || p.Agrees {
		t.Fatalf("%+v, %v", p, err) // without a rule it agrees with no prediction
	}
	if probes != 2 {
		t.Errorf("%d probes, want 2", probes)
	}
	probes, f.onProbe = 0, func() { probes++ }
	if _, err := e.Probe(t.Context(), api.ProbeRequest{From: "laptop", To: "web1:22"}); err != nil || probes != 1 {
		t.Errorf("without a change: %d probes, %v", probes, err)
	}
}

// Close waits for the change that is being made and refuses those after it.
func TestCloseRefusesChanges(t *testing.T) {
	f := &fake{entered: make(chan struct{}), proceed: make(chan struct{})}
	e, _ := start(t, f, Options{})
	done := make(chan error, 1)
	go func() {
		_, err := e.Do(context.Background(), addVM("web2"))
		done <- err
	}()
	<-f.entered
	closed := make(chan struct{})
	go func() { e.Close(); close(closed) }()
	<-e.closed
	select {
	case <-closed:
		t.Error("Close returns while a change is being made")
	default:
	}
	close(f.proceed)
	if err := <-done; err != nil {
		t.Errorf("the change that had begun: %v", err)
	}
	<-closed
	for what, do := range map[string]func() error{
		"do":      func() error { _, err := e.Do(t.Context(), addVM("web3")); return err },
		"restart": func() error { _, err := e.Restart(t.Context(), "web1"); return err },
		"repair":  func() error { _, err := e.Repair(); return err },
	} {
		if err := do(); !errors.Is(err, errClosed) {
			t.Errorf("%s after Close gives %v", what, err)
		}
	}
	if len(f.restarts) > 0 || len(f.updates) != 1 {
		t.Errorf("%d updates and restarts %v", len(f.updates), f.restarts)
	}
}

func TestDriftHasNames(t *testing.T) {
	f := &fake{}
	e, _ := start(t, f, Options{})
	id, err := e.Lab().Namespace("web1")
	if err != nil {
		t.Fatal(err)
	}
	f.drift = []emu.Difference{{Namespace: id, Object: "link eth0", Wanted: emu.NoProperties}}
	d, err := e.Diff(t.Context())
	if err != nil || len(d.Differences) != 1 || d.Differences[0].Namespace != e.Lab().NamespaceName(id) {
		t.Errorf("%+v, %v", d, err)
	}
	r, err := e.Repair()
	if err != nil || len(r.Repaired) != 1 || r.Left == nil || e.generation.Load()%2 != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// A test whose reader is gone ends with the reader's error; a failed case doesn't end it.
func TestTestEndsWithItsReader(t *testing.T) {
	f := &fake{verdict: emu.Timeout}
	e, _ := start(t, f, Options{})
	address := "198.18.0.9"
	given := &api.Given{Expectations: []lab.Expectation{
		{From: "laptop", To: lab.Target{Name: address, Port: 80, Protocol: emu.TCP}, Verdict: emu.Open},
		{From: "laptop", To: lab.Target{Name: address, Port: 81, Protocol: emu.TCP}, Verdict: emu.Open},
	}}
	result, err := e.Test(t.Context(), api.TestRequest{Given: given}, func(api.Case) error { return nil })
	if err != nil || result.Failed != 2 || len(result.Cases) != 2 || result.Cases[0].Name == result.Cases[1].Name {
		t.Errorf("%+v, %v", result, err)
	}
	gone := errors.New("gone")
	calls := 0
	_, err = e.Test(t.Context(), api.TestRequest{Given: given}, func(api.Case) error { calls++; return gone })
	if !errors.Is(err, gone) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}
