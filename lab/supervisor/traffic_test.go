package supervisor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/emulator"
	"vnetlab/emu/kerneltest"
	"vnetlab/lab"
	"vnetlab/lab/compile"
	"vnetlab/lab/labtest"
)

// TestNewConnectionsFollowChanges changes who is behind VIPs under 200 connections that talk: members come, go, fall
// ill and are deleted, an access control list closes, deployments swap their VIPs. After each change new connections
// go where they should at once, and of the old ones none is lost but those to the deleted machine.
func TestNewConnectionsFollowChanges(t *testing.T) {
	kerneltest.RequireRoot(t)
	w := newTrafficLab(t)
	shop, roles := w.vip("shop", lab.Production), w.vip("roles", lab.Production)
	var connections []*connection
	for range 150 {
		connections = append(connections, w.connect(shop))
	}
	for range 50 {
		connections = append(connections, w.connect(roles))
	}
	talk := talking(connections)

	all := []string{"web1", "web2", "web3", "web4"}
	// By the namespaces that answer, whose ids stay.
	blue, green := []string{
		"BlueWeb_IN_0",
		"BlueWeb_IN_1",
	}, []string{
		"roles.staging.GreenWeb_IN_0",
		"roles.staging.GreenWeb_IN_1",
	}
	w.reaches(shop, all...)
	w.reaches(roles, blue...)
	acl := func(rules ...lab.ACLRule) lab.Operation {
		return lab.SetEndpointACLOp{Service: "shop", Instance: "web1", Endpoint: "web", Rules: rules}
	}
	w.do(lab.AddRoleOp{Service: "shop", VirtualMachine: trafficMachine(t, "web5")})
	w.serve("web5")
	w.reaches(shop, all...) // it isn't known to be healthy yet
	w.health("web5", true)
	w.reaches(shop, append(all, "web5")...)

	w.do(acl(lab.ACLRule{Order: 1, RemoteSubnet: netip.MustParsePrefix("203.0.113.0/24")}))
	if c, err := w.dial(shop, 300*time.Millisecond); err == nil {
		c.Close()
		t.Error("the access control list lets a new connection in")
	}
	w.do(acl())
	w.reaches(shop, append(all, "web5")...)

	w.health("web2", false)
	w.reaches(shop, "web1", "web3", "web4", "web5")
	w.health("web2", true)
	w.reaches(shop, append(all, "web5")...)

	endpoint := trafficMachine(t, "web3").Endpoints[0]
	w.do(lab.DeleteEndpointOp{Service: "shop", VirtualMachine: "web3", Name: endpoint.Name})
	w.reaches(shop, "web1", "web2", "web4", "web5")
	w.do(lab.AddEndpointOp{Service: "shop", VirtualMachine: "web3", Endpoint: endpoint})
	w.reaches(shop, append(all, "web5")...)

	w.do(lab.AddFirewallRuleOp{Instance: "web1", Rule: labtest.Rule(t, "block tcp 8080 from 203.0.113.0/24", 1)})
	w.do(lab.DeleteFirewallRuleOp{Instance: "web1", Name: "block tcp 8080 from 203.0.113.0/24"})

	w.do(lab.SwapDeploymentOp{Service: "roles"})
	w.reaches(roles, green...)
	w.do(lab.SwapDeploymentOp{Service: "roles"})
	w.reaches(roles, blue...)

	w.do(lab.DeleteRoleOp{Service: "shop", Name: "web5"})
	w.reaches(shop, all...)
	w.do(lab.DeleteRoleOp{Service: "shop", Name: "web4"})
	w.reaches(shop, "web1", "web2", "web3")

	for _, c := range connections {
		if c.member == "web4" {
			c.Close() // nobody answers any more: to wait for it would take all patience
		}
	}
	talk.end()
	lost, exchanges, pause := 0, 0, time.Duration(0)
	for _, c := range connections {
		switch {
		case c.err == nil:
			exchanges += c.exchanges
			pause = max(pause, c.pause)
		case c.member == "web4":
			lost++
		default:
			t.Errorf("a connection to %s is lost after %d exchanges: %v", c.member, c.exchanges, c.err)
		}
	}
	t.Logf(
		"%d changes while %d connections exchanged %d messages; %d to the deleted machine were lost; the longest wait for an answer was %v",
		w.changes,
		len(connections),
		exchanges,
		lost,
		pause,
	)
	if d, err := w.emulator.Diff(t.Context()); err != nil || len(d) > 0 {
		t.Errorf("the kernel differs from what is wanted: %v, %v", d, err)
	}
}

