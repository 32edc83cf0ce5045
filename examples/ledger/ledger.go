// Package ledger is the database of the examples' participants: stock, money, parcels and bookings that can be counted. One type with two
// engines, so that it matches the saga store: SQLite by database/sql, Postgres by pgx.
package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "modernc.org/sqlite" // the engine "sqlite"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/messages"
)

// Ledger is an open ledger: either pool or db is set.
type Ledger struct {
	pool *pgxpool.Pool
	db   *sql.DB
}

// schema has no unique keys: an effect that happens twice must show in the books, not fail.
const schema = `
CREATE TABLE IF NOT EXISTS reservations (key text NOT NULL, saga text NOT NULL, sku text NOT NULL, quantity integer NOT NULL, state text NOT NULL);
CREATE TABLE IF NOT EXISTS charges (key text NOT NULL, saga text NOT NULL, card text NOT NULL, cents bigint NOT NULL);
CREATE TABLE IF NOT EXISTS shipments (key text NOT NULL, saga text NOT NULL, tracking text NOT NULL);
CREATE TABLE IF NOT EXISTS bookings (key text NOT NULL, saga text NOT NULL, what text NOT NULL, state text NOT NULL);
CREATE INDEX IF NOT EXISTS reservations_key ON reservations (key);
CREATE INDEX IF NOT EXISTS bookings_key ON bookings (key);`

// Open opens the ledger that stands beside a saga store, and makes its tables. With Postgres they are in the same database, in the schema
// of that name; with SQLite in a file beside the store's; with a memory store in memory.
func Open(ctx context.Context, store, name string) (*Ledger, error) {
	if path, ok := strings.CutPrefix(store, "sqlite://"); ok {
		return openSQLite(ctx, filePath(path, name))
	}
	if store == "memory:" {
		return openSQLite(ctx, ":memory:")
	}
	return openPostgres(ctx, store, name)
}

// Drop removes the ledger beside a saga store, and with it what its inbox remembers. It must not be open.
func Drop(ctx context.Context, store, name string) error {
	if store == "memory:" {
		return nil
	}
	if path, ok := strings.CutPrefix(store, "sqlite://"); ok {
		return dropSQLite(ctx, filePath(path, name))
	}
	conn, err := pgx.Connect(ctx, store)
	if err != nil {
		return fmt.Errorf("drop ledger: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{name}.Sanitize()+" CASCADE"); err != nil {
		return fmt.Errorf("drop ledger: %w", err)
	}
	return nil
}

func openPostgres(ctx context.Context, dsn, name string) (*Ledger, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("open ledger: the store is no Postgres DSN") // the text of err may show the password
	}
	cfg.MaxConns = 16
	cfg.ConnConfig.RuntimeParams["search_path"] = pgx.Identifier{name}.Sanitize()
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		// Processes that open it at the same time wait for each other: IF NOT EXISTS itself fails when two race.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext($1))", "ledger "+name); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{name}.Sanitize()); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, schema)
		return err
	})
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	return &Ledger{pool: pool}, nil
}

// Close releases the database.
func (l *Ledger) Close() error {
	if l.pool != nil {
		l.pool.Close()
		return nil
	}
	return l.db.Close()
}

// Inbox is the option that a participant needs whose handlers are given to Handle.
func (l *Ledger) Inbox() sagaz.ParticipantOption {
	if l.pool != nil {
		return sagaz.Inbox(l.pool)
	}
	return sagaz.SQLInbox(l.db)
}

// Handle serves a command in a transaction of the ledger: sagaz.HandleTx or sagaz.HandleSQLTx, whichever the engine asks for.
func Handle[C, R any](l *Ledger, p *sagaz.Participant, cmd messages.Command[C, R], handler func(context.Context, Tx, sagaz.Delivery[C]) (R, error)) {
	if l.pool != nil {
		sagaz.HandleTx(p, cmd, func(ctx context.Context, tx pgx.Tx, d sagaz.Delivery[C]) (R, error) {
			return handler(ctx, pgxTx{tx}, d)
		})
		return
	}
	sagaz.HandleSQLTx(p, cmd, func(ctx context.Context, tx *sql.Tx, d sagaz.Delivery[C]) (R, error) {
		return handler(ctx, sqlTx{tx}, d)
	})
}
