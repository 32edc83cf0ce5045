package inbox

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Dialect says which database a *sql.DB talks to.
type Dialect int

const (
	// SQLite is SQLite 3.24 or newer.
	SQLite Dialect = iota + 1
	// Postgres is PostgreSQL by any database/sql driver with $1 placeholders.
	Postgres
)

// statements is the SQL of a dialect.
type statements struct {
	create, insert, find, setReply, deleteOlder string
}

var postgresStatements = statements{
	// The lock is there because two CREATE TABLE IF NOT EXISTS at once can fail; all of it is one implicit transaction.
	create: `
SELECT pg_advisory_xact_lock(7352010450118271);
CREATE TABLE IF NOT EXISTS sagaz_handled_commands (
	participant text        NOT NULL,
	key         text        NOT NULL,
	outcome     smallint    NOT NULL CHECK (outcome IN (1, 2)),
	reply       bytea,
	handled_at  timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (participant, key)
);
CREATE INDEX IF NOT EXISTS sagaz_handled_commands_by_age ON sagaz_handled_commands (participant, handled_at);`,
	insert:   `INSERT INTO sagaz_handled_commands (participant, key, outcome) VALUES ($1, $2, $3) ON CONFLICT (participant, key) DO NOTHING`,
	find:     `SELECT outcome, reply FROM sagaz_handled_commands WHERE participant = $1 AND key = $2`,
	setReply: `UPDATE sagaz_handled_commands SET reply = $3 WHERE participant = $1 AND key = $2`,
	deleteOlder: `DELETE FROM sagaz_handled_commands WHERE (participant, key) IN (
	SELECT participant, key FROM sagaz_handled_commands WHERE participant = $1 AND handled_at < $2 ORDER BY handled_at LIMIT $3)`,
}

var sqliteStatements = statements{
	// handled_at is in microseconds since 1970
	create: `
CREATE TABLE IF NOT EXISTS sagaz_handled_commands (
	participant TEXT    NOT NULL,
	key         TEXT    NOT NULL,
	outcome     INTEGER NOT NULL CHECK (outcome IN (1, 2)),
	reply       BLOB,
	handled_at  INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)),
	PRIMARY KEY (participant, key)
);
CREATE INDEX IF NOT EXISTS sagaz_handled_commands_by_age ON sagaz_handled_commands (participant, handled_at);`,
	insert:   `INSERT INTO sagaz_handled_commands (participant, key, outcome) VALUES (?1, ?2, ?3) ON CONFLICT (participant, key) DO NOTHING`,
	find:     `SELECT outcome, reply FROM sagaz_handled_commands WHERE participant = ?1 AND key = ?2`,
	setReply: `UPDATE sagaz_handled_commands SET reply = ?3 WHERE participant = ?1 AND key = ?2`,
	deleteOlder: `DELETE FROM sagaz_handled_commands WHERE (participant, key) IN (
	SELECT participant, key FROM sagaz_handled_commands WHERE participant = ?1 AND handled_at < ?2 ORDER BY handled_at LIMIT ?3)`,
}

func (d Dialect) validate() error {
	if d != SQLite && d != Postgres {
		return fmt.Errorf("inbox: unknown dialect %d: use inbox.SQLite or inbox.Postgres", d)
	}
	return nil
}

func (d Dialect) statements() *statements {
	if d == SQLite {
		return &sqliteStatements
	}
	return &postgresStatements
}

// txOptions asks Postgres for READ COMMITTED whatever its default: under a snapshot of the whole transaction the second delivery of a command
// could not see what the first one stored. SQLite has one writer at a time.
func (d Dialect) txOptions() *sql.TxOptions {
	if d == SQLite {
		return nil
	}
	return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
}

// Migrate makes the tables of handled commands and of processed messages unless they are there, and a window of DefaultWindow unless there is one.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	if _, err := pool.Exec(ctx, Postgres.create()); err != nil {
		return fmt.Errorf("inbox: create the tables: %w", err)
	}
	return maintain(ctx, pool, days{now: time.Now(), window: DefaultWindow, keep: true})
}

// MigrateSQL is Migrate for database/sql.
func MigrateSQL(ctx context.Context, db *sql.DB, d Dialect) error {
	if err := d.validate(); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, d.create()); err != nil {
		return fmt.Errorf("inbox: create the tables: %w", err)
	}
	return maintainSQL(ctx, db, d, days{now: time.Now(), window: DefaultWindow, keep: true})
}

// create is one implicit transaction on Postgres.
func (d Dialect) create() string { return d.statements().create + d.messages().create }
