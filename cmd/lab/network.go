package main

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vnetlab/lab"
	"vnetlab/lab/labfile"
	"vnetlab/lab/live"
	"vnetlab/lab/netcfg"
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
		Example:           "  sudo lab network create contactnet --location \"West US\" --address-space 10.1.0.0/16 --subnet web=10.1.1.0/24 --subnet data=10.1.2.0/24",
		Args:              want(1, 1, "the name of the virtual network"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.placeFlags(cmd, &request.Location, &request.AffinityGroup)
	cmd.Flags().StringSliceVar(&spaces, "address-space", nil, "address prefix of the network; may be repeated")
	cmd.Flags().StringSliceVar(&subnets, "subnet", nil, "subnet, as NAME=PREFIX; may be repeated")
	cmd.Flags().StringSliceVar(&servers, "dns", nil, "DNS server that instances ask instead of the platform's; may be repeated")
	return a.operation(cmd, func(_ *cobra.Command, args []string, _ *live.Client) (lab.Operation, error) {
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
			request.DNSServers = append(request.DNSServers, address)
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
	}, func(_ *cobra.Command, args []string, _ *live.Client) (lab.Operation, error) {
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
	}, func(info live.Info, _ []string) error {
		t := table{}
		t.head(a.stdout, "VIRTUAL NETWORK", "LOCATION", "AFFINITY GROUP", "ADDRESS SPACE", "SUBNETS", "DNS SERVERS")
		for _, n := range info.VirtualNetworks {
			t.add(n.Name, n.Location, orDash(n.AffinityGroup), prefixes(n.AddressSpace), orDash(subnets(n)), orDash(addresses(n.DNSServers)))
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
	}, func(info live.Info, args []string) error {
		n, err := findNetwork(info, args[0])
		if err != nil {
			return err
		}
		return a.detail(n, func() { a.printNetwork(info, n) })
	})
}

func (a *app) networkImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Make the virtual networks those of a network configuration file",
		Long: `Make the virtual networks of the lab those of a network configuration file (.netcfg): missing ones are created, others changed, and those that the
file doesn't have are deleted. All of it happens, or none: what is in use can't be changed or deleted.`,
		Example: "  sudo lab network import NetworkConfig.netcfg",
		Args:    want(1, 1, "a network configuration file"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"netcfg", "xml"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := a.client(cmd)
		if err != nil {
			return err
		}
		// What is wrong is told with the path as it was typed; the places that the lab keeps are absolute.
		if _, err := labfile.ReadNetworkConfiguration(args[0]); err != nil {
			return err
		}
		path, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		wanted, err := labfile.ReadNetworkConfiguration(path)
		if err != nil {
			return err
		}
		info, err := client.Lab(cmd.Context())
		if err != nil {
			return err
		}
		return a.do(cmd, client, replaceNetworks(info, wanted)...)
	}
	return a.asks(a.answers(cmd))
}

// replaceNetworks gives the operations that make the networks of a lab the wanted ones. What goes makes room for what comes.
func replaceNetworks(info live.Info, wanted []lab.VirtualNetwork) []lab.Operation {
	operations := []lab.Operation{}
	for _, n := range info.VirtualNetworks {
		if !slices.ContainsFunc(wanted, func(w lab.VirtualNetwork) bool { return w.Name == n.Name }) {
			operations = append(operations, lab.DeleteVirtualNetworkOp{Name: n.Name})
		}
	}
	for _, w := range wanted {
		switch n, err := findNetwork(info, w.Name); {
		case err != nil:
			operations = append(operations, lab.CreateVirtualNetworkOp{VirtualNetwork: w})
		case !reflect.DeepEqual(withoutPlaces(requestOf(n)), withoutPlaces(w)):
			operations = append(operations, lab.UpdateVirtualNetworkOp{VirtualNetwork: w})
		}
	}
	return operations
}

// requestOf is the network that was asked for when there is such a one.
func requestOf(n live.VirtualNetworkInfo) lab.VirtualNetwork {
	request := lab.VirtualNetwork{
		Name: n.Name, AffinityGroup: n.AffinityGroup, AddressSpace: n.AddressSpace, DNSServers: n.DNSServers,
	}
	if n.AffinityGroup == "" {
		request.Location = n.Location
	}
	for _, s := range n.Subnets {
		request.Subnets = append(request.Subnets, lab.Subnet{Name: s.Name, AddressPrefix: s.AddressPrefix})
	}
	return request
}

// withoutPlaces gives a network as two that are the same have it.
func withoutPlaces(n lab.VirtualNetwork) lab.VirtualNetwork {
	n.Origin = lab.Origin{}
	n.AddressSpace = append([]netip.Prefix{}, n.AddressSpace...)
	n.DNSServers = append([]netip.Addr{}, n.DNSServers...)
	n.Subnets = append([]lab.Subnet{}, n.Subnets...)
	for i := range n.Subnets {
		n.Subnets[i].Origin = lab.Origin{}
	}
	return n
}

func (a *app) networkExport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write the virtual networks as a network configuration file",
		Long:  `Write the virtual networks of the lab as a network configuration file (.netcfg), which lab network import reads. Without a file it goes to stdout.`,
		Example: `  sudo lab network export NetworkConfig.netcfg
  sudo lab network export | xmllint --format -`,
		Args: want(0, 1, "a file to write"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.client(cmd)
			if err != nil {
				return err
			}
			info, err := client.Lab(cmd.Context())
			if err != nil {
				return err
			}
			var all []lab.VirtualNetwork
			for _, n := range info.VirtualNetworks {
				all = append(all, requestOf(n))
			}
			if len(args) == 0 {
				return netcfg.WriteNetworkConfiguration(a.stdout.w, all)
			}
			var text bytes.Buffer
			if err := netcfg.WriteNetworkConfiguration(&text, all); err != nil {
				return err
			}
			return os.WriteFile(args[0], text.Bytes(), 0o644)
		},
	}
	return a.asks(cmd)
}

func addresses(all []netip.Addr) string {
	texts := make([]string, len(all))
	for i, address := range all {
		texts[i] = address.String()
	}
	return strings.Join(texts, ", ")
}
