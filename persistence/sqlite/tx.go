package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/sagaz/sagaz/persistence"
)

// fenced runs fn in a transaction of a member that is alive. An error of the transaction itself leaves the outcome open.
func (s *Store) fenced(ctx context.Context, fn func(tx *sql.Tx, member int64) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	member := s.member.Load()
	var alive bool
	err = tx.QueryRowContext(ctx, `SELECT alive FROM members WHERE id = ?`, member).Scan(&alive)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !alive {
		return fmt.Errorf("member %d: %w", member, persistence.ErrFenced)
	}
	if err != nil {
		return err
	}
	if err := fn(tx, member); err != nil {
		return verdict(err)
	}
	return verdict(tx.Commit())
}

// each runs one prepared statement for n rows.
func each(ctx context.Context, tx *sql.Tx, query string, n int, args func(i int) []any, done func(i int, rows int64)) error {
	if n == 0 {
		return nil
	}
	stmt, err := tx.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for i := range n {
		res, err := stmt.ExecContext(ctx, args(i)...)
		if err != nil {
			return err
		}
		if done != nil {
			rows, err := res.RowsAffected()
			if err != nil {
				return err
			}
			done(i, rows)
		}
	}
	return nil
}

// verdict marks the errors that sending the same data again cannot change.
func verdict(err error) error {
	switch code(err) {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE:
		return &persistence.RejectedError{Err: err}
	}
	return err
}

// code is SQLite's primary result code, 0 if the error is not one of SQLite's.
func code(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}

func isConstraint(err error) bool { return code(err) == sqlite3.SQLITE_CONSTRAINT }
