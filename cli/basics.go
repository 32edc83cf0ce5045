package cli

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/telemetry"
)

func migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the store's schema to this binary's version",
		Args:  cobra.NoArgs,
	}
	store := storeFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := sagaz.Migrate(cmd.Context(), *store); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), "the schema is up to date")
		return nil
	}
	return cmd
}

func graphCommand(app App) *cobra.Command {
	var names []string
	for _, d := range app.Sagas {
		names = append(names, d.Name())
	}
	return &cobra.Command{
		Use:       "graph DEFINITION",
		Short:     "Draw a definition as a Mermaid flowchart",
		Args:      cobra.ExactArgs(1),
		ValidArgs: names,
		RunE: func(cmd *cobra.Command, args []string) error {
			var newest sagaz.AnyDefinition
			for _, d := range app.Sagas {
				if d.Name() == args[0] && (newest == nil || d.DefinitionVersion() > newest.DefinitionVersion()) {
					newest = d
				}
			}
			if newest == nil {
				return fmt.Errorf("no definition %q in this binary: it has %s", args[0], strings.Join(names, ", "))
			}
			fmt.Fprint(cmd.OutOrStdout(), newest.Graph())
			return nil
		},
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which build this is",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			version, revision := telemetry.Version()
			if revision != "" {
				revision = " " + revision
			}
			fmt.Fprintf(cmd.OutOrStdout(), "sagaz %s%s %s\n", version, revision, runtime.Version())
		},
	}
}
