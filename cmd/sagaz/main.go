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
	err := cli.New(cli.App{Name: "sagaz", Sagas: demo.Sagas(), Demo: demo.New()}).ExecuteContext(ctx)
	stop()
	if err != nil {
		os.Exit(1) // cobra has printed it
	}
}
