package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vnetlab/lab"
	"vnetlab/lab/api"
)

func (a *app) gateway() *cobra.Command {
	var connections []string
	create := &cobra.Command{
		Use:   "create NETWORK --connection SITE|NETWORK",
		Short: "Create the gateway of a virtual network",
		Long: `Create the gateway of a virtual network, which needs a subnet named GatewaySubnet. The
gateway joins the network to local network sites and to other virtual networks.

Two virtual networks are joined when the gateway of each names the other. If a local
network site and a virtual network share a name, the name means the local network site.`,
		Example:           "  sudo lab gateway create contactnet --connection office",
		Args:              want(1, 1, "a virtual network"),
		ValidArgsFunction: a.names(networks),
	}
	create.Flags().StringSliceVar(&connections, "connection", nil,
		"local network site or virtual network to join; may be repeated")
	a.flagNames(create, "connection", func(info api.Lab, args []string) []string {
		return append(localNetworks(info, args), networks(info, args)...)
	})
	return noun("gateway", "Join virtual networks to local networks and to each other",
		`Gateways of virtual networks: encrypted tunnels to local network sites and to other
virtual networks.`,
		a.operation(create, func(_ *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
			return lab.CreateGatewayOp{
				Network: args[0],
				Gateway: lab.VPNGateway{Connections: lab.ConnectTo(connections...)},
			}, nil
		}),
		a.operation(&cobra.Command{
			Use:               "delete NETWORK",
			Short:             "Delete the gateway of a virtual network",
			Example:           "  sudo lab gateway delete contactnet",
			Args:              want(1, 1, "a virtual network"),
			ValidArgsFunction: a.names(gateways),
		}, func(_ *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
			return lab.DeleteGatewayOp{Network: args[0]}, nil
		}),
		a.question(&cobra.Command{
			Use:               "list",
			Short:             "List the gateways",
			Example:           "  sudo lab gateway list",
			Args:              want(0, 0, ""),
			ValidArgsFunction: cobra.NoFileCompletions,
		}, func(info api.Lab, _ []string) error {
			all := []gatewayAnswer{}
			for _, n := range info.VirtualNetworks {
				if n.Gateway != nil {
					all = append(all, gatewayAnswer{n.Name, *n.Gateway})
				}
			}
			return a.list(all, a.gatewayTable(info), "there is no gateway")
		}),
	)
}

// gatewayAnswer is a gateway with its network, as JSON.
type gatewayAnswer struct {
	VirtualNetwork string `json:"virtualNetwork"`
	api.Gateway
}

func (a *app) gatewayTable(info api.Lab) (t table) {
	t.head(a.stdout, "GATEWAY OF", "ADDRESS", "JOINS")
	for _, n := range info.VirtualNetworks {
		if n.Gateway != nil {
			t.add(n.Name, address(n.Gateway.Address), orDash(joins(*n.Gateway)))
		}
	}
	return t
}

// joins lists the networks that a gateway joins.
func joins(g api.Gateway) string {
	all := make([]string, len(g.Peers))
	for i, p := range g.Peers {
		all[i] = p.Name
		switch {
		case p.Dedicated:
			all[i] += " (dedicated: not in the lab)"
		case slices.ContainsFunc(g.Peers, func(o api.Peer) bool { return o.Name == p.Name && o.Kind != p.Kind }):
			all[i] += map[lab.NetworkKind]string{
				lab.ToLocalNetwork:   " (local network)",
				lab.ToVirtualNetwork: " (virtual network)",
			}[p.Kind]
		}
	}
	return strings.Join(all, ", ")
}

// gateways are the virtual networks that have one.
func gateways(info api.Lab, _ []string) (names []string) {
	for _, n := range info.VirtualNetworks {
		if n.Gateway != nil {
			names = append(names, n.Name)
		}
	}
	return names
}
