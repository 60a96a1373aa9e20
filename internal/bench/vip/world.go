package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/lab"
	"vnetlab/lab/compile"
	"vnetlab/lab/guestfirewall"
	"vnetlab/lab/rules"
)

const (
	perService  = 10 // endpoints of a service, all of its one virtual machine
	firstPort   = 8000
	outsideName = "outside"
	insideName  = "inside"
)

// world is a running network with a server behind the first endpoint of its first service.
type world struct {
	outside  *client // an internet host
	inside   *client // an instance of another subnet
	dip, vip netip.AddrPort
	kernel   *kernel.State
	stop     []func() error
}

func (w *world) close() error {
	var errs []error
	for _, f := range w.stop {
		errs = append(errs, f())
	}
	return errors.Join(append(errs, w.kernel.Close())...)
}

// balanced is a lab as it is: the VIPs of all its services are in the rules of one edge.
func balanced(ctx context.Context, endpoints int) (*world, error) {
	l, err := newLab(endpoints)
	if err != nil {
		return nil, err
	}
	return run(ctx, l, compile.Network(l))
}

// plain has routes in place of rules, the instance's own address routed from the client, and HAProxy on the VIPs when
// there is one.
func plain(ctx context.Context, endpoints int, haproxy string) (*world, error) {
	l, err := newLab(1)
	if err != nil {
		return nil, err
	}
	full, err := newLab(endpoints)
	if err != nil {
		return nil, err
	}
	vm := l.Instances()[0]
	dip, vip := netip.PrefixFrom(vm.DIP, 32), netip.PrefixFrom(l.Deployment(vm).VIP, 32)
	network := compile.Network(l)
	edge, _ := network.Namespace(rules.NetworkEdgeName("net"))
	for i := range network.Namespaces {
		s := network.Namespaces[i]
		if s.Kind != emu.Router {
			continue
		}
		s.Ruleset, s.Switch, s.DNS = nil, nil, nil
		for _, r := range s.Routes {
			if r.Destination.Bits() > 0 && r.Destination.Overlaps(vip) && s != edge {
				r.Destination = dip
				s.Routes = append(s.Routes, r)
				break
			}
		}
	}
	for _, d := range full.Deployments() {
		edge.Loopback = append(edge.Loopback, d.VIP)
	}
	network.Sort()
	w, err := run(ctx, l, network)
	if err != nil || haproxy == "" {
		return w, err
	}
	return w, w.startHAProxy(full, haproxy)
}

// newLab has so many endpoints in one virtual network.
func newLab(endpoints int) (*lab.Lab, error) {
	firewall, err := guestfirewall.Parse(fmt.Sprintf("allow tcp %d-%d", firstPort, firstPort+perService-1))
	if err != nil {
		return nil, err
	}
	l, err := lab.New("vip", lab.Origin{})
	if err != nil {
		return nil, err
	}
	errs := []error{
		l.CreateVirtualNetwork(lab.VirtualNetwork{
			Name: "net", Location: lab.Locations[0], AddressSpace: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
			Subnets: []lab.Subnet{
				{
					Name:          "a",
					AddressPrefix: netip.MustParsePrefix("10.0.0.0/20"),
				},
				{Name: "b", AddressPrefix: netip.MustParsePrefix("10.0.16.0/24")},
			},
		}),
		l.CreateInternetHost(lab.InternetHost{Name: outsideName}),
	}
	for made := 0; made < endpoints; made += perService {
		name := fmt.Sprintf("service%d", made/perService)
		vm := lab.VirtualMachine{
			Name:     fmt.Sprintf("vm%d", made/perService),
			OS:       lab.Linux,
			Subnet:   "a",
			Firewall: []lab.GuestFirewallRule{{Rule: firewall}},
		}
		for i := range min(perService, endpoints-made) {
			port := uint16(firstPort + i)
			vm.Endpoints = append(
				vm.Endpoints,
				lab.Endpoint{Name: fmt.Sprintf("e%d", i), PublicPort: port, LocalPort: port},
			)
		}
		errs = append(
			errs,
			l.CreateHostedService(lab.HostedService{Name: name, Location: lab.Locations[0], VirtualNetwork: "net"}),
			l.AddVirtualMachine(name, vm),
		)
	}
	errs = append(
		errs,
		l.CreateHostedService(lab.HostedService{Name: "clients", Location: lab.Locations[0], VirtualNetwork: "net"}),
		l.AddVirtualMachine("clients", lab.VirtualMachine{Name: insideName, OS: lab.Linux, Subnet: "b"}),
	)
	return l, errors.Join(errs...)
}

