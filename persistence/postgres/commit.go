package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sagaz/sagaz/persistence"
)

// Commit implements persistence.Store. The statements go out as one pipeline, which the server runs as one implicit transaction:
// one round trip. ctx should have a deadline; when it passes, the server is asked to cancel, and the outcome is unknown.
func (s *Store) Commit(ctx context.Context, b *persistence.Batch) ([]int, error) {
	s.commits.mu.Lock()
	defer s.commits.mu.Unlock()
	defer s.args.reset()
	for i := range b.Starts {
		if err := s.args.addSaga(&b.Starts[i]); err != nil {
			return nil, err
		}
	}
	for i := range b.Entries {
		if err := s.args.addEntry(&b.Entries[i]); err != nil {
			return nil, err
		}
	}
	for i := range b.Outgoing {
		b.Outgoing[i].Pos = 0
		if err := s.args.outgoing.add(&b.Outgoing[i]); err != nil {
			return nil, err
		}
	}
	conn, err := s.commits.get(ctx)
	if err != nil {
		return nil, err
	}
	duplicates, err := s.write(ctx, conn, b)
	if err != nil {
		if known := verdict(err); known != nil {
			err = known
		}
		if settled(err) {
			s.doubt.Store(0)
		} else {
			s.doubt.Store(int64(b.ID))
			s.commits.drop()
		}
		return nil, fmt.Errorf("commit batch %d of %d starts and %d entries: %w", b.ID, len(b.Starts), len(b.Entries), err)
	}
	return duplicates, nil
}

// write commits a batch and sees to its messages.
func (s *Store) write(ctx context.Context, conn *pgx.Conn, b *persistence.Batch) ([]int, error) {
	writer, batch := s.member.Load(), int64(b.ID)
	duplicates, wrote, err := s.commit(ctx, conn, b, writer, batch)
	if err != nil {
		return nil, err
	}
	if s.doubt.Load() != batch {
		wrote.place(b.Outgoing)
		if wrote.together != 0 {
			s.batches.add(wrote.together, b.Outgoing)
		}
		return duplicates, nil
	}
	// Which of the sendings wrote the messages, and where, nobody has heard: whoever sends them reads them.
	if len(b.Outgoing) >= minBatched {
		if err := s.unbatchNumbered(ctx, writer, batch); err != nil {
			return nil, fmt.Errorf("it is committed: %v", err) //nolint:errorlint // no verdict on the batch
		}
	}
	s.doubt.Store(0)
	return duplicates, nil
}

func (s *Store) commit(ctx context.Context, conn *pgx.Conn, b *persistence.Batch, writer, batch int64) ([]int, placed, error) {
	inserted, wrote, err := s.send(ctx, conn, b, writer, batch)
	if key, taken := takenKey(err); taken {
		var ours bool
		if ours, err = s.committedBefore(ctx, conn, writer, batch); err != nil {
			return nil, placed{}, err
		}
		if !ours {
			return nil, placed{}, fmt.Errorf("%w: %s", persistence.ErrConflict, key)
		}
		inserted, wrote = 0, placed{}
	}
	if errors.Is(verdict(err), persistence.ErrFenced) {
		ours, look := s.committedInTime(ctx, conn, writer, batch)
		if look != nil {
			return nil, placed{}, look
		}
		if ours {
			inserted, wrote, err = 0, placed{}, nil
		}
	}
	if err != nil || inserted == len(b.Starts) {
		return nil, wrote, err
	}
	duplicates, err := s.duplicates(ctx, conn, b, writer, batch)
	return duplicates, wrote, err
}

// placed says where a commit's messages stand.
type placed struct {
	together int64   // the position of their batch; 0: they are rows
	absent   []int32 // which of them, counted from 1, the batch lacks
	rows     []int64 // their positions, in order
}

