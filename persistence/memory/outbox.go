package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
)

// outbox holds the messages of every lane in order of their positions.
type outbox struct {
	last  int64 // position
	lanes map[laneKey][]messages.Outgoing

	lastDead int64 // id
	dead     []messages.Dead
}

type laneKey struct {
	publisher string
	lane      int
}

func (o *outbox) add(m messages.Outgoing) int64 {
	o.last++
	m.Pos, m.Data, m.EnqueuedAt = o.last, bytes.Clone(m.Data), stored(m.EnqueuedAt)
	key := laneKey{m.Publisher, m.Lane}
	o.lanes[key] = append(o.lanes[key], m)
	return m.Pos
}

// remove takes a message out, if it is there.
func (o *outbox) remove(publisher string, at messages.Mark) (m messages.Outgoing, found bool) {
	key := laneKey{publisher, at.Lane}
	rows := o.lanes[key]
	i := behind(rows, at.Pos-1)
	if i == len(rows) || rows[i].Pos != at.Pos {
		return messages.Outgoing{}, false
	}
	m = rows[i]
	if i == 0 {
		rows[0] = messages.Outgoing{}
		rows = rows[1:]
	} else {
		rows = slices.Delete(rows, i, i+1)
	}
	if len(rows) == 0 {
		delete(o.lanes, key)
	} else {
		o.lanes[key] = rows
	}
	return m, true
}

// behind returns the index of the first message behind a position.
func behind(rows []messages.Outgoing, pos int64) int {
	i, _ := slices.BinarySearchFunc(rows, pos+1, func(m messages.Outgoing, p int64) int { return cmp.Compare(m.Pos, p) })
	return i
}

// enqueue writes the messages of a batch: not those of starts that it did not insert, nor those of entries that were there.
func (s *Store) enqueue(outgoing []persistence.Outgoing, inserted map[string]bool, again bool) {
	for i := range outgoing {
		m := &outgoing[i]
		m.Pos = 0
		if m.OfStart == "" && !again || inserted[m.OfStart] {
			m.Pos = s.outbox.add(m.Outgoing)
		}
	}
}

// Unsent implements persistence.Outbox.
func (s *Store) Unsent(ctx context.Context, publisher string, marks []messages.Mark) ([]int, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var lanes []int
	for _, m := range marks {
		if rows := s.outbox.lanes[laneKey{publisher, m.Lane}]; behind(rows, m.Pos) < len(rows) {
			lanes = append(lanes, m.Lane)
		}
	}
	return lanes, nil
}

// ReadUnsent implements persistence.Outbox.
func (s *Store) ReadUnsent(ctx context.Context, publisher string, after messages.Mark, limit, maxBytes int) (page []messages.Outgoing, more bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.member == nil {
		return nil, false, persistence.ErrFenced
	}
	rows := s.outbox.lanes[laneKey{publisher, after.Lane}]
	for _, m := range rows[behind(rows, after.Pos):] {
		maxBytes -= len(m.Data)
		if len(page) == limit || maxBytes < 0 && len(page) > 0 {
			return page, true, nil
		}
		m.Data = bytes.Clone(m.Data)
		page = append(page, m)
	}
	return page, false, nil
}

// DeleteSent implements persistence.Outbox.
func (s *Store) DeleteSent(ctx context.Context, publisher string, sent []messages.Mark) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range sent {
		s.outbox.remove(publisher, m)
	}
	return nil
}

// Bury implements persistence.Outbox.
func (s *Store) Bury(ctx context.Context, publisher string, refused messages.Mark, reason string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m, found := s.outbox.remove(publisher, refused); found {
		s.outbox.lastDead++
		m.Pos = 0
		s.outbox.dead = append(s.outbox.dead, messages.Dead{Outgoing: m, ID: s.outbox.lastDead, FailedAt: stored(time.Now()), Error: reason})
	}
	return nil
}

// Backlog implements persistence.Outbox.
func (s *Store) Backlog(ctx context.Context, lanes []int) ([]messages.Backlog, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var backlog []messages.Backlog
	for key, rows := range s.outbox.lanes {
		if lanes == nil || slices.Contains(lanes, key.lane) {
			oldest := slices.MinFunc(rows, func(a, b messages.Outgoing) int { return a.EnqueuedAt.Compare(b.EnqueuedAt) })
			backlog = append(backlog, messages.Backlog{Publisher: key.publisher, Lane: key.lane, Messages: len(rows), OldestAt: oldest.EnqueuedAt})
		}
	}
	slices.SortFunc(backlog, func(a, b messages.Backlog) int {
		return cmp.Or(cmp.Compare(a.Publisher, b.Publisher), cmp.Compare(a.Lane, b.Lane))
	})
	return backlog, nil
}

// OutboxSize implements persistence.Outbox.
func (s *Store) OutboxSize(ctx context.Context) (size messages.OutboxSize, err error) {
	if err := ctx.Err(); err != nil {
		return messages.OutboxSize{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rows := range s.outbox.lanes {
		size.Messages += len(rows)
		if at := rows[0].EnqueuedAt; size.OldestAt.IsZero() || at.Before(size.OldestAt) {
			size.OldestAt = at
		}
	}
	size.Messages, size.Dead = min(size.Messages, messages.MaxOutboxCount), min(len(s.outbox.dead), messages.MaxOutboxCount)
	return size, nil
}

// Dead implements persistence.Outbox.
func (s *Store) Dead(ctx context.Context, q persistence.DeadQuery) ([]messages.Dead, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []messages.Dead
	for _, d := range slices.Backward(s.outbox.dead) {
		if (q.ID == 0 || d.ID == q.ID) && (q.Before == 0 || d.ID < q.Before) && len(list) < q.Limit {
			d.Data = bytes.Clone(d.Data)
			list = append(list, d)
		}
	}
	return list, nil
}

// RetryDead implements persistence.Outbox.
func (s *Store) RetryDead(ctx context.Context, ids []int64) (int, error) {
	return s.takeDead(ctx, ids, func(d messages.Dead) { s.outbox.add(d.Outgoing) })
}

// DiscardDead implements persistence.Outbox.
func (s *Store) DiscardDead(ctx context.Context, ids []int64) (int, error) {
	return s.takeDead(ctx, ids, func(messages.Dead) {})
}

func (s *Store) takeDead(ctx context.Context, ids []int64, then func(messages.Dead)) (n int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outbox.dead = slices.DeleteFunc(s.outbox.dead, func(d messages.Dead) bool {
		if !slices.Contains(ids, d.ID) {
			return false
		}
		then(d)
		n++
		return true
	})
	return n, nil
}

// stored is a time as a database gives it back.
func stored(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}
