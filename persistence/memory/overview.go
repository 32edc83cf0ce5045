package memory

import (
	"context"
	"slices"
	"time"

	"github.com/sagaz/sagaz/persistence"
)

// Ping implements persistence.Overview.
func (s *Store) Ping(ctx context.Context) error { return ctx.Err() }

// Trouble implements persistence.Overview.
func (s *Store) Trouble(ctx context.Context) (persistence.Trouble, error) {
	t := persistence.Trouble{Stuck: map[string]int{}}
	if err := ctx.Err(); err != nil {
		return t, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.sagas {
		if r.Asleep && !r.WakeAt.IsZero() {
			t.Asleep++
		}
		if r.Status != persistence.StatusStuck {
			continue
		}
		t.Stuck[r.Definition]++
		since := r.stuckAt
		if since.IsZero() {
			since = r.StartedAt
		}
		if t.OldestAt.IsZero() || since.Before(t.OldestAt) {
			t.OldestAt = since
		}
	}
	return t, nil
}

// Members implements persistence.Overview.
func (s *Store) Members(ctx context.Context) ([]persistence.MemberRow, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.member == nil {
		return nil, nil
	}
	return []persistence.MemberRow{{ID: s.member.id, Name: s.member.name, Alive: true}}, nil
}

// Leases implements persistence.Overview.
func (s *Store) Leases(ctx context.Context) ([]persistence.Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	leases := make([]persistence.Lease, s.shards)
	if s.member != nil {
		for i := range leases {
			leases[i].Member = s.member.id
		}
	}
	return leases, nil
}

// Ask implements persistence.Overview.
func (s *Store) Ask(ctx context.Context, a persistence.Action) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	a.ID, a.At, a.Outcome = s.asked, stored(a.At), persistence.OutcomeAsked
	s.audit = append(s.audit, a)
	return a.ID, nil
}

// Settle implements persistence.Overview.
func (s *Store) Settle(ctx context.Context, id int64, outcome string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.audit {
		if s.audit[i].ID == id {
			s.audit[i].Outcome = outcome
		}
	}
	return nil
}

// Actions implements persistence.Overview.
func (s *Store) Actions(ctx context.Context, q persistence.ActionQuery) ([]persistence.Action, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var actions []persistence.Action
	for _, a := range slices.Backward(s.audit) {
		if len(actions) < q.Limit && (q.SagaID == "" || a.SagaID == q.SagaID) && (q.Before == 0 || a.ID < q.Before) {
			actions = append(actions, a)
		}
	}
	return actions, nil
}

// ForgetActions implements persistence.Overview.
func (s *Store) ForgetActions(ctx context.Context, earlier time.Time, limit int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	s.audit = slices.DeleteFunc(s.audit, func(a persistence.Action) bool {
		gone := n < limit && a.At.Before(earlier)
		if gone {
			n++
		}
		return gone
	})
	return n, nil
}
