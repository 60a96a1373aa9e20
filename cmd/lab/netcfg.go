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
	"vnetlab/lab/api"
	"vnetlab/lab/labfile"
	"vnetlab/lab/netcfg"
)

func (a *app) networkImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Replace the networks by those of a network configuration file",
		Long: `Change the virtual networks of the lab, their gateways and the local network sites to
those of a network configuration file (.netcfg). What is missing is created, what
differs is changed, and what the file doesn't have is deleted: all of it or nothing.
What is in use can't be changed or deleted.

The file has no hosts of local network sites. A site that stays keeps its hosts; a site
that is deleted takes them along.`,
		Example: "  sudo lab network import NetworkConfig.netcfg",
		Args:    want(1, 1, "a network configuration file"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"netcfg", "xml"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := needRoot(cmd, socketNeedsRoot); err != nil {
			return err
		}
		// Errors name the path as it was typed; the origins that the lab keeps are absolute.
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
		client, err := a.client(cmd)
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

// replaceNetworks returns the operations that change the networks of a lab to the wanted ones. Deletions come
// first, to make room.
func replaceNetworks(info api.Lab, wanted labfile.Networks) []lab.Operation {
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
		if !slices.Equal(n.AddressSpace, w.AddressSpace) || w.VPNGatewayAddress.IsValid() &&
			w.VPNGatewayAddress != n.VPNGatewayAddress {
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
		case !reflect.DeepEqual(comparableNetwork(requestOf(n)), comparableNetwork(w)):
			operations = append(operations, lab.UpdateVirtualNetworkOp{VirtualNetwork: w})
		}
	}
	return slices.Concat(operations, sites, gateways)
}

// replaceGateways returns the operations that delete and that create gateways. A gateway whose connections stay
// the same is kept, unless an address space changes: while several change in sequence, they could overlap.
func replaceGateways(info api.Lab, wanted labfile.Networks) (gone, come []lab.Operation) {
	type network struct {
		kind lab.NetworkKind
		name string
	}
	before, after := map[network]string{}, map[network]string{}
	for _, n := range info.VirtualNetworks {
		before[network{lab.ToVirtualNetwork, n.Name}] = fmt.Sprint(n.AddressSpace)
	}
	for _, n := range info.LocalNetworks {
		before[network{lab.ToLocalNetwork, n.Name}] = fmt.Sprint(n.AddressSpace)
	}
	for _, n := range wanted.VirtualNetworks {
		after[network{lab.ToVirtualNetwork, n.Name}] = fmt.Sprint(n.AddressSpace)
	}
	for _, n := range wanted.LocalNetworks {
		after[network{lab.ToLocalNetwork, n.Name}] = fmt.Sprint(n.AddressSpace)
	}
	changes := func(n network) bool { return before[n] != after[n] }
	stays := func(n api.VirtualNetwork) bool {
		return slices.ContainsFunc(wanted.Gateways, func(w lab.CreateGatewayOp) bool {
			return w.Network == n.Name && sameGateway(gatewayOf(n.Gateway), w.Gateway)
		}) && !changes(network{lab.ToVirtualNetwork, n.Name}) &&
			!slices.ContainsFunc(n.Gateway.Peers,
				func(p api.Peer) bool { return changes(network{p.Kind, p.Name}) })
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

// sameGateway reports whether two gateways are asked for in the same way, whatever the order of their connections.
func sameGateway(a, b lab.VPNGateway) bool {
	sorted := func(all []lab.GatewayConnection) []string {
		var texts []string
		for _, c := range all {
			texts = append(texts, fmt.Sprintf("%q %s %v", c.Name, c.To, c.Dedicated))
		}
		return slices.Sorted(slices.Values(texts))
	}
	return slices.Equal(sorted(a.Connections), sorted(b.Connections)) &&
		slices.Equal(a.ClientAddressPool, b.ClientAddressPool) && a.Profile == b.Profile
}

// gatewayOf returns the gateway of a network in the form in which it is requested.
func gatewayOf(g *api.Gateway) lab.VPNGateway {
	request := lab.VPNGateway{Address: g.Address, ClientAddressPool: g.ClientAddressPool, Profile: g.Profile}
	for _, p := range g.Peers {
		request.Connections = append(request.Connections,
			lab.GatewayConnection{Name: p.Name, To: p.Kind, Dedicated: p.Dedicated})
	}
	return request
}

// requestOf returns a network in the form in which it is requested.
func requestOf(n api.VirtualNetwork) lab.VirtualNetwork {
	request := lab.VirtualNetwork{
		Name: n.Name, AffinityGroup: n.AffinityGroup, AddressSpace: n.AddressSpace,
	}
	for i, address := range n.DNSServers {
		server := lab.DNSServer{Address: address}
		if i < len(n.DNSServerNames) {
			server.Name = n.DNSServerNames[i]
		}
		request.DNSServers = append(request.DNSServers, server)
	}
	if n.AffinityGroup == "" {
		request.Location = n.Location
	}
	for _, s := range n.Subnets {
		request.Subnets = append(request.Subnets, lab.Subnet{Name: s.Name, AddressPrefix: s.AddressPrefix})
	}
	if n.Gateway != nil {
		gateway := gatewayOf(n.Gateway)
		request.Gateway = &gateway
	}
	return request
}

// comparableNetwork returns a network without origins and gateway, so that equal ones can be compared.
func comparableNetwork(n lab.VirtualNetwork) lab.VirtualNetwork {
	n.Origin, n.Gateway = lab.Origin{}, nil
	n.AddressSpace = append([]netip.Prefix{}, n.AddressSpace...)
	n.DNSServers = append([]lab.DNSServer{}, n.DNSServers...)
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
		Long: `Write the virtual networks of the lab, their gateways and the local network sites as a
network configuration file (.netcfg), which lab network import reads. Without FILE it
goes to stdout. The file has no hosts of local network sites.`,
		Example: `  sudo lab network export NetworkConfig.netcfg
  sudo lab network export | xmllint --format -`,
		Args: want(0, 1, "a file to write"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
	}, func(info api.Lab, args []string) error {
		var all []lab.VirtualNetwork
		for _, n := range info.VirtualNetworks {
			all = append(all, requestOf(n))
		}
		var sites []lab.LocalNetwork
		for _, n := range info.LocalNetworks {
			sites = append(sites, lab.LocalNetwork{
				Name: n.Name, AddressSpace: n.AddressSpace,
				VPNGatewayAddress: n.VPNGatewayAddress,
			})
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
