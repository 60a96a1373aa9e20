package supervisor

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
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

// flowLab is a running lab in which a test talks by TCP and UDP.
type flowLab struct {
	t        *testing.T
	lab      *lab.Lab
	compiled *compile.Compilation
	emulator *emulator.Emulator
	servers  map[string]*heard // of the instances
}

const flowPort = 5000

// newFlowLab has of each kind of machine that flows can lead to. Most listen on one port.
func newFlowLab(t *testing.T) *flowLab {
	t.Helper()
	l, err := lab.New("flows", lab.Origin{})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(err)
	prefix := netip.MustParsePrefix
	must(l.CreateVirtualNetwork(lab.VirtualNetwork{
		Name: "Net", Location: "West US", AddressSpace: []netip.Prefix{prefix("10.0.0.0/16")}, Subnets: []lab.Subnet{
			{Name: "a", AddressPrefix: prefix("10.0.0.0/24")},
			{Name: "b", AddressPrefix: prefix("10.0.2.0/23")},
			{Name: "GatewaySubnet", AddressPrefix: prefix("10.0.255.0/29")},
		},
	}))
	must(l.CreateInternetHost(lab.InternetHost{Name: "laptop"}))
	must(l.CreateInternetHost(lab.InternetHost{Name: "stranger"}))
	must(l.CreateWebSite(lab.WebSite{Name: "site1", Location: "West US"}))
	must(l.CreateWebSite(lab.WebSite{Name: "site2", Location: "West US"}))
	must(l.CreateReservedIP(lab.ReservedIP{Name: "kept", Location: "West US"}))
	service := func(name, network string) {
		must(l.CreateHostedService(lab.HostedService{Name: name, Location: "West US", VirtualNetwork: network}))
	}
	service("front", "Net")
	vm := flowMachine("vm1", both("own", ""))
	vm.ReservedIP, vm.PublicIPName = "kept", "own"
	vm.FirewallOff, vm.Firewall = false, []lab.GuestFirewallRule{labtest.Rule(t, "allow any", 1)}
	must(l.AddVirtualMachine("front", vm))
	must(l.AddVirtualMachine("front", lab.VirtualMachine{Name: "k", OS: lab.Linux, Subnet: "a", FirewallOff: true}))
	service("set", "Net")
	for _, name := range []string{"web1", "web2"} {
		must(l.AddVirtualMachine("set", flowMachine(name, both("web", "web"))))
		l.SetHealth(name+"/web-tcp", true)
		l.SetHealth(name+"/web-udp", true)
	}
	service("data", "Net")
	must(l.AddVirtualMachine("data", lab.VirtualMachine{Name: "z", OS: lab.Linux, Subnet: "a"}))
	// The second is on a bridge of its own.
	for name, address := range map[string]string{"near": "10.0.2.10", "leaf": "10.0.3.10"} {
		vm := flowMachine(name, nil)
		vm.Subnet, vm.StaticAddress = "b", netip.MustParseAddr(address)
		must(l.AddVirtualMachine("data", vm))
	}
	service("roles", "")
	for _, slot := range []lab.Slot{lab.Production, lab.Staging} {
		must(l.CreateDeployment("roles", flowRoles(slot, "Web")))
	}
	must(l.CreateLocalNetwork(lab.LocalNetwork{
		Name: "hq", AddressSpace: []netip.Prefix{prefix("192.168.10.0/24")},
		Hosts: []*lab.LocalHost{{Name: "desk"}, {Name: "printer"}},
	}))
	must(l.CreateGateway("Net", lab.VPNGateway{Connections: []lab.GatewayConnection{{Name: "hq"}}}))
	w := &flowLab{t: t, lab: l, compiled: new(compile.Compilation).Next(l), servers: map[string]*heard{}}
	options := emulator.Options{Patience: kerneltest.Patience}
	w.emulator, err = emulator.Start(t.Context(), w.compiled.Network, options, nil)
	must(err)
	t.Cleanup(func() {
		if err := w.emulator.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, i := range l.Instances() {
		w.serve(i.ID)
	}
	return w
}

func both(name, set string) (all []lab.Endpoint) {
	for _, p := range []emu.Protocol{emu.TCP, emu.UDP} {
		e := lab.Endpoint{Name: name + "-" + string(p), Protocol: p, PublicPort: flowPort, LocalPort: flowPort}
		if set != "" {
			e.LoadBalancedSet = set + "-" + string(p)
			e.Probe = &lab.Probe{Protocol: "tcp", Port: flowPort, IntervalInSeconds: 3600, TimeoutInSeconds: 7200}
		}
		all = append(all, e)
	}
	return all
}

func flowMachine(name string, endpoints []lab.Endpoint) lab.VirtualMachine {
	return lab.VirtualMachine{Name: name, OS: lab.Linux, Subnet: "a", FirewallOff: true, Endpoints: endpoints}
}

func flowRoles(slot lab.Slot, name string) lab.PackageDeployment {
	web := lab.Role{Name: string(slot) + "-" + name, InstanceCount: 2, FirewallOff: true}
	for _, p := range []emu.Protocol{emu.TCP, emu.UDP} {
		e := lab.InputEndpoint{Name: "In" + string(p), Protocol: p, Port: flowPort}
		web.InputEndpoints = append(web.InputEndpoints, e)
	}
	return lab.PackageDeployment{Slot: slot, Roles: []lab.Role{web}}
}

// do does operations in one change.
func (w *flowLab) do(operations ...lab.Operation) {
	w.t.Helper()
	next, err := w.lab.Apply(operations...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.become(next)
}

// become makes the running lab another one. Instances that come are told to listen.
func (w *flowLab) become(next *lab.Lab) {
	w.t.Helper()
	compiled := w.compiled.Next(next)
	change := diff.Networks(w.compiled.Network, compiled.Network)
	for _, n := range change.Removed {
		if s := w.servers[n.Name]; s != nil {
			s.stop()
		}
	}
	if _, err := w.emulator.Update(w.t.Context(), change); err != nil {
		w.t.Fatal(err)
	}
	w.lab, w.compiled = next, compiled
	for _, n := range change.Added {
		if n.Kind == emu.Host {
			w.serve(n.Name)
		}
	}
}

func (w *flowLab) instance(name string) *lab.Instance {
	w.t.Helper()
	for _, i := range w.lab.Instances() {
		if i.Name == name {
			return i
		}
	}
	w.t.Fatalf("there is no instance %s", name)
	return nil
}

func (w *flowLab) vip(service string, slot lab.Slot) netip.Addr {
	s, ok := w.lab.CloudService(service)
	if !ok {
		w.t.Fatalf("there is no cloud service %s", service)
	}
	return s.In(slot).VIP
}

// inside runs f with a thread in a namespace, for what opens sockets and files there.
func (w *flowLab) inside(namespace string, f func() error) {
	w.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: a thread that was elsewhere ends with its goroutine
		err := unix.Setns(w.emulator.NamespaceFD(namespace), unix.CLONE_NEWNET)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		w.t.Fatalf("in %s: %v", namespace, err)
	}
}

// heard is how many times a machine heard something, be it a byte or a new connection.
type heard struct {
	atomic.Int64
	once sync.Once
	stop func()
}

// serve repeats in a namespace what it is told, after its name.
func (w *flowLab) serve(namespace string) {
	w.t.Helper()
	var listener net.Listener
	var packets net.PacketConn
	w.inside(namespace, func() (err error) {
		if listener, err = net.Listen("tcp4", fmt.Sprintf(":%d", flowPort)); err != nil {
			return err
		}
		packets, err = net.ListenPacket("udp4", fmt.Sprintf(":%d", flowPort))
		return err
	})
	h := &heard{}
	var mu sync.Mutex
	var open []net.Conn
	h.stop = func() {
		h.once.Do(func() {
			listener.Close()
			packets.Close()
			mu.Lock()
			defer mu.Unlock()
			for _, c := range open {
				c.Close()
			}
		})
	}
	w.servers[namespace] = h
	w.t.Cleanup(h.stop)
	go func() {
		b := make([]byte, 100)
		for {
			n, from, err := packets.ReadFrom(b)
			if err != nil {
				return
			}
			h.Add(1)
			packets.WriteTo([]byte(namespace+" "+string(b[:n])), from) //nolint:errcheck // nobody may be there
		}
	}()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			h.Add(1)
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			go func() {
				for lines := bufio.NewReader(c); ; {
					line, err := lines.ReadString('\n')
					if err != nil {
						return
					}
					h.Add(1)
					fmt.Fprintf(c, "%s %s", namespace, line)
				}
			}()
		}
	}()
}

