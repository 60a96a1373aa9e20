package main

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/client"
)

// The names of what a running lab has.

func affinityGroups(info api.Lab, _ []string) (names []string) {
	for _, g := range info.AffinityGroups {
		names = append(names, g.Name)
	}
	return names
}

func reservedIPs(info api.Lab, _ []string) (names []string) {
	for _, r := range info.ReservedIPs {
		names = append(names, r.Name)
	}
	return names
}

func networks(info api.Lab, _ []string) (names []string) {
	for _, n := range info.VirtualNetworks {
		names = append(names, n.Name)
	}
	return names
}

// subnetNames lists the names of the subnets that machines can be in, each once: networks have subnets of one name.
func subnetNames(info api.Lab, _ []string) (names []string) {
	for _, n := range info.VirtualNetworks {
		for _, s := range n.Subnets {
			if s.Name != "GatewaySubnet" && !slices.Contains(names, s.Name) {
				names = append(names, s.Name)
			}
		}
	}
	return names
}

func cloudServices(info api.Lab, _ []string) (names []string) {
	for _, c := range info.CloudServices {
		names = append(names, c.Name)
	}
	return names
}

func webSites(info api.Lab, _ []string) (names []string) {
	for _, h := range info.WebSites {
		names = append(names, h.Name)
	}
	return names
}

// instances lists all instances, of every slot.
func instances(info api.Lab) (all []api.Host) {
	for _, c := range info.CloudServices {
		for _, d := range c.Deployments {
			all = append(all, byRole(d)...)
		}
	}
	return all
}

func instanceNames(info api.Lab, _ []string) (names []string) {
	for _, h := range instances(info) {
		names = append(names, h.Name)
	}
	return names
}

// machines lists the virtual machines.
func machines(info api.Lab) []api.Host {
	return slices.DeleteFunc(instances(info), func(h api.Host) bool { return h.Role != "" })
}

func machineNames(info api.Lab, _ []string) (names []string) {
	for _, h := range machines(info) {
		names = append(names, h.Name)
	}
	return names
}

// machinesAndServices are the names of virtual machines, and of cloud services.
func machinesAndServices(info api.Lab, args []string) []string {
	return append(machineNames(info, args), cloudServices(info, args)...)
}

// roleNames lists the roles of the cloud service that the first argument names.
func roleNames(info api.Lab, args []string) (names []string) {
	for _, c := range info.CloudServices {
		for _, d := range c.Deployments {
			for _, r := range d.Roles {
				if c.Name == args[0] && !slices.Contains(names, r.Name) {
					names = append(names, r.Name)
				}
			}
		}
	}
	return names
}

// endpointNames lists the endpoints of the instance, or of the cloud service, that the first argument names.
func endpointNames(info api.Lab, args []string) (names []string) {
	c, slot, err := findSlot(info, args[0])
	for _, h := range instances(info) {
		if !called(h, args[0]) && (err != nil || h.CloudService != c.Name || h.Slot != slot) {
			continue
		}
		for _, e := range h.Endpoints {
			if !slices.Contains(names, e.Name) {
				names = append(names, e.Name)
			}
		}
	}
	return names
}

// firewallRuleNames lists the rules that were added to the instance that the first argument names.
func firewallRuleNames(info api.Lab, args []string) (names []string) {
	h, err := findInstance(info, args[0])
	if err != nil {
		return nil
	}
	for _, r := range h.Firewall {
		switch {
		case r.Added && r.Name != "":
			names = append(names, r.Name)
		case r.Added:
			names = append(names, r.Text)
		}
	}
	return names
}

// called reports whether an instance goes by a name.
func called(h api.Host, name string) bool {
	return lab.GoesBy(name, h.CloudService, h.Slot, h.HostName)
}

func findInstance(info api.Lab, name string) (api.Host, error) {
	return findHost(info, "instance", instances(info), name)
}

