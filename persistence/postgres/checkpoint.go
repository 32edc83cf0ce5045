package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz/persistence"
)

// Checkpoint implements persistence.Store. The rows exist: sagas are inserted by Commit or InsertSagaTx.
// It may be sent again after any error.
func (s *Store) Checkpoint(ctx context.Context, sagas []persistence.Saga) error {
	if len(sagas) == 0 {
		return nil
	}
	s.checkpoints.mu.Lock()
	defer s.checkpoints.mu.Unlock()
	defer s.snapshots.reset()
	for _, i := range newest(sagas) {
		if err := s.snapshots.addSaga(&sagas[i]); err != nil {
			return err
		}
	}
	conn, err := s.checkpoints.get(ctx)
	if err != nil {
		return err
	}
	a := &s.snapshots
	var p pgx.Batch
	p.Queue(s.sql.fence, s.member.Load())
	p.Queue(s.sql.snapshot, a.id, a.status, a.version, a.state, a.begun, a.asleep, a.wakeAt, a.updatedAt, a.endedAt, a.tags)
	p.Queue(s.sql.trim, a.id, a.version)
	if err := conn.SendBatch(ctx, &p).Close(); err != nil {
		if known := verdict(err); known != nil {
			err = known
		}
		if !settled(err) {
			s.checkpoints.drop()
		}
		return fmt.Errorf("checkpoint %d sagas: %w", len(a.id), err)
	}
	return nil
}

// newest returns the positions to write: an UPDATE that joins a row twice takes either value.
func newest(sagas []persistence.Saga) []int {
	at := make(map[string]int, len(sagas))
	positions := make([]int, 0, len(sagas))
	for i := range sagas {
		n, seen := at[sagas[i].ID]
		switch {
		case !seen:
			at[sagas[i].ID] = len(positions)
			positions = append(positions, i)
		case sagas[i].Version > sagas[positions[n]].Version:
			positions[n] = i
		}
	}
	return positions
}
