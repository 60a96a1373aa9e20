package main

import (
	"github.com/spf13/cobra"

	"vnetlab/lab/labfile"
)

func (a *app) schema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of lab files, for editors",
		Long: `Print the JSON Schema of lab files. An editor with a YAML language server completes and
checks a lab file whose first line is

  # yaml-language-server: $schema=lab.schema.json`,
		Example:           "  lab schema > lab.schema.json",
		Args:              want(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			text, err := labfile.Schema()
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
}
