package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sagaz/sagaz"
)

func outboxCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "outbox",
		Short: "Show what is not confirmed sent: messages of each lane, and the age of the oldest",
		Args:  cobra.NoArgs,
	}
	store := storeFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "as one JSON object")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withOutbox(cmd, *store, func(o *sagaz.Outbox) error { return showOutbox(cmd, o, *asJSON) })
	}
	return cmd
}

// withOutbox runs fn on the outbox of a store, also beside a living node.
func withOutbox(cmd *cobra.Command, store string, fn func(*sagaz.Outbox) error) error {
	o, err := sagaz.OpenOutbox(cmd.Context(), store)
	if err != nil {
		return err
	}
	defer func() { _ = o.Close() }() // what was written is committed
	return fn(o)
}

// outboxView is the output of `outbox --json`.
type outboxView struct {
	Messages int        `json:"messages"`
	OldestAt time.Time  `json:"oldest_at,omitzero"`
	Lanes    []laneView `json:"lanes"`
}

type laneView struct {
	Publisher string    `json:"publisher,omitempty"`
	Lane      int       `json:"lane"`
	Messages  int       `json:"messages"`
	OldestAt  time.Time `json:"oldest_at,omitzero"`
}

func showOutbox(cmd *cobra.Command, o *sagaz.Outbox, asJSON bool) error {
	backlog, err := o.Backlog(cmd.Context())
	if err != nil {
		return err
	}
	v := outboxView{Lanes: []laneView{}}
	for _, b := range backlog {
		v.Lanes = append(v.Lanes, laneView(b))
		v.Messages += b.Messages
		if v.OldestAt.IsZero() || b.OldestAt.Before(v.OldestAt) {
			v.OldestAt = b.OldestAt
		}
	}
	out := cmd.OutOrStdout()
	if asJSON {
		return json.NewEncoder(out).Encode(v)
	}
	if v.Messages == 0 {
		fmt.Fprintln(out, "the outbox is empty: every message is confirmed sent")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "LANE\tMESSAGES\tOLDEST\tPUBLISHER")
	for _, l := range v.Lanes {
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\n", l.Lane, l.Messages, age(l.OldestAt), l.Publisher)
	}
	fmt.Fprintf(w, "all %d\t%d\t%s\t\n", len(v.Lanes), v.Messages, age(v.OldestAt))
	return w.Flush()
}

func age(at time.Time) string { return time.Since(at).Round(time.Millisecond).String() }

func deadCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "dead", Short: "Look after messages that a broker refused for good"}
	cmd.AddCommand(
		deadListCommand(), deadShowCommand(),
		deadVerb("retry ID…", "Put dead messages back into the outbox; a node sends them within a second", "put back", (*sagaz.Outbox).RetryDead),
		deadVerb("discard ID…", "Delete dead messages for ever", "discarded", (*sagaz.Outbox).DiscardDead),
	)
	return cmd
}

func deadListCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List dead messages, the newest first", Args: cobra.NoArgs}
	store := storeFlag(cmd)
	limit := cmd.Flags().Int("limit", 100, "how many at most")
	before := cmd.Flags().Int64("before", 0, "continue behind the message of this id")
	asJSON := cmd.Flags().Bool("json", false, "one JSON object a line")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withOutbox(cmd, *store, func(o *sagaz.Outbox) error {
			dead, err := o.Dead(cmd.Context(), *before, *limit)
			if err != nil {
				return err
			}
			if *asJSON {
				return eachJSON(cmd, dead)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tFAILED\tTOPIC\tTYPE\tSUBJECT\tERROR")
			for i := range dead {
				d := &dead[i]
				fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", d.ID, d.FailedAt.Format(time.RFC3339), d.Event.Topic, d.Event.Type, d.Event.Subject, d.Error)
			}
			return w.Flush()
		})
	}
	return cmd
}

func eachJSON(cmd *cobra.Command, dead []sagaz.DeadMessage) error {
	out := json.NewEncoder(cmd.OutOrStdout())
	for i := range dead {
		if err := out.Encode(newDeadView(&dead[i])); err != nil {
			return err
		}
	}
	return nil
}

// deadView is a dead message in JSON.
type deadView struct {
	ID         int64     `json:"id"`
	Publisher  string    `json:"publisher,omitempty"`
	Lane       int       `json:"lane"`
	EnqueuedAt time.Time `json:"enqueued_at"`
	FailedAt   time.Time `json:"failed_at"`
	Error      string    `json:"error"`
	Unreadable string    `json:"unreadable,omitempty"`
	Event      eventView `json:"event"`
}

func newDeadView(d *sagaz.DeadMessage) deadView {
	return deadView{
		ID: d.ID, Publisher: d.Publisher, Lane: d.Lane, EnqueuedAt: d.EnqueuedAt, FailedAt: d.FailedAt, Error: d.Error, Unreadable: d.Unreadable,
		Event: newEventView(d.Event),
	}
}

func deadShowCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "show ID", Short: "Show one dead message with its data, as JSON", Args: cobra.ExactArgs(1)}
	store := storeFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ids, err := messageIDs(args)
		if err != nil {
			return err
		}
		return withOutbox(cmd, *store, func(o *sagaz.Outbox) error {
			d, err := o.DeadByID(cmd.Context(), ids[0])
			if err != nil {
				return err
			}
			out := json.NewEncoder(cmd.OutOrStdout())
			out.SetIndent("", "  ")
			return out.Encode(newDeadView(d))
		})
	}
	return cmd
}

func deadVerb(use, short, done string, verb func(*sagaz.Outbox, context.Context, ...int64) (int, error)) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.MinimumNArgs(1)}
	store := storeFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ids, err := messageIDs(args)
		if err != nil {
			return err
		}
		return withOutbox(cmd, *store, func(o *sagaz.Outbox) error {
			n, err := verb(o, cmd.Context(), ids...)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d of %d %s\n", n, len(ids), done)
			if n < len(ids) {
				return fmt.Errorf("%w: %d of the ids given", sagaz.ErrNoMessage, len(ids)-n)
			}
			return nil
		})
	}
	return cmd
}

func messageIDs(args []string) (ids []int64, err error) {
	for _, a := range args {
		id, err := strconv.ParseInt(a, 10, 64)
		if err != nil || id <= 0 {
			return nil, fmt.Errorf("%q is not the id of a dead message: see `dead list`", a)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
