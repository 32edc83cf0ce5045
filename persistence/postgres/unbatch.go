package postgres

import (
	"context"
	"fmt"
	"time"
)

// Batches change in two ways: those that are sent are deleted, and what has to be found by lane becomes rows. Who deletes or reads has a share of settling, who
// makes rows has all of them: otherwise a message that is sent meanwhile would come back as a row, or a reader miss what moves behind its back.
const (
	share  = 1
	shares = outboxConns
)

// unbatch makes rows of the batches that hold a message of the selection unsent. After an error it is not known where they are; whoever asks again moves what
// is left.
func (s *Store) unbatch(ctx context.Context, which selection) error {
	if !s.batches.any(which) {
		return nil
	}
	if err := s.settling.Acquire(ctx, shares); err != nil {
		return err
	}
	defer s.settling.Release(shares)
	batches, sent := s.batches.move(which)
	if len(batches) == 0 {
		return nil
	}
	if _, err := s.outbox.Exec(ctx, s.sql.unbatch, batches, sent); err != nil {
		return fmt.Errorf("make rows of %d batches of messages: %w", len(batches), err)
	}
	s.batches.forget(batches)
	return nil
}

// unbatchNumbered makes rows of the messages of a commit whose outcome was unknown, if it came through. Nobody else knows of its batch.
func (s *Store) unbatchNumbered(ctx context.Context, writer, number int64) error {
	if _, err := s.outbox.Exec(ctx, s.sql.unbatchNumbered, writer, number); err != nil {
		return fmt.Errorf("make rows of the messages of batch %d: %w", number, err)
	}
	return nil
}

// unbatchLanes makes rows of what the batches hold of these lanes, before somebody else reads them. A commit of unknown outcome may hold more.
func (s *Store) unbatchLanes(ctx context.Context, lanes []int) error {
	if number := s.doubt.Load(); number != 0 {
		if err := s.unbatchNumbered(ctx, s.member.Load(), number); err != nil {
			return err
		}
	}
	return s.unbatch(ctx, ofLanes(lanes))
}

// unbatchOld makes rows of what has waited for long.
func (s *Store) unbatchOld(ctx context.Context, now time.Time) error {
	return s.unbatch(ctx, before(now.Add(-maxOpenFor)))
}

// unbatchStrays makes rows of batches that were deleted and are there again: a deletion does not wait for the disk, and a crash of the server takes it back. It
// takes every connection too, so that there is nothing to look for while they last.
func (s *Store) unbatchStrays(ctx context.Context) error {
	if !s.reconnected.Swap(false) {
		return nil
	}
	open, last := s.batches.all()
	if _, err := s.outbox.Exec(ctx, s.sql.unbatchStrays, s.member.Load(), last, open); err != nil {
		s.reconnected.Store(true)
		return fmt.Errorf("make rows of batches of messages that came back: %w", err)
	}
	return nil
}
