package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/spf13/cobra"

	"vnetlab/lab"
	"vnetlab/lab/labfile"
	"vnetlab/lab/live"
	"vnetlab/lab/netcfg"
)

func (a *app) networkImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Make the networks those of a network configuration file",
		Long: `Make the virtual networks of the lab, their gateways and the local network sites those of a network configuration file (.netcfg): missing ones are
created, others changed, and those that the file doesn't have are deleted. All of it happens, or none: what is in use can't be changed or deleted.

The file knows no hosts of local network sites. A site that stays keeps them; one that goes takes them along.`,
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
		typed, err := labfile.ReadNetworks(args[0])
		if err != nil {
			return err
		}
		path, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		wanted, err := labfile.ReadNetworks(path)
		if err != nil {
			return err
		}
		info, err := client.Lab(cmd.Context())
		if err != nil {
			return err
		}
		return a.doNoting(cmd, client, typed.Notes, replaceNetworks(info, wanted)...)
	}
	return a.asks(a.answers(cmd))
}

// replaceNetworks gives the operations that make the networks of a lab the wanted ones. What goes makes room for what comes.
func replaceNetworks(info live.Info, wanted labfile.Networks) []lab.Operation {
	gone, gateways := replaceGateways(info, wanted)
	var sites []lab.Operation
	for _, n := range info.VirtualNetworks {
		if !slices.ContainsFunc(wanted.VirtualNetworks, func(w lab.VirtualNetwork) bool { return w.Name == n.Name }) {
			gone = append(gone, lab.DeleteVirtualNetworkOp{Name: n.Name})
		}
	}
	for _, n := range info.LocalNetworks {
		i := slices.IndexFunc(wanted.LocalNetworks, func(w lab.LocalNetwork) bool { return w.Name == n.Name })
		if i < 0 {
			gone = append(gone, lab.DeleteLocalNetworkOp{Name: n.Name})
			continue
		}
		w := wanted.LocalNetworks[i]
		if !slices.Equal(n.AddressSpace, w.AddressSpace) || w.VPNGatewayAddress.IsValid() && w.VPNGatewayAddress != n.VPNGatewayAddress {
			sites = append(sites, lab.UpdateLocalNetworkOp{LocalNetwork: w})
		}
	}
	for _, w := range wanted.LocalNetworks {
		if !slices.Contains(localNetworks(info, nil), w.Name) {
			sites = append(sites, lab.CreateLocalNetworkOp{LocalNetwork: w})
		}
	}
	operations := gone
	for _, w := range wanted.VirtualNetworks {
		switch n, err := findNetwork(info, w.Name); {
		case err != nil:
			operations = append(operations, lab.CreateVirtualNetworkOp{VirtualNetwork: w})
		case !reflect.DeepEqual(alone(requestOf(n)), alone(w)):
			operations = append(operations, lab.UpdateVirtualNetworkOp{VirtualNetwork: w})
		}
	}
	return slices.Concat(operations, sites, gateways)
}

// replaceGateways gives the operations that take gateways away and that create them. A gateway that joins what it joined stays, unless an
// address space changes: while several change one after the other, they may overlap.
func replaceGateways(info live.Info, wanted labfile.Networks) (gone, come []lab.Operation) {
	before, after := map[string]string{}, map[string]string{}
	for _, n := range info.VirtualNetworks {
		before[n.Name] = fmt.Sprint("virtual", n.AddressSpace)
	}
	for _, n := range info.LocalNetworks {
		before[n.Name] = fmt.Sprint("local", n.AddressSpace)
	}
	for _, n := range wanted.VirtualNetworks {
		after[n.Name] = fmt.Sprint("virtual", n.AddressSpace)
	}
	for _, n := range wanted.LocalNetworks {
		after[n.Name] = fmt.Sprint("local", n.AddressSpace)
	}
	stays := func(n live.VirtualNetworkInfo) bool {
		return slices.ContainsFunc(wanted.Gateways, func(w lab.CreateGatewayOp) bool {
			return w.Network == n.Name && slices.Equal(sorted(w.Gateway.Connections), sorted(n.Gateway.Connections))
		}) && !slices.ContainsFunc(append([]string{n.Name}, n.Gateway.Connections...), func(name string) bool { return before[name] != after[name] })
	}
	kept := map[string]bool{}
	for _, n := range info.VirtualNetworks {
		if n.Gateway == nil {
			continue
		}
		if kept[n.Name] = stays(n); !kept[n.Name] {
			gone = append(gone, lab.DeleteGatewayOp{Network: n.Name})
		}
	}
	for _, w := range wanted.Gateways {
		if !kept[w.Network] {
			come = append(come, w)
		}
	}
	return gone, come
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

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
	if n.Gateway != nil {
		request.Gateway = &lab.VPNGateway{Address: n.Gateway.Address, Connections: n.Gateway.Connections}
	}
	return request
}

// alone gives a network without places and gateway, as two that are the same have it.
func alone(n lab.VirtualNetwork) lab.VirtualNetwork {
	n.Origin, n.Gateway = lab.Origin{}, nil
	n.AddressSpace = append([]netip.Prefix{}, n.AddressSpace...)
	n.DNSServers = append([]netip.Addr{}, n.DNSServers...)
	n.Subnets = append([]lab.Subnet{}, n.Subnets...)
	for i := range n.Subnets {
		n.Subnets[i].Origin = lab.Origin{}
	}
	return n
}

func (a *app) networkExport() *cobra.Command {
	return a.reading(&cobra.Command{
		Use:   "export [FILE]",
		Short: "Write the networks as a network configuration file",
		Long: `Write the virtual networks of the lab, their gateways and the local network sites as a network configuration file (.netcfg), which lab network
import reads. Without a file it goes to stdout. The hosts of the sites have no place in it.`,
		Example: `  sudo lab network export NetworkConfig.netcfg
  sudo lab network export | xmllint --format -`,
		Args: want(0, 1, "a file to write"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
	}, func(info live.Info, args []string) error {
		var all []lab.VirtualNetwork
		for _, n := range info.VirtualNetworks {
			all = append(all, requestOf(n))
		}
		var sites []lab.LocalNetwork
		for _, n := range info.LocalNetworks {
			sites = append(sites, lab.LocalNetwork{Name: n.Name, AddressSpace: n.AddressSpace, VPNGatewayAddress: n.VPNGatewayAddress})
		}
		if len(args) == 0 {
			return netcfg.WriteNetworkConfiguration(a.stdout, all, sites...)
		}
		var text bytes.Buffer
		if err := netcfg.WriteNetworkConfiguration(&text, all, sites...); err != nil {
			return err
		}
		return os.WriteFile(args[0], text.Bytes(), 0o644)
	})
}
