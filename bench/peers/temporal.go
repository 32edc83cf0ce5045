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
	temporalQueue   = "orders"
)

// temporalEngine runs steps as activities, or as local ones. Those promise less: what they brought is on disk when the workflow
// waits for something else, here at its end, not before the next one starts.
type temporalEngine struct {
	external
	temporalSettings
	client client.Client
	worker worker.Worker
}

// temporalSettings are what was chosen for its server and its worker.
type temporalSettings struct {
	local      bool
	shards     int // of the history
	partitions int // of a queue
	pollers    int // of workflows, and as many of activities; 0: its worker finds out
}

func temporalPeer(name string, s temporalSettings) peer {
	pollers, steps := "with the number of pollers left to it", "an activity for each call"
	if s.pollers > 0 {
		pollers = fmt.Sprintf("with %d pollers of workflows and as many of activities", s.pollers)
	}
	if s.local {
		steps = "a local activity for each call, which promises less: nothing is on disk before the end"
	}
	return peer{
		name: name, version: temporalVersion,
		setting: fmt.Sprintf("one server with all services on Postgres, history shards: %d, partitions of a queue: %d, up to %d connections for each service; a worker in this process, %s; eager starts; %s",
			s.shards, s.partitions, temporalConns, pollers, steps),
		make: func() engine { return &temporalEngine{temporalSettings: s} },
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
	e.worker = worker.New(e.client, temporalQueue, e.workerOptions())
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

func (s temporalSettings) workerOptions() worker.Options {
	if s.pollers > 0 {
		return worker.Options{MaxConcurrentActivityTaskPollers: s.pollers, MaxConcurrentWorkflowTaskPollers: s.pollers}
	}
	scaling := worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{})
	return worker.Options{ActivityTaskPollerBehavior: scaling, WorkflowTaskPollerBehavior: scaling}
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
