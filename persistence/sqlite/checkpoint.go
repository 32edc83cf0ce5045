package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sagaz/sagaz/persistence"
)

const (
	// An equal version is written over: such a snapshot changes only what says whether the saga is in memory.
	updateSaga = `UPDATE sagas SET status = ?, version = ?, state = ?, begun = ?, asleep = ?, wake_at = ?, updated_at = ?, ended_at = ?, tags = ?
		WHERE id = ? AND version <= ?`
	trimJournal = `DELETE FROM journal WHERE saga_id = ? AND version <= ?`
)

// Checkpoint implements persistence.Store. It may be sent again after any error.
func (s *Store) Checkpoint(ctx context.Context, sagas []persistence.Saga) error {
	if len(sagas) == 0 {
		return nil
	}
	if err := check(&persistence.Batch{Starts: sagas}); err != nil {
		return err
	}
	err := s.fenced(ctx, func(tx *sql.Tx, _ int64) error {
		err := each(ctx, tx, updateSaga, len(sagas), func(i int) []any {
			r := &sagas[i]
			return []any{
				int64(r.Status), int64(r.Version), present(r.State), r.Begun, r.Asleep,
				micros(r.WakeAt), micros(r.UpdatedAt), micros(r.EndedAt), tags(r.Tags), r.ID, int64(r.Version),
			}
		}, nil)
		if err != nil {
			return err
		}
		return each(ctx, tx, trimJournal, len(sagas), func(i int) []any { return []any{sagas[i].ID, int64(sagas[i].Version)} }, nil)
	})
	if err != nil {
		return fmt.Errorf("checkpoint %d sagas: %w", len(sagas), err)
	}
	return nil
}
