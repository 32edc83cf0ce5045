package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
)

// outboxConns bounds the connections that read and empty the outbox.
const outboxConns = 3

// Unsent implements persistence.Outbox.
func (s *Store) Unsent(ctx context.Context, publisher string, marks []messages.Mark) ([]int, error) {
	lanes, positions := columnsOf(marks)
	rows, err := s.outbox.Query(ctx, s.sql.unsent, publisher, lanes, positions)
	if err != nil {
		return nil, fmt.Errorf("look into the outbox: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return nil, fmt.Errorf("look into the outbox: %w", err)
	}
	return found, nil
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
	rows, err := s.outbox.Query(ctx, s.sql.readUnsent, publisher, after.Lane, after.Pos, limit, s.member.Load())
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	alive := false
	for rows.Next() {
		alive = true
		m := messages.Outgoing{Publisher: publisher, Lane: after.Lane}
		var pos *int64
		var topic *string
		var at *time.Time
		if err := rows.Scan(&pos, &topic, &at, &m.Data); err != nil {
			return nil, false, err
		}
		if pos == nil {
			break
		}
		maxBytes -= len(m.Data)
		if maxBytes < 0 && len(page) > 0 {
			return page, true, nil
		}
		m.Pos, m.Topic, m.EnqueuedAt = *pos, *topic, at.UTC()
		page = append(page, m)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, false, err
	}
	if !alive {
		return nil, false, persistence.ErrFenced
	}
	return page, len(page) == limit, nil
}

// DeleteSent implements persistence.Outbox. It does not wait for the disk, and makes no commit of sagas wait behind it there: what a crash of the server
// brings back is sent once more.
func (s *Store) DeleteSent(ctx context.Context, publisher string, sent []messages.Mark) error {
	lanes, positions := columnsOf(sent)
	var p pgx.Batch // one implicit transaction
	p.Queue(s.sql.unsynced)
	p.Queue(s.sql.deleteSent, publisher, lanes, positions)
	if err := s.outbox.SendBatch(ctx, &p).Close(); err != nil {
		return fmt.Errorf("delete %d messages from the outbox: %w", len(sent), err)
	}
	return nil
}

// Bury implements persistence.Outbox.
func (s *Store) Bury(ctx context.Context, publisher string, refused messages.Mark, reason string) error {
	if _, err := s.outbox.Exec(ctx, s.sql.bury, publisher, refused.Lane, refused.Pos, reason); err != nil {
		return fmt.Errorf("move message %d of lane %d to the dead: %w", refused.Pos, refused.Lane, err)
	}
	return nil
}

// Backlog implements persistence.Outbox.
func (s *Store) Backlog(ctx context.Context, lanes []int) ([]messages.Backlog, error) {
	rows, err := s.outbox.Query(ctx, s.sql.backlog, lanes)
	if err != nil {
		return nil, fmt.Errorf("count the outbox: %w", err)
	}
	backlog, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (b messages.Backlog, err error) {
		var oldest *time.Time // sent between the counting and the look at it
		if err = row.Scan(&b.Publisher, &b.Lane, &b.Messages, &oldest); err == nil && oldest != nil {
			b.OldestAt = oldest.UTC()
		}
		return b, err
	})
	if err != nil {
		return nil, fmt.Errorf("count the outbox: %w", err)
	}
	return backlog, nil
}

// OutboxSize implements persistence.Outbox.
func (s *Store) OutboxSize(ctx context.Context) (size messages.OutboxSize, err error) {
	var oldest *time.Time
	if err := s.pool.QueryRow(ctx, s.sql.outboxSize, messages.MaxOutboxCount).Scan(&size.Messages, &oldest, &size.Dead); err != nil {
		return messages.OutboxSize{}, fmt.Errorf("count the outbox: %w", err)
	}
	if oldest != nil {
		size.OldestAt = oldest.UTC()
	}
	return size, nil
}

// Dead implements persistence.Outbox.
func (s *Store) Dead(ctx context.Context, q persistence.DeadQuery) ([]messages.Dead, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	rows, err := s.outbox.Query(ctx, s.sql.dead, q.ID, q.Before, q.Limit)
	if err != nil {
		return nil, fmt.Errorf("read dead messages: %w", err)
	}
	dead, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d messages.Dead, err error) {
		err = row.Scan(&d.ID, &d.Publisher, &d.Lane, &d.Topic, &d.EnqueuedAt, &d.FailedAt, &d.Error, &d.Data)
		d.EnqueuedAt, d.FailedAt = d.EnqueuedAt.UTC(), d.FailedAt.UTC()
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("read dead messages: %w", err)
	}
	return dead, nil
}

// RetryDead implements persistence.Outbox.
func (s *Store) RetryDead(ctx context.Context, ids []int64) (int, error) {
	tag, err := s.outbox.Exec(ctx, s.sql.retryDead, ids)
	if err != nil {
		return 0, fmt.Errorf("retry dead messages: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

// DiscardDead implements persistence.Outbox.
func (s *Store) DiscardDead(ctx context.Context, ids []int64) (int, error) {
	tag, err := s.outbox.Exec(ctx, s.sql.discardDead, ids)
	if err != nil {
		return 0, fmt.Errorf("discard dead messages: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

func columnsOf(marks []messages.Mark) (lanes []int32, positions []int64) {
	lanes, positions = make([]int32, len(marks)), make([]int64, len(marks))
	for i, m := range marks {
		lanes[i], positions[i] = int32(m.Lane), m.Pos
	}
	return lanes, positions
}
