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
		migrateCommand(), listCommand(), showCommand(), graphCommand(app), versionCommand(),
		retryCommand(app), skipCommand(app), abandonCommand(app), cancelCommand(app),
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

// inspect runs fn on a store opened for reading.
func inspect(ctx context.Context, store string, fn func(*sagaz.Inspector) error) error {
	i, err := sagaz.Inspect(ctx, store)
	if err != nil {
		return err
	}
	defer func() { _ = i.Close() }() // it was only read
	return fn(i)
}
