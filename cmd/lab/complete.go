package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/supervisor"
)

// completion returns the candidates for the next word of a command line.
type completion = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective)

// completeFiles offers scenarios, and lets the shell offer lab files.
func completeFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return scenarioNames(), cobra.ShellCompDirectiveDefault
}

func completeScenarios(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return scenarioNames(), cobra.ShellCompDirectiveNoFileComp
}

func completeLabs(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	names := slices.DeleteFunc(labNames(cmd.Context()), func(name string) bool { return slices.Contains(args, name) })
	return names, cobra.ShellCompDirectiveNoFileComp
}

func labNames(ctx context.Context) []string {
	labs, err := supervisor.List(ctx)
	if err != nil {
		return nil
	}
	var names []string
	for _, l := range labs {
		names = append(names, l.Name)
	}
	return names
}

// known returns the state of the lab that a command line is about; the zero Info if the lab doesn't answer.
func (a *app) known(cmd *cobra.Command) api.Lab {
	client, err := supervisor.Find(a.lab)
	if err != nil {
		return api.Lab{}
	}
	info, err := client.Lab(cmd.Context())
	if err != nil {
		return api.Lab{}
	}
	return info
}

func (a *app) completeInstance(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var names []string
	for _, h := range hosts(a.known(cmd)) {
		names = append(names, h.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completeResource(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return resourceNames(a.known(cmd)), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completeService(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return a.completeInstance(cmd, args, word)
	case 1:
		for _, h := range hosts(a.known(cmd)) {
			if h.Name == args[0] || called(h, args[0]) {
				return programNames(h), cobra.ShellCompDirectiveNoFileComp
			}
		}
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// programNames lists the listeners of a host that are programs.
func programNames(h api.Host) []string {
	var names []string
	for _, s := range h.Services {
		if s.Program != nil {
			names = append(names, s.Service)
		}
	}
	return names
}

// completeProbe offers where a probe starts, then what listens anywhere.
func (a *app) completeProbe(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return a.completeInstance(cmd, args, word)
	case 1:
		return targets(a.known(cmd)), cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// targets lists the ports of endpoints and services.
func targets(info api.Lab) []string {
	var all []string
	for _, e := range allEndpoints(info) {
		all = append(all, lab.Target{Name: e.DNSName, Port: e.PublicPort, Protocol: e.Protocol}.String())
	}
	for _, h := range hosts(info) {
		for _, s := range h.Services {
			name := h.Name
			if h.DNSName != "" {
				name = h.DNSName
			}
			all = append(all, lab.Target{Name: name, Port: s.Port, Protocol: s.Protocol}.String())
		}
	}
	return all
}

// hosts lists instances, web sites, internet hosts and the hosts of local network sites.
func hosts(info api.Lab) []api.Host { return append(instances(info), outsiders(info)...) }

// outsiders lists the hosts that are no instances.
func outsiders(info api.Lab) []api.Host {
	all := slices.Concat(info.WebSites, info.InternetHosts)
	for _, n := range info.LocalNetworks {
		all = append(all, n.Hosts...)
	}
	return all
}
