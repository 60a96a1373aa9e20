package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/limits"
)

// endpointFlags are the flags that describe an endpoint, either one attribute each or all of them with --endpoint.
type endpointFlags struct {
	spec                                     string
	public, local                            portFlag
	protocol, set, distribution, healthProbe string
	internal                                 string
	interval, timeout, idle                  int
	directServerReturn                       bool
	name                                     string
	acl                                      []string
}

// attributeFlags are the flags for single attributes, which --endpoint excludes.
var attributeFlags = []string{
	"public", "local", "protocol", "set", "distribution", "probe", "probe-interval", "probe-timeout", "idle-timeout",
	"internal",
	"direct-server-return",
}

// noProbe is the value of --probe that removes the health probe.
const noProbe = "none"

func (f *endpointFlags) add(a *app, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Var(&f.public, "public", "public `PORT` (default one that the platform picks from 49152 on)")
	flags.Var(&f.local, "local", "`PORT` in the machine (default the public port)")
	protocols := []string{string(emu.TCP), string(emu.UDP)}
	f.protocol = protocols[0]
	flags.Var(&choice{value: &f.protocol, of: protocols}, "protocol", "tcp or udp")
	flags.StringVar(&f.set, "set", "", "load-balanced set `NAME`, whose members share the public port")
	distributions := []string{
		string(lab.DistributeNone), string(lab.DistributeSourceIP), string(lab.DistributeSourceIPProtocol),
	}
	f.distribution = distributions[0]
	flags.Var(&choice{value: &f.distribution, of: distributions}, "distribution",
		"`MODE` by which members are picked: none (5-tuple), sourceIP or sourceIPProtocol")
	flags.StringVar(
		&f.healthProbe,
		"probe",
		"",
		"health `PROBE`, as tcp[:PORT], http[:PORT]:/PATH or none (default none)",
	)
	flags.IntVar(&f.interval, "probe-interval", limits.DefaultProbeInterval, "`SECONDS` between two health probes")
	flags.IntVar(&f.timeout, "probe-timeout", limits.DefaultProbeTimeout,
		"`SECONDS` without an answer after which a member is out")
	flags.IntVar(&f.idle, "idle-timeout", limits.DefaultIdleTimeout,
		"`MINUTES` after which an idle connection is forgotten, 4 to 30")
	flags.StringVar(&f.internal, "internal", "",
		"`NAME` of the internal load balancer whose address has the port, instead of the VIP")
	flags.BoolVar(&f.directServerReturn, "direct-server-return", false,
		"deliver packets with the VIP as their destination")
	flags.StringArrayVar(&f.acl, "acl", nil,
		"`RULE` of the access control list, as \"ORDER permit|deny PREFIX\"; may be repeated")
	flags.StringVar(&f.spec, "endpoint", "", "`SPEC` of the whole endpoint in one word (see lab help endpoint-spec)")

	register(cmd, "public")
	a.flagNames(cmd, "local", listeningPorts)
	register(cmd, "protocol", protocols...)
	a.flagNames(cmd, "set", balancedSets)
	register(cmd, "distribution", distributions...)
	registerOpen(cmd, "probe", "tcp", "tcp:", "http:/", "http:", noProbe)
	register(cmd, "probe-interval", strconv.Itoa(limits.DefaultProbeInterval))
	register(cmd, "probe-timeout", strconv.Itoa(limits.DefaultProbeTimeout))
	register(cmd, "idle-timeout", strconv.Itoa(limits.DefaultIdleTimeout), "30")
	a.flagNames(cmd, "internal", internalLoadBalancers)
	registerOpen(cmd, "acl", "100 permit ", "100 deny ")
	registerOpen(cmd, "endpoint", "tcp:", "udp:")
}

// given reports whether the command line has a flag about the endpoint.
func (f *endpointFlags) given(cmd *cobra.Command) bool {
	return slices.ContainsFunc(append([]string{"endpoint", "acl", "name"}, attributeFlags...), cmd.Flags().Changed)
}

