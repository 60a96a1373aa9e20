package main

import (
	"github.com/spf13/cobra"

	"vnetlab/lab"
	"vnetlab/lab/api"
)

func (a *app) reservedIP() *cobra.Command {
	return noun(
		"reserved-ip",
		"Create, delete and associate reserved IPs",
		`Reserved IPs: public addresses that stay with the subscription when the deployment that
uses them as its VIP is deleted.`,
		a.reservedIPCreate(),
		a.reservedIPDelete(),
		a.reservedIPAssociate(),
		a.reservedIPDisassociate(),
		a.reservedIPList(),
	)
}

func (a *app) reservedIPCreate() *cobra.Command {
	request := lab.ReservedIP{}
	cmd := &cobra.Command{
		Use:               "create NAME --location LOCATION",
		Short:             "Reserve a public address",
		Example:           "  sudo lab reserved-ip create web-address --location \"West US\"",
		Args:              want(1, 1, "the name of the reserved IP"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	locationFlag(cmd, &request.Location)
	return a.operation(cmd, func(_ *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
		request.Name = args[0]
		return lab.CreateReservedIPOp{ReservedIP: request}, nil
	})
}

func (a *app) reservedIPDelete() *cobra.Command {
	return a.operation(&cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a reserved IP that nothing uses",
		Example:           "  sudo lab reserved-ip delete web-address",
		Args:              want(1, 1, "the name of a reserved IP"),
		ValidArgsFunction: a.names(reservedIPs),
	}, func(_ *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
		return lab.DeleteReservedIPOp{Name: args[0]}, nil
	})
}

func (a *app) reservedIPAssociate() *cobra.Command {
	slot := ""
	cmd := &cobra.Command{
		Use:   "associate NAME SERVICE",
		Short: "Make a reserved IP the VIP of a deployment",
		Long: `Make a reserved IP the VIP of the deployment in a slot of a cloud service. Both must be
in the same location.`,
		Example:           "  sudo lab reserved-ip associate web-address contactmanager",
		Args:              want(2, 2, "a reserved IP and a cloud service"),
		ValidArgsFunction: a.names(reservedIPs, cloudServices),
	}
	slotFlag(cmd, &slot)
	return a.operation(cmd, func(_ *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
		return lab.AssociateReservedIPOp{Name: args[0], Service: args[1], Slot: lab.Slot(slot)}, nil
	})
}

func (a *app) reservedIPDisassociate() *cobra.Command {
	return a.operation(&cobra.Command{
		Use:               "disassociate NAME",
		Short:             "Remove a reserved IP from its deployment",
		Long:              `Remove a reserved IP from the deployment that uses it. The deployment gets another VIP.`,
		Example:           "  sudo lab reserved-ip disassociate web-address",
		Args:              want(1, 1, "the name of a reserved IP"),
		ValidArgsFunction: a.names(reservedIPs),
	}, func(_ *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
		return lab.DisassociateReservedIPOp{Name: args[0]}, nil
	})
}

func (a *app) reservedIPList() *cobra.Command {
	return a.question(&cobra.Command{
		Use:               "list",
		Short:             "List the reserved IPs with the deployments that use them",
		Example:           "  sudo lab reserved-ip list",
		Args:              want(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
	}, func(info api.Lab, _ []string) error {
		return a.list(info.ReservedIPs, a.reservedIPTable(info), "there is no reserved IP")
	})
}

func (a *app) reservedIPTable(info api.Lab) (t table) {
	t.head(a.stdout, "RESERVED IP", "ADDRESS", "LOCATION", "CLOUD SERVICE", "DEPLOYMENT")
	for _, r := range info.ReservedIPs {
		t.add(r.Name, address(r.Address), r.Location, orDash(r.CloudService), orDash(r.Deployment))
	}
	return t
}
