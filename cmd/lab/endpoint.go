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
	"vnetlab/lab/spelling"
)

func (a *app) endpoint() *cobra.Command {
	return noun("endpoint", "Add, change and delete endpoints of virtual machines",
		`Endpoints of virtual machines: public ports of their cloud service's VIP. The endpoints
of roles are in the service definition.`,
		a.endpointAdd(), a.endpointUpdate(), a.endpointDelete(), a.endpointList())
}

func (a *app) endpointAdd() *cobra.Command {
	flags := endpointFlags{}
	cmd := &cobra.Command{
		Use:   "add VM NAME --public PORT --local PORT",
		Short: "Add an endpoint to a virtual machine",
		Long: `Add an endpoint to a virtual machine: a public port of its cloud service's VIP that is
forwarded to a port of the machine.

Without --public the platform picks a port from 49152 on. The guest firewall stays as it
is and may still drop what arrives: see lab firewall add.

--endpoint takes all of it in one word instead; lab help endpoint-spec explains the
form.`,
		Example: `  sudo lab endpoint add sql1 sql --public 57500 --local 1433 --acl "100 permit 203.0.113.0/24"
  sudo lab endpoint add web2 http --public 80 --local 8080 --set web --probe http:/health
  sudo lab endpoint add sql1 sql --endpoint tcp:57500:1433`,
		Args:              want(2, 2, "a virtual machine and a name for the endpoint"),
		ValidArgsFunction: a.names(machineNames),
	}
	flags.add(a, cmd)
	return a.operation(cmd, func(cmd *cobra.Command, args []string, running *runningLab) (lab.Operation, error) {
		if err := flags.check(cmd); err != nil {
			return nil, err
		}
		e, err := flags.apply(cmd, lab.Endpoint{Name: args[1], Protocol: emu.Protocol(flags.protocol)})
		switch {
		case err != nil:
			return nil, err
		case e.LocalPort == 0:
			return nil, usage("%s needs --local, the port in the machine, or --endpoint", cmd.CommandPath()).
				orHint(cmd.UseLine())
		case e.Name != args[1]:
			return nil, usage("the endpoint is named %s and %s", args[1], e.Name).orHint("leave out name=" + e.Name)
		}
		service, machine, err := running.machineName(args[0])
		return lab.AddEndpointOp{Service: service, VirtualMachine: machine, Endpoint: e}, err
	})
}

func (a *app) endpointUpdate() *cobra.Command {
	flags := endpointFlags{}
	cmd := &cobra.Command{
		Use:   "update VM NAME",
		Short: "Change an endpoint of a virtual machine",
		Long: `Change what the flags name of an endpoint of a virtual machine; the rest stays as it is.

  --set ""       takes it out of its load-balanced set
  --internal ""  moves it to the VIP
  --probe none   removes the health probe

--endpoint replaces the whole endpoint instead: what the compact form doesn't name gets
its default. Only the access control list stays, unless --acl is there as well.`,
		Example: `  sudo lab endpoint update sql1 sql --public 57501
  sudo lab endpoint update web2 http --probe http:8080:/health --probe-interval 5
  sudo lab endpoint update sql1 sql --endpoint tcp:57501:1433`,
		Args:              want(2, 2, "a virtual machine and the name of its endpoint"),
		ValidArgsFunction: a.names(machineNames, endpointNames),
	}
	flags.add(a, cmd)
	cmd.Flags().StringVar(&flags.name, "name", "", "new `NAME` of the endpoint")
	register(cmd, "name")
	for flag, text := range map[string]string{
		"public": "public `PORT`", "local": "`PORT` in the machine",
		"probe": "health `PROBE`, as tcp[:PORT], http[:PORT]:/PATH or none",
	} {
		cmd.Flags().Lookup(flag).Usage = text
	}
	return a.operation(cmd, func(cmd *cobra.Command, args []string, running *runningLab) (lab.Operation, error) {
		if !flags.given(cmd) {
			return nil, usage("%s needs a flag that says what to change", cmd.CommandPath()).
				orHint(cmd.CommandPath() + " --help lists the flags")
		}
		if err := flags.check(cmd); err != nil {
			return nil, err
		}
		var e lab.Endpoint
		h, err := find(running, args[0], func(info api.Lab) (api.Host, error) {
			h, err := findMachine(info, args[0])
			if err != nil {
				return h, err
			}
			all := endpointsOf(info, h)
			i := slices.IndexFunc(all, func(old endpointAnswer) bool { return old.Name == args[1] })
			if i < 0 {
				return h, missingFrom(h.Name, "endpoint", args[1], endpointNames(info, args[:1]))
			}
			e = endpointAsked(info, all[i])
			return h, nil
		})
		if err != nil {
			return nil, err
		}
		e, err = flags.apply(cmd, e)
		return lab.UpdateEndpointOp{
			Service:        h.CloudService,
			VirtualMachine: h.HostName,
			Name:           args[1],
			Endpoint:       e,
		}, err
	})
}

