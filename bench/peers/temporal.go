package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	temporallog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const (
	temporalVersion = "v1.32.1"
	temporalPollers = 8
	temporalQueue   = "orders"
)

var temporalServer = fmt.Sprintf("one server with all services on Postgres, %d history shards, %d connections; a worker in this process with %d pollers of workflows and "+
	"of activities; eager starts", temporalShards, temporalConns, temporalPollers)

// temporalEngine runs steps as activities, or as local ones. Those promise less: what they brought is on disk when the workflow
// waits for something else, here at its end, not before the next one starts.
type temporalEngine struct {
	external
	local  bool
	client client.Client
	worker worker.Worker
}

func temporalPeers() []peer {
	return []peer{
		{name: "temporal", version: temporalVersion, setting: temporalServer + "; an activity for each call", make: func() engine { return new(temporalEngine) }},
		{
			name: "temporal-local", version: temporalVersion, setting: temporalServer + "; a local activity for each call, which promises less: nothing is on disk before the end",
			make: func() engine { return &temporalEngine{local: true} },
		},
	}
}

func (e *temporalEngine) open(ctx context.Context, store string, do *participants) error {
	frontend, err := e.launchTemporal(ctx, store)
	if err != nil {
		return err
	}
	options := client.Options{HostPort: frontend, Namespace: temporalSpace, Logger: temporallog.NewStructuredLogger(slog.New(slog.DiscardHandler))}
	if err := e.until(ctx, func(ctx context.Context) error { return temporalNamespace(ctx, options) }); err != nil {
		return err
	}
	if e.client, err = client.DialContext(ctx, options); err != nil {
		return err
	}
	e.worker = worker.New(e.client, temporalQueue, worker.Options{
		MaxConcurrentActivityTaskPollers: temporalPollers, MaxConcurrentWorkflowTaskPollers: temporalPollers,
	})
	e.worker.RegisterWorkflowWithOptions(e.placeOrder, workflow.RegisterOptions{Name: "order"})
	for name, step := range map[string]func(order) error{
		"reserve": do.reserve, "charge": do.charge, "ship": do.ship, "refund": do.refund, "release": do.release,
	} {
		e.worker.RegisterActivityWithOptions(func(_ context.Context, o order) error {
			err := step(o)
			if errors.Is(err, errRejected) {
				err = temporal.NewNonRetryableApplicationError(err.Error(), "rejected", nil)
			}
			return err
		}, activity.RegisterOptions{Name: name})
	}
	if err := e.worker.Start(); err != nil {
		return err
	}
	// A new namespace reaches the server's caches with a delay.
	return e.until(ctx, func(ctx context.Context) error { return e.saga(ctx, order{ID: unique("first")}) })
}

func (e *temporalEngine) placeOrder(ctx workflow.Context, o order) (string, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: time.Minute})
	execute := workflow.ExecuteActivity
	if e.local {
		execute = workflow.ExecuteLocalActivity
	}
	step := func(name string) error { return execute(ctx, name, o).Get(ctx, nil) }
	if err := step("reserve"); err != nil {
		return "", err
	}
	if err := step("charge"); err != nil {
		return "", err
	}
	if step("ship") == nil {
		return completed, nil
	}
	if err := errors.Join(step("refund"), step("release")); err != nil {
		return "", err
	}
	return compensated, nil
}

func (e *temporalEngine) saga(ctx context.Context, o order) error {
	started, err := e.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: o.ID, TaskQueue: temporalQueue, EnableEagerStart: true}, "order", o)
	if err != nil {
		return err
	}
	var end string
	if err := started.Get(ctx, &end); err != nil {
		return err
	}
	return o.ended(end)
}

func (e *temporalEngine) close(context.Context) error {
	if e.worker != nil {
		e.worker.Stop()
	}
	if e.client != nil {
		e.client.Close()
	}
	return e.end()
}
