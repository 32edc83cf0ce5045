package transport

import (
	"context"
	"database/sql"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// laneOf is how a partition key finds its lane: as a saga's id finds its shard, so that what is said about a saga goes out where its own events do.
func laneOf(key string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // a hash takes everything
	return h.Sum32()
}

const (
	enqueuePostgres = `INSERT INTO sagaz.outbox (lane, publisher, topic, enqueued_at, data)
		VALUES ($1::bigint % (SELECT count(*) FROM sagaz.shards), '', $2, $3, $4)`
	enqueueSQLite = `INSERT INTO outbox (lane, publisher, topic, enqueued_at, data)
		VALUES (?1 % (SELECT value FROM meta WHERE name = 'shards'), '', ?2, ?3, ?4)`
)

// Enqueue puts an event into the outbox of the store that tx is a transaction of (on Postgres in the schema sagaz): a pgx.Tx, or a *sql.Tx on Postgres
// or SQLite. It is published if, and
// only if, that transaction commits, by the node that owns its lane, within about a second. Events of one partition key are sent one after the other, in
// the order in which they were enqueued if their transactions did not overlap.
//
// Topic, Source and Type must be set. An empty ID becomes a UUIDv7, a zero Time the present, an empty PartitionKey the Subject. What cannot be sent is
// refused here (see Event.Validate). The event as it was enqueued is returned.
func Enqueue(ctx context.Context, tx any, e Event) (Event, error) {
	now := time.Now()
	if err := e.complete(now); err != nil {
		return Event{}, err
	}
	if err := e.Validate(); err != nil {
		return Event{}, fmt.Errorf("enqueue: %w", err)
	}
	data, err := e.Encode()
	if err != nil {
		return Event{}, err
	}
	lane := int64(laneOf(e.PartitionKey))
	switch tx := tx.(type) {
	case pgx.Tx:
		_, err = tx.Exec(ctx, enqueuePostgres, lane, e.Topic, now, data)
	case *sql.Tx:
		err = enqueueSQL(ctx, tx, lane, e.Topic, now, data)
	default:
		err = fmt.Errorf("a %T is no transaction that it knows: give a pgx.Tx or a *sql.Tx", tx)
	}
	if err != nil {
		return Event{}, fmt.Errorf("enqueue event %s for topic %s: %w", e.ID, e.Topic, err)
	}
	return e, nil
}

// enqueueSQL asks the database which one it is, for database/sql does not say: Postgres takes the literal for a number, SQLite for a text.
func enqueueSQL(ctx context.Context, tx *sql.Tx, lane int64, topic string, now time.Time, data []byte) error {
	var isPostgres bool
	if err := tx.QueryRowContext(ctx, `SELECT '1' = 1`).Scan(&isPostgres); err != nil {
		return err
	}
	if isPostgres {
		_, err := tx.ExecContext(ctx, enqueuePostgres, lane, topic, now, data)
		return err
	}
	_, err := tx.ExecContext(ctx, enqueueSQLite, lane, topic, now.UnixMicro(), data)
	return err
}

// complete fills in what an event may leave open.
func (e *Event) complete(now time.Time) error {
	if e.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make an event id: %w", err)
		}
		e.ID = id.String()
	}
	if e.Time.IsZero() {
		e.Time = now
	}
	if e.PartitionKey == "" {
		e.PartitionKey = e.Subject
	}
	return nil
}
