package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/spelling"
	"vnetlab/lab/supervisor"
)

// shownLab is a whole lab with the number of differences in the kernel, as JSON.
type shownLab struct {
	api.Lab
	Differences *int `json:"differences,omitempty"` // nil: unknown
}

func (a *app) show() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [RESOURCE]",
		Short: "Show a running lab, or one part of it",
		Long: `Show what a running lab consists of: virtual networks, cloud services with their VIPs
and endpoints, instances with their addresses and listeners, web sites, internet hosts.
With a name, show only that resource.

If something else changed what the lab made in the kernel, a line says so; lab diff
shows it.
` + strings.TrimSuffix(instanceNamesHelp, "\n"),
		Example: `  sudo lab show
  sudo lab show sql1`,
		Args:              want(0, 1, "one resource"),
		ValidArgsFunction: a.completeResource,
	}
	a.question(cmd, func(info api.Lab, args []string) error { return a.showResource(info, args[0]) })
	one := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return one(cmd, args)
		}
		client, err := a.client(cmd)
		if err != nil {
			return err
		}
		info, err := client.Lab(cmd.Context())
		if err != nil {
			return err
		}
		lab, differences := shownLab{Lab: info}, []emu.Difference(nil)
		if found, known := a.drift(cmd.Context(), client); known {
			count := len(found)
			lab.Differences, differences = &count, found
		}
		return a.detail(lab, func() {
			a.printLab(info)
			if len(differences) > 0 {
				a.stdout.printf("\n%s\n", a.driftLine(differences))
			}
		})
	}
	return cmd
}

// showResource shows one resource in detail.
func (a *app) showResource(info api.Lab, name string) error {
	// A local network site may be called like a virtual network.
	var site *api.LocalNetwork
	if i := slices.IndexFunc(info.LocalNetworks, func(n api.LocalNetwork) bool { return n.Name == name }); i >= 0 {
		site = &info.LocalNetworks[i]
	}
	for _, n := range info.VirtualNetworks {
		if n.Name == name {
			return a.detail(n, func() {
				a.printNetwork(info, n)
				if site != nil {
					a.stdout.printf("\n")
					a.printLocalNetwork(*site)
				}
			})
		}
	}
	if site != nil {
		return a.detail(site, func() { a.printLocalNetwork(*site) })
	}
	for _, c := range info.CloudServices {
		if c.Name == name || c.DNSName == name {
			return a.detail(c, func() { a.printService(c) })
		}
	}
	for _, r := range info.ReservedIPs {
		if r.Name == name {
			one := api.Lab{ReservedIPs: []api.ReservedIP{r}}
			t := a.reservedIPTable(one)
			return a.detail(r, func() { a.printTable(&t) })
		}
	}
	for _, h := range outsiders(info) {
		if h.Name == name || h.DNSName == name {
			return a.detail(h, func() { a.printHost(info, h) })
		}
	}
	if c, slot, err := findSlot(info, name); err == nil {
		return a.showSlot(c, slot)
	}
	h, err := findInstance(info, name)
	switch {
	case err == nil:
		return a.detail(h, func() { a.printHost(info, h) })
	case isAmbiguous(err):
		return err
	}
	names := resourceNames(info)
	return (&failure{
		status: exitError, code: "ResourceNotFound",
		message: fmt.Sprintf("the lab %s has nothing named %q", info.Name, name),
	}).
		orHint(spelling.DidYouMean(name, names), "lab show lists what it has")
}

func (a *app) detail(resource any, print func()) error {
	if a.format == jsonFormat {
		return a.stdout.json(resource)
	}
	print()
	return nil
}

func resourceNames(info api.Lab) []string {
	var names []string
	for _, n := range info.VirtualNetworks {
		names = append(names, n.Name)
	}
	for _, name := range localNetworks(info, nil) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, c := range info.CloudServices {
		names = append(names, c.Name)
	}
	names = append(names, reservedIPs(info, nil)...)
	for _, h := range hosts(info) {
		names = append(names, h.Name)
	}
	return names
}

