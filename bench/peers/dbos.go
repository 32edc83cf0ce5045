package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	"github.com/jackc/pgx/v5/pgxpool"
)

// dbosEngine is measured with several sizes of its pool of connections to Postgres, since which is best depends on the machine.
type dbosEngine struct {
	conns int32
	pool  *pgxpool.Pool
	dbos  dbos.Context
	do    *participants
}

func dbosPeer(conns int32) peer {
	return peer{
		name: fmt.Sprintf("dbos-%d", conns), module: "github.com/dbos-inc/dbos-transact-golang",
		setting: fmt.Sprintf("a workflow with a step for each call, in the same process; %d connections", conns),
		make:    func() engine { return &dbosEngine{conns: conns} },
	}
}

func (e *dbosEngine) open(ctx context.Context, store string, do *participants) error {
	config, err := pgxpool.ParseConfig(store)
	if err != nil {
		return err
	}
	config.MaxConns = e.conns
	if e.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return err
	}
	e.do = do
	e.dbos, err = dbos.NewContext(ctx, dbos.Config{
		AppName: "peers", SystemDBPool: e.pool, ApplicationVersion: "1",
		Logger: slog.New(slog.DiscardHandler), // its pollers log errors while it shuts down
	})
	if err != nil {
		return err
	}
	dbos.RegisterWorkflow(e.dbos, e.placeOrder, dbos.WithWorkflowName("order"))
	return dbos.Launch(e.dbos)
}

func (e *dbosEngine) placeOrder(ctx dbos.Context, o order) (string, error) {
	step := func(name string, do func(order) error) error {
		_, err := dbos.RunAsStep(ctx, func(context.Context) (string, error) { return "", do(o) }, dbos.WithStepName(name))
		return err
	}
	if err := step("reserve", e.do.reserve); err != nil {
		return "", err
	}
	if err := step("charge", e.do.charge); err != nil {
		return "", err
	}
	rejected := step("ship", e.do.ship)
	if rejected == nil {
		return completed, nil
	}
	if err := errors.Join(step("refund", e.do.refund), step("release", e.do.release)); err != nil {
		return "", err
	}
	return compensated, nil
}

func (e *dbosEngine) saga(_ context.Context, o order) error {
	h, err := dbos.RunWorkflow(e.dbos, e.placeOrder, o, dbos.WithWorkflowID(o.ID))
	if err != nil {
		return err
	}
	end, err := h.GetResult()
	if err != nil {
		return err
	}
	return o.ended(end)
}

func (*dbosEngine) servers() []int { return nil }

func (e *dbosEngine) close(context.Context) error {
	var err error
	if e.dbos != nil {
		err = dbos.Shutdown(e.dbos, 30*time.Second)
	}
	if e.pool != nil {
		e.pool.Close()
	}
	return err
}
