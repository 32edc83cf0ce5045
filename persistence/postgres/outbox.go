package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
)

// outboxConns bounds the connections that read and empty the outbox.
const outboxConns = 3

// Unsent implements persistence.Outbox.
func (s *Store) Unsent(ctx context.Context, publisher string, marks []messages.Mark) ([]int, error) {
	found, err := s.unsent(ctx, publisher, marks)
	if err == nil {
		err = s.unbatchStrays(ctx)
	}
	if err == nil {
		err = s.unbatchOld(ctx, time.Now())
	}
	if err != nil {
		return nil, fmt.Errorf("look into the outbox: %w", err)
	}
	return found, nil
}

func (s *Store) unsent(ctx context.Context, publisher string, marks []messages.Mark) ([]int, error) {
	if err := s.settling.Acquire(ctx, share); err != nil {
		return nil, err
	}
	defer s.settling.Release(share)
	lanes, positions := columnsOf(marks)
	rows, err := s.outbox.Query(ctx, s.sql.unsent, publisher, lanes, positions)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return nil, err
	}
	for _, lane := range s.batches.behind(publisher, marks) {
		if !slices.Contains(found, lane) {
			found = append(found, lane)
		}
	}
	return found, nil
}

// ReadUnsent implements persistence.Outbox.
func (s *Store) ReadUnsent(ctx context.Context, publisher string, after messages.Mark, limit, maxBytes int) ([]messages.Outgoing, bool, error) {
	err := s.unbatch(ctx, ofLane(publisher, after.Lane))
	var page []messages.Outgoing
	var more bool
	if err == nil {
		page, more, err = s.readRows(ctx, publisher, after, limit, maxBytes)
	}
	if err != nil {
		return nil, false, fmt.Errorf("read lane %d of the outbox: %w", after.Lane, err)
	}
	return page, more, nil
}

// readRows reads a lane up to the first message that is in a batch, of a commit that came meanwhile: what stands behind it has to wait.
func (s *Store) readRows(ctx context.Context, publisher string, after messages.Mark, limit, maxBytes int) (page []messages.Outgoing, more bool, err error) {
	if err := s.settling.Acquire(ctx, share); err != nil {
		return nil, false, err
	}
	defer s.settling.Release(share)
	page, more, err = s.readUnsent(ctx, publisher, after, limit, maxBytes)
	if err != nil {
		return nil, false, err
	}
	lowest := s.batches.lowest(ofLane(publisher, after.Lane))
	for n := range page {
		if page[n].Pos > lowest {
			return page[:n], true, nil
		}
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
	// A statement whose answer was lost may still be running, and make rows of what is deleted now: it is waited for, by making rows once more.
	err := s.unbatch(ctx, inDoubt)
	if err == nil {
		err = s.deleteSent(ctx, publisher, sent)
	}
	if err == nil {
		err = s.unbatchOld(ctx, time.Now())
	}
	if err != nil {
		return fmt.Errorf("delete %d messages from the outbox: %w", len(sent), err)
	}
	return nil
}

func (s *Store) deleteSent(ctx context.Context, publisher string, sent []messages.Mark) error {
	if err := s.settling.Acquire(ctx, share); err != nil {
		return err
	}
	defer s.settling.Release(share)
	batches, rows := s.batches.sent(publisher, sent)
	if len(batches)+len(rows) == 0 {
		return nil
	}
	var p pgx.Batch // one implicit transaction
	p.Queue(s.sql.unsynced)
	if len(rows) > 0 {
		lanes, positions := columnsOf(rows)
		p.Queue(s.sql.deleteSent, publisher, lanes, positions)
	}
	if len(batches) > 0 {
		p.Queue(s.sql.deleteBatches, batches)
	}
	if err := s.outbox.SendBatch(ctx, &p).Close(); err != nil {
		return err
	}
	s.batches.forget(batches)
	return nil
}

// Bury implements persistence.Outbox.
func (s *Store) Bury(ctx context.Context, publisher string, refused messages.Mark, reason string) error {
	err := s.unbatch(ctx, at(refused.Pos))
	if err == nil {
		_, err = s.outbox.Exec(ctx, s.sql.bury, publisher, refused.Lane, refused.Pos, reason)
	}
	if err != nil {
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
		err = row.Scan(&b.Publisher, &b.Lane, &b.Messages, &b.OldestAt)
		b.OldestAt = b.OldestAt.UTC()
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