// trafficLab is a running lab whose instances repeat what they are told.
type trafficLab struct {
	t        *testing.T
	lab      *lab.Lab
	compiled *compile.Compilation
	emulator *emulator.Emulator
	changes  int
	servers  map[string]*echoServer
}

const trafficPort = 8080

func trafficMachine(t *testing.T, name string) lab.VirtualMachine {
	return lab.VirtualMachine{
		Name: name, OS: lab.Linux, Subnet: "a", Firewall: []lab.GuestFirewallRule{labtest.Rule(t, "allow tcp 8080", 1)},
		Endpoints: []lab.Endpoint{{
			Name: "web", PublicPort: 80, LocalPort: trafficPort, LoadBalancedSet: "web",
			Balancing: lab.Balancing{Probe: &lab.Probe{Protocol: "tcp", IntervalInSeconds: 15, TimeoutInSeconds: 31}},
		}},
	}
}

func newTrafficLab(t *testing.T) *trafficLab {
	l, err := lab.New("load", lab.Origin{})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(err)
	must(l.CreateVirtualNetwork(lab.VirtualNetwork{
		Name: "Net", Location: "West US", AddressSpace: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
		Subnets: []lab.Subnet{{Name: "a", AddressPrefix: netip.MustParsePrefix("10.0.0.0/24")}},
	}))
	must(l.CreateInternetHost(lab.InternetHost{Name: "laptop"}))
	must(l.CreateHostedService(lab.HostedService{Name: "shop", Location: "West US", VirtualNetwork: "Net"}))
	for _, name := range []string{"web1", "web2", "web3", "web4"} {
		must(l.AddVirtualMachine("shop", trafficMachine(t, name)))
		l.SetHealth(name+"/web", true)
	}
	must(l.CreateHostedService(lab.HostedService{Name: "roles", Location: "West US"}))
	for slot, name := range map[lab.Slot]string{lab.Production: "Blue", lab.Staging: "Green"} {
		must(
			l.CreateDeployment(
				"roles",
				lab.PackageDeployment{Name: name, Slot: slot, VirtualNetwork: "Net", Roles: []lab.Role{
					{
						Name:          name + "Web",
						InstanceCount: 2,
						Subnet:        "a",
						InputEndpoints: []lab.InputEndpoint{
							{Name: "In", Protocol: emu.TCP, Port: 80, LocalPort: trafficPort},
						},
					},
				}},
			),
		)
	}
	w := &trafficLab{t: t, lab: l, compiled: new(compile.Compilation).Next(l), servers: map[string]*echoServer{}}
	w.emulator, err = emulator.Start(
		t.Context(),
		w.compiled.Network,
		emulator.Options{Patience: kerneltest.Patience},
		nil,
	)
	must(err)
	t.Cleanup(func() {
		for _, s := range w.servers {
			s.close()
		}
		if err := w.emulator.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, i := range l.Instances() {
		w.serve(i.ID)
	}
	return w
}

// do does an operation on the running lab.
func (w *trafficLab) do(o lab.Operation) {
	w.t.Helper()
	next, err := w.lab.Apply(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.become(next)
	if deleted, ok := o.(lab.DeleteRoleOp); ok {
		w.servers[deleted.Name].close()
		delete(w.servers, deleted.Name)
	}
}

// health is what a health probe finds out.
func (w *trafficLab) health(instance string, healthy bool) {
	w.t.Helper()
	next := w.lab.Clone()
	next.SetHealth(instance+"/web", healthy)
	w.become(next)
}

func (w *trafficLab) become(next *lab.Lab) {
	w.t.Helper()
	compiled := w.compiled.Next(next)
	if _, err := w.emulator.Update(w.t.Context(), diff.Networks(w.compiled.Network, compiled.Network)); err != nil {
		w.t.Fatal(err)
	}
	w.lab, w.compiled = next, compiled
	w.changes++
}

func (w *trafficLab) vip(service string, slot lab.Slot) netip.AddrPort {
	for _, s := range w.lab.CloudServices {
		if s.Name == service {
			return netip.AddrPortFrom(s.In(slot).VIP, 80)
		}
	}
	w.t.Fatalf("there is no cloud service %s", service)
	return netip.AddrPort{}
}

func (w *trafficLab) dial(to netip.AddrPort, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), timeout)
	defer cancel()
	return w.emulator.Dial(ctx, "laptop", emu.Target{Address: to.Addr(), Port: to.Port(), Protocol: emu.TCP})
}

// reaches checks that new connections reach the members, all of them and no other. The load balancer chooses by a
// hash of addresses and ports: to miss one of five in 80 connections has a chance of one in ten million.
func (w *trafficLab) reaches(vip netip.AddrPort, members ...string) {
	w.t.Helper()
	found := map[string]bool{}
	for range 80 {
		c := w.connect(vip)
		found[c.member] = true
		c.Close()
	}
	slices.Sort(members)
	if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, members) {
		w.t.Errorf("new connections to %s reach %v, want %v", vip, got, members)
	}
}

