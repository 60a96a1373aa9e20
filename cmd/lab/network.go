package main

import (
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"vnetlab/lab"
	"vnetlab/lab/api"
)

func (a *app) network() *cobra.Command {
	return noun("network", "Create, delete, import and export virtual networks",
		`Virtual networks of a running lab, each in a location or in an affinity group.`,
		a.networkCreate(), a.networkDelete(), a.networkList(), a.networkShow(), a.networkImport(), a.networkExport())
}

func (a *app) networkCreate() *cobra.Command {
	request := lab.VirtualNetwork{}
	var spaces, subnets, servers []string
	cmd := &cobra.Command{
		Use:               "create NAME",
		Short:             "Create a virtual network",
		Example:           `  sudo lab network create contactnet --location "West US" --address-space 10.1.0.0/16 --subnet web=10.1.1.0/24`,
		Args:              want(1, 1, "the name of the virtual network"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.placeFlags(cmd, &request.Location, &request.AffinityGroup)
	cmd.Flags().StringSliceVar(&spaces, "address-space", nil, "address prefix of the network; may be repeated")
	cmd.Flags().StringSliceVar(&subnets, "subnet", nil, "subnet, as NAME=PREFIX; may be repeated")
	cmd.Flags().StringSliceVar(&servers, "dns", nil,
		"DNS server that instances ask instead of the platform's; may be repeated")
	return a.operation(cmd, func(_ *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
		request.Name = args[0]
		var err error
		if request.AddressSpace, err = parseSpaces(spaces); err != nil {
			return nil, err
		}
		for _, text := range servers {
			address, err := parseAddress("dns", text)
			if err != nil {
				return nil, err
			}
			request.DNSServers = append(request.DNSServers, lab.DNSServer{Address: address})
		}
		request.Subnets, err = parseSubnets(subnets)
		return lab.CreateVirtualNetworkOp{VirtualNetwork: request}, err
	})
}

func (a *app) networkDelete() *cobra.Command {
	return a.operation(&cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a virtual network that no deployment is in",
		Example:           "  sudo lab network delete contactnet",
		Args:              want(1, 1, "the name of a virtual network"),
		ValidArgsFunction: a.names(networks),
	}, func(_ *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
		return lab.DeleteVirtualNetworkOp{Name: args[0]}, nil
	})
}

func (a *app) networkList() *cobra.Command {
	return a.question(&cobra.Command{
		Use:               "list",
		Short:             "List the virtual networks",
		Example:           "  sudo lab network list",
		Args:              want(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
	}, func(info api.Lab, _ []string) error {
		t := table{}
		t.head(a.stdout, "VIRTUAL NETWORK", "LOCATION", "AFFINITY GROUP", "ADDRESS SPACE", "SUBNETS", "DNS SERVERS")
		for _, n := range info.VirtualNetworks {
			t.add(n.Name, n.Location, orDash(n.AffinityGroup), prefixes(n.AddressSpace), orDash(subnets(n)),
				orDash(addresses(n.DNSServers)))
		}
		return a.list(info.VirtualNetworks, t, "there is no virtual network")
	})
}

func (a *app) networkShow() *cobra.Command {
	return a.question(&cobra.Command{
		Use:               "show NAME",
		Short:             "Show a virtual network with what is in its subnets",
		Example:           "  sudo lab network show contactnet",
		Args:              want(1, 1, "the name of a virtual network"),
		ValidArgsFunction: a.names(networks),
	}, func(info api.Lab, args []string) error {
		n, err := findNetwork(info, args[0])
		if err != nil {
			return err
		}
		return a.detail(n, func() { a.printNetwork(info, n) })
	})
}

func (a *app) printNetwork(info api.Lab, n api.VirtualNetwork) {
	t := table{}
	t.add("virtual network", n.Name)
	t.add("location", n.Location)
	if n.AffinityGroup != "" {
		t.add("affinity group", n.AffinityGroup)
	}
	t.add("address space", prefixes(n.AddressSpace))
	if len(n.DNSServers) > 0 {
		t.add("DNS servers", addresses(n.DNSServers))
	}
	if g := n.Gateway; g != nil {
		t.add("gateway", strings.TrimSpace(address(g.Address)+"  "+joins(*g)))
		if len(g.ClientAddressPool) > 0 {
			t.add("point-to-site", prefixes(g.ClientAddressPool)+" (no clients in the lab)")
		}
	}
	for _, s := range n.Subnets {
		var inside []string
		for _, c := range info.CloudServices {
			for _, d := range c.Deployments {
				for _, h := range byRole(d) {
					if d.VirtualNetwork == n.Name && h.Subnet == s.Name {
						inside = append(inside, h.Name)
					}
				}
			}
		}
		t.add("subnet "+s.Name, strings.TrimSpace(s.AddressPrefix.String()+"  "+strings.Join(inside, ", ")))
	}
	a.printTable(&t)
}

func addresses(all []netip.Addr) string {
	texts := make([]string, len(all))
	for i, address := range all {
		texts[i] = address.String()
	}
	return strings.Join(texts, ", ")
}
