package main

import (
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"vnetlab/lab"
	"vnetlab/lab/api"
)

func (a *app) localNetwork() *cobra.Command {
	var spaces, hosts []string
	address := ""
	create := &cobra.Command{
		Use:   "create NAME --address-space PREFIX",
		Short: "Create a local network site with its hosts",
		Long: `Create a local network site: a network on the customer's premises, with its hosts. A
gateway joins a virtual network to it.

A host is written NAME[,address=ADDRESS][,listen=PORT].`,
		Example:           `  sudo lab local-network create office --address-space 192.168.1.0/24 --host desk1,listen=80 --host desk2`,
		Args:              want(1, 1, "the name of the site"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	create.Flags().StringSliceVar(&spaces, "address-space", nil, "address `PREFIX` of the site; may be repeated")
	create.Flags().StringArrayVar(&hosts, "host", nil,
		"host of the site, as NAME[,address=ADDRESS][,listen=PORT]; may be repeated")
	create.Flags().StringVar(&address, "vpn-gateway", "",
		"public `ADDRESS` of the site's VPN device; another stands for it if the lab can't have it "+
			"(default the lowest free one)")
	return noun("local-network", "Create and delete local network sites and their hosts",
		`Local network sites: networks on the customer's premises, which gateways join to virtual
networks.`,
		a.operation(create, func(_ *cobra.Command, args []string, _ *runningLab) (_ lab.Operation, err error) {
			request := lab.LocalNetwork{Name: args[0]}
			if request.AddressSpace, err = parseSpaces(spaces); err != nil {
				return nil, err
			}
			if request.VPNGatewayAddress, err = parseAddress("vpn-gateway", address); err != nil {
				return nil, err
			}
			request.Hosts, err = parseLocalHosts(hosts)
			return lab.CreateLocalNetworkOp{LocalNetwork: request}, err
		}),
		a.operation(&cobra.Command{
			Use:               "delete NAME",
			Short:             "Delete a local network site that no gateway is joined to",
			Example:           "  sudo lab local-network delete office",
			Args:              want(1, 1, "the name of a site"),
			ValidArgsFunction: a.names(localNetworks),
		}, func(_ *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
			return lab.DeleteLocalNetworkOp{Name: args[0]}, nil
		}),
		a.localHost(),
		a.question(&cobra.Command{
			Use:               "show NAME",
			Short:             "Show a local network site",
			Example:           "  sudo lab local-network show office",
			Args:              want(1, 1, "the name of a site"),
			ValidArgsFunction: a.names(localNetworks),
		}, func(info api.Lab, args []string) error {
			for _, n := range info.LocalNetworks {
				if n.Name == args[0] {
					return a.detail(n, func() { a.printLocalNetwork(n) })
				}
			}
			return missing(info, "local network site", args[0], localNetworks(info, nil))
		}),
		a.question(&cobra.Command{
			Use:               "list",
			Short:             "List the local network sites with their hosts",
			Example:           "  sudo lab local-network list",
			Args:              want(0, 0, ""),
			ValidArgsFunction: cobra.NoFileCompletions,
		}, func(info api.Lab, _ []string) error {
			return a.list(info.LocalNetworks, a.localNetworkTable(info), "there is no local network site")
		}),
	)
}

// localHost has the verbs about hosts of a site.
func (a *app) localHost() *cobra.Command {
	var listen []string
	at := ""
	add := &cobra.Command{
		Use:   "add SITE NAME",
		Short: "Add a host to a local network site",
		Long: `Add a host to a local network site, in the first prefix of its address space. Without
--listen it listens on no port.`,
		Example:           "  sudo lab local-network host add office desk3 --address 192.168.1.60 --listen 80",
		Args:              want(2, 2, "a site and the name of the host"),
		ValidArgsFunction: a.names(localNetworks),
	}
	add.Flags().StringVar(&at, "address", "", "address of the host (default the lowest free one)")
	add.Flags().StringArrayVar(&listen, "listen", nil, "port to listen on, as PORT or PORT/udp; may be repeated")
	return noun("host", "Add and delete hosts of local network sites",
		`Hosts of local network sites.`,
		a.operation(add, func(_ *cobra.Command, args []string, _ *runningLab) (_ lab.Operation, err error) {
			h := lab.LocalHost{Name: args[1]}
			if h.Address, err = parseAddress("address", at); err != nil {
				return nil, err
			}
			h.Services, err = parseListeners(listen, "", "")
			return lab.AddLocalHostOp{Site: args[0], Host: h}, err
		}),
		a.operation(&cobra.Command{
			Use:               "delete SITE NAME",
			Short:             "Delete a host of a local network site",
			Example:           "  sudo lab local-network host delete office desk2",
			Args:              want(2, 2, "a site and a host of it"),
			ValidArgsFunction: a.names(localNetworks, localHosts),
		}, func(_ *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
			return lab.DeleteLocalHostOp{Site: args[0], Name: args[1]}, nil
		}),
	)
}

func (a *app) localNetworkTable(info api.Lab) (t table) {
	t.head(a.stdout, "LOCAL NETWORK", "ADDRESS SPACE", "VPN GATEWAY", "HOSTS")
	for _, n := range info.LocalNetworks {
		var hosts []string
		for _, h := range n.Hosts {
			hosts = append(hosts, h.Name+" "+address(h.Address))
		}
		t.add(n.Name, prefixes(n.AddressSpace), device(n), orDash(strings.Join(hosts, ", ")))
	}
	return t
}

// device returns the public address of a site's VPN device, and the one that stands for it in the lab.
func device(n api.LocalNetwork) string {
	if n.VPNGatewayAddress.IsValid() && n.VPNGatewayAddress != n.Address {
		return n.VPNGatewayAddress.String() + ", in the lab " + n.Address.String()
	}
	return address(n.Address)
}

func (a *app) printLocalNetwork(n api.LocalNetwork) {
	t := table{}
	t.add("local network site", n.Name)
	t.add("address space", prefixes(n.AddressSpace))
	t.add("VPN gateway", device(n))
	for _, h := range n.Hosts {
		t.add("host "+h.Name, strings.TrimSpace(address(h.Address)+"  "+services(h)))
	}
	a.printTable(&t)
}

func localNetworks(info api.Lab, _ []string) (names []string) {
	for _, n := range info.LocalNetworks {
		names = append(names, n.Name)
	}
	return names
}

// localHosts are the hosts of the site that the first argument names.
func localHosts(info api.Lab, args []string) (names []string) {
	for _, n := range info.LocalNetworks {
		for _, h := range n.Hosts {
			if n.Name == args[0] {
				names = append(names, h.Name)
			}
		}
	}
	return names
}

// parseSpaces reads the prefixes of an address space.
func parseSpaces(texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, usage("--address-space: %q is not a prefix", text).orHint("write it like 10.1.0.0/16")
		}
		if p != p.Masked() {
			return nil, usage("--address-space: %s has host bits set", p).orHint("write " + p.Masked().String())
		}
		all = append(all, p)
	}
	return all, nil
}

// parseLocalHosts reads hosts of a site, each NAME[,address=ADDRESS][,listen=PORT].
func parseLocalHosts(texts []string) ([]*lab.LocalHost, error) {
	var all []*lab.LocalHost
	for _, text := range texts {
		items := strings.Split(text, ",")
		h := &lab.LocalHost{Name: items[0]}
		var listen []string
		for _, item := range items[1:] {
			var err error
			switch key, value, _ := strings.Cut(item, "="); key {
			case "address":
				h.Address, err = parseAddress("host", value)
			case "listen":
				listen = append(listen, value)
			default:
				err = usage("--host: there is no %q", key).orHint("write NAME[,address=ADDRESS][,listen=PORT]")
			}
			if err != nil {
				return nil, err
			}
		}
		var err error
		if h.Services, err = parseListeners(listen, "", ""); err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, nil
}
