package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sagaz/sagaz/persistence"
)

const columns = `id, shard, definition, definition_version, fingerprint, status, version, state, begun, asleep, wake_at, started_at, updated_at, ended_at, tags`

// Load implements persistence.Store.
func (s *Store) Load(ctx context.Context, id string) (*persistence.Record, error) {
	records, err := s.records(ctx, `SELECT `+columns+` FROM sagas WHERE id = ?`, id)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("%q: %w", id, persistence.ErrNotFound)
	}
	return &records[0], nil
}

// Recover implements persistence.Store.
func (s *Store) Recover(ctx context.Context, shard int, after *persistence.Position, limit int) ([]persistence.Record, error) {
	if after == nil {
		after = &persistence.Position{StartedAt: time.UnixMicro(-1)}
	}
	return s.records(ctx, `SELECT `+columns+` FROM sagas WHERE ended_at = 0 AND asleep = 0 AND shard = ? AND (started_at, id) > (?, ?)
		ORDER BY started_at, id LIMIT ?`, shard, after.StartedAt.UnixMicro(), after.ID, limit)
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
		if records[i].Journal, err = journal(ctx, tx, saga.ID); err != nil {
			return nil, err
		}
	}
	return records, nil
}

func journal(ctx context.Context, tx *sql.Tx, id string) (entries []persistence.Entry, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT version, data FROM journal WHERE saga_id = ? ORDER BY version`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		e := persistence.Entry{SagaID: id}
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

func when(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// Due implements persistence.Store.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]persistence.Ref, error) {
	return s.refs(ctx, `SELECT id, shard FROM sagas WHERE asleep = 1 AND ended_at = 0 AND wake_at > 0 AND wake_at <= ? ORDER BY wake_at LIMIT ?`, now.UnixMicro(), limit)
}

// NotBegun implements persistence.Store.
func (s *Store) NotBegun(ctx context.Context, limit int) ([]persistence.Ref, error) {
	return s.refs(ctx, `SELECT id, shard FROM sagas WHERE begun = 0 AND ended_at = 0 ORDER BY started_at LIMIT ?`, limit)
}

func (s *Store) refs(ctx context.Context, query string, args ...any) (refs []persistence.Ref, err error) {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r persistence.Ref
		if err := rows.Scan(&r.ID, &r.Shard); err != nil {
			return nil, err
		}
		refs = append(refs, r)
	}
	return refs, rows.Err()
}

// List implements persistence.Store.
func (s *Store) List(ctx context.Context, q persistence.Query) ([]persistence.Saga, error) {
	where, args := []string{"TRUE"}, []any{}
	if q.Definition != "" {
		where, args = append(where, "definition = ?"), append(args, q.Definition)
	}
	if len(q.Statuses) > 0 {
		where = append(where, "status IN (?"+strings.Repeat(", ?", len(q.Statuses)-1)+")")
		for _, st := range q.Statuses {
			args = append(args, st)
		}
	}
	if q.Before != nil {
		where, args = append(where, "(started_at, id) < (?, ?)"), append(args, q.Before.StartedAt.UnixMicro(), q.Before.ID)
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	args = append(args, min(q.Limit, 1000))
	list := strings.Replace(columns, " state,", " NULL,", 1)
	return scanSagas(s.read.QueryContext(ctx, `SELECT `+list+` FROM sagas WHERE `+strings.Join(where, " AND ")+` ORDER BY started_at DESC, id DESC LIMIT ?`, args...))
}

// SaveDefinitions implements persistence.Store.
func (s *Store) SaveDefinitions(ctx context.Context, defs []persistence.Definition) error {
	for _, d := range defs {
		_, err := s.write.ExecContext(ctx, `INSERT INTO definitions (fingerprint, name, version, plan) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			d.Fingerprint, d.Name, d.Version, d.Plan)
		if err != nil {
			return fmt.Errorf("store definition %s v%d: %w", d.Name, d.Version, err)
		}
	}
	return nil
}

// Definitions implements persistence.Store.
func (s *Store) Definitions(ctx context.Context) (defs []persistence.Definition, err error) {
	rows, err := s.read.QueryContext(ctx, `SELECT fingerprint, name, version, plan FROM definitions`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var d persistence.Definition
		if err := rows.Scan(&d.Fingerprint, &d.Name, &d.Version, &d.Plan); err != nil {
			return nil, err
		}
		defs = append(defs, d)
	}
	return defs, rows.Err()
}

// DeleteEnded implements persistence.Store.
func (s *Store) DeleteEnded(ctx context.Context, before time.Time, limit int) (int, error) {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	refs, err := scanIDs(tx.QueryContext(ctx, `SELECT id FROM sagas WHERE ended_at > 0 AND ended_at < ? ORDER BY ended_at LIMIT ?`, before.UnixMicro(), limit))
	if err != nil {
		return 0, err
	}
	for _, query := range []string{`DELETE FROM journal WHERE saga_id = ?`, `DELETE FROM sagas WHERE id = ?`} {
		if err := each(ctx, tx, query, len(refs), func(i int) []any { return []any{refs[i]} }, nil); err != nil {
			return 0, err
		}
	}
	return len(refs), tx.Commit()
}

func scanIDs(rows *sql.Rows, err error) (ids []string, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
