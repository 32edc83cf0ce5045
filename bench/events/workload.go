package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/parallel"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/transport"
)

type nothing struct{}

var act = messages.NewCommand[nothing, nothing]("bench.act")

var three = sagaz.Define("bench.events", func(s *sagaz.Builder[nothing, messages.None]) {
	pass := func(nothing, sagaz.Results) nothing { return nothing{} }
	a := sagaz.Step(s, "a", act, pass)
	b := sagaz.Step(s, "b", act, pass, sagaz.After(a))
	sagaz.Step(s, "c", act, pass, sagaz.After(b))
})

// workload is what runs: sagas of three steps.
type workload struct {
	store   string
	effects *pgxpool.Pool // where each step stores something; nil: steps do nothing
}

func newWorkload(ctx context.Context, store string, effects bool) (*workload, error) {
	w := &workload{store: store}
	if err := sagaz.Migrate(ctx, store); err != nil || !effects {
		return w, err
	}
	pool, err := pgxpool.New(ctx, store)
	if err != nil {
		return nil, fmt.Errorf("effects need a Postgres: %w", err)
	}
	if _, err := pool.Exec(ctx, "CREATE TABLE IF NOT EXISTS bench_effects (saga text, step text)"); err != nil {
		pool.Close()
		return nil, fmt.Errorf("make the table of effects: %w", err)
	}
	w.effects = pool
	return w, nil
}

func (w *workload) close() {
	if w.effects != nil {
		w.effects.Close()
	}
}

func (w *workload) participant() *sagaz.Participant {
	if w.effects == nil {
		p := sagaz.NewParticipant("bench", sagaz.QueueLimit(4096))
		sagaz.Handle(p, act, func(context.Context, sagaz.Delivery[nothing]) (nothing, error) { return nothing{}, nil })
		return p
	}
	p := sagaz.NewParticipant("bench", sagaz.QueueLimit(4096), sagaz.Inbox(w.effects))
	sagaz.HandleTx(p, act, func(ctx context.Context, tx pgx.Tx, d sagaz.Delivery[nothing]) (nothing, error) {
		_, err := tx.Exec(ctx, "INSERT INTO bench_effects VALUES ($1, $2)", d.SagaID, d.Step)
		return nothing{}, err
	})
	return p
}

func (w *workload) open(ctx context.Context, pub transport.Publisher, events sagaz.Events) (*sagaz.Node, error) {
	return sagaz.Open(ctx, sagaz.Config{
		Store: w.store, Sagas: []sagaz.AnyDefinition{three}, Participants: []*sagaz.Participant{w.participant()}, Publisher: pub, Events: events,
	})
}

// runSagas runs sagas, up to concurrency of them at a time. pace is called before each.
func runSagas(ctx context.Context, node *sagaz.Node, sagas, concurrency int, pace func(i int)) error {
	prefix := fmt.Sprint(time.Now().UnixNano(), "-")
	return parallel.Each(sagas, concurrency, func(i int) error {
		pace(i)
		h, err := three.Start(ctx, node, fmt.Sprint(prefix, i), nothing{})
		if err == nil {
			_, err = h.Wait(ctx)
		}
		return err
	})
}
