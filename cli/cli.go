// Package cli holds the commands of the sagaz binary. They are made for reuse: a program that has sagas of its own gives them to New and has the
// same commands over them.
package cli

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/sagaz/sagaz"
)

// App is what the commands work on.
type App struct {
	// Name is the program's. Defaults to "sagaz".
	Name string

	// Sagas are the definitions that `graph` draws and that operator verbs carry on. Sagas of others are shown and operated from what is stored.
	Sagas []sagaz.AnyDefinition

	// Participants opens the services that `node` hosts, beside a store, and says how to close what they took. nil: there are none.
	Participants func(ctx context.Context, store string) (list []*sagaz.Participant, closed func() error, err error)

	// Demo is what `demo` runs. nil: there is no such command.
	Demo *Demo
}

// storeEnv names the variable that gives --store its default.
const storeEnv = "SAGAZ_STORE"

const defaultStore = "sqlite://sagaz.db"

// New returns the root command. Its Execute returns the error that has been printed.
func New(app App) *cobra.Command {
	if app.Name == "" {
		app.Name = "sagaz"
	}
	root := &cobra.Command{
		Use:           app.Name,
		Short:         "Sagas that end: completed, compensated, or visibly stuck",
		SilenceUsage:  true, // an error of the work itself is not helped by the usage
		SilenceErrors: false,
	}
	root.AddCommand(
		nodeCommand(app), migrateCommand(), listCommand(), showCommand(), graphCommand(app), versionCommand(),
		retryCommand(app), skipCommand(app), abandonCommand(app), cancelCommand(app),
		clusterCommand(), startCommand(), watchCommand(), membersCommand(), auditCommand(), logLevelCommand(),
		outboxCommand(), deadCommand(), eventsCommand(),
	)
	if app.Demo != nil {
		root.AddCommand(demoCommand(app.Demo), demoWorkerCommand(app.Demo))
	}
	return root
}

// storeFlag adds --store to a command.
func storeFlag(cmd *cobra.Command) *string {
	store := os.Getenv(storeEnv)
	if store == "" {
		store = defaultStore
	}
	return cmd.Flags().String("store", store, "where the sagas are: postgres://… or sqlite:///path/to/file.db (default from "+storeEnv+")")
}

// reader is what commands ask that only look: a store, or a node.
type reader interface {
	Get(ctx context.Context, id string) (*sagaz.Info, error)
	List(ctx context.Context, o sagaz.ListOptions) ([]sagaz.Summary, error)
	Audit(ctx context.Context, o sagaz.AuditOptions) ([]sagaz.AuditEntry, error)
}

// inspect runs fn on a node, or on a store opened for reading.
func inspect(ctx context.Context, from *place, fn func(reader) error) error {
	if from.api != "" {
		r, err := dial(from.api)
		if err != nil {
			return err
		}
		return fn(r)
	}
	i, err := sagaz.Inspect(ctx, *from.store)
	if err != nil {
		return err
	}
	defer func() { _ = i.Close() }() // it was only read
	return fn(i)
}
