package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/sagaz/sagaz/persistence"
)

const columns = `id, shard, definition, definition_version, fingerprint, status, version, state, begun, asleep,
	wake_at, started_at, updated_at, ended_at, tags`

// live is spelled like the condition of the index.
const live = `status IN (1, 2, 6)`

// Load implements persistence.Store.
func (s *Store) Load(ctx context.Context, id string) (*persistence.Record, error) {
	records, err := s.records(ctx, `SELECT `+columns+` FROM sagas WHERE id = ?`, id)
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
	from, id := int64(math.MinInt64), ""
	if after != nil {
		from, id = micros(after.StartedAt), after.ID
	}
	records, err := s.records(ctx, `SELECT `+columns+` FROM sagas WHERE `+live+` AND asleep = 0 AND shard = ? AND (started_at, id) > (?, ?)
		ORDER BY started_at, id LIMIT ?`, shard, from, id, limit)
	if err != nil {
		return nil, fmt.Errorf("recover shard %d: %w", shard, err)
	}
	return records, nil
}

// records reads rows and their journals as of one moment.
func (s *Store) records(ctx context.Context, query string, args ...any) ([]persistence.Record, error) {
	tx, err := s.read.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	sagas, err := scanSagas(tx.QueryContext(ctx, query, args...))
	if err != nil {
		return nil, err
	}
	records := make([]persistence.Record, len(sagas))
	for i, saga := range sagas {
		records[i].Saga = saga
		if records[i].Journal, err = journal(ctx, tx, &saga); err != nil {
			return nil, err
		}
	}
	return records, nil
}

func journal(ctx context.Context, tx *sql.Tx, of *persistence.Saga) (entries []persistence.Entry, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT version, data FROM journal WHERE saga_id = ? AND version > ? ORDER BY version`, of.ID, int64(of.Version))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		e := persistence.Entry{SagaID: of.ID}
		if err := rows.Scan(&e.Version, &e.Data); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

func scanSagas(rows *sql.Rows, err error) ([]persistence.Saga, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var sagas []persistence.Saga
	for rows.Next() {
		var r persistence.Saga
		var wake, started, updated, ended int64
		var tags string
		err := rows.Scan(&r.ID, &r.Shard, &r.Definition, &r.DefinitionVersion, &r.Fingerprint, &r.Status, &r.Version, &r.State,
			&r.Begun, &r.Asleep, &wake, &started, &updated, &ended, &tags)
		if err != nil {
			return nil, err
		}
		if tags != "{}" {
			if err := json.Unmarshal([]byte(tags), &r.Tags); err != nil {
				return nil, fmt.Errorf("tags of saga %s: %w", r.ID, err)
			}
		}
		r.WakeAt, r.StartedAt, r.UpdatedAt, r.EndedAt = when(wake), when(started), when(updated), when(ended)
		sagas = append(sagas, r)
	}
	return sagas, rows.Err()
}

// Waiting implements persistence.Store.
func (s *Store) Waiting(ctx context.Context, now time.Time, shards []int, limit int) ([]persistence.Ref, error) {
	among, err := json.Marshal(shards)
	if err != nil {
		return nil, err
	}
	due, err := s.refs(ctx, "read due sagas", `SELECT id, shard FROM sagas WHERE asleep = 1 AND wake_at <> 0 AND wake_at <= ? AND `+live+`
		AND shard IN (SELECT value FROM json_each(?)) ORDER BY wake_at, id LIMIT ?`, now.UnixMicro(), string(among), limit)
	if err != nil {
		return nil, err
	}
	fresh, err := s.refs(ctx, "read sagas not begun", `SELECT id, shard FROM sagas WHERE begun = 0
		AND shard IN (SELECT value FROM json_each(?)) ORDER BY started_at, id LIMIT ?`, string(among), limit)
	return append(due, fresh...), err
}

func (s *Store) refs(ctx context.Context, doing, query string, args ...any) (refs []persistence.Ref, err error) {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	defer rows.Close()
	for rows.Next() {
		var r persistence.Ref
		if err := rows.Scan(&r.ID, &r.Shard); err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
		refs = append(refs, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return refs, nil
}
