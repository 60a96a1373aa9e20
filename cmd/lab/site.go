package main

import (
	"github.com/spf13/cobra"

	"vnetlab/lab"
	"vnetlab/lab/api"
)

func (a *app) affinityGroup() *cobra.Command {
	request := lab.AffinityGroup{}
	create := &cobra.Command{
		Use:               "create NAME --location LOCATION",
		Short:             "Create an affinity group",
		Example:           "  sudo lab affinity-group create contacts --location \"West US\"",
		Args:              want(1, 1, "the name of the affinity group"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	locationFlag(create, &request.Location)
	return noun("affinity-group", "Create and delete affinity groups",
		`Affinity groups: placement scopes within a location, for cloud services and virtual
networks.`,
		a.operation(create, func(_ *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
			request.Name = args[0]
			return lab.CreateAffinityGroupOp{AffinityGroup: request}, nil
		}),
		a.operation(&cobra.Command{
			Use:               "delete NAME",
			Short:             "Delete an affinity group that nothing is in",
			Example:           "  sudo lab affinity-group delete contacts",
			Args:              want(1, 1, "the name of an affinity group"),
			ValidArgsFunction: a.names(affinityGroups),
		}, func(_ *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
			return lab.DeleteAffinityGroupOp{Name: args[0]}, nil
		}),
		a.question(&cobra.Command{
			Use:               "list",
			Short:             "List the affinity groups",
			Example:           "  sudo lab affinity-group list",
			Args:              want(0, 0, ""),
			ValidArgsFunction: cobra.NoFileCompletions,
		}, func(info api.Lab, _ []string) error {
			return a.list(info.AffinityGroups, a.affinityGroupTable(info), "there is no affinity group")
		}),
	)
}

func (a *app) affinityGroupTable(info api.Lab) (t table) {
	t.head(a.stdout, "AFFINITY GROUP", "LOCATION")
	for _, g := range info.AffinityGroups {
		t.add(g.Name, g.Location)
	}
	return t
}

func (a *app) site() *cobra.Command {
	request, listen := lab.WebSite{}, []string(nil)
	create := &cobra.Command{
		Use:   "create NAME --location LOCATION",
		Short: "Create a web site",
		Long: `Create a web site: NAME.azurewebsites.net, behind the address that all web sites of its
location share. It can't join a virtual network. Without --listen it listens on port 80.`,
		Example:           "  sudo lab site create contacts --location \"West US\"",
		Args:              want(1, 1, "the name of the web site"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	locationFlag(create, &request.Location)
	create.Flags().StringArrayVar(&listen, "listen", nil, "port to listen on; may be repeated (default 80)")
	return noun("site", "Create and delete web sites",
		`Web sites of the multi-tenant platform. They can't join a virtual network.`,
		a.operation(create, func(_ *cobra.Command, args []string, _ *runningLab) (o lab.Operation, err error) {
			request.Name = args[0]
			request.Services, err = parseListeners(listen, "", "")
			return lab.CreateWebSiteOp{WebSite: request}, err
		}),
		a.operation(&cobra.Command{
			Use:               "delete NAME",
			Short:             "Delete a web site",
			Example:           "  sudo lab site delete contacts",
			Args:              want(1, 1, "the name of a web site"),
			ValidArgsFunction: a.names(webSites),
		}, func(_ *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
			return lab.DeleteWebSiteOp{Name: args[0]}, nil
		}),
		a.question(&cobra.Command{
			Use:               "list",
			Short:             "List the web sites",
			Example:           "  sudo lab site list",
			Args:              want(0, 0, ""),
			ValidArgsFunction: cobra.NoFileCompletions,
		}, func(info api.Lab, _ []string) error {
			t := table{}
			t.head(a.stdout, "WEB SITE", "DNS NAME", "LOCATION", "SERVICES")
			for _, h := range info.WebSites {
				t.add(h.Name, h.DNSName, h.Location, services(h))
			}
			return a.list(info.WebSites, t, "there is no web site")
		}),
	)
}
