package main

import (
	"context"
	"math/rand/v2"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sagaz/sagaz/inbox"
	"github.com/sagaz/sagaz/internal/check"
	"github.com/sagaz/sagaz/transport"
)

const (
	topic        = "sagaz.events"
	consumerName = "books"
)

// consumer reads the events of all sagas behind an inbox, and forgets now and then to say that it has.
type consumer struct {
	pool *pgxpool.Pool

	mu       sync.Mutex
	received []check.Received
	seen     map[string]bool
}

func (c *consumer) run(incoming <-chan *message.Message) {
	for m := range incoming {
		c.take(m)
	}
}

func (c *consumer) take(m *message.Message) {
	e, err := transport.FromMessage(topic, m)
	if err != nil {
		m.Nack()
		return
	}
	c.mu.Lock()
	c.received = append(c.received, check.Received{Consumer: consumerName, Saga: e.Subject, Topic: topic, Sequence: e.Sequence, ID: e.ID})
	c.seen[e.ID] = true
	c.mu.Unlock()
	err = pgx.BeginFunc(m.Context(), c.pool, func(tx pgx.Tx) error {
		// Nothing happens to this server: waiting for its disk would only keep the next event waiting.
		if _, err := tx.Exec(m.Context(), `SET LOCAL synchronous_commit = off`); err != nil {
			return err
		}
		_, err := inbox.Once(m.Context(), tx, consumerName, e.ID, func(ctx context.Context) error {
			_, err := tx.Exec(ctx, `INSERT INTO heard (consumer, id) VALUES ($1, $2)`, consumerName, e.ID)
			return err
		})
		return err
	})
	if err != nil || rand.IntN(100) == 0 {
		m.Nack()
		return
	}
	m.Ack()
}

func (c *consumer) has(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[id]
}
