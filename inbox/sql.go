package inbox

import (
	"context"
	"database/sql"
	"errors"
)

// HandleSQL is HandlePgx for database/sql, on SQLite or Postgres.
//
// On SQLite the transaction's first statement is a write, so that it takes the lock at once and never has to upgrade a read lock. Give the DSN a
// busy timeout (modernc.org/sqlite: _pragma=busy_timeout(5000)) and, if handlers' transactions elsewhere read before they write, _txlock=immediate.
// A busy database is a plain error: the command may be retried.
func HandleSQL(ctx context.Context, db *sql.DB, d Dialect, c Command, fn func(ctx context.Context, tx *sql.Tx) (reply []byte, err error)) (Verdict, error) {
	if err := d.validate(); err != nil {
		return Verdict{}, err
	}
	if err := c.validate(); err != nil {
		return Verdict{}, err
	}
	if verdict, ok, err := settled(ctx, sqlRecords{db, d.statements()}, c); ok || err != nil {
		return verdict, err
	}
	tx, err := db.BeginTx(ctx, d.txOptions())
	if err != nil {
		return Verdict{}, c.wrap("begin", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing

	verdict, commit, err := Claim(ctx, sqlRecords{tx, d.statements()}, c, func() ([]byte, error) { return fn(ctx, tx) })
	if err != nil || !commit {
		return verdict, err
	}
	if err := tx.Commit(); err != nil {
		return Verdict{}, c.wrap("commit", err)
	}
	return verdict, nil
}

// sqlQuerier is what a database and a transaction have in common.
type sqlQuerier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// sqlRecords implements records with database/sql.
type sqlRecords struct {
	q sqlQuerier
	s *statements
}

func (r sqlRecords) Insert(ctx context.Context, participant, key string, outcome Outcome) (bool, error) {
	result, err := r.q.ExecContext(ctx, r.s.insert, participant, key, int64(outcome))
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

func (r sqlRecords) Find(ctx context.Context, participant, key string) (Record, error) {
	var row Record
	err := r.q.QueryRowContext(ctx, r.s.find, participant, key).Scan(&row.Outcome, &row.Reply)
	if errors.Is(err, sql.ErrNoRows) {
		return Record{}, nil
	}
	return row, err
}

func (r sqlRecords) SetReply(ctx context.Context, participant, key string, reply []byte) error {
	_, err := r.q.ExecContext(ctx, r.s.setReply, participant, key, reply)
	return err
}
