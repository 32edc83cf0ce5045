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
	duplicates, err := s.commit(ctx, conn, b)
	if err != nil {
		if known := verdict(err); known != nil {
			err = known
		}
		if !settled(err) {
			s.commits.drop()
		}
		return nil, fmt.Errorf("commit batch %d of %d starts and %d entries: %w", b.ID, len(b.Starts), len(b.Entries), err)
	}
	return duplicates, nil
}

func (s *Store) commit(ctx context.Context, conn *pgx.Conn, b *persistence.Batch) ([]int, error) {
	writer, batch := s.member.Load(), int64(b.ID)
	inserted, positions, err := s.send(ctx, conn, b, writer, batch)
	if key, taken := takenKey(err); taken {
		var ours bool
		if ours, err = s.committedBefore(ctx, conn, writer, batch); err != nil {
			return nil, err
		}
		if !ours {
			return nil, fmt.Errorf("%w: %s", persistence.ErrConflict, key)
		}
		inserted, positions = 0, nil
	}
	if errors.Is(verdict(err), persistence.ErrFenced) {
		ours, look := s.committedInTime(ctx, conn, writer, batch)
		if look != nil {
			return nil, look
		}
		if ours {
			inserted, positions, err = 0, nil, nil
		}
	}
	if err != nil {
		return nil, err
	}
	if inserted == len(b.Starts) {
		place(b.Outgoing, positions)
		return nil, nil
	}
	return s.duplicates(ctx, conn, b, writer, batch)
}

// place tells the messages their positions, which came back in order. Where some were left out they are not told: whoever sends them reads them.
func place(outgoing []persistence.Outgoing, positions []int64) {
	if len(positions) != len(outgoing) {
		return
	}
	for i, pos := range positions {
		outgoing[i].Pos = pos
	}
}

// send returns how many starts were new, and the positions of the messages written.
func (s *Store) send(ctx context.Context, conn *pgx.Conn, b *persistence.Batch, writer, batch int64) (inserted int, positions []int64, err error) {
	a := &s.args
	var p pgx.Batch
	p.Queue(s.sql.fence, writer)
	if len(b.Starts) > 0 {
		p.Queue(s.sql.start, a.id, a.shard, a.definition, a.definitionVersion, a.fingerprint, a.status, a.version, a.state,
			a.begun, a.asleep, a.wakeAt, a.startedAt, a.updatedAt, a.endedAt, a.tags, writer, batch)
	}
	if len(b.Entries) > 0 {
		p.Queue(s.sql.append, a.entryID, a.entryVersion, a.data, writer, batch)
	}
	if len(b.Wakes) > 0 {
		p.Queue(s.sql.wake, b.Wakes)
	}
	if o := &a.outgoing; len(b.Outgoing) > 0 {
		p.Queue(s.sql.enqueue, o.lane, o.publisher, o.topic, o.at, o.data, o.start, writer, batch)
	}
	return run(ctx, conn, &p, len(b.Starts) > 0, len(b.Outgoing) > 0)
}

// run executes a pipeline and returns the number of rows of its second statement if there are starts, and what its last one returns if there are messages.
// The commit happens at the end of the pipeline, so that only a Close without error says that it succeeded.
func run(ctx context.Context, conn *pgx.Conn, p *pgx.Batch, starts, outgoing bool) (inserted int, positions []int64, err error) {
	results := conn.SendBatch(ctx, p)
	for i := range p.Len() {
		var tag pgconn.CommandTag
		if outgoing && i == p.Len()-1 {
			positions, err = collect(results)
		} else {
			tag, err = results.Exec()
		}
		if err != nil {
			_ = results.Close()
			return 0, nil, err
		}
		if i == 1 && starts {
			inserted = int(tag.RowsAffected())
		}
	}
	return inserted, positions, results.Close()
}

func collect(results pgx.BatchResults) ([]int64, error) {
	rows, err := results.Query()
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
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
