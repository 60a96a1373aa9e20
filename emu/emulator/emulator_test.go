package emulator

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
	"vnetlab/emu/process"
)

func TestMain(m *testing.M) {
	process.MaybeInit()
	if os.Getenv("TEST_SERVER") == "lines" {
		panic(serveLines())
	}
	if os.Getenv("TEST_SERVER") != "" {
		panic(serveForTest())
	}
	os.Exit(m.Run())
}

// network has two hosts; the first listens on the port that its firewall opens.
func network(services ...emu.Service) *emu.Network {
	n := kerneltest.Subnets(1, 2)
	host, _ := n.Namespace(kerneltest.Host(0, 0))
	host.Services = services
	return n
}

var builtIn = emu.Service{Name: "web", Port: kerneltest.Port, Protocol: emu.TCP}

func start(t *testing.T, n *emu.Network, opts Options) *Emulator {
	t.Helper()
	kerneltest.RequireRoot(t)
	opts.Patience = kerneltest.Patience
	e, err := Start(t.Context(), n, opts, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// probeName probes a target by its name.
func probeName(t *testing.T, e *Emulator, from, name string) emu.Observation {
	return e.Probe(t.Context(), from, emu.Target{Name: name, Port: kerneltest.Port, Protocol: emu.TCP})
}

func target(port uint16) emu.Target {
	return emu.Target{Name: "host", Address: kerneltest.Address(0, 0), Port: port, Protocol: emu.TCP}
}

func TestProbesAndPages(t *testing.T) {
	e := start(t, network(builtIn), Options{})
	from := kerneltest.Host(0, 1)
	o := e.Probe(t.Context(), from, target(kerneltest.Port))
	if o.Verdict != emu.Open || o.AnsweredBy != kerneltest.Host(0, 0) || o.SeenAs != kerneltest.Address(0, 1) {
		t.Errorf("an open port gives %+v", o)
	}
	if o := e.Probe(
		t.Context(),
		from,
		target(9999),
	); o.Verdict != emu.Blocked || o.By == nil ||
		o.By.ID != emu.FirewallDefault {
		t.Errorf("a port that no rule opens gives %+v", o)
	}
	status, body, err := e.HTTPGet(t.Context(), from, target(kerneltest.Port), "/")
	if err != nil || status != http.StatusOK || !strings.Contains(string(body), kerneltest.Host(0, 0)) {
		t.Errorf("GET / gives %d %q %v", status, body, err)
	}
	if _, _, err := e.HTTPGet(t.Context(), "nowhere", target(80), "/"); err == nil {
		t.Error("a page can be had from a namespace that isn't there")
	}
	if d, err := e.Diff(t.Context()); err != nil || len(d) > 0 {
		t.Errorf("after the start the kernel differs: %v %v", d, err)
	}
	if all := e.Services(); len(all) != 1 || all[0].Program != nil || all[0].String() != "listening (built in)" {
		t.Errorf("services are %+v", all)
	}
	if fd := e.NamespaceFD(from); fd < 0 || !slices.Contains(e.Namespaces(), from) {
		t.Errorf("%s has descriptor %d and is not in %v", from, fd, e.Namespaces())
	}
	if e.NamespaceFD("nowhere") != -1 {
		t.Error("a namespace that isn't there has a descriptor")
	}
}

// A redirect is an answer; following it would leave the namespace.
func TestHTTPGetFollowsNoRedirect(t *testing.T) {
	kerneltest.RequireRoot(t)
	outside := httptest.NewServer(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the host was asked") }),
	)
	defer outside.Close()
	command, folder := program(t, outside.URL)
	e := start(
		t,
		network(emu.Service{Name: "web", Port: kerneltest.Port, Protocol: emu.TCP, Command: command}),
		Options{Keep: []string{folder}},
	)
	status, _, err := e.HTTPGet(t.Context(), kerneltest.Host(0, 1), target(kerneltest.Port), "/")
	if err != nil || status != http.StatusFound {
		t.Errorf("status %d, %v", status, err)
	}
}

// program is a shell command that runs this test binary as an HTTP server.
func program(t *testing.T, redirectTo string) (command, folder string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return "exec env TEST_SERVER=1 REDIRECT=" + redirectTo + " " + self, filepath.Dir(self)
}

func serveForTest() error {
	return http.ListenAndServe(":"+os.Getenv("PORT"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := os.Getenv("REDIRECT"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
		}
	}))
}

func TestPrograms(t *testing.T) {
	serve := emu.Service{
		Name:     "web",
		Port:     kerneltest.Port,
		Protocol: emu.TCP,
		Command:  "echo here I am; exec sleep 1000",
	}
	n := network(serve)
	kerneltest.RequireRoot(t)
	for limit := 300 * time.Millisecond; ; limit *= 3 {
		_, err := Start(t.Context(), n, Options{ListenTimeout: limit}, nil)
		if err == nil || !strings.Contains(err.Error(), "nothing listens") ||
			!strings.Contains(err.Error(), kerneltest.Host(0, 0)) {
			t.Fatalf("a program that doesn't listen gives %v", err)
		}
		if strings.Contains(err.Error(), "here I am") {
			return
		}
		if limit > kerneltest.Patience { // a slow machine needs longer until the program has printed
			t.Fatalf("the error doesn't cite the program: %v", err)
		}
	}
}

func TestExecAndLogs(t *testing.T) {
	command, folder := program(t, "")
	e := start(t, network(
		emu.Service{Name: "web", Port: kerneltest.Port, Protocol: emu.TCP, Command: "echo up $HOME; " + command},
		emu.Service{Name: "other", Port: 81, Protocol: emu.TCP},
	), Options{Env: []string{"HOME=/somewhere"}, Keep: []string{folder}})
	host := kerneltest.Host(0, 0)
	for _, name := range []string{"", "web", "8080"} {
		// The program may listen before what it printed is read.
		kerneltest.Eventually(t, fmt.Sprintf("the output in the log of %q", name), func() bool {
			lines, err := e.Logs(t.Context(), host, name, -1, false)
			if err != nil {
				t.Fatal(err)
			}
			for l := range lines {
				if l.Text == "up /somewhere" {
					return true
				}
			}
			return false
		})
	}
	for _, name := range []string{"other", "nothing"} {
		if _, err := e.Logs(t.Context(), host, name, -1, false); err == nil {
			t.Errorf("service %q has logs", name)
		}
	}
	if _, err := e.Logs(t.Context(), kerneltest.Host(0, 1), "", -1, false); err == nil {
		t.Error("a host without programs has logs")
	}
	exit, err := e.Exec(t.Context(), kerneltest.Host(0, 1), process.Command{Argv: []string{"sh", "-c", "exit 7"}})
	if exit != 7 || err != nil {
		t.Errorf("exit %d, %v", exit, err)
	}
	if s := e.Services(); len(s) != 2 || s[0].Program == nil {
		t.Fatalf("services are %+v", s)
	}
	// A program may listen before it is known that it was started.
	kerneltest.Eventually(
		t,
		"the program to be running",
		func() bool { return e.Services()[0].Program.State == process.Running },
	)
	if err := e.StopPrograms(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := e.Exec(t.Context(), host, process.Command{Argv: []string{"true"}}); err == nil {
		t.Error("a stopped emulator runs commands")
	}
}

func TestProgress(t *testing.T) {
	kerneltest.RequireRoot(t)
	var stages []string
	last := map[string]Progress{}
	e, err := Start(t.Context(), network(builtIn), Options{}, func(p Progress) {
		if len(stages) == 0 || stages[len(stages)-1] != p.Stage {
			stages = append(stages, p.Stage)
		}
		last[p.Stage] = p
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if want := []string{BuildStage, CheckStage, ServicesStage}; !slices.Equal(stages, want) {
		t.Errorf("stages %q, want %q", stages, want)
	}
	for _, p := range last {
		if p.Done != p.Total || p.Total == 0 {
			t.Errorf("the last word of a stage is %+v", p)
		}
	}
}

// What goes wrong late takes down what was made early: the same network can be made again at once.
func TestFailureLeavesNothing(t *testing.T) {
	kerneltest.RequireRoot(t)
	n := network(builtIn, emu.Service{Name: "again", Port: kerneltest.Port, Protocol: emu.TCP})
	if _, err := Start(t.Context(), n, Options{}, nil); err == nil {
		t.Fatal("two listeners share a port")
	}
	start(t, network(builtIn), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, network(builtIn), Options{}, nil); err == nil {
		t.Error("a network is made after the end of the context")
	}
}

func TestNames(t *testing.T) {
	n := network(builtIn)
	edge, _ := n.Namespace(kerneltest.Edge)
	server := kerneltest.Gateway(0)
	edge.DNS = &emu.NameServer{Addresses: []netip.Addr{server}}
	n.PublicNames = []emu.NameRecord{{Name: "host.example", Address: kerneltest.Address(0, 0)}}
	client, _ := n.Namespace(kerneltest.Host(0, 1))
	client.Resolver.Servers = []netip.Addr{server}
	e := start(t, n, Options{})
	if o := probeName(
		t,
		e,
		client.Name,
		"host.example",
	); o.Verdict != emu.Open ||
		o.Address != kerneltest.Address(0, 0) {
		t.Errorf("by name: %+v", o)
	}
	status, _, err := e.HTTPGet(t.Context(), client.Name, emu.Target{Name: "host.example", Port: kerneltest.Port}, "/")
	if err != nil || status != http.StatusOK {
		t.Errorf("GET by name gives %d, %v", status, err)
	}
	if o := probeName(t, e, client.Name, "nobody.example"); o.Verdict != emu.Unresolved {
		t.Errorf("a name that isn't there: %+v", o)
	}
}
