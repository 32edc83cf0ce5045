package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sagaz/sagaz/persistence"
)

const (
	// An equal version is written over: such a snapshot changes only what says whether the saga is in memory.
	updateSaga = `UPDATE sagas SET status = ?1, version = ?2, state = ?3, begun = ?4, asleep = ?5, wake_at = ?6, updated_at = ?7, ended_at = ?8, tags = ?9,
			stuck_at = CASE WHEN ?1 <> 6 THEN 0 WHEN stuck_at <> 0 THEN stuck_at ELSE ?7 END
		WHERE id = ?10 AND version <= ?2`
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
				micros(r.WakeAt), micros(r.UpdatedAt), micros(r.EndedAt), tags(r.Tags), r.ID,
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
