package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"vnetlab/lab/live"
	"vnetlab/lab/spelling"
)

func (a *app) show() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [RESOURCE]",
		Short: "Show what a running lab consists of, or one part of it",
		Long: `Show what a running lab consists of: virtual networks, cloud services with their VIPs and endpoints, instances with their
addresses and services, web sites, internet hosts. With a name, show that resource alone.`,
		Args:              want(0, 1, "one resource"),
		ValidArgsFunction: a.completeResource,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.client(cmd)
			if err != nil {
				return err
			}
			info, err := client.Lab(cmd.Context())
			if err != nil {
				return err
			}
			if len(args) == 0 {
				if a.format == jsonFormat {
					return a.stdout.json(info)
				}
				a.printLab(info)
				return nil
			}
			return a.showResource(info, args[0])
		},
	}
	return a.asks(a.answers(cmd))
}

// showResource shows one resource in detail.
func (a *app) showResource(info live.Info, name string) error {
	for _, n := range info.VirtualNetworks {
		if n.Name == name {
			return a.detail(n, func() { a.printNetwork(info, n) })
		}
	}
	for _, c := range info.CloudServices {
		if c.Name == name || c.DNSName == name {
			return a.detail(c, func() { a.printService(c) })
		}
	}
	for _, h := range hosts(info) {
		if h.Name == name || h.DNSName == name || h.CloudService+"."+h.Name == name {
			return a.detail(h, func() { a.printHost(info, h) })
		}
	}
	names := resourceNames(info)
	return (&failure{status: exitError, code: "ResourceNotFound", message: fmt.Sprintf("the lab %s has nothing named %q", info.Name, name)}).
		orHint(spelling.DidYouMean(name, names), "lab show lists what it has")
}

func (a *app) detail(resource any, print func()) error {
	if a.format == jsonFormat {
		return a.stdout.json(resource)
	}
	print()
	return nil
}

func resourceNames(info live.Info) []string {
	var names []string
	for _, n := range info.VirtualNetworks {
		names = append(names, n.Name)
	}
	for _, c := range info.CloudServices {
		names = append(names, c.Name)
	}
	for _, h := range hosts(info) {
		names = append(names, h.Name)
	}
	return names
}

func (a *app) printLab(info live.Info) {
	o := a.stdout
	o.printf("lab %s, up for %s, %s\n", o.bold(info.Name), age(info.Started), info.File)
	section := func(t table) {
		if len(t.rows) > 1 {
			o.printf("\n")
			t.print(o)
		}
	}
	t := table{}
	t.head(o, "VIRTUAL NETWORK", "LOCATION", "ADDRESS SPACE", "SUBNETS")
	for _, n := range info.VirtualNetworks {
		t.add(n.Name, n.Location, prefixes(n.AddressSpace), subnets(n))
	}
	section(t)

	t = table{}
	t.head(o, "CLOUD SERVICE", "DNS NAME", "VIP", "DEPLOYMENT", "NETWORK")
	for _, c := range info.CloudServices {
		t.add(c.Name, c.DNSName, address(c.VIP), deployment(c), orDash(c.VirtualNetwork))
	}
	section(t)

	t = table{}
	t.head(o, "ENDPOINT", "PUBLIC", "LOCAL PORT", "INSTANCES")
	for _, c := range info.CloudServices {
		for _, e := range c.Endpoints {
			t.add(e.Name, fmt.Sprintf("%s:%d/%s", c.DNSName, e.PublicPort, e.Protocol), fmt.Sprint(e.LocalPort), strings.Join(e.Instances, ", "))
		}
	}
	section(t)

	t = table{}
	t.head(o, "INSTANCE", "CLOUD SERVICE", "DIP", "SUBNET", "OS", "SERVICES")
	for _, c := range info.CloudServices {
		for _, h := range c.Instances {
			t.add(h.Name, c.Name, address(h.Address), orDash(h.Subnet), string(h.OS), services(h))
		}
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

func (a *app) printNetwork(info live.Info, n live.VirtualNetworkInfo) {
	t := table{}
	t.add("virtual network", n.Name)
	t.add("location", n.Location)
	t.add("address space", prefixes(n.AddressSpace))
	for _, s := range n.Subnets {
		var inside []string
		for _, c := range info.CloudServices {
			for _, h := range c.Instances {
				if c.VirtualNetwork == n.Name && h.Subnet == s.Name {
					inside = append(inside, h.Name)
				}
			}
		}
		t.add("subnet "+s.Name, strings.TrimSpace(s.AddressPrefix.String()+"  "+strings.Join(inside, ", ")))
	}
	t.print(a.stdout)
}

func (a *app) printService(c live.CloudServiceInfo) {
	t := table{}
	t.add("cloud service", c.Name)
	t.add("DNS name", c.DNSName)
	t.add("VIP", address(c.VIP))
	t.add("location", c.Location)
	t.add("deployment", deployment(c))
	t.add("virtual network", orDash(c.VirtualNetwork))
	for _, e := range c.Endpoints {
		t.add("endpoint "+e.Name, fmt.Sprintf("%d/%s to port %d of %s", e.PublicPort, e.Protocol, e.LocalPort, strings.Join(e.Instances, ", ")))
	}
	for _, h := range c.Instances {
		t.add("instance "+h.Name, strings.TrimSpace(address(h.Address)+"  "+services(h)))
	}
	t.print(a.stdout)
}

func (a *app) printHost(info live.Info, h live.HostInfo) {
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
	optional("cloud service", h.CloudService)
	optional("role", h.Role)
	optional("OS", string(h.OS))
	if h.CloudService != "" {
		t.add("DIP", address(h.Address))
	} else {
		t.add("address", address(h.Address))
	}
	optional("subnet", h.Subnet)
	for _, c := range info.CloudServices {
		for _, e := range c.Endpoints {
			for _, name := range e.Instances {
				if name == h.Name {
					t.add("endpoint "+e.Name, fmt.Sprintf("%s:%d/%s to port %d", c.DNSName, e.PublicPort, e.Protocol, e.LocalPort))
				}
			}
		}
	}
	for _, s := range h.Services {
		text := s.String()
		if s.Command != "" {
			text += ": " + s.Command
		}
		t.add(fmt.Sprintf("service %d/%s", s.Port, s.Protocol), text)
	}
	t.add("namespace", fmt.Sprintf("ip netns exec %s.%s", info.Name, h.Name))
	t.print(a.stdout)
}

func services(h live.HostInfo) string {
	texts := make([]string, len(h.Services))
	for i, s := range h.Services {
		texts[i] = fmt.Sprintf("%d/%s %s", s.Port, s.Protocol, s)
	}
	return strings.Join(texts, ", ")
}

func deployment(c live.CloudServiceInfo) string {
	if c.Kind == "" {
		return "none"
	}
	kind := c.Kind
	if kind == "roles" {
		kind = "role instances"
	}
	if len(c.Instances) == 1 {
		kind = strings.TrimSuffix(kind, "s")
	}
	return fmt.Sprintf("%d %s", len(c.Instances), kind)
}

func subnets(n live.VirtualNetworkInfo) string {
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
