package main

import (
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"vnetlab/lab"
	"vnetlab/lab/live"
)

// What a running lab has, by name.

func affinityGroups(info live.Info, _ []string) (names []string) {
	for _, g := range info.AffinityGroups {
		names = append(names, g.Name)
	}
	return names
}

func reservedIPs(info live.Info, _ []string) (names []string) {
	for _, r := range info.ReservedIPs {
		names = append(names, r.Name)
	}
	return names
}

func networks(info live.Info, _ []string) (names []string) {
	for _, n := range info.VirtualNetworks {
		names = append(names, n.Name)
	}
	return names
}

func subnetNames(info live.Info, _ []string) (names []string) {
	for _, n := range info.VirtualNetworks {
		for _, s := range n.Subnets {
			names = append(names, s.Name)
		}
	}
	return names
}

func cloudServices(info live.Info, _ []string) (names []string) {
	for _, c := range info.CloudServices {
		names = append(names, c.Name)
	}
	return names
}

func webSites(info live.Info, _ []string) (names []string) {
	for _, h := range info.WebSites {
		names = append(names, h.Name)
	}
	return names
}

// instances lists all instances, of every slot.
func instances(info live.Info) (all []live.HostInfo) {
	for _, c := range info.CloudServices {
		for _, d := range c.Deployments {
			all = append(all, byRole(d)...)
		}
	}
	return all
}

func instanceNames(info live.Info, _ []string) (names []string) {
	for _, h := range instances(info) {
		names = append(names, h.Name)
	}
	return names
}

// machines lists the virtual machines.
func machines(info live.Info) []live.HostInfo {
	return slices.DeleteFunc(instances(info), func(h live.HostInfo) bool { return h.Role != "" })
}

func machineNames(info live.Info, _ []string) (names []string) {
	for _, h := range machines(info) {
		names = append(names, h.Name)
	}
	return names
}

// machinesAndServices are the names of virtual machines, and of cloud services.
func machinesAndServices(info live.Info, args []string) []string {
	return append(machineNames(info, args), cloudServices(info, args)...)
}

// roleNames lists the roles of the cloud service that the first argument names.
func roleNames(info live.Info, args []string) (names []string) {
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
func endpointNames(info live.Info, args []string) (names []string) {
	for _, h := range instances(info) {
		if !called(h, args[0]) && h.CloudService != args[0] {
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
func firewallRuleNames(info live.Info, args []string) (names []string) {
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

// called says whether an instance has a name: its own in the lab, or SERVICE.NAME, or SERVICE.DEPLOYMENT.NAME.
func called(h live.HostInfo, name string) bool {
	return h.Name == name || h.CloudService+"."+h.HostName == name || h.CloudService+"."+h.Deployment+"."+h.HostName == name
}

func findInstance(info live.Info, name string) (live.HostInfo, error) {
	return findHost(info, "instance", instances(info), name)
}

func findMachine(info live.Info, name string) (live.HostInfo, error) {
	h, err := findHost(info, "virtual machine", machines(info), name)
	var refusal *lab.Error
	if errors.As(err, &refusal) {
		if i, err := findInstance(info, name); err == nil {
			return h, refusal.WithHint("%s is an instance of the role %s: what it has comes from its deployment.", i.Name, i.Role)
		}
	}
	return h, err
}

// findHost finds an instance by its own name before any other's longer one.
func findHost(info live.Info, kind string, all []live.HostInfo, name string) (live.HostInfo, error) {
	for _, matches := range []func(h live.HostInfo) bool{
		func(h live.HostInfo) bool { return h.Name == name },
		func(h live.HostInfo) bool { return called(h, name) },
	} {
		if i := slices.IndexFunc(all, matches); i >= 0 {
			return all[i], nil
		}
	}
	var names []string
	for _, h := range all {
		names = append(names, h.Name)
	}
	return live.HostInfo{}, missing(info, kind, name, names)
}

func findService(info live.Info, name string) (live.CloudServiceInfo, error) {
	for _, c := range info.CloudServices {
		if c.Name == name || c.DNSName == name {
			return c, nil
		}
	}
	return live.CloudServiceInfo{}, missing(info, "cloud service", name, cloudServices(info, nil))
}

func findNetwork(info live.Info, name string) (live.VirtualNetworkInfo, error) {
	for _, n := range info.VirtualNetworks {
		if n.Name == name {
			return n, nil
		}
	}
	return live.VirtualNetworkInfo{}, missing(info, "virtual network", name, networks(info, nil))
}

// find looks for something in the part of the lab that its name is of. Only to say what there is instead it asks for the whole.
func find[T any](cmd *cobra.Command, client *live.Client, name string, in func(live.Info) (T, error)) (T, error) {
	var found T
	info, err := client.About(cmd.Context(), name)
	if err != nil {
		return found, err
	}
	if found, err = in(info); err == nil {
		return found, nil
	}
	if info, err = client.Lab(cmd.Context()); err != nil {
		return found, err
	}
	return in(info)
}

// machineName finds the service and the name that the platform has for a virtual machine.
func (a *app) machineName(cmd *cobra.Command, client *live.Client, name string) (service, machine string, err error) {
	h, err := find(cmd, client, name, func(info live.Info) (live.HostInfo, error) { return findMachine(info, name) })
	return h.CloudService, h.HostName, err
}

// stopped says whether an instance doesn't run.
func stopped(h live.HostInfo) bool { return h.State != "" && h.State != lab.Running }
