package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
)

const (
	insertOutgoing = `INSERT INTO outbox (lane, publisher, topic, enqueued_at, data) VALUES (?, ?, ?, ?, ?)`
	deleteOutgoing = `DELETE FROM outbox WHERE pos = ? AND lane = ? AND publisher = ?`
	firstUnsent    = `SELECT 1 FROM outbox WHERE lane = ? AND publisher = ? AND pos > ? LIMIT 1`
)

// enqueue inserts the messages that are to be written, and returns their positions; 0 for the others.
func enqueue(ctx context.Context, tx *sql.Tx, outgoing []persistence.Outgoing, write []bool) ([]int64, error) {
	positions := make([]int64, len(outgoing))
	if len(outgoing) == 0 {
		return positions, nil
	}
	stmt, err := tx.PrepareContext(ctx, insertOutgoing)
	if err != nil {
		return nil, err
	}
	defer stmt.Close()
	for i := range outgoing {
		if !write[i] {
			continue
		}
		m := &outgoing[i]
		result, err := stmt.ExecContext(ctx, m.Lane, m.Publisher, m.Topic, micros(m.EnqueuedAt), present(m.Data))
		if err != nil {
			return nil, err
		}
		if positions[i], err = result.LastInsertId(); err != nil {
			return nil, err
		}
	}
	return positions, nil
}

// Unsent implements persistence.Outbox.
func (s *Store) Unsent(ctx context.Context, publisher string, marks []messages.Mark) (lanes []int, err error) {
	tx, err := s.read.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("look into the outbox: %w", err)
	}
	defer tx.Rollback()
	stmt, err := tx.PrepareContext(ctx, firstUnsent)
	if err != nil {
		return nil, fmt.Errorf("look into the outbox: %w", err)
	}
	defer stmt.Close()
	for _, m := range marks {
		found, err := exists(stmt.QueryContext(ctx, m.Lane, publisher, m.Pos))
		if err != nil {
			return nil, fmt.Errorf("look into the outbox: %w", err)
		}
		if found {
			lanes = append(lanes, m.Lane)
		}
	}
	return lanes, nil
}

func exists(rows *sql.Rows, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	defer rows.Close()
	return rows.Next(), rows.Err()
}

// ReadUnsent implements persistence.Outbox.
func (s *Store) ReadUnsent(ctx context.Context, publisher string, after messages.Mark, limit, maxBytes int) ([]messages.Outgoing, bool, error) {
	page, more, err := s.readUnsent(ctx, publisher, after, limit, maxBytes)
	if err != nil {
		return nil, false, fmt.Errorf("read lane %d of the outbox: %w", after.Lane, err)
	}
	return page, more, nil
}

func (s *Store) readUnsent(ctx context.Context, publisher string, after messages.Mark, limit, maxBytes int) (page []messages.Outgoing, more bool, err error) {
	// No row at all says that the member is dead, a row without a position that nothing is there.
	rows, err := s.read.QueryContext(ctx, `SELECT o.pos, o.topic, o.enqueued_at, o.data FROM (SELECT 1 FROM members WHERE id = ? AND alive)
		LEFT JOIN (SELECT pos, topic, enqueued_at, data FROM outbox WHERE lane = ? AND publisher = ? AND pos > ? ORDER BY pos LIMIT ?) o ORDER BY o.pos`,
		s.member.Load(), after.Lane, publisher, after.Pos, limit)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	alive := false
	for rows.Next() {
		alive = true
		m := messages.Outgoing{Publisher: publisher, Lane: after.Lane}
		var pos, at sql.NullInt64
		var topic sql.NullString
		if err := rows.Scan(&pos, &topic, &at, &m.Data); err != nil {
			return nil, false, err
		}
		if !pos.Valid {
			break
		}
		maxBytes -= len(m.Data)
		if maxBytes < 0 && len(page) > 0 {
			return page, true, nil
		}
		m.Pos, m.Topic, m.EnqueuedAt = pos.Int64, topic.String, when(at.Int64)
		page = append(page, m)
	}
	if err := rows.Err(); err != nil {
		return nil, false, err
	}
	if !alive {
		return nil, false, persistence.ErrFenced
	}
	return page, len(page) == limit, nil
}

// DeleteSent implements persistence.Outbox.
func (s *Store) DeleteSent(ctx context.Context, publisher string, sent []messages.Mark) error {
	err := s.change(ctx, func(tx *sql.Tx) error {
		return each(ctx, tx, deleteOutgoing, len(sent), func(i int) []any { return []any{sent[i].Pos, sent[i].Lane, publisher} }, nil)
	})
	if err != nil {
		return fmt.Errorf("delete %d messages from the outbox: %w", len(sent), err)
	}
	return nil
}

// Bury implements persistence.Outbox.
func (s *Store) Bury(ctx context.Context, publisher string, refused messages.Mark, reason string) error {
	err := s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO outbox_dead (lane, publisher, topic, enqueued_at, data, error)
			SELECT lane, publisher, topic, enqueued_at, data, ? FROM outbox WHERE pos = ? AND lane = ? AND publisher = ?`,
			reason, refused.Pos, refused.Lane, publisher)
		if err == nil {
			_, err = tx.ExecContext(ctx, deleteOutgoing, refused.Pos, refused.Lane, publisher)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("move message %d of lane %d to the dead: %w", refused.Pos, refused.Lane, err)
	}
	return nil
}

// Backlog implements persistence.Outbox.
func (s *Store) Backlog(ctx context.Context, lanes []int) ([]messages.Backlog, error) {
	backlog, err := scanBacklog(s.read.QueryContext(ctx, `SELECT publisher, lane, count(*), min(enqueued_at) FROM outbox GROUP BY publisher, lane ORDER BY publisher, lane`))
	if err != nil {
		return nil, fmt.Errorf("count the outbox: %w", err)
	}
	if lanes == nil {
		return backlog, nil
	}
	asked := make(map[int]bool, len(lanes))
	for _, lane := range lanes {
		asked[lane] = true
	}
	kept := backlog[:0]
	for _, b := range backlog {
		if asked[b.Lane] {
			kept = append(kept, b)
		}
	}
	return kept, nil
}

func scanBacklog(rows *sql.Rows, err error) (backlog []messages.Backlog, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var b messages.Backlog
		var at int64
		if err := rows.Scan(&b.Publisher, &b.Lane, &b.Messages, &at); err != nil {
			return nil, err
		}
		b.OldestAt = when(at)
		backlog = append(backlog, b)
	}
	return backlog, rows.Err()
}

// OutboxSize implements persistence.Outbox.
func (s *Store) OutboxSize(ctx context.Context) (size messages.OutboxSize, err error) {
	var oldest int64
	err = s.read.QueryRowContext(ctx, `SELECT count(*), coalesce(min(enqueued_at), 0), (SELECT count(*) FROM (SELECT 1 FROM outbox_dead LIMIT ?1))
		FROM (SELECT enqueued_at FROM outbox LIMIT ?1)`, messages.MaxOutboxCount).Scan(&size.Messages, &oldest, &size.Dead)
	if err != nil {
		return messages.OutboxSize{}, fmt.Errorf("count the outbox: %w", err)
	}
	size.OldestAt = when(oldest)
	return size, nil
}

// change runs fn in a transaction without the fence.
func (s *Store) change(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}
