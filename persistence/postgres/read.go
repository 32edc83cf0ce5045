package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
)

// snapshotRead keeps a checkpoint from trimming the journal between the read of a snapshot and the read of what follows it.
var snapshotRead = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

// Load implements persistence.Store.
func (s *Store) Load(ctx context.Context, id string) (*persistence.Record, error) {
	records, err := s.records(ctx, s.sql.load, id)
	if err != nil {
		return nil, fmt.Errorf("load saga %q: %w", id, err)
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("%w: %q", persistence.ErrNotFound, id)
	}
	return &records[0], nil
}

// Recover implements persistence.Store.
func (s *Store) Recover(ctx context.Context, shard int, after *persistence.Position, limit int) ([]persistence.Record, error) {
	from, id := pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true}, ""
	if after != nil {
		from, id = pgtype.Timestamptz{Time: after.StartedAt, Valid: true}, after.ID
	}
	records, err := s.records(ctx, s.sql.recover, shard, from, id, limit)
	if err != nil {
		return nil, fmt.Errorf("recover shard %d: %w", shard, err)
	}
	return records, nil
}

// records reads sagas with their state, and then the journal of all of them at once.
func (s *Store) records(ctx context.Context, query string, args ...any) (records []persistence.Record, err error) {
	err = pgx.BeginTxFunc(ctx, s.pool, snapshotRead, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		var ids []string
		var versions []int64
		records, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r persistence.Record, err error) {
			err = scan(row, &r.Saga, &r.State)
			ids, versions = append(ids, r.ID), append(versions, int64(r.Version))
			return r, err
		})
		if err != nil || len(records) == 0 {
			return err
		}
		return s.journals(ctx, tx, records, ids, versions)
	})
	return records, err
}

func (s *Store) journals(ctx context.Context, tx pgx.Tx, records []persistence.Record, ids []string, versions []int64) error {
	rows, err := tx.Query(ctx, s.sql.journal, ids, versions)
	if err != nil {
		return err
	}
	var n, version int64
	var data []byte
	_, err = pgx.ForEachRow(rows, []any{&n, &version, &data}, func() error {
		r := &records[n-1]
		r.Journal = append(r.Journal, persistence.Entry{SagaID: r.ID, Version: uint64(version), Data: data})
		data = nil // the next row has bytes of its own
		return nil
	})
	return err
}

// Waiting implements persistence.Store.
func (s *Store) Waiting(ctx context.Context, now time.Time, shards []int, limit int) ([]persistence.Ref, error) {
	rows, err := s.pool.Query(ctx, s.sql.waiting, now, shards, limit)
	if err != nil {
		return nil, fmt.Errorf("read waiting sagas: %w", err)
	}
	refs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[persistence.Ref])
	if err != nil {
		return nil, fmt.Errorf("read waiting sagas: %w", err)
	}
	return refs, nil
}

// SaveDefinitions implements persistence.Store.
func (s *Store) SaveDefinitions(ctx context.Context, defs []persistence.Definition) error {
	var fingerprints, plans [][]byte
	var names []string
	var versions []int32
	for _, d := range defs {
		if d.Version != int(int32(d.Version)) {
			return fmt.Errorf("save definition %s: version %d: %w", d.Name, d.Version, errRange)
		}
		fingerprints, plans = append(fingerprints, present(d.Fingerprint)), append(plans, present(d.Plan))
		names, versions = append(names, d.Name), append(versions, int32(d.Version))
	}
	if _, err := s.pool.Exec(ctx, s.sql.saveDefinitions, fingerprints, names, versions, plans); err != nil {
		return fmt.Errorf("save definitions: %w", err)
	}
	return nil
}

// Definitions implements persistence.Store. They come by name, then by version.
func (s *Store) Definitions(ctx context.Context) ([]persistence.Definition, error) {
	rows, err := s.pool.Query(ctx, s.sql.definitions)
	if err != nil {
		return nil, fmt.Errorf("read definitions: %w", err)
	}
	defs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[persistence.Definition])
	if err != nil {
		return nil, fmt.Errorf("read definitions: %w", err)
	}
	return defs, nil
}

// DeleteEnded implements persistence.Store.
func (s *Store) DeleteEnded(ctx context.Context, before time.Time, limit int) (n int, err error) {
	if err := s.pool.QueryRow(ctx, s.sql.deleteEnded, before, limit).Scan(&n); err != nil {
		return 0, fmt.Errorf("delete ended sagas: %w", err)
	}
	return n, nil
}

// InsertSagaTx inserts a saga that has not begun, and its messages, in a transaction of the caller's in this database; no fence, because no shard
// acts on it yet. inserted is false when a saga of this id exists; then there are no messages either. Begun is ignored.
func (s *Store) InsertSagaTx(ctx context.Context, tx pgx.Tx, saga persistence.Saga, outgoing []messages.Outgoing) (inserted bool, err error) {
	inserted, err = s.insertSagaTx(ctx, tx, saga, outgoing)
	if known := verdict(err); known != nil && !errors.Is(known, persistence.ErrFenced) {
		err = known
	}
	if err != nil {
		return false, fmt.Errorf("insert saga %q: %w", saga.ID, err)
	}
	return inserted, nil
}

func (s *Store) insertSagaTx(ctx context.Context, tx pgx.Tx, saga persistence.Saga, outgoing []messages.Outgoing) (bool, error) {
	var a commitArgs
	if err := a.addSaga(&saga); err != nil {
		return false, err
	}
	tag, err := tx.Exec(ctx, s.sql.insertOne, saga.ID, saga.Shard, saga.Definition, saga.DefinitionVersion, a.fingerprint[0],
		a.status[0], a.version[0], a.state[0], saga.Asleep, a.wakeAt[0], a.startedAt[0], a.updatedAt[0], a.endedAt[0], a.tags[0])
	if err != nil || tag.RowsAffected() == 0 {
		return false, err
	}
	for _, m := range outgoing {
		if _, err := tx.Exec(ctx, s.sql.enqueueOne, m.Lane, m.Publisher, m.Topic, m.EnqueuedAt, present(m.Data)); err != nil {
			return false, err
		}
	}
	return true, nil
}

// scan reads the columns, and what the query has after them.
func scan(row pgx.CollectableRow, s *persistence.Saga, more ...any) error {
	var version int64
	var wake, ended pgtype.Timestamptz
	dest := append([]any{
		&s.ID, &s.Shard, &s.Definition, &s.DefinitionVersion, &s.Fingerprint, &s.Status, &version,
		&s.Begun, &s.Asleep, &wake, &s.StartedAt, &s.UpdatedAt, &ended, &s.Tags,
	}, more...)
	if err := row.Scan(dest...); err != nil {
		return err
	}
	s.Version = uint64(version)
	s.StartedAt, s.UpdatedAt = s.StartedAt.UTC(), s.UpdatedAt.UTC()
	if wake.Valid {
		s.WakeAt = wake.Time.UTC()
	}
	if ended.Valid {
		s.EndedAt = ended.Time.UTC()
	}
	return nil
}
