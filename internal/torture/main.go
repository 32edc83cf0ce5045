// Command torture runs a cluster of real processes on a real Postgres with a real broker, hurts all of them for as long as it is told, and then lets
// internal/check compare what clients were told, what participants did, what the store holds and what a consumer received. It exits with status 1 if
// anything cannot be.
//
//	go run ./internal/torture -for 30m
//	go run ./internal/torture -for 2m -faults 'SIGSTOP|commit' -json
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	role := ""
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		role, args = args[0], args[1:]
	}
	f := flag.NewFlagSet("torture", flag.ContinueOnError)
	switch role {
	case "node":
		var n nodeFlags
		f.StringVar(&n.store, "store", "", "")
		f.StringVar(&n.ledger, "ledger", "", "")
		f.StringVar(&n.broker, "broker", "", "")
		f.StringVar(&n.listen, "listen", "", "")
		f.StringVar(&n.advertise, "advertise", "", "")
		f.BoolVar(&n.hosts, "hosts", false, "")
		if err := f.Parse(args); err != nil {
			return err
		}
		return runNode(untilAlone(ctx), n)
	case "broker":
		listen, dir := f.String("listen", "", ""), f.String("dir", "", "")
		if err := f.Parse(args); err != nil {
			return err
		}
		return runBroker(untilAlone(ctx), *listen, *dir)
	case "":
	default:
		return fmt.Errorf("there is no role %q", role)
	}
	var o options
	f.DurationVar(&o.duration, "for", 3*time.Minute, "how long to hurt it")
	f.DurationVar(&o.fault, "fault", 5*time.Second, "how long a fault lasts")
	f.DurationVar(&o.heal, "heal", 5*time.Second, "how long nothing is done between two faults")
	f.IntVar(&o.nodes, "nodes", 4, "how many nodes run sagas")
	f.IntVar(&o.rate, "rate", 25, "how many sagas are started a second")
	f.DurationVar(&o.settle, "settle", 3*time.Minute, "how long it is waited, after the last fault, while no saga ends and no event arrives")
	f.Uint64Var(&o.seed, "seed", 0, "draws the faults and their order; the same seed deals the same ones, at moments of their own (default: a new one each time)")
	f.StringVar(&o.faults, "faults", "", "only faults whose names match this regular expression")
	f.BoolVar(&o.json, "json", false, "print the report as JSON, and what happens to standard error")
	f.StringVar(&o.out, "out", "", "where the report, the history and the logs go (default: a temporary directory, which stays only if something is wrong)")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	return torture(ctx, o)
}

// untilAlone ends when ctx does, or when standard input ends: then the process that started this one is gone.
func untilAlone(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ctx
}
