// Command program is the sagaz command line for the tests of this folder: the demo's definitions and walks, and a command that puts load on a cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/cli"
	"github.com/sagaz/sagaz/examples/demo"
	"github.com/sagaz/sagaz/internal/clustertest/walk"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/nats"
)

// versionsEnv names the versions of the definition walk that this process knows, e.g. "1,2".
const versionsEnv = "SAGAZ_TEST_WALKS"

// viaEnv names the URL of a broker: the participant walker is behind its topics.
const viaEnv = "SAGAZ_TEST_VIA"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	root := cli.New(cli.App{Sagas: definitions(), Participants: participants})
	root.AddCommand(loadCommand())
	err := root.ExecuteContext(ctx)
	stop()
	if err != nil {
		os.Exit(1)
	}
}

func definitions() []sagaz.AnyDefinition {
	all := demo.Sagas()
	for v := range strings.SplitSeq(os.Getenv(versionsEnv), ",") {
		switch v {
		case "1":
			all = append(all, walk.V1)
		case "2":
			all = append(all, walk.V2)
		}
	}
	return all
}

func participants(ctx context.Context, store string) ([]*sagaz.Participant, func() error, error) {
	all, closed, err := demo.Participants(ctx, store)
	if err != nil {
		return nil, nil, fmt.Errorf("the demo's participants: %w", err)
	}
	url := os.Getenv(viaEnv)
	if url == "" {
		return append(all, walk.Walker()), closed, nil
	}
	b, err := nats.Open(ctx, url, transport.Options{Group: "nodes", Parallel: 8, AckWait: 2 * time.Second})
	if err != nil {
		return nil, nil, errors.Join(err, closed())
	}
	return append(all, walk.Distant(b)), func() error { return errors.Join(b.Close(), closed()) }, nil
}