// check refuses flags that contradict each other or make no sense.
func (f *endpointFlags) check(cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	if i := slices.IndexFunc(attributeFlags, changed); i >= 0 && changed("endpoint") {
		return usage("--endpoint describes the whole endpoint and excludes --%s", attributeFlags[i]).
			orHint("lab help endpoint-spec explains how --endpoint is written")
	}
	for flag, value := range map[string]int{
		"idle-timeout": f.idle, "probe-interval": f.interval,
		"probe-timeout": f.timeout,
	} {
		if value <= 0 {
			return usage("--%s %d is not a positive number", flag, value)
		}
	}
	if _, ok := parseProbe(f.healthProbe); changed("probe") && !ok && f.healthProbe != noProbe {
		return usage("--probe %q is not a health probe", f.healthProbe).
			orHint("write tcp, tcp:PORT, http:/PATH, http:PORT:/PATH or none")
	}
	if changed("endpoint") {
		_, err := parseEndpoint(f.spec)
		return err
	}
	return nil
}

// apply sets those attributes of an endpoint that the command line names; --endpoint sets all but the access
// control list.
func (f *endpointFlags) apply(cmd *cobra.Command, e lab.Endpoint) (lab.Endpoint, error) {
	changed := cmd.Flags().Changed
	if changed("endpoint") {
		name, rules := e.Name, e.ACL
		var err error
		if e, err = parseEndpoint(f.spec); err != nil {
			return e, err
		}
		e.Name, e.ACL = cmp.Or(e.Name, name), rules
	}
	set := func(flag string, change func()) {
		if changed(flag) {
			change()
		}
	}
	set("name", func() { e.Name = f.name })
	set("protocol", func() { e.Protocol = emu.Protocol(f.protocol) })
	set("public", func() { e.PublicPort = uint16(f.public) })
	set("local", func() { e.LocalPort = uint16(f.local) })
	set("set", func() { e.LoadBalancedSet = f.set })
	set("distribution", func() { e.Distribution = lab.Distribution(f.distribution) })
	set("probe", func() {
		before := e.Probe
		if e.Probe = nil; f.healthProbe == noProbe {
			return
		}
		e.Probe, _ = parseProbe(f.healthProbe)
		if before != nil {
			e.Probe.IntervalInSeconds, e.Probe.TimeoutInSeconds = before.IntervalInSeconds, before.TimeoutInSeconds
		}
	})
	set("idle-timeout", func() { e.IdleTimeoutInMinutes = f.idle })
	set("internal", func() { e.InternalLoadBalancer = f.internal })
	set("direct-server-return", func() { e.DirectServerReturn = f.directServerReturn })
	if e.Probe == nil && (changed("probe-interval") || changed("probe-timeout")) {
		return e, usage("--probe-interval and --probe-timeout are for a health probe, and the endpoint has none").
			orHint("--probe tcp, or --probe http:/PATH")
	}
	set("probe-interval", func() { e.Probe.IntervalInSeconds = f.interval })
	set("probe-timeout", func() { e.Probe.TimeoutInSeconds = f.timeout })
	e.LocalPort = cmp.Or(e.LocalPort, e.PublicPort)
	var err error
	if changed("acl") {
		e.ACL, err = parseACL(f.acl)
	}
	return e, err
}

// portFlag is a flag for a port number; 0: not given.
type portFlag uint16

func (p *portFlag) Type() string { return "port" }

func (p *portFlag) String() string {
	if *p == 0 {
		return ""
	}
	return strconv.Itoa(int(*p))
}

func (p *portFlag) Set(text string) error {
	number, ok := port(text)
	if !ok {
		return fmt.Errorf("must be a number from 1 to 65535")
	}
	*p = portFlag(number)
	return nil
}