// connection is an established connection to a member that has told its name.
type connection struct {
	net.Conn
	lines     *bufio.Reader
	member    string
	exchanges int
	pause     time.Duration // the longest time that an answer took
	err       error
}

func (w *trafficLab) connect(vip netip.AddrPort) *connection {
	w.t.Helper()
	c, err := w.dial(vip, kerneltest.Patience)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	lines := bufio.NewReader(c)
	name, err := lines.ReadString('\n')
	if err != nil {
		w.t.Fatal(err)
	}
	return &connection{Conn: c, lines: lines, member: name[:len(name)-1]}
}

func (c *connection) exchange() error {
	message := fmt.Sprintf("message %d of %s\n", c.exchanges, c.member)
	start := time.Now()
	if err := c.SetDeadline(start.Add(kerneltest.Patience)); err != nil { // packets may be sent again, not for ever
		return err
	}
	if _, err := c.Write([]byte(message)); err != nil {
		return err
	}
	answer, err := c.lines.ReadString('\n')
	if err == nil && answer != message {
		err = fmt.Errorf("the answer is %q", answer)
	}
	c.pause = max(c.pause, time.Since(start))
	c.exchanges++
	return err
}

// conversation is an exchange on every connection over and over.
type conversation struct {
	stop  chan struct{}
	group sync.WaitGroup
}

func talking(all []*connection) *conversation {
	talk := &conversation{stop: make(chan struct{})}
	for n, c := range all {
		talk.group.Go(func() {
			for every := 100*time.Millisecond + time.Duration(n)*time.Millisecond; ; {
				select {
				case <-talk.stop:
					c.err = c.exchange() // after everything that happened
					return
				case <-time.After(every):
				}
				if c.err = c.exchange(); c.err != nil {
					return
				}
			}
		})
	}
	return talk
}

func (talk *conversation) end() {
	close(talk.stop)
	talk.group.Wait()
}

// echoServer tells its name and then repeats what it is told.
type echoServer struct {
	listener net.Listener
	mu       sync.Mutex
	open     []net.Conn
}

// serve starts a server in an instance.
func (w *trafficLab) serve(instance string) {
	w.t.Helper()
	s := &echoServer{}
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: a thread that was elsewhere ends with its goroutine
		err := unix.Setns(w.emulator.NamespaceFD(instance), unix.CLONE_NEWNET)
		if err == nil {
			s.listener, err = net.Listen("tcp4", fmt.Sprintf(":%d", trafficPort))
		}
		result <- err
	}()
	if err := <-result; err != nil {
		w.t.Fatalf("listen in %s: %v", instance, err)
	}
	w.servers[instance] = s
	go func() {
		for {
			c, err := s.listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open = append(s.open, c)
			s.mu.Unlock()
			go func() {
				_, err := fmt.Fprintln(c, instance)
				for lines := bufio.NewReader(c); err == nil; {
					var line []byte
					if line, err = lines.ReadSlice('\n'); err == nil {
						_, err = c.Write(line)
					}
				}
				if !errors.Is(err, net.ErrClosed) {
					c.Close()
				}
			}()
		}
	}()
}

func (s *echoServer) close() {
	s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		c.Close()
	}
}
