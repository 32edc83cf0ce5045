package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sagaz/sagaz"
)

// row is a saga in `list --json`.
type row struct {
	ID         string            `json:"id"`
	Definition string            `json:"definition"`
	Version    int               `json:"version"`
	Status     sagaz.Status      `json:"status"`
	StartedAt  time.Time         `json:"started_at"`
	UpdatedAt  time.Time         `json:"updated_at"`
	EndedAt    time.Time         `json:"ended_at,omitzero"`
	Tags       map[string]string `json:"tags,omitempty"`
}

func listCommand() *cobra.Command {
	var (
		opts     sagaz.ListOptions
		statuses []string
		since    time.Duration
		asJSON   bool
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List sagas, newest first, also beside a living node",
		Args:  cobra.NoArgs,
	}
	from := placeFlags(cmd)
	cmd.Flags().StringVar(&opts.Definition, "definition", "", "only sagas of this definition")
	cmd.Flags().StringSliceVar(&statuses, "status", nil, "only sagas of these statuses, e.g. stuck,compensating")
	cmd.Flags().StringToStringVar(&opts.Tags, "tag", nil, "only sagas with these tags: key=value")
	cmd.Flags().DurationVar(&since, "since", 0, "only sagas that started within this time, e.g. 1h")
	cmd.Flags().StringVar(&opts.Text, "text", "", "only sagas with this text in their id, or in the value of a tag")
	cmd.Flags().IntVar(&opts.Limit, "limit", 50, "how many at most, 1–1000")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per line")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, s := range statuses {
			opts.Statuses = append(opts.Statuses, sagaz.Status(s))
		}
		if since > 0 {
			opts.StartedAfter = time.Now().Add(-since)
		}
		return inspect(cmd.Context(), from, func(i reader) error {
			list, err := i.List(cmd.Context(), opts)
			if err != nil {
				return err
			}
			if asJSON {
				return listJSON(cmd, list)
			}
			return listTable(cmd, list)
		})
	}
	return cmd
}

func listJSON(cmd *cobra.Command, list []sagaz.Summary) error {
	out := json.NewEncoder(cmd.OutOrStdout())
	for _, s := range list {
		if err := out.Encode(row(s)); err != nil {
			return err
		}
	}
	return nil
}

func listTable(cmd *cobra.Command, list []sagaz.Summary) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tDEFINITION\tSTATUS\tSTARTED\tTOOK")
	for _, s := range list {
		took := "–"
		if !s.EndedAt.IsZero() {
			took = short(s.EndedAt.Sub(s.StartedAt))
		}
		fmt.Fprintf(w, "%s\t%s v%d\t%s\t%s\t%s\n", s.ID, s.Definition, s.Version, s.Status, s.StartedAt.Format(time.DateTime), took)
	}
	return w.Flush()
}

// short is a duration as people read it: three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(10 * time.Microsecond).String()
	}
}
