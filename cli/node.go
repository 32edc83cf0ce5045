package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sagaz/sagaz"
)

// nodeOptions are the flags of the command node.
type nodeOptions struct {
	store   *string
	drain   time.Duration
	migrate bool
	api     apiOptions
}

// readyLine is what a node prints once it works.
const readyLine = "ready"

func nodeCommand(app App) *cobra.Command {
	o := &nodeOptions{}
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run a node",
		Long: "Run a node until it is told to stop (SIGTERM or ^C): it finishes what its handlers are doing, and exits 0. A second signal " +
			"ends it at once. It prints \"" + readyLine + "\" when it works.",
		Args: cobra.NoArgs,
	}
	o.store = storeFlag(cmd)
	f := cmd.Flags()
	f.DurationVar(&o.drain, "drain-timeout", 10*time.Second, "how long the way out may take")
	f.BoolVar(&o.migrate, "migrate", false, "bring the schema to this binary's version first")
	o.api.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runNode(cmd, app, o) }
	return cmd
}

func runNode(cmd *cobra.Command, app App, o *nodeOptions) (err error) {
	ctx := cmd.Context()
	cfg := sagaz.Config{Store: *o.store, Migrate: o.migrate, DrainTimeout: o.drain, Sagas: app.Sagas}
	if err := o.api.apply(cmd, &cfg); err != nil {
		return err
	}
	if app.Participants != nil {
		all, closed, failed := app.Participants(ctx, *o.store)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, closed()) }()
		cfg.Participants = all
	}
	node, err := sagaz.Open(ctx, cfg)
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), strings.TrimSpace(readyLine+" "+node.APIAddr()))
	select {
	case <-ctx.Done():
	case <-node.Lost():
		err = errors.New("another node has taken this one's place")
	}
	return errors.Join(err, node.Close(context.WithoutCancel(ctx)))
}