func (a *app) endpointDelete() *cobra.Command {
	return a.operation(&cobra.Command{
		Use:               "delete VM NAME",
		Short:             "Delete an endpoint of a virtual machine",
		Example:           "  sudo lab endpoint delete sql1 sql",
		Args:              want(2, 2, "a virtual machine and the name of its endpoint"),
		ValidArgsFunction: a.names(machineNames, endpointNames),
	}, func(_ *cobra.Command, args []string, running *runningLab) (lab.Operation, error) {
		service, machine, err := running.machineName(args[0])
		return lab.DeleteEndpointOp{Service: service, VirtualMachine: machine, Name: args[1]}, err
	})
}

// endpointAnswer is an endpoint with its cloud service and slot, as JSON.
type endpointAnswer struct {
	CloudService    string   `json:"cloudService"`
	Slot            lab.Slot `json:"slot"`
	DNSName         string   `json:"dnsName"`
	LoadBalancedSet string   `json:"loadBalancedSet,omitempty"`
	api.Endpoint
}

// host returns the name or address that clients of an endpoint use: the DNS name of its VIP, or the address of its
// internal load balancer.
func (e endpointAnswer) host() string {
	if e.Internal {
		return address(e.Address)
	}
	return e.DNSName
}

func (a *app) endpointList() *cobra.Command {
	return a.question(&cobra.Command{
		Use:   "list [VM|SERVICE]",
		Short: "List endpoints with their members",
		Long: `List the endpoints of a virtual machine, of a cloud service, or of all.

A member that gets no new connections is listed with the reason: it doesn't run, or it
doesn't answer its health probe.`,
		Example:           "  sudo lab endpoint list\n  sudo lab endpoint list sql1 --output json",
		Args:              want(0, 1, "a virtual machine or a cloud service"),
		ValidArgsFunction: a.names(machinesAndServices),
	}, func(info api.Lab, args []string) error {
		all, err := endpointsAbout(info, args)
		if err != nil {
			return err
		}
		t := table{}
		t.head(a.stdout, endpointTitles...)
		for _, e := range all {
			a.addEndpoint(&t, e)
		}
		return a.list(all, t, "there is no endpoint")
	})
}

var endpointTitles = []string{"ENDPOINT", "PUBLIC", "LOCAL PORT", "INSTANCES", "BALANCING"}

// addEndpoint adds an endpoint to a table.
func (a *app) addEndpoint(t *table, e endpointAnswer) {
	t.add(e.Name, fmt.Sprintf("%s:%d/%s", e.host(), e.PublicPort, e.Protocol), localPorts(e.Endpoint),
		strings.Join(members(e.Endpoint), ", "),
		strings.TrimPrefix(balancing(e.Endpoint), "; "))
}

