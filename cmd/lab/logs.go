package main

import (
	"github.com/spf13/cobra"

	"vnetlab/lab/api"
)

func (a *app) logs() *cobra.Command {
	request := api.LogsRequest{}
	cmd := &cobra.Command{
		Use:   "logs INSTANCE [SERVICE]",
		Short: "Print the output of a program in an instance",
		Long: `Print the output of a program in an instance, with remarks on when it started and ended.

SERVICE is a name or a port of the lab file's "services". It isn't needed if the
instance runs only one program.`,
		Example: `  sudo lab logs sql1
  sudo lab logs -f ContactManager.Web_IN_0`,
		Args:              want(1, 2, "an instance and a service"),
		ValidArgsFunction: a.completeService,
		RunE: func(cmd *cobra.Command, args []string) error {
			if request.Last < 0 {
				return usage("%s: --lines must not be negative", cmd.CommandPath())
			}
			client, err := a.client(cmd)
			if err != nil {
				return err
			}
			request.Instance = args[0]
			if len(args) == 2 {
				request.Service = args[1]
			}
			err = client.Logs(cmd.Context(), request, a.stdout)
			if request.Follow && cmd.Context().Err() != nil {
				return byCtrlC
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&request.Follow, "follow", "f", false, "keep printing what the program writes")
	cmd.Flags().IntVarP(&request.Last, "lines", "n", 0, "print only the last `COUNT` lines (default all that are kept)")
	return a.asks(cmd)
}
