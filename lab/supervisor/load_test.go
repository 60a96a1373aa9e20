package supervisor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/emulator"
	"vnetlab/emu/kerneltest"
	"vnetlab/lab"
	"vnetlab/lab/engine"
)

// keptOpen is a connection that asks the same server again and again.
type keptOpen struct {
	net.Conn
	in *bufio.Reader
}

func (h *keptOpen) ask() (string, error) {
	h.SetDeadline(time.Now().Add(kerneltest.Patience)) //nolint:errcheck // a TCP connection has deadlines
	if _, err := io.WriteString(h, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n"); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(h.in, nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// TestConnectionsSurviveChanges keeps connections through VIPs while members leave, come back and join, access
// control lists and ports change and slots are swapped. None of them is lost, and each stays with the instance that
// it began with.
func TestConnectionsSurviveChanges(t *testing.T) {
	kerneltest.RequireRoot(t)
	t.Setenv("VNETLAB_RUN", t.TempDir())
	l, dir := loadedLab(t)
	e, emulated := startEngine(t, l, emulator.Options{Keep: []string{dir}, Patience: kerneltest.Patience})
	defer func() {
		if err := emulated.Close(); err != nil {
			t.Error(err)
		}
	}()
	answers := &givenHealth{Emulator: emulated, engine: e, healthy: map[string]bool{}}
	if err := e.Start(answers); err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	answers.set(t, true, "web1/set", "web2/set", "web3/set")

	const connections = 100 // through each of the two VIPs
	var asked, moved atomic.Int64
	answered := map[string]*atomic.Int64{"web1": {}, "web2": {}, "web3": {}}
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()
	var begin []func() // once all are connected: who already asks would slow down who still connects
	for n := range 2 * connections {
		name := []string{"shop.cloudapp.net", "roles.cloudapp.net"}[n%2]
		c, err := emulated.Dial(ctx, "laptop", emu.Target{Name: name, Port: 80})
		if err != nil {
			t.Fatal(err)
		}
		h := &keptOpen{c, bufio.NewReader(c)}
		who, err := h.ask()
		if err != nil {
			t.Fatal(err)
		}
		var first string
		if _, err := fmt.Sscanf(who, "hello from %s", &first); err != nil {
			t.Fatalf("%s says %q", name, who)
		}
		if a := answered[first]; a != nil {
			a.Add(1)
		}
		defer c.Close()
		begin = append(begin, func() {
			for ctx.Err() == nil {
				again, err := h.ask()
				if err != nil {
					t.Errorf("a connection to %s of %s: %v", first, name, err)
					return
				}
				if again != who {
					moved.Add(1)
				}
				asked.Add(1)
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	for _, ask := range begin {
		group.Go(ask)
	}
	for name, n := range answered {
		if n.Load() == 0 {
			t.Errorf("%s has none of %d connections", name, connections)
		}
	}

	permit := func(subnet string) lab.Operation {
		return lab.SetEndpointACLOp{
			Service:  "shop",
			Instance: "web1",
			Endpoint: "http",
			Rules:    []lab.ACLRule{{Order: 1, Permit: true, RemoteSubnet: netip.MustParsePrefix(subnet)}},
		}
	}
	rounds, changes := 3, 0
	began := time.Now()
	for range rounds {
		answers.set(t, false, "web1/set", "web2/set")
		answers.set(t, true, "web1/set")
		answers.set(t, true, "web2/set")
		for _, o := range []lab.Operation{
			lab.AddRoleOp{Service: "shop", VirtualMachine: webServer("web4", dir)},
			permit("203.0.113.0/24"),
			permit("0.0.0.0/0"),
			lab.AddEndpointOp{Service: "shop", VirtualMachine: "web1", Endpoint: lab.Endpoint{Name: "more", PublicPort: 81, LocalPort: 81}},
			lab.SwapDeploymentOp{Service: "roles"},
			lab.DeleteEndpointOp{Service: "shop", VirtualMachine: "web1", Name: "more"},
			lab.DeleteRoleOp{Service: "shop", Name: "web4"},
			lab.ScaleRoleOp{Service: "roles", Slot: lab.Production, Role: "Web", Count: 3},
			lab.ScaleRoleOp{Service: "roles", Slot: lab.Production, Role: "Web", Count: 2},
			lab.SwapDeploymentOp{Service: "roles"},
			lab.SetEndpointACLOp{Service: "shop", Instance: "web1", Endpoint: "http"},
		} {
			if _, err := e.Do(t.Context(), o); err != nil {
				t.Fatalf("%s: %v", o, err)
			}
			changes++
		}
		changes += 3
	}
	took := time.Since(began)
	stop()
	group.Wait()
	if moved.Load() > 0 {
		t.Errorf("%d answers came from somebody else than before", moved.Load())
	}
	t.Logf(
		"%d connections, %d changes in %s, %d questions answered meanwhile",
		2*connections,
		changes,
		took.Round(time.Millisecond),
		asked.Load(),
	)
	if d, err := emulated.Diff(t.Context()); err != nil || len(d) > 0 {
		t.Errorf("the kernel differs: %v %v", d, err)
	}
}

// givenHealth is an emulator whose targets are as healthy as the test wants.
type givenHealth struct {
	*emulator.Emulator
	engine *engine.Engine

	mu      sync.Mutex
	healthy map[string]bool
}

func (g *givenHealth) Healthy(id string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.healthy[id]
}

// set returns when the load balancer follows.
func (g *givenHealth) set(t *testing.T, healthy bool, ids ...string) {
	t.Helper()
	for _, id := range ids {
		g.mu.Lock()
		g.healthy[id] = healthy
		g.mu.Unlock()
		g.engine.HealthChanged(id)
	}
	for _, id := range ids {
		if !kerneltest.Becomes(func() bool { return g.engine.Lab().Healthy(id) == healthy }) {
			t.Fatalf("the load balancer doesn't follow %s", id)
		}
	}
}

func webServer(name, dir string) lab.VirtualMachine {
	vm := machine(name, "", lab.Endpoint{
		Name: "http", PublicPort: 80, LocalPort: 80, LoadBalancedSet: "set",
		Balancing: lab.Balancing{Probe: &lab.Probe{Protocol: "tcp", IntervalInSeconds: 3600, TimeoutInSeconds: 7200}},
	})
	vm.Services = serves(dir)
	return vm
}

func serves(dir string) []lab.Service {
	return []lab.Service{{Port: 80, Protocol: emu.TCP, Command: "exec env TEST_SERVER=1 ./server", Dir: dir}}
}

// loadedLab has a service of three machines in a load-balanced set, and one with two slots; all run a web server.
func loadedLab(t *testing.T) (*lab.Lab, string) {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", self, filepath.Join(dir, "server")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l, err := lab.New("load", lab.Origin{})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(err)
	must(l.CreateHostedService(lab.HostedService{Name: "shop", Location: "West US"}))
	for n := range 3 {
		must(l.AddVirtualMachine("shop", webServer(fmt.Sprintf("web%d", n+1), dir)))
	}
	must(l.CreateHostedService(lab.HostedService{Name: "roles", Location: "West US"}))
	for _, slot := range []lab.Slot{lab.Production, lab.Staging} {
		must(l.CreateDeployment("roles", lab.PackageDeployment{Slot: slot, Roles: []lab.Role{
			{
				Name:           "Web",
				InstanceCount:  2,
				Services:       serves(dir),
				InputEndpoints: []lab.InputEndpoint{{Name: "In", Protocol: emu.TCP, Port: 80}},
			},
		}}))
	}
	must(l.CreateInternetHost(lab.InternetHost{Name: "laptop"}))
	return l, dir
}