func (a *app) printLab(info api.Lab) {
	o := a.stdout
	o.printf("lab %s, up for %s, %s\n", o.bold(info.Name), age(info.Started), info.File)
	section := func(t table) {
		if len(t.rows) > 1 {
			o.printf("\n")
			a.printTable(&t)
		}
	}
	a.printBoundaries(info)
	section(a.affinityGroupTable(info))
	t := table{}
	t.head(o, "VIRTUAL NETWORK", "LOCATION", "ADDRESS SPACE", "SUBNETS")
	for _, n := range info.VirtualNetworks {
		t.add(n.Name, n.Location, prefixes(n.AddressSpace), subnets(n))
	}
	section(t)

	section(a.localNetworkTable(info))
	section(a.gatewayTable(info))
	section(a.reservedIPTable(info))

	t = table{}
	t.head(o, "CLOUD SERVICE", "DNS NAME", "VIP", "DEPLOYMENT", "NETWORK")
	for _, c := range info.CloudServices {
		if len(c.Deployments) == 0 {
			t.add(c.Name, c.DNSName, "-", "none", orDash(c.VirtualNetwork))
		}
		for _, d := range c.Deployments {
			slot := ""
			if d.Slot != lab.Production {
				slot = " in " + string(d.Slot)
			}
			t.add(
				c.Name,
				d.DNSName,
				address(d.VIP)+parenthesis(d.ReservedIP),
				contents(d)+slot,
				orDash(d.VirtualNetwork),
			)
		}
	}
	section(t)

	t = table{}
	t.head(o, endpointTitles...)
	for _, e := range allEndpoints(info) {
		a.addEndpoint(&t, e)
	}
	section(t)

	t = table{}
	t.head(o, "INSTANCE", "CLOUD SERVICE", "DIP", "STATE", "SUBNET", "PUBLIC IP", "OS", "SERVICES")
	for _, h := range instances(info) {
		t.add(
			h.Name,
			h.CloudService,
			address(h.Address),
			a.state(h),
			orDash(h.Subnet),
			address(h.PublicIP),
			string(h.OS),
			services(h),
		)
	}
	section(t)

	t = table{}
	t.head(o, "WEB SITE", "DNS NAME", "SERVICES")
	for _, h := range info.WebSites {
		t.add(h.Name, h.DNSName, services(h))
	}
	section(t)

	t = table{}
	t.head(o, "INTERNET HOST", "ADDRESS", "SERVICES")
	for _, h := range info.InternetHosts {
		t.add(h.Name, address(h.Address), services(h))
	}
	section(t)
}

func (a *app) printService(c api.CloudService) {
	t := table{}
	t.add("cloud service", c.Name)
	t.add("DNS name", c.DNSName)
	t.add("VIP", address(c.VIP))
	t.add("location", c.Location)
	if c.AffinityGroup != "" {
		t.add("affinity group", c.AffinityGroup)
	}
	if c.Description != "" {
		t.add("description", c.Description)
	}
	if len(c.Deployments) == 0 {
		t.add("deployment", "none")
		t.add("virtual network", orDash(c.VirtualNetwork))
	}
	a.printTable(&t)
	for _, d := range c.Deployments {
		t := table{}
		a.addDeployment(&t, d)
		a.stdout.printf("\n")
		a.printTable(&t)
	}
}

func (a *app) printHost(info api.Lab, h api.Host) {
	t := table{}
	kind := "internet host"
	switch {
	case h.CloudService != "" && h.Role != "":
		kind = "role instance"
	case h.CloudService != "":
		kind = "virtual machine"
	case h.DNSName != "":
		kind = "web site"
	}
	t.add(kind, h.Name)
	optional := func(name, value string) {
		if value != "" {
			t.add(name, value)
		}
	}
	optional("DNS name", h.DNSName)
	optional("location", h.Location)
	optional("cloud service", h.CloudService)
	optional("role", h.Role)
	optional("OS", string(h.OS))
	optional("state", string(h.State))
	if h.CloudService != "" {
		t.add("DIP", address(h.Address)+parenthesis(map[bool]string{true: "static"}[h.Static]))
	} else {
		t.add("address", address(h.Address))
	}
	optional("subnet", h.Subnet)
	if h.PublicIP.IsValid() {
		t.add("public IP", address(h.PublicIP))
	}
	for _, e := range endpointsOf(info, h) {
		t.add(
			"endpoint "+e.Name,
			fmt.Sprintf(
				"%s:%d/%s to port %d%s",
				e.host(),
				e.PublicPort,
				e.Protocol,
				e.LocalPort,
				balancing(e.Endpoint),
			),
		)
	}
	for _, s := range h.Services {
		text := s.String()
		if s.Command != "" {
			text += ": " + s.Command
		}
		t.add(fmt.Sprintf("service %d/%s", s.Port, s.Protocol), text)
	}
	a.addBoundary(&t, info, h)
	t.add("namespace", supervisor.EnterCommand(info.Name, h.Name))
	a.printTable(&t)
}

func services(h api.Host) string {
	texts := make([]string, len(h.Services))
	for i, s := range h.Services {
		texts[i] = fmt.Sprintf("%d/%s %s", s.Port, s.Protocol, s)
	}
	return strings.Join(texts, ", ")
}

func subnets(n api.VirtualNetwork) string {
	texts := make([]string, len(n.Subnets))
	for i, s := range n.Subnets {
		texts[i] = fmt.Sprintf("%s %s", s.Name, s.AddressPrefix)
	}
	return strings.Join(texts, ", ")
}

func prefixes(all []netip.Prefix) string {
	texts := make([]string, len(all))
	for i, p := range all {
		texts[i] = p.String()
	}
	return strings.Join(texts, ", ")
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return "-"
	}
	return a.String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
