package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// apiCommand makes a command that only a node can answer.
func apiCommand(cmd *cobra.Command, run func(cmd *cobra.Command, r *remote, args []string) error) *cobra.Command {
	var api string
	apiFlag(cmd, &api)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if api == "" {
			return errors.New("this asks a node: say where its API is with --api or " + apiEnv)
		}
		r, err := dial(api)
		if err != nil {
			return err
		}
		return run(cmd, r, args)
	}
	return cmd
}

func startCommand() *cobra.Command {
	var (
		id, input string
		tags      map[string]string
	)
	cmd := apiCommand(&cobra.Command{
		Use:   "start DEFINITION",
		Short: "Start a saga on a node, and print its id",
		Args:  cobra.ExactArgs(1),
	}, func(cmd *cobra.Command, r *remote, args []string) error {
		value, err := inputOf(input)
		if err != nil {
			return err
		}
		resp, err := r.client.Start(cmd.Context(), connect.NewRequest(&sagazpb.StartRequest{Definition: args[0], Id: id, Input: value, Tags: tags}))
		if err != nil {
			return refused(err)
		}
		fmt.Fprintln(cmd.OutOrStdout(), resp.Msg.Id)
		return nil
	})
	cmd.Flags().StringVar(&id, "id", "", "the saga's id; the same id with an equal input is the same saga (default: one is made)")
	cmd.Flags().StringVar(&input, "input", "", "its input as JSON, or @file")
	cmd.Flags().StringToStringVar(&tags, "tag", nil, "tags: key=value")
	return cmd
}

func inputOf(text string) (*structpb.Value, error) {
	if name, ok := strings.CutPrefix(text, "@"); ok {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		text = string(data)
	}
	if text == "" {
		return nil, nil //nolint:nilnil // a saga may need no input
	}
	v := &structpb.Value{}
	if err := v.UnmarshalJSON([]byte(text)); err != nil {
		return nil, fmt.Errorf("--input is not JSON: %w", err)
	}
	return v, nil
}

func watchCommand() *cobra.Command {
	var asJSON bool
	cmd := apiCommand(&cobra.Command{
		Use:   "watch ID",
		Short: "Show a saga each time that it has changed, until it has ended",
		Args:  cobra.ExactArgs(1),
	}, func(cmd *cobra.Command, r *remote, args []string) error {
		stream, err := r.client.Watch(cmd.Context(), connect.NewRequest(&sagazpb.WatchRequest{Id: args[0]}))
		if err != nil {
			return refused(err)
		}
		defer func() { _ = stream.Close() }() // its end has been read, or the command is over
		for stream.Receive() {
			info, err := sagaz.InfoOf(stream.Msg().Saga)
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(newView(info))
			} else {
				_, err = fmt.Fprint(cmd.OutOrStdout(), timeline(info), "\n")
			}
			if err != nil {
				return err
			}
		}
		return refused(stream.Err())
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per line")
	return cmd
}

func membersCommand() *cobra.Command {
	return apiCommand(&cobra.Command{
		Use:   "members",
		Short: "List the nodes that share the store, with the shards they own",
		Args:  cobra.NoArgs,
	}, func(cmd *cobra.Command, r *remote, _ []string) error {
		resp, err := r.client.Members(cmd.Context(), connect.NewRequest(&sagazpb.MembersRequest{}))
		if err != nil {
			return refused(err)
		}
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tNAME\tALIVE\tSHARDS\tJOINED\tHEARTBEAT")
		for _, m := range resp.Msg.Members {
			fmt.Fprintf(w, "%d\t%s\t%t\t%d\t%s\t%s\n", m.Id, m.Name, m.Alive, m.Shards, dateTime(timeOf(m.JoinedAt)), dateTime(timeOf(m.HeartbeatAt)))
		}
		return w.Flush()
	})
}

func dateTime(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format(time.DateTime)
}

func logLevelCommand() *cobra.Command {
	return apiCommand(&cobra.Command{
		Use:       "log-level debug|info|warn|error",
		Short:     "Change what one node logs, until it restarts",
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{"debug", "info", "warn", "error"},
	}, func(cmd *cobra.Command, r *remote, args []string) error {
		resp, err := r.client.SetLogLevel(cmd.Context(), connect.NewRequest(&sagazpb.SetLogLevelRequest{Level: args[0]}))
		if err != nil {
			return refused(err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s → %s\n", resp.Msg.Before, args[0])
		return nil
	})
}

func auditCommand() *cobra.Command {
	var saga string
	var limit int
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "List what operators did, newest first: who, when, what and why",
		Args:  cobra.NoArgs,
	}
	place := placeFlags(cmd)
	cmd.Flags().StringVar(&saga, "saga", "", "only of this saga")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many at most, 1–1000")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return inspect(cmd.Context(), place, func(from reader) error {
			entries, err := from.Audit(cmd.Context(), sagaz.AuditOptions{SagaID: saga, Limit: limit})
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			fmt.Fprintln(w, "AT\tBY\tVERB\tSAGA\tSTEP\tOUTCOME\tNOTE")
			for _, e := range entries {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", dateTime(e.At), e.By, e.Verb, e.SagaID, e.Step, e.Outcome, e.Note)
			}
			return w.Flush()
		})
	}
	return cmd
}
