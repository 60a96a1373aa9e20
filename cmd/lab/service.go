package main

import (
	"strings"

	"github.com/spf13/cobra"

	"vnetlab/lab"
	"vnetlab/lab/api"
)

func (a *app) service() *cobra.Command {
	return noun("service", "Create and delete cloud services",
		`Cloud services: containers for deployments, with a DNS name and a fixed location.`,
		a.serviceCreate(), a.serviceDelete(), a.serviceList(), a.serviceShow())
}

func (a *app) serviceCreate() *cobra.Command {
	request := lab.HostedService{}
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a cloud service without a deployment",
		Long: `Create a cloud service without a deployment, in a location or an affinity group, which
can't be changed later. Its DNS name is NAME.cloudapp.net.`,
		Example: `  sudo lab service create contactmanager --location "West US"
  sudo lab service create contactsql --affinity-group contacts --network contactnet`,
		Args:              want(1, 1, "the name of the cloud service"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.placeFlags(cmd, &request.Location, &request.AffinityGroup)
	cmd.Flags().StringVar(&request.VirtualNetwork, "network", "", "virtual network that its deployments will join")
	a.flagNames(cmd, "network", networks)
	cmd.Flags().StringVar(&request.Description, "description", "", "description")
	return a.operation(cmd, func(_ *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
		request.Name = args[0]
		return lab.CreateHostedServiceOp{HostedService: request}, nil
	})
}

func (a *app) serviceDelete() *cobra.Command {
	return a.operation(&cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a cloud service that has no deployment",
		Example:           "  sudo lab service delete contactmanager",
		Args:              want(1, 1, "the name of a cloud service"),
		ValidArgsFunction: a.names(cloudServices),
	}, func(_ *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
		return lab.DeleteHostedServiceOp{Name: args[0]}, nil
	})
}

func (a *app) serviceList() *cobra.Command {
	return a.question(&cobra.Command{
		Use:               "list",
		Short:             "List the cloud services",
		Example:           "  sudo lab service list\n  sudo lab service list --output json",
		Args:              want(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
	}, func(info api.Lab, _ []string) error {
		t := table{}
		t.head(a.stdout, "CLOUD SERVICE", "DNS NAME", "VIP", "LOCATION", "AFFINITY GROUP", "NETWORK", "DEPLOYMENTS",
			"DESCRIPTION")
		for _, c := range info.CloudServices {
			var slots []string
			for _, d := range c.Deployments {
				slots = append(slots, string(d.Slot)+": "+contents(d))
			}
			t.add(c.Name, c.DNSName, address(c.VIP), c.Location, orDash(c.AffinityGroup), orDash(c.VirtualNetwork),
				orDash(strings.Join(slots, ", ")), c.Description)
		}
		return a.list(info.CloudServices, t, "there is no cloud service")
	})
}

func (a *app) serviceShow() *cobra.Command {
	return a.question(&cobra.Command{
		Use:               "show NAME",
		Short:             "Show a cloud service with its deployments",
		Example:           "  sudo lab service show contactsql",
		Args:              want(1, 1, "the name of a cloud service"),
		ValidArgsFunction: a.names(cloudServices),
	}, func(info api.Lab, args []string) error {
		c, err := findService(info, args[0])
		if err != nil {
			return err
		}
		return a.detail(c, func() { a.printService(c) })
	})
}
