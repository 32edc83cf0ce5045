package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/sagaz/sagaz/persistence"
)

const (
	insertSaga = `INSERT INTO sagas (id, shard, definition, definition_version, fingerprint, status, version, state, begun, asleep, wake_at,
		started_at, updated_at, ended_at, tags, writer, batch) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`
	insertEntry = `INSERT INTO journal (saga_id, version, writer, batch, data) VALUES (?, ?, ?, ?, ?)`
	wakeSaga    = `UPDATE sagas SET asleep = 0, begun = 1, wake_at = 0 WHERE id = ?`
	updateSaga  = `UPDATE sagas SET status = ?, version = ?, state = ?, begun = ?, asleep = ?, wake_at = ?, updated_at = ?, ended_at = ?, tags = ?
		WHERE id = ? AND version <= ?`
	trimJournal = `DELETE FROM journal WHERE saga_id = ? AND version <= ?`
)

// Commit implements persistence.Store.
func (s *Store) Commit(ctx context.Context, b *persistence.Batch) ([]int, error) {
	var duplicates []int
	err := s.fenced(ctx, func(tx *sql.Tx, member int64) (err error) {
		if duplicates, err = s.insertStarts(ctx, tx, b, member); err != nil {
			return err
		}
		if err := s.appendEntries(ctx, tx, b, member); err != nil {
			return err
		}
		return each(ctx, tx, wakeSaga, len(b.Wakes), func(i int) []any { return []any{b.Wakes[i]} }, nil)
	})
	if err != nil {
		return nil, err
	}
	return duplicates, nil
}

// Checkpoint implements persistence.Store.
func (s *Store) Checkpoint(ctx context.Context, sagas []persistence.Saga) error {
	return s.fenced(ctx, func(tx *sql.Tx, _ int64) error {
		err := each(ctx, tx, updateSaga, len(sagas), func(i int) []any {
			r := &sagas[i]
			return []any{
				r.Status, int64(r.Version), r.State, r.Begun, r.Asleep, micros(r.WakeAt), micros(r.UpdatedAt), micros(r.EndedAt), tags(r.Tags),
				r.ID, int64(r.Version),
			}
		}, nil)
		if err != nil {
			return err
		}
		return each(ctx, tx, trimJournal, len(sagas), func(i int) []any { return []any{sagas[i].ID, int64(sagas[i].Version)} }, nil)
	})
}

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
		return err
	}
	return tx.Commit()
}

func (s *Store) insertStarts(ctx context.Context, tx *sql.Tx, b *persistence.Batch, member int64) ([]int, error) {
	var taken []int
	err := each(ctx, tx, insertSaga, len(b.Starts), func(i int) []any {
		r := &b.Starts[i]
		return []any{
			r.ID, r.Shard, r.Definition, r.DefinitionVersion, r.Fingerprint, r.Status, int64(r.Version), r.State, r.Begun, r.Asleep,
			micros(r.WakeAt), micros(r.StartedAt), micros(r.UpdatedAt), micros(r.EndedAt), tags(r.Tags), member, int64(b.ID),
		}
	}, func(i int, rows int64) {
		if rows == 0 {
			taken = append(taken, i)
		}
	})
	if err != nil || len(taken) == 0 {
		return nil, err
	}
	return s.duplicates(ctx, tx, b, member, taken)
}

// duplicates leaves out of taken what this very batch inserted when it was sent before.
func (s *Store) duplicates(ctx context.Context, tx *sql.Tx, b *persistence.Batch, member int64, taken []int) ([]int, error) {
	first := map[string]int{}
	for i := range b.Starts {
		if _, ok := first[b.Starts[i].ID]; !ok {
			first[b.Starts[i].ID] = i
		}
	}
	var duplicates []int
	for _, i := range taken {
		var own bool
		id := b.Starts[i].ID
		if err := tx.QueryRowContext(ctx, `SELECT writer = ? AND batch = ? FROM sagas WHERE id = ?`, member, int64(b.ID), id).Scan(&own); err != nil {
			return nil, err
		}
		if !own || first[id] != i {
			duplicates = append(duplicates, i)
		}
	}
	return duplicates, nil
}

func (s *Store) appendEntries(ctx context.Context, tx *sql.Tx, b *persistence.Batch, member int64) error {
	done := 0
	err := each(ctx, tx, insertEntry, len(b.Entries), func(i int) []any {
		e := &b.Entries[i]
		return []any{e.SagaID, int64(e.Version), member, int64(b.ID), e.Data}
	}, func(i int, _ int64) { done = i + 1 })
	if !isConstraint(err) {
		return err
	}
	for i := range b.Entries { // a batch sent again finds all of its own rows; anything else is a conflict
		e := &b.Entries[i]
		var own bool
		err := tx.QueryRowContext(ctx, `SELECT writer = ? AND batch = ? FROM journal WHERE saga_id = ? AND version = ?`,
			member, int64(b.ID), e.SagaID, int64(e.Version)).Scan(&own)
		if errors.Is(err, sql.ErrNoRows) || err == nil && (!own || i < done) {
			return fmt.Errorf("saga %s, version %d: %w", e.SagaID, e.Version, persistence.ErrConflict)
		}
		if err != nil {
			return err
		}
	}
	return nil
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

func isConstraint(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_CONSTRAINT
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func tags(m map[string]string) string {
	data, err := json.Marshal(m)
	if err != nil || m == nil {
		return "{}" // a map of strings is always encodable
	}
	return string(data)
}
