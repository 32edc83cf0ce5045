package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// DeleteEnded implements persistence.Store.
func (s *Store) DeleteEnded(ctx context.Context, before time.Time, limit int) (n int, err error) {
	defer func() {
		if err != nil {
			n, err = 0, fmt.Errorf("delete ended sagas: %w", err)
		}
	}()
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	ids, err := scanIDs(tx.QueryContext(ctx, `SELECT id FROM sagas WHERE ended_at <> 0 AND ended_at < ? AND status IN (3, 4, 5)
		ORDER BY ended_at LIMIT ?`, before.UnixMicro(), limit))
	if err != nil {
		return 0, err
	}
	for _, query := range []string{`DELETE FROM journal WHERE saga_id = ?`, `DELETE FROM sagas WHERE id = ?`} {
		if err := each(ctx, tx, query, len(ids), func(i int) []any { return []any{ids[i]} }, nil); err != nil {
			return 0, err
		}
	}
	return len(ids), tx.Commit()
}

func scanIDs(rows *sql.Rows, err error) (ids []string, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
