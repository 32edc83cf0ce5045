package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
)

const deleteDead = `DELETE FROM outbox_dead WHERE id = ?`

// Dead implements persistence.Outbox.
func (s *Store) Dead(ctx context.Context, q persistence.DeadQuery) ([]messages.Dead, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	dead, err := scanDead(s.read.QueryContext(ctx, `SELECT id, publisher, lane, topic, enqueued_at, failed_at, error, data FROM outbox_dead
		WHERE (?1 = 0 OR id = ?1) AND (?2 = 0 OR id < ?2) ORDER BY id DESC LIMIT ?3`, q.ID, q.Before, q.Limit))
	if err != nil {
		return nil, fmt.Errorf("read dead messages: %w", err)
	}
	return dead, nil
}

func scanDead(rows *sql.Rows, err error) (dead []messages.Dead, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var d messages.Dead
		var enqueued, failed int64
		if err := rows.Scan(&d.ID, &d.Publisher, &d.Lane, &d.Topic, &enqueued, &failed, &d.Error, &d.Data); err != nil {
			return nil, err
		}
		d.EnqueuedAt, d.FailedAt = when(enqueued), when(failed)
		dead = append(dead, d)
	}
	return dead, rows.Err()
}

// RetryDead implements persistence.Outbox.
func (s *Store) RetryDead(ctx context.Context, ids []int64) (n int, err error) {
	err = s.change(ctx, func(tx *sql.Tx) error {
		again := `INSERT INTO outbox (lane, publisher, topic, enqueued_at, data) SELECT lane, publisher, topic, enqueued_at, data FROM outbox_dead WHERE id = ?`
		if err := each(ctx, tx, again, len(ids), func(i int) []any { return []any{ids[i]} }, nil); err != nil {
			return err
		}
		n, err = discard(ctx, tx, ids)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("retry dead messages: %w", err)
	}
	return n, nil
}

// DiscardDead implements persistence.Outbox.
func (s *Store) DiscardDead(ctx context.Context, ids []int64) (n int, err error) {
	err = s.change(ctx, func(tx *sql.Tx) error {
		n, err = discard(ctx, tx, ids)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("discard dead messages: %w", err)
	}
	return n, nil
}

func discard(ctx context.Context, tx *sql.Tx, ids []int64) (n int, err error) {
	err = each(ctx, tx, deleteDead, len(ids), func(i int) []any { return []any{ids[i]} }, func(_ int, rows int64) { n += int(rows) })
	return n, err
}