// endpointAsked returns an endpoint of a running lab in the form in which it is requested.
func endpointAsked(info api.Lab, e endpointAnswer) lab.Endpoint {
	asked := lab.Endpoint{
		Name: e.Name, Protocol: e.Protocol, PublicPort: e.PublicPort, LocalPort: e.LocalPort,
		LoadBalancedSet: e.LoadBalancedSet,
		Balancing: lab.Balancing{
			Distribution: e.Distribution, IdleTimeoutInMinutes: e.IdleTimeoutInMinutes,
			DirectServerReturn: e.DirectServerReturn, ACL: aclRules(e.ACL),
		},
	}
	if p := e.Probe; p != nil {
		asked.Probe = &lab.Probe{
			Protocol: p.Protocol, Port: p.Port, Path: p.Path,
			IntervalInSeconds: p.IntervalInSeconds, TimeoutInSeconds: p.TimeoutInSeconds,
		}
	}
	if !e.Internal {
		return asked
	}
	for _, c := range info.CloudServices {
		for _, d := range c.Deployments {
			if c.Name == e.CloudService && d.Slot == e.Slot && d.InternalLoadBalancer != nil {
				asked.InternalLoadBalancer = d.InternalLoadBalancer.Name
			}
		}
	}
	return asked
}

// listeningPorts lists the ports on which the machine that the first argument names listens.
func listeningPorts(info api.Lab, args []string) (ports []string) {
	for _, h := range machines(info) {
		for _, s := range h.Services {
			if len(args) > 0 && called(h, args[0]) {
				ports = append(ports, strconv.Itoa(int(s.Port)))
			}
		}
	}
	return ports
}

// balancedSets lists the load-balanced sets of the cloud service whose machine the first argument names, or of all.
func balancedSets(info api.Lab, args []string) (names []string) {
	service := ""
	if len(args) > 0 {
		if h, err := findMachine(info, args[0]); err == nil {
			service = h.CloudService
		}
	}
	for _, h := range machines(info) {
		for _, e := range h.Endpoints {
			if e.LoadBalancedSet != "" && (service == "" || h.CloudService == service) &&
				!slices.Contains(names, e.LoadBalancedSet) {
				names = append(names, e.LoadBalancedSet)
			}
		}
	}
	return names
}

func internalLoadBalancers(info api.Lab, _ []string) (names []string) {
	for _, c := range info.CloudServices {
		for _, d := range c.Deployments {
			if b := d.InternalLoadBalancer; b != nil && !slices.Contains(names, b.Name) {
				names = append(names, b.Name)
			}
		}
	}
	return names
}

// endpointSpec is the help topic on the compact form of endpoints.
func endpointSpec() *cobra.Command {
	return &cobra.Command{
		Use:   "endpoint-spec",
		Short: "How --endpoint describes an endpoint",
		Long: `The flag --endpoint of lab vm create, lab endpoint add and lab endpoint update takes an
endpoint in one word:

  PROTO:PUBLIC:LOCAL[,KEY=VALUE]...

PROTO is tcp or udp. PUBLIC is the port of the cloud service's VIP; where it is empty, the
platform picks one from 49152 on. LOCAL is the port in the machine.

` + endpointKeyHelp() + `
For example:

  tcp:57500:1433
  tcp::22,name=ssh
  tcp:80:8080,set=web,probe=http:/health,interval=5,timeout=11
  tcp:1433:1433,internal=sql-ilb,dsr

lab endpoint add and lab endpoint update have a flag for each of these as well.`,
	}
}

// endpointKeys are the keys of the compact form with their meanings, in the order of the help.
var endpointKeys = []struct{ key, value, means string }{
	{"name", "NAME", "name of the endpoint (default PROTO-LOCAL in lab vm create)"},
	{"set", "NAME", "load-balanced set, whose members share the public port"},
	{"distribution", "MODE", "none, sourceIP or sourceIPProtocol"},
	{"probe", "PROBE", "health probe: tcp, tcp:PORT, http:/PATH or http:PORT:/PATH"},
	{"interval", "SECONDS", "between two health probes (default 15)"},
	{"timeout", "SECONDS", "without an answer after which a member is out (default 31)"},
	{"idle", "MINUTES", "after which an idle connection is forgotten, 4 to 30 (default 4)"},
	{"internal", "NAME", "internal load balancer whose address has the port"},
	{"dsr", "", "direct server return; without a value"},
}

func endpointKeyHelp() string {
	var t table
	t.indent = "  "
	for _, k := range endpointKeys {
		text := k.key
		if k.value != "" {
			text += "=" + k.value
		}
		t.add(text, k.means)
	}
	var b strings.Builder
	lines, _ := t.lines(0)
	for _, row := range lines {
		b.WriteString(row[0] + "\n")
	}
	return b.String()
}
