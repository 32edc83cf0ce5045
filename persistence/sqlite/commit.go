package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sagaz/sagaz/persistence"
)

const (
	insertSaga = `INSERT INTO sagas (id, shard, definition, definition_version, fingerprint, status, version, state, begun, asleep, wake_at,
		started_at, updated_at, ended_at, tags, writer, batch) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`
	insertEntry = `INSERT INTO journal (saga_id, version, writer, batch, data) VALUES (?, ?, ?, ?, ?)`
	wakeSaga    = `UPDATE sagas SET asleep = 0, begun = 1, wake_at = 0 WHERE id = ?`
)

// Commit implements persistence.Store. An error that is neither a fence, a conflict nor a rejection leaves the outcome open:
// a full disk, a failing one, a lock that another process held for too long.
func (s *Store) Commit(ctx context.Context, b *persistence.Batch) ([]int, error) {
	if err := check(b); err != nil {
		return nil, err
	}
	var found []int
	var positions []int64
	err := s.fenced(ctx, func(tx *sql.Tx, member int64) (err error) {
		taken, err := insertStarts(ctx, tx, b, member)
		if err != nil {
			return err
		}
		if found, err = duplicates(ctx, tx, b, member, taken); err != nil {
			return err
		}
		again, err := appendEntries(ctx, tx, b, member)
		if err != nil {
			return err
		}
		if positions, err = enqueue(ctx, tx, b.Outgoing, leaving(b, taken, again)); err != nil {
			return err
		}
		return each(ctx, tx, wakeSaga, len(b.Wakes), func(i int) []any { return []any{b.Wakes[i]} }, nil)
	})
	if err != nil {
		return nil, fmt.Errorf("commit batch %d of %d starts and %d entries: %w", b.ID, len(b.Starts), len(b.Entries), err)
	}
	for i := range b.Outgoing {
		b.Outgoing[i].Pos = positions[i]
	}
	return found, nil
}

// leaving are the messages that this transaction has to write: not those of starts that it did not insert, nor of entries that were there.
func leaving(b *persistence.Batch, taken []int, again bool) []bool {
	write := make([]bool, len(b.Outgoing))
	if len(b.Outgoing) == 0 {
		return write
	}
	left := make(map[string]bool, len(taken))
	for _, i := range taken {
		left[b.Starts[i].ID] = true
	}
	for i := range b.Outgoing {
		of := b.Outgoing[i].OfStart
		write[i] = of == "" && !again || of != "" && !left[of]
	}
	return write
}

// insertStarts returns the positions of the starts whose ids were taken, by whomever.
func insertStarts(ctx context.Context, tx *sql.Tx, b *persistence.Batch, member int64) (taken []int, err error) {
	err = each(ctx, tx, insertSaga, len(b.Starts), func(i int) []any {
		r := &b.Starts[i]
		return []any{
			r.ID, r.Shard, r.Definition, r.DefinitionVersion, present(r.Fingerprint), int64(r.Status), int64(r.Version), present(r.State), r.Begun, r.Asleep,
			micros(r.WakeAt), micros(r.StartedAt), micros(r.UpdatedAt), micros(r.EndedAt), tags(r.Tags), member, int64(b.ID),
		}
	}, func(i int, rows int64) {
		if rows == 0 {
			taken = append(taken, i)
		}
	})
	return taken, err
}

// duplicates leaves out of taken what this very batch inserted when it was sent before.
func duplicates(ctx context.Context, tx *sql.Tx, b *persistence.Batch, member int64, taken []int) ([]int, error) {
	if len(taken) == 0 {
		return nil, nil
	}
	first := map[string]int{}
	for i := range b.Starts {
		if _, ok := first[b.Starts[i].ID]; !ok {
			first[b.Starts[i].ID] = i
		}
	}
	var positions []int
	for _, i := range taken {
		var own bool
		id := b.Starts[i].ID
		if err := tx.QueryRowContext(ctx, `SELECT writer = ? AND batch = ? FROM sagas WHERE id = ?`, member, int64(b.ID), id).Scan(&own); err != nil {
			return nil, err
		}
		if !own || first[id] != i {
			positions = append(positions, i)
		}
	}
	return positions, nil
}

// appendEntries says whether the batch had been committed before: then all of its rows are there.
func appendEntries(ctx context.Context, tx *sql.Tx, b *persistence.Batch, member int64) (again bool, err error) {
	done := 0
	err = each(ctx, tx, insertEntry, len(b.Entries), func(i int) []any {
		e := &b.Entries[i]
		return []any{e.SagaID, int64(e.Version), member, int64(b.ID), present(e.Data)}
	}, func(i int, _ int64) { done = i + 1 })
	if !isConstraint(err) {
		return false, err
	}
	for i := range b.Entries { // a batch sent again finds all of its own rows; anything else is a conflict
		e := &b.Entries[i]
		var own bool
		err := tx.QueryRowContext(ctx, `SELECT writer = ? AND batch = ? FROM journal WHERE saga_id = ? AND version = ?`,
			member, int64(b.ID), e.SagaID, int64(e.Version)).Scan(&own)
		if errors.Is(err, sql.ErrNoRows) || err == nil && (!own || i < done) {
			return false, fmt.Errorf("saga %s, version %d: %w", e.SagaID, e.Version, persistence.ErrConflict)
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}
