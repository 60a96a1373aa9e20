package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"vnetlab/lab"
	"vnetlab/lab/live"
	"vnetlab/lab/spelling"
)

func (a *app) endpoint() *cobra.Command {
	return noun("endpoint", "Add, change and delete endpoints of virtual machines",
		`Endpoints of virtual machines: ports of their cloud service's VIP. Those of roles stand in the service definition.`,
		a.endpointAdd(), a.endpointUpdate(), a.endpointDelete(), a.endpointList())
}

// endpointFlags adds the flags that say what an endpoint is.
func endpointFlags(cmd *cobra.Command, spec *string, rules *[]string) {
	cmd.Flags().StringVar(spec, "endpoint", "", "the endpoint, as PROTO:PUBLIC:LOCAL[,set=NAME][,…]; needed")
	cmd.Flags().StringArrayVar(rules, "acl", nil, `rule of its access control list, as "ORDER permit|deny PREFIX"; may be repeated`)
	register(cmd, "endpoint")
}

// endpointOf reads the endpoint that the flags describe.
func endpointOf(cmd *cobra.Command, name, spec string, rules []string) (e lab.VMEndpoint, err error) {
	if spec == "" {
		return e, usage("%s needs --endpoint", cmd.CommandPath()).orHint("--endpoint " + endpointForm)
	}
	if e, err = parseEndpoint(spec); err != nil {
		return e, err
	}
	e.Name = cmp.Or(e.Name, name)
	e.ACL, err = parseACL(rules)
	return e, err
}

func (a *app) endpointAdd() *cobra.Command {
	spec, rules := "", []string(nil)
	cmd := &cobra.Command{
		Use:   "add VM NAME --endpoint PROTO:PUBLIC:LOCAL",
		Short: "Give a virtual machine another public port",
		Long: `Give a virtual machine another public port. Without a public port the platform picks one from 49152 on. The guest firewall isn't
changed: the machine may still refuse what comes in.`,
		Example: `  sudo lab endpoint add sql1 sql --endpoint tcp:57500:1433 --acl "100 permit 203.0.113.0/24"
  sudo lab endpoint add web2 http --endpoint tcp:80:8080,set=web,probe=http:/health`,
		Args:              want(2, 2, "a virtual machine and a name for the endpoint"),
		ValidArgsFunction: a.names(machineNames),
	}
	endpointFlags(cmd, &spec, &rules)
	return a.operation(cmd, func(cmd *cobra.Command, args []string, running *runningLab) (lab.Operation, error) {
		e, err := endpointOf(cmd, args[1], spec, rules)
		if err != nil {
			return nil, err
		}
		if e.Name != args[1] {
			return nil, usage("the endpoint is named %s and %s", args[1], e.Name)
		}
		service, machine, err := running.machineName(args[0])
		return lab.AddEndpointOp{Service: service, VirtualMachine: machine, Endpoint: e}, err
	})
}

func (a *app) endpointUpdate() *cobra.Command {
	spec, rules := "", []string(nil)
	cmd := &cobra.Command{
		Use:   "update VM NAME --endpoint PROTO:PUBLIC:LOCAL",
		Short: "Replace an endpoint of a virtual machine",
		Long: `Replace an endpoint of a virtual machine by another one, with another name where the new one has name=NAME. Its access control list stays unless
--acl gives another; what else is not said has its default.`,
		Example:           "  sudo lab endpoint update sql1 sql --endpoint tcp:57501:1433",
		Args:              want(2, 2, "a virtual machine and the name of its endpoint"),
		ValidArgsFunction: a.names(machineNames, endpointNames),
	}
	endpointFlags(cmd, &spec, &rules)
	return a.operation(cmd, func(cmd *cobra.Command, args []string, running *runningLab) (lab.Operation, error) {
		e, err := endpointOf(cmd, args[1], spec, rules)
		if err != nil {
			return nil, err
		}
		h, err := find(running, args[0], func(info live.Info) (live.HostInfo, error) {
			h, err := findMachine(info, args[0])
			for _, old := range endpointsOf(info, h) {
				if len(rules) == 0 && old.Name == args[1] {
					e.ACL = aclRules(old.ACL)
				}
			}
			return h, err
		})
		return lab.UpdateEndpointOp{Service: h.CloudService, VirtualMachine: h.HostName, Name: args[1], Endpoint: e}, err
	})
}

