package inbox

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Once runs fn unless the consumer has processed the message of this id, and records that it has, all in the caller's transaction: what fn writes through tx
// and the record commit together, when the caller commits. Another delivery of the message that is under way is waited for.
//
// The id is any text of up to 1024 bytes. The time in a UUIDv7 is what the window is judged by: ErrExpired for one that is older than what Maintain keeps, or
// days ahead. Other ids are recognised for as long as Maintain keeps them; afterwards they are new.
//
// An error rolls tx back: nothing is recorded. tx must be READ COMMITTED, which is Postgres' default; Migrate makes the tables.
func Once(ctx context.Context, tx pgx.Tx, consumer, id string, fn func(context.Context) error) (ran bool, err error) {
	ran, err = OnceIn(ctx, pgxMessages{tx}, consumer, id, fn)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_ = tx.Rollback(ctx) // otherwise the record could be committed without the effect
	}
	return ran, err
}

// OnceSQL is Once for database/sql, on SQLite or Postgres.
func OnceSQL(ctx context.Context, tx *sql.Tx, d Dialect, consumer, id string, fn func(context.Context) error) (ran bool, err error) {
	if err := d.validate(); err != nil {
		return false, err
	}
	ran, err = OnceIn(ctx, sqlMessages{tx, d}, consumer, id, fn)
	if err != nil {
		_ = tx.Rollback()
	}
	return ran, err
}

// Messages are the tables of processed messages, seen through a transaction.
type Messages interface {
	// Insert records a message unless it is recorded. It waits for a transaction that is recording the same. ErrExpired.
	Insert(ctx context.Context, consumer string, id MessageID) (inserted bool, err error)
}

// OnceIn is Once for tables of one's own.
func OnceIn(ctx context.Context, m Messages, consumer, id string, fn func(context.Context) error) (ran bool, err error) {
	key, err := newMessageID(consumer, id)
	if err != nil {
		return false, err
	}
	inserted, err := m.Insert(ctx, consumer, key)
	if err != nil {
		return false, fmt.Errorf("inbox: record message %s for consumer %s: %w", id, consumer, err)
	}
	if !inserted {
		return false, nil
	}
	if err := fn(ctx); err != nil {
		return false, err
	}
	return true, nil
}
