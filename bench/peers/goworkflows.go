package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cschleiden/go-workflows/backend"
	"github.com/cschleiden/go-workflows/backend/postgres"
	"github.com/cschleiden/go-workflows/client"
	"github.com/cschleiden/go-workflows/worker"
	"github.com/cschleiden/go-workflows/workflow"
)

// gowfConns are enough for every poller and what they found.
const gowfConns = 64

// gowfEngine has so many pollers of workflows, and as many of activities. Each looks again when so long nothing was there: often
// is soon, and costs.
type gowfEngine struct {
	pollers int
	polling time.Duration
	db      *sql.DB
	backend backend.Backend
	client  *client.Client
	worker  *worker.Worker
	cancel  context.CancelFunc
}

func gowfPeer(name string, pollers int, polling time.Duration) peer {
	return peer{
		name: name, module: "github.com/cschleiden/go-workflows",
		setting: fmt.Sprintf("its Postgres backend, an activity for each call, in the same process; %d pollers of workflows and as many of activities, that look again after %v; %d connections",
			pollers, polling, gowfConns),
		make: func() engine { return &gowfEngine{pollers: pollers, polling: polling} },
	}
}

// gowfSteps are the activities: go-workflows registers the methods of a struct under their names.
type gowfSteps struct{ do *participants }

func (s *gowfSteps) Reserve(_ context.Context, o order) (string, error) { return "", s.do.reserve(o) }

func (s *gowfSteps) Charge(_ context.Context, o order) (string, error) { return "", s.do.charge(o) }

func (s *gowfSteps) Ship(_ context.Context, o order) (string, error) { return "", s.do.ship(o) }

func (s *gowfSteps) Refund(_ context.Context, o order) (string, error) { return "", s.do.refund(o) }

func (s *gowfSteps) Release(_ context.Context, o order) (string, error) { return "", s.do.release(o) }

func gowfOrder(ctx workflow.Context, o order) (string, error) {
	step := func(activity any) error {
		once := workflow.ActivityOptions{RetryOptions: workflow.RetryOptions{MaxAttempts: 1}}
		_, err := workflow.ExecuteActivity[string](ctx, once, activity, o).Get(ctx)
		return err
	}
	var s *gowfSteps
	if err := step(s.Reserve); err != nil {
		return "", err
	}
	if err := step(s.Charge); err != nil {
		return "", err
	}
	if step(s.Ship) == nil {
		return completed, nil
	}
	if err := errors.Join(step(s.Refund), step(s.Release)); err != nil {
		return "", err
	}
	return compensated, nil
}

func (e *gowfEngine) open(ctx context.Context, store string, do *participants) error {
	var err error
	if e.db, err = sql.Open("pgx", store); err != nil {
		return err
	}
	e.db.SetMaxOpenConns(gowfConns)
	e.db.SetMaxIdleConns(gowfConns)
	e.backend = postgres.NewPostgresBackendWithDB(e.db, postgres.WithApplyMigrations(true),
		postgres.WithBackendOptions(backend.WithLogger(slog.New(slog.DiscardHandler))))
	options := worker.DefaultOptions
	options.WorkflowPollers, options.ActivityPollers = e.pollers, e.pollers
	options.WorkflowPollingInterval, options.ActivityPollingInterval = e.polling, e.polling
	options.WorkflowExecutorCacheSize = 8192 // more than any level has in flight
	e.worker = worker.New(e.backend, &options)
	if err := errors.Join(e.worker.RegisterWorkflow(gowfOrder), e.worker.RegisterActivity(&gowfSteps{do})); err != nil {
		return err
	}
	e.client = client.New(e.backend)
	ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return e.worker.Start(ctx)
}

func (e *gowfEngine) saga(ctx context.Context, o order) error {
	started, err := e.client.CreateWorkflowInstance(ctx, client.WorkflowInstanceOptions{InstanceID: o.ID}, gowfOrder, o)
	if err != nil {
		return err
	}
	end, err := client.GetWorkflowResult[string](ctx, e.client, started, time.Minute)
	if err != nil {
		return err
	}
	return o.ended(end)
}

func (*gowfEngine) servers() []int { return nil }

func (e *gowfEngine) close(context.Context) error {
	var err error
	if e.cancel != nil {
		e.cancel()
		err = e.worker.WaitForCompletion()
	}
	if e.db != nil {
		err = errors.Join(err, e.db.Close())
	}
	return err
}
