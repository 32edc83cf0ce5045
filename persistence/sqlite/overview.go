package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/sagaz/sagaz/persistence"
)

// Ping implements persistence.Overview.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.read.PingContext(ctx); err != nil {
		return fmt.Errorf("%w: %w", persistence.ErrUnavailable, err)
	}
	return nil
}

// Trouble implements persistence.Overview.
func (s *Store) Trouble(ctx context.Context) (persistence.Trouble, error) {
	t := persistence.Trouble{Stuck: map[string]int{}}
	err := s.read.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM sagas WHERE asleep = 1 AND wake_at <> 0 LIMIT ?)`,
		persistence.MaxAsleepCounted).Scan(&t.Asleep)
	if err != nil {
		return t, fmt.Errorf("count sleeping sagas: %w", err)
	}
	rows, err := s.read.QueryContext(ctx, `SELECT definition, count(*), min(since) FROM (
			SELECT definition, CASE stuck_at WHEN 0 THEN started_at ELSE stuck_at END AS since FROM sagas
			WHERE status = 6 AND status IN (2, 4, 5, 6) ORDER BY started_at, id LIMIT ?)
		GROUP BY definition`, persistence.MaxStuckCounted)
	if err != nil {
		return t, fmt.Errorf("count stuck sagas: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var definition string
		var n int
		var since int64
		if err := rows.Scan(&definition, &n, &since); err != nil {
			return t, fmt.Errorf("count stuck sagas: %w", err)
		}
		t.Stuck[definition] = n
		if at := when(since); t.OldestAt.IsZero() || at.Before(t.OldestAt) {
			t.OldestAt = at
		}
	}
	if err := rows.Err(); err != nil {
		return t, fmt.Errorf("count stuck sagas: %w", err)
	}
	return t, nil
}

// Members implements persistence.Overview. One process holds the file: only the newest can be alive.
func (s *Store) Members(ctx context.Context) ([]persistence.MemberRow, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id, name, alive FROM members WHERE alive ORDER BY id DESC`)
	if err != nil {
		return nil, fmt.Errorf("read members: %w", err)
	}
	defer rows.Close()
	var members []persistence.MemberRow
	for rows.Next() {
		var m persistence.MemberRow
		if err := rows.Scan(&m.ID, &m.Name, &m.Alive); err != nil {
			return nil, fmt.Errorf("read members: %w", err)
		}
		members = append(members, m)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read members: %w", err)
	}
	return members, nil
}

// Leases implements persistence.Overview: whoever holds the file owns every shard.
func (s *Store) Leases(ctx context.Context) ([]persistence.Lease, error) {
	members, err := s.Members(ctx)
	if err != nil {
		return nil, err
	}
	leases := make([]persistence.Lease, s.Shards())
	if len(members) > 0 {
		for i := range leases {
			leases[i].Member = members[0].ID
		}
	}
	return leases, nil
}

// Ask implements persistence.Overview.
func (s *Store) Ask(ctx context.Context, a persistence.Action) (id int64, err error) {
	err = s.write.QueryRowContext(ctx, `INSERT INTO audit (at, by, verb, saga_id, step, note, outcome) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id`,
		micros(a.At), a.By, a.Verb, a.SagaID, a.Step, a.Note, persistence.OutcomeAsked).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("record %s of saga %s: %w", a.Verb, a.SagaID, err)
	}
	return id, nil
}

// Settle implements persistence.Overview.
func (s *Store) Settle(ctx context.Context, id int64, outcome string) error {
	if _, err := s.write.ExecContext(ctx, `UPDATE audit SET outcome = ? WHERE id = ?`, outcome, id); err != nil {
		return fmt.Errorf("record the outcome of action %d: %w", id, err)
	}
	return nil
}

// Actions implements persistence.Overview.
func (s *Store) Actions(ctx context.Context, q persistence.ActionQuery) ([]persistence.Action, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	rows, err := s.read.QueryContext(ctx, `SELECT id, at, by, verb, saga_id, step, note, outcome FROM audit
		WHERE (?1 = '' OR saga_id = ?1) AND (?2 = 0 OR id < ?2) ORDER BY id DESC LIMIT ?3`, q.SagaID, q.Before, q.Limit)
	if err != nil {
		return nil, fmt.Errorf("read the audit: %w", err)
	}
	defer rows.Close()
	var actions []persistence.Action
	for rows.Next() {
		var a persistence.Action
		var at int64
		if err := rows.Scan(&a.ID, &at, &a.By, &a.Verb, &a.SagaID, &a.Step, &a.Note, &a.Outcome); err != nil {
			return nil, fmt.Errorf("read the audit: %w", err)
		}
		a.At = when(at)
		actions = append(actions, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the audit: %w", err)
	}
	return actions, nil
}

// ForgetActions implements persistence.Overview.
func (s *Store) ForgetActions(ctx context.Context, before time.Time, limit int) (int, error) {
	res, err := s.write.ExecContext(ctx, `DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ? ORDER BY id LIMIT ?)`, micros(before), limit)
	if err != nil {
		return 0, fmt.Errorf("shorten the audit: %w", err)
	}
	n, err := res.RowsAffected()
	return int(n), err
}
