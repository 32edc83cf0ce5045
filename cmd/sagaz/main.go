// Command sagaz is the command line over a store of sagas, with a demo.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/sagaz/sagaz/cli"
	"github.com/sagaz/sagaz/examples/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal asks for an orderly end, a second one ends the process
	app := cli.App{Name: "sagaz", Sagas: demo.Sagas(), Participants: demo.Participants, Demo: demo.New()}
	err := cli.New(app).ExecuteContext(ctx)
	stop()
	if err != nil {
		os.Exit(1) // cobra has printed it
	}
}