func (a *app) endpointDelete() *cobra.Command {
	return a.operation(&cobra.Command{
		Use:               "delete VM NAME",
		Short:             "Take a public port from a virtual machine",
		Example:           "  sudo lab endpoint delete sql1 sql",
		Args:              want(2, 2, "a virtual machine and the name of its endpoint"),
		ValidArgsFunction: a.names(machineNames, endpointNames),
	}, func(_ *cobra.Command, args []string, running *runningLab) (lab.Operation, error) {
		service, machine, err := running.machineName(args[0])
		return lab.DeleteEndpointOp{Service: service, VirtualMachine: machine, Name: args[1]}, err
	})
}

// endpointAnswer is an endpoint with its place, as JSON.
type endpointAnswer struct {
	CloudService    string   `json:"cloudService"`
	Slot            lab.Slot `json:"slot"`
	DNSName         string   `json:"dnsName"`
	LoadBalancedSet string   `json:"loadBalancedSet,omitempty"`
	live.EndpointInfo
}

// host is where clients find an endpoint: the DNS name of its VIP, or the address of its internal load balancer.
func (e endpointAnswer) host() string {
	if e.Internal {
		return address(e.Address)
	}
	return e.DNSName
}

func (a *app) endpointList() *cobra.Command {
	return a.question(&cobra.Command{
		Use:   "list [VM|SERVICE]",
		Short: "List public ports with who answers them",
		Long: `List the endpoints of a virtual machine, of a cloud service or of all. A member that gets no new connections is shown with the reason:
it doesn't run, or doesn't answer its health probe.`,
		Example:           "  sudo lab endpoint list\n  sudo lab endpoint list sql1 --output json",
		Args:              want(0, 1, "a virtual machine or a cloud service"),
		ValidArgsFunction: a.names(machinesAndServices),
	}, func(info live.Info, args []string) error {
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
	t.add(e.Name, fmt.Sprintf("%s:%d/%s", e.host(), e.PublicPort, e.Protocol), localPorts(e.EndpointInfo), strings.Join(members(e.EndpointInfo), ", "),
		strings.TrimPrefix(balancing(e.EndpointInfo), "; "))
}

// endpointsAbout lists the endpoints of the machine or service that the arguments name; without any, of all.
func endpointsAbout(info live.Info, args []string) ([]endpointAnswer, error) {
	if len(args) == 0 {
		return allEndpoints(info), nil
	}
	if h, err := findMachine(info, args[0]); err == nil {
		return endpointsOf(info, h), nil
	} else if isAmbiguous(err) {
		return nil, err
	}
	if c, slot, err := findSlot(info, args[0]); err == nil && slot == lab.Staging {
		return slices.DeleteFunc(allEndpoints(info), func(e endpointAnswer) bool { return e.CloudService != c.Name || e.Slot != slot }), nil
	}
	c, err := findService(info, args[0])
	if err != nil {
		return nil, missing(info, "virtual machine and no cloud service", args[0], machinesAndServices(info, nil))
	}
	return slices.DeleteFunc(allEndpoints(info), func(e endpointAnswer) bool { return e.CloudService != c.Name }), nil
}

// allEndpoints lists the ports of all deployments.
func allEndpoints(info live.Info) []endpointAnswer {
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
func endpointsOf(info live.Info, h live.HostInfo) []endpointAnswer {
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

// frontend finds the public port that an endpoint of an instance is behind.
func frontend(d live.DeploymentInfo, h live.HostInfo, own live.InstanceEndpointInfo) (live.EndpointInfo, bool) {
	for _, e := range d.Endpoints {
		if e.PublicPort == own.PublicPort && e.Protocol == own.Protocol && slices.ContainsFunc(e.Members, func(m live.MemberInfo) bool {
			return m.Instance == h.Name && m.LocalPort == own.LocalPort
		}) {
			return e, true
		}
	}
	return live.EndpointInfo{}, false
}

// localPorts lists the ports that an endpoint leads to. Members of a load-balanced set may have different ones.
func localPorts(e live.EndpointInfo) string {
	var all []string
	for _, m := range e.Members {
		if port := strconv.Itoa(int(m.LocalPort)); !slices.Contains(all, port) {
			all = append(all, port)
		}
	}
	return strings.Join(all, ", ")
}

// members names the instances behind an endpoint, with the reason where one gets no new connections.
func members(e live.EndpointInfo) []string {
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

// balancing says what is unusual in how an endpoint is balanced.
func balancing(e live.EndpointInfo) string {
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
		if p.IntervalInSeconds != lab.DefaultProbeInterval || p.TimeoutInSeconds != lab.DefaultProbeTimeout {
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