func findMachine(info api.Lab, name string) (api.Host, error) {
	h, err := findHost(info, "virtual machine", machines(info), name)
	var refusal *lab.Error
	if errors.As(err, &refusal) {
		if i, err := findInstance(info, name); err == nil {
			return h, refusal.WithHint(
				"%s is an instance of the role %s: what it has comes from its deployment.",
				i.Name,
				i.Role,
			)
		}
	}
	return h, err
}

// findHost finds the one instance that goes by a name. The name of a host that is no instance means that host.
func findHost(info api.Lab, kind string, all []api.Host, name string) (api.Host, error) {
	var found []api.Host
	var names, longer, elsewhere []string
	for _, h := range all {
		names = append(names, h.Name)
		switch {
		case called(h, name):
			found = append(found, h)
			longer = append(longer, h.Name)
		case h.HostName == name:
			elsewhere = append(elsewhere, h.Name) // in staging, or behind the name of another host
		}
	}
	if slices.ContainsFunc(outsiders(info), func(h api.Host) bool { return h.Name == name }) {
		found = nil
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return api.Host{}, lab.Ambiguous(name, longer)
	}
	if elsewhere = append(longer, elsewhere...); len(elsewhere) > 0 {
		names = elsewhere
	}
	return api.Host{}, missing(info, kind, name, names)
}

// isAmbiguous reports whether an error means that a name has several meanings. Looking elsewhere doesn't help then.
func isAmbiguous(err error) bool {
	var refusal *lab.Error
	return errors.As(err, &refusal) && refusal.HTTPStatus == http.StatusBadRequest
}

// findSlot finds the cloud service and the slot that a name means: production by the service's name or DNS name,
// staging by SERVICE.staging.
func findSlot(info api.Lab, name string) (api.CloudService, lab.Slot, error) {
	if service, ok := strings.CutSuffix(name, "."+string(lab.Staging)); ok {
		c, err := findService(info, service)
		return c, lab.Staging, err
	}
	c, err := findService(info, name)
	return c, lab.Production, err
}

func findService(info api.Lab, name string) (api.CloudService, error) {
	for _, c := range info.CloudServices {
		if c.Name == name || c.DNSName == name {
			return c, nil
		}
	}
	return api.CloudService{}, missing(info, "cloud service", name, cloudServices(info, nil))
}

func findNetwork(info api.Lab, name string) (api.VirtualNetwork, error) {
	for _, n := range info.VirtualNetworks {
		if n.Name == name {
			return n, nil
		}
	}
	return api.VirtualNetwork{}, missing(info, "virtual network", name, networks(info, nil))
}

// runningLab is the lab that a verb is about. It is looked up when it is first needed, so that a wrong command line is
// refused whether or not a lab is running.
type runningLab struct {
	a     *app
	cmd   *cobra.Command
	found *client.Client
}

func (a *app) running(cmd *cobra.Command) *runningLab { return &runningLab{a: a, cmd: cmd} }

func (r *runningLab) client() (_ *client.Client, err error) {
	if r.found == nil {
		r.found, err = r.a.client(r.cmd)
	}
	return r.found, err
}

// find looks up a resource in the part of the lab that its name belongs to. Only where there is none it reads the whole
// lab, for the names that the error lists.
func find[T any](running *runningLab, name string, in func(api.Lab) (T, error)) (T, error) {
	var found T
	client, err := running.client()
	if err != nil {
		return found, err
	}
	ctx := running.cmd.Context()
	info, err := client.About(ctx, name)
	if err != nil {
		return found, err
	}
	if found, err = in(info); err == nil {
		return found, nil
	}
	if info, err = client.Lab(ctx); err != nil {
		return found, err
	}
	return in(info)
}

// machineName returns the cloud service and the name by which the platform knows a virtual machine.
func (r *runningLab) machineName(name string) (service, machine string, err error) {
	h, err := find(r, name, func(info api.Lab) (api.Host, error) { return findMachine(info, name) })
	return h.CloudService, h.HostName, err
}

// stopped reports whether an instance doesn't run.
func stopped(h api.Host) bool { return h.State != "" && h.State != lab.Running }
