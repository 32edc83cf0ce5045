package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/inbox"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/brokers"
)

// heartbeat and expiry of members: short, so that faults are longer.
const (
	heartbeat = 500 * time.Millisecond
	expiry    = 3 * time.Second
)

// build tells two builds of this program apart: "new" knows version 2 of the saga too. It is set when it is linked.
var build = "old"

// nodeFlags is what a node's process is told.
type nodeFlags struct {
	store, ledger, broker, listen, advertise string
	hosts                                    bool // participants alone
}

func runNode(ctx context.Context, f nodeFlags) (err error) {
	cfg := sagaz.Config{
		Store:   f.store,
		Cluster: &sagaz.Cluster{Listen: f.listen, Advertise: f.advertise, Heartbeat: heartbeat, Expiry: expiry},
		Events:  sagaz.Events{Types: []string{"saga.started", "saga.compensating", "saga.completed", "saga.compensated", "saga.abandoned"}},
		Logger:  slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	if f.hosts {
		pool, failed := openLedger(ctx, f.ledger)
		if failed != nil {
			return failed
		}
		defer pool.Close()
		cfg.Participants = participants(pool)
	} else {
		cfg.Sagas = []sagaz.AnyDefinition{definitions[0]}
		if build == "new" {
			cfg.Sagas = append(cfg.Sagas, definitions[1])
		}
		b, failed := brokers.Open(ctx, f.broker, transport.Options{})
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, b.Close()) }()
		cfg.Publisher = b.Publisher
	}
	node, err := sagaz.Open(ctx, cfg)
	if err != nil {
		return err
	}
	fmt.Println("ready", build)
	<-ctx.Done()
	return node.Close(context.WithoutCancel(ctx))
}

func openLedger(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, `SELECT pg_advisory_xact_lock(1);`+ledgerSchema); err != nil {
		pool.Close()
		return nil, fmt.Errorf("make the ledger: %w", err)
	}
	if err := inbox.Migrate(ctx, pool); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}
