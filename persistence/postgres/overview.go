package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz/persistence"
)

// Ping implements persistence.Overview.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("%w: %w", persistence.ErrUnavailable, err)
	}
	return nil
}

// Trouble implements persistence.Overview.
func (s *Store) Trouble(ctx context.Context) (persistence.Trouble, error) {
	t := persistence.Trouble{Stuck: map[string]int{}}
	if err := s.pool.QueryRow(ctx, s.sql.asleep, persistence.MaxAsleepCounted).Scan(&t.Asleep); err != nil {
		return t, fmt.Errorf("count sleeping sagas: %w", err)
	}
	rows, err := s.pool.Query(ctx, s.sql.stuck, persistence.MaxStuckCounted)
	if err != nil {
		return t, fmt.Errorf("count stuck sagas: %w", err)
	}
	var definition string
	var n int
	var since time.Time
	_, err = pgx.ForEachRow(rows, []any{&definition, &n, &since}, func() error {
		t.Stuck[definition] = n
		if t.OldestAt.IsZero() || since.Before(t.OldestAt) {
			t.OldestAt = since.UTC()
		}
		return nil
	})
	if err != nil {
		return t, fmt.Errorf("count stuck sagas: %w", err)
	}
	return t, nil
}

// Members implements persistence.Overview.
func (s *Store) Members(ctx context.Context) ([]persistence.MemberRow, error) {
	rows, err := s.pool.Query(ctx, s.sql.memberRows)
	if err != nil {
		return nil, fmt.Errorf("read members: %w", err)
	}
	members, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m persistence.MemberRow, err error) {
		err = row.Scan(&m.ID, &m.Name, &m.Alive, &m.JoinedAt, &m.HeartbeatAt, &m.Age, &m.Cluster, &m.Address, &m.Version, &m.Kinds, &m.Draining)
		m.JoinedAt, m.HeartbeatAt = m.JoinedAt.UTC(), m.HeartbeatAt.UTC()
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("read members: %w", err)
	}
	return members, nil
}

// Leases implements persistence.Overview. A sole member owns every shard without a lease.
func (s *Store) Leases(ctx context.Context) ([]persistence.Lease, error) {
	rows, err := s.pool.Query(ctx, s.sql.leases)
	if err != nil {
		return nil, fmt.Errorf("read leases: %w", err)
	}
	leases, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l persistence.Lease, err error) {
		var claimed *time.Time
		if err = row.Scan(&l.Member, &claimed); err == nil && claimed != nil {
			l.ClaimedAt = claimed.UTC()
		}
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("read leases: %w", err)
	}
	return leases, nil
}

// Ask implements persistence.Overview.
func (s *Store) Ask(ctx context.Context, a persistence.Action) (id int64, err error) {
	err = s.pool.QueryRow(ctx, s.sql.ask, a.At, a.By, a.Verb, a.SagaID, a.Step, a.Note, persistence.OutcomeAsked).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("record %s of saga %s: %w", a.Verb, a.SagaID, err)
	}
	return id, nil
}

// Settle implements persistence.Overview.
func (s *Store) Settle(ctx context.Context, id int64, outcome string) error {
	if _, err := s.pool.Exec(ctx, s.sql.settle, id, outcome); err != nil {
		return fmt.Errorf("record the outcome of action %d: %w", id, err)
	}
	return nil
}

// Actions implements persistence.Overview.
func (s *Store) Actions(ctx context.Context, q persistence.ActionQuery) ([]persistence.Action, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	rows, err := s.pool.Query(ctx, s.sql.actions, q.SagaID, q.Before, q.Limit)
	if err != nil {
		return nil, fmt.Errorf("read the audit: %w", err)
	}
	actions, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a persistence.Action, err error) {
		err = row.Scan(&a.ID, &a.At, &a.By, &a.Verb, &a.SagaID, &a.Step, &a.Note, &a.Outcome)
		a.At = a.At.UTC()
		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit: %w", err)
	}
	return actions, nil
}

// ForgetActions implements persistence.Overview.
func (s *Store) ForgetActions(ctx context.Context, before time.Time, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, s.sql.forgetActions, before, limit)
	if err != nil {
		return 0, fmt.Errorf("shorten the audit: %w", err)
	}
	return int(tag.RowsAffected()), nil
}