// run makes the network and starts the server.
func run(ctx context.Context, l *lab.Lab, network *emu.Network) (*world, error) {
	state, err := kernel.Apply(ctx, network, nil)
	if err != nil {
		return nil, err
	}
	vm := l.Instances()[0]
	w := &world{
		kernel: state,
		dip:    netip.AddrPortFrom(vm.DIP, firstPort),
		vip:    netip.AddrPortFrom(l.Deployment(vm).VIP, firstPort),
	}
	self, err := os.Executable()
	if err != nil {
		return w, err
	}
	if _, _, err := w.start(vm.ID, exec.Command(self, "serve", fmt.Sprintf(":%d", firstPort))); err != nil {
		return w, err
	}
	for namespace, c := range map[string]**client{outsideName: &w.outside, insideName: &w.inside} {
		in, out, err := w.start(namespace, exec.Command(self, "load"))
		if err != nil {
			return w, err
		}
		*c = &client{json.NewEncoder(in), json.NewDecoder(out)}
	}
	return w, nil
}

// client is a program that measures, in a namespace.
type client struct {
	orders  *json.Encoder
	results *json.Decoder
}

func (c *client) measure(figure string, target netip.AddrPort) (float64, error) {
	if err := c.orders.Encode(order{figure, target.String()}); err != nil {
		return 0, err
	}
	var r result
	if err := c.results.Decode(&r); err != nil {
		return 0, err
	}
	if r.Error != "" {
		return 0, errors.New(r.Error)
	}
	return r.Value, nil
}

// start starts a program in a namespace that ends when its standard input does, at the latest with this process.
func (w *world) start(namespace string, cmd *exec.Cmd) (io.Writer, io.Reader, error) {
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	ns, ok := w.kernel.Namespace(namespace)
	if !ok {
		return nil, nil, fmt.Errorf("there is no namespace %s", namespace)
	}
	if err := ns.Start(cmd); err != nil {
		return nil, nil, err
	}
	w.stop = append(w.stop, func() error { return errors.Join(in.Close(), cmd.Wait()) })
	return in, out, nil
}

// startHAProxy has HAProxy do the work of the edge for all endpoints of a lab.
func (w *world) startHAProxy(l *lab.Lab, program string) error {
	var b strings.Builder
	b.WriteString(
		"global\n  maxconn 4000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1m\n  timeout server 1m\n",
	)
	for _, d := range l.Deployments() {
		for _, f := range d.Frontends() {
			fmt.Fprintf(&b, "listen %s-%s\n  bind %s:%d\n", d.Service, f.Name, f.Address, f.PublicPort)
			for _, m := range f.Members {
				fmt.Fprintf(&b, "  server %s %s:%d\n", m.Instance.ID, m.Instance.DIP, m.LocalPort)
			}
		}
	}
	dir, err := os.MkdirTemp("", "vnetlab-haproxy-")
	if err != nil {
		return err
	}
	w.stop = append(w.stop, func() error { return os.RemoveAll(dir) })
	config := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(config, []byte(b.String()), 0o600); err != nil {
		return err
	}
	// HAProxy takes no notice of its standard input; the shell ends it.
	_, _, err = w.start(
		rules.NetworkEdgeName("net"),
		exec.Command("/bin/sh", "-c", `"$0" -db -q -f "$1" & cat; kill $!; wait || :`, program, config),
	)
	return err
}
