package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/sagaz/sagaz"
)

func retryCommand(app App) *cobra.Command {
	cmd, note := verbCommand(app, "retry ID", "Make a stuck saga try at once what it waits for",
		func(ctx context.Context, n operator, id, note string) error { return n.Retry(ctx, id, note) })
	cmd.Flags().StringVar(note, "note", "", "why; kept in the saga's history")
	return cmd
}

func skipCommand(app App) *cobra.Command {
	var step string
	cmd, note := verbCommand(app, "skip ID --step STEP", "Make a stuck saga go on without a step, or without its compensation",
		func(ctx context.Context, n operator, id, note string) error { return n.Skip(ctx, id, step, note) })
	cmd.Flags().StringVar(&step, "step", "", "which step")
	cmd.Flags().StringVar(note, "note", "", "why; kept in the saga's history")
	required(cmd, "step", "note")
	return cmd
}

func abandonCommand(app App) *cobra.Command {
	cmd, note := verbCommand(app, "abandon ID", "End a stuck saga as it is",
		func(ctx context.Context, n operator, id, note string) error { return n.Abandon(ctx, id, note) })
	cmd.Flags().StringVar(note, "note", "", "why; kept in the saga's history")
	required(cmd, "note")
	return cmd
}

func cancelCommand(app App) *cobra.Command {
	cmd, note := verbCommand(app, "cancel ID", "Turn a running saga back; refused once its pivot has started",
		func(ctx context.Context, n operator, id, note string) error { return n.Cancel(ctx, id, note) })
	cmd.Flags().StringVar(note, "note", "", "the reason; kept in the saga's history")
	return cmd
}

func required(cmd *cobra.Command, flags ...string) {
	for _, f := range flags {
		if err := cmd.MarkFlagRequired(f); err != nil {
			panic(err) // the flag was not added
		}
	}
}

// verbCommand makes a command that decides about one saga.
func verbCommand(app App, use, short string, verb func(ctx context.Context, n operator, id, note string) error) (cmd *cobra.Command, note *string) {
	note = new(string)
	cmd = &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		Long: short + ".\n\nThe store must not be in use by a running node: the decision is stored, and carried out by the node that opens the store next.",
	}
	place := placeFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		decide := func(n operator) error { return verb(cmd.Context(), n, args[0], *note) }
		if place.api != "" {
			return operateRemote(cmd, place.api, args[0], decide)
		}
		return operate(cmd, app, *place.store, args[0], decide)
	}
	return cmd, note
}

// operator is who carries out what a person decided.
type operator interface {
	Cancel(ctx context.Context, id, reason string) error
	Retry(ctx context.Context, id, note string) error
	Skip(ctx context.Context, id, step, note string) error
	Abandon(ctx context.Context, id, note string) error
}

// operateRemote gives a decision to a running node.
func operateRemote(cmd *cobra.Command, api, id string, verb func(operator) error) error {
	r, err := dial(api)
	if err != nil {
		return err
	}
	if err := verb(r); err != nil {
		return err
	}
	info, err := r.Get(cmd.Context(), id)
	if err != nil {
		return err
	}
	fmt.Fprint(cmd.OutOrStdout(), timeline(info))
	return nil
}

// operate gives a decision to a node that does nothing but store it. A node that lives elsewhere would not hear of it, and is not gone behind.
func operate(cmd *cobra.Command, app App, store, id string, verb func(operator) error) (err error) {
	ctx := cmd.Context()
	n, err := sagaz.Open(ctx, sagaz.Config{
		Store: store, Sagas: app.Sagas, Paused: true,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), // what goes wrong is returned
	})
	if errors.Is(err, sagaz.ErrInUse) {
		return fmt.Errorf("the node of this store is running elsewhere: operator commands on its sagas must be given to that node "+
			"(with --api, or Retry, Skip, Abandon and Cancel of sagaz.Node), or to this command once it has stopped: %w", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close(ctx)) }()
	if err := verb(n); err != nil {
		return err
	}
	info, err := n.Get(ctx, id)
	if err != nil {
		return err
	}
	fmt.Fprint(cmd.OutOrStdout(), timeline(info))
	if info.EndedAt.IsZero() {
		fmt.Fprintln(cmd.OutOrStdout(), "stored; the node that opens this store next carries it out")
	}
	return nil
}