// endpointsAbout lists the endpoints of the machine or service that the arguments name; without any, of all.
func endpointsAbout(info api.Lab, args []string) ([]endpointAnswer, error) {
	if len(args) == 0 {
		return allEndpoints(info), nil
	}
	if h, err := findMachine(info, args[0]); err == nil {
		return endpointsOf(info, h), nil
	} else if isAmbiguous(err) {
		return nil, err
	}
	if c, slot, err := findSlot(info, args[0]); err == nil && slot == lab.Staging {
		return slices.DeleteFunc(allEndpoints(info),
			func(e endpointAnswer) bool { return e.CloudService != c.Name || e.Slot != slot }), nil
	}
	c, err := findService(info, args[0])
	if err != nil {
		return nil, missing(info, "virtual machine and no cloud service", args[0], machinesAndServices(info, nil))
	}
	return slices.DeleteFunc(allEndpoints(info), func(e endpointAnswer) bool { return e.CloudService != c.Name }), nil
}

// allEndpoints lists the ports of all deployments.
func allEndpoints(info api.Lab) []endpointAnswer {
	all := []endpointAnswer{}
	for _, c := range info.CloudServices {
		for _, d := range c.Deployments {
			for _, e := range d.Endpoints {
				all = append(all, endpointAnswer{c.Name, d.Slot, d.DNSName, "", e})
			}
		}
	}
	return all
}

// endpointsOf lists the endpoints of an instance by the names that it has for them.
func endpointsOf(info api.Lab, h api.Host) []endpointAnswer {
	all := []endpointAnswer{}
	for _, c := range info.CloudServices {
		for _, d := range c.Deployments {
			if c.Name != h.CloudService || d.Name != h.Deployment {
				continue
			}
			for _, own := range h.Endpoints {
				if e, ok := frontend(d, h, own); ok {
					e.Name, e.LocalPort = own.Name, own.LocalPort
					all = append(all, endpointAnswer{c.Name, d.Slot, d.DNSName, own.LoadBalancedSet, e})
				}
			}
		}
	}
	return all
}

// frontend finds the public port of an endpoint of an instance.
func frontend(d api.Deployment, h api.Host, own api.InstanceEndpoint) (api.Endpoint, bool) {
	for _, e := range d.Endpoints {
		if e.PublicPort == own.PublicPort && e.Protocol == own.Protocol &&
			slices.ContainsFunc(e.Members, func(m api.Member) bool {
				return m.Instance == h.Name && m.LocalPort == own.LocalPort
			}) {
			return e, true
		}
	}
	return api.Endpoint{}, false
}

// localPorts lists the local ports of an endpoint, which can differ between the members of a load-balanced set.
func localPorts(e api.Endpoint) string {
	var all []string
	for _, m := range e.Members {
		if port := strconv.Itoa(int(m.LocalPort)); !slices.Contains(all, port) {
			all = append(all, port)
		}
	}
	return strings.Join(all, ", ")
}

// members names the instances behind an endpoint, with the reason if one gets no new connections.
func members(e api.Endpoint) []string {
	all := make([]string, len(e.Members))
	for i, m := range e.Members {
		all[i] = m.Instance
		switch {
		case m.Serving:
		case m.Health == nil:
			all[i] += " (doesn't run)"
		default:
			all[i] += " (probe: " + cmp.Or(m.Health.Detail, "no good answer") + ")"
		}
	}
	return all
}

// balancing describes the load balancing of an endpoint as far as it differs from the default.
func balancing(e api.Endpoint) string {
	text := ""
	if e.Distribution != "" && e.Distribution != lab.DistributeNone {
		text += "; by " + string(e.Distribution)
	}
	if p := e.Probe; p != nil {
		text += "; probe " + p.Protocol
		if p.Port != 0 {
			text += fmt.Sprintf(" port %d", p.Port)
		}
		text += strings.TrimRight(" "+p.Path, " ")
		if p.IntervalInSeconds != limits.DefaultProbeInterval || p.TimeoutInSeconds != limits.DefaultProbeTimeout {
			text += fmt.Sprintf(" every %d s, out after %d s", p.IntervalInSeconds, p.TimeoutInSeconds)
		}
	}
	if e.IdleTimeoutInMinutes != 0 {
		text += fmt.Sprintf("; idle %d min", e.IdleTimeoutInMinutes)
	}
	if e.DirectServerReturn {
		text += "; direct server return"
	}
	if n := len(e.ACL); n > 0 {
		text += "; " + spelling.Count(n, "access control rule")
	}
	return text
}
