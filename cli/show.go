package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

func showCommand() *cobra.Command {
	var asJSON, asMermaid bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one saga: every step with attempts, times and errors, also beside a living node",
		Args:  cobra.ExactArgs(1),
	}
	from := placeFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as one JSON object")
	cmd.Flags().BoolVar(&asMermaid, "mermaid", false, "as a Mermaid flowchart, coloured by status")
	cmd.MarkFlagsMutuallyExclusive("json", "mermaid")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return inspect(cmd.Context(), from, func(i reader) error {
			info, err := i.Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			switch {
			case asJSON:
				out := json.NewEncoder(cmd.OutOrStdout())
				out.SetIndent("", "  ")
				return out.Encode(newView(info))
			case asMermaid:
				fmt.Fprint(cmd.OutOrStdout(), mermaid(info))
			default:
				fmt.Fprint(cmd.OutOrStdout(), timeline(info))
			}
			return nil
		})
	}
	return cmd
}