// received is how many packets an instance has received. Nobody but the edge sends it any, and the edge asks for no
// address.
func (w *flowLab) received(namespace string) (packets int64) {
	w.t.Helper()
	w.inside(namespace, func() error {
		data, err := os.ReadFile("/proc/thread-self/net/dev")
		if err != nil {
			return err
		}
		for line := range bytes.Lines(data) {
			if rest, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("eth0:")); ok {
				var size int64
				_, err = fmt.Sscan(string(rest), &size, &packets)
				return err
			}
		}
		return errors.New("there is no eth0")
	})
	return packets
}

// flow is a conversation by TCP or UDP from one port.
type flow struct {
	net.Conn
	protocol emu.Protocol
	said     int
}

// tryFlow begins one.
func (w *flowLab) tryFlow(from string, protocol emu.Protocol, to netip.AddrPort, limit time.Duration) (*flow, error) {
	w.t.Helper()
	f := &flow{protocol: protocol}
	var err error
	w.inside(from, func() error {
		f.Conn, err = net.DialTimeout(string(protocol)+"4", to.String(), limit)
		return nil
	})
	if err == nil {
		w.t.Cleanup(func() { f.Close() })
	}
	return f, err
}

// say says something new.
func (f *flow) say() string {
	f.said++
	message := fmt.Sprintf("%d of %s\n", f.said, f.LocalAddr())
	f.Write([]byte(message)) //nolint:errcheck // what a connection that ended says is no matter
	return message
}

// answeredBy says something and returns who answers it; empty: nobody within the time.
func (f *flow) answeredBy(within time.Duration) string {
	message := f.say()
	b := make([]byte, 100)
	for end := time.Now().Add(within); time.Now().Before(end); {
		f.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) //nolint:errcheck // a socket has deadlines
		n, err := f.Read(b)
		if who, what, _ := strings.Cut(string(b[:n]), " "); err == nil && what == message {
			return who
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && f.protocol == emu.UDP:
			message = f.say() // a datagram isn't sent again by itself
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && f.protocol == emu.TCP:
			return ""
		}
	}
	return ""
}