// place tells the messages their positions. Where some of the rows were left out they are not told: whoever sends them reads them.
func (p placed) place(outgoing []persistence.Outgoing) {
	switch {
	case p.together != 0:
		for i := range outgoing {
			outgoing[i].Pos = p.together + 1 + int64(i)
		}
		for _, n := range p.absent {
			outgoing[n-1].Pos = 0
		}
	case len(p.rows) == len(outgoing):
		for i, pos := range p.rows {
			outgoing[i].Pos = pos
		}
	}
}

// send returns how many starts were new, and where the messages are. The commit happens at the end of the pipeline, so that only an end without error says that
// it succeeded.
func (s *Store) send(ctx context.Context, conn *pgx.Conn, b *persistence.Batch, writer, batch int64) (inserted int, wrote placed, err error) {
	a := &s.args
	var p pgx.Batch
	p.Queue(s.sql.fence, writer)
	if len(b.Starts) > 0 {
		p.Queue(s.sql.start, a.id, a.shard, a.definition, a.definitionVersion, a.fingerprint, a.status, a.version, a.state,
			a.begun, a.asleep, a.wakeAt, a.startedAt, a.updatedAt, a.endedAt, a.tags, writer, batch).Exec(func(tag pgconn.CommandTag) error {
			inserted = int(tag.RowsAffected())
			return nil
		})
	}
	if len(b.Entries) > 0 {
		p.Queue(s.sql.append, a.entryID, a.entryVersion, a.data, writer, batch)
	}
	if len(b.Wakes) > 0 {
		p.Queue(s.sql.wake, b.Wakes)
	}
	if o := &a.outgoing; s.batches.fits(len(b.Outgoing)) {
		p.Queue(s.sql.enqueueBatch, o.lane, o.publisher, o.topic, o.at, o.data, o.start, writer, batch).Query(func(rows pgx.Rows) error {
			_, err := pgx.ForEachRow(rows, []any{&wrote.together, &wrote.absent}, func() error { return nil })
			return err
		})
	} else if len(b.Outgoing) > 0 {
		p.Queue(s.sql.enqueue, o.lane, o.publisher, o.topic, o.at, o.data, o.start, writer, batch).Query(func(rows pgx.Rows) (err error) {
			wrote.rows, err = pgx.CollectRows(rows, pgx.RowTo[int64])
			return err
		})
	}
	err = conn.SendBatch(ctx, &p).Close()
	return inserted, wrote, err
}

// committedBefore says whether the batch was committed by an attempt whose outcome we did not learn: then all of its keys name it.
// A batch is written whole or not at all, and no other batch has its writer and number.
func (s *Store) committedBefore(ctx context.Context, conn *pgx.Conn, writer, batch int64) (bool, error) {
	var ours int
	err := conn.QueryRow(ctx, s.sql.appendedBy, s.args.entryID, s.args.entryVersion, writer, batch).Scan(&ours)
	return ours == len(s.args.entryID), err
}

// committedInTime says whether a dead member's batch was committed before it died, by an attempt whose outcome we did not learn. None of them is
// still on its way: whoever marked the member dead has waited for them. Its starts tell for as long as they are kept; its journal entries
// only until a snapshot covers them: then a batch without starts counts as refused.
func (s *Store) committedInTime(ctx context.Context, conn *pgx.Conn, writer, batch int64) (bool, error) {
	var started, appended int
	err := conn.QueryRow(ctx, s.sql.writtenBy, s.args.id, s.args.entryID, s.args.entryVersion, writer, batch).Scan(&started, &appended)
	return started+appended > 0, err
}

// duplicates are the starts whose rows are not ours, and those that stand behind another of the same id in the batch.
func (s *Store) duplicates(ctx context.Context, conn *pgx.Conn, b *persistence.Batch, writer, batch int64) ([]int, error) {
	rows, err := conn.Query(ctx, s.sql.startedBy, s.args.id, writer, batch)
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	ours := make(map[string]bool, len(ids))
	for _, id := range ids {
		ours[id] = true
	}
	var positions []int
	for i := range b.Starts {
		if id := b.Starts[i].ID; ours[id] {
			ours[id] = false
		} else {
			positions = append(positions, i)
		}
	}
	return positions, nil
}
