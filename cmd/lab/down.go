package main

import (
	"errors"

	"github.com/spf13/cobra"

	"vnetlab/lab/supervisor"
)

type downAnswer struct {
	Down []string `json:"down"` // the labs that were ended
}

func (a *app) down() *cobra.Command {
	all := false
	cmd := &cobra.Command{
		Use:   "down [NAME...]",
		Short: "End labs and remove all that they made",
		Long: `End the named labs, or the only running one, and return when nothing is left of them: no
process, no namespace, no file.`,
		Example: `  sudo lab down
  sudo lab down sql-vnet`,
		Args:              want(0, -1, ""),
		ValidArgsFunction: completeLabs,
		RunE: func(cmd *cobra.Command, names []string) error {
			if all && len(names) > 0 {
				return usage("lab down takes names or --all, not both").orHint(cmd.UseLine())
			}
			if err := needRoot(cmd, "only root may see and end labs"); err != nil {
				return err
			}
			switch {
			case all:
				running, err := supervisor.List(cmd.Context())
				if err != nil {
					return err
				}
				for _, s := range running {
					names = append(names, s.Name)
				}
				if err := supervisor.Clean(); err != nil {
					return err
				}
			case len(names) == 0:
				c, err := supervisor.Find(a.lab)
				if err != nil {
					return err
				}
				names = []string{c.Name}
			}
			answer := downAnswer{Down: []string{}}
			var failed error
			for _, name := range names {
				if err := supervisor.Down(cmd.Context(), name); err != nil {
					failed = errors.Join(failed, err)
					continue
				}
				answer.Down = append(answer.Down, name)
				if a.format == textFormat {
					a.stderr.printf("lab %s is down\n", name)
				}
			}
			if failed == nil && a.format == jsonFormat {
				return a.stdout.json(answer)
			}
			return failed
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "end all labs")
	return a.asks(a.answers(cmd))
}
