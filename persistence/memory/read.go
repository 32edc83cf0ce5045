package memory

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sagaz/sagaz/persistence"
)

// Load implements persistence.Store.
func (s *Store) Load(ctx context.Context, id string) (*persistence.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.sagas[id]
	if r == nil || r.Version == 0 {
		return nil, fmt.Errorf("%q: %w", id, persistence.ErrNotFound)
	}
	rec := r.record()
	return &rec, nil
}

func (r *row) record() persistence.Record {
	rec := persistence.Record{Saga: clone(r.Saga)}
	for _, e := range r.journal {
		e.Data = bytes.Clone(e.Data)
		rec.Journal = append(rec.Journal, e.Entry)
	}
	return rec
}

func position(s *persistence.Saga) persistence.Position {
	return persistence.Position{StartedAt: s.StartedAt, ID: s.ID}
}

// pick returns the rows that match, in order.
func (s *Store) pick(match func(*row) bool, order func(a, b *row) int, limit int) []*row {
	var rows []*row
	for _, r := range s.sagas {
		if r.Version > 0 && match(r) {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, order)
	return rows[:min(len(rows), limit)]
}

func oldest(a, b *row) int { return before(position(&a.Saga), position(&b.Saga)) }

// Recover implements persistence.Store.
func (s *Store) Recover(ctx context.Context, shard int, after *persistence.Position, limit int) ([]persistence.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var records []persistence.Record
	for _, r := range s.pick(func(r *row) bool {
		return r.Shard == shard && !r.Status.Ended() && !r.Asleep && (after == nil || before(*after, position(&r.Saga)) < 0)
	}, oldest, limit) {
		records = append(records, r.record())
	}
	return records, nil
}

// Waiting implements persistence.Store.
func (s *Store) Waiting(ctx context.Context, now time.Time, shards []int, limit int) ([]persistence.Ref, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	due := s.pick(func(r *row) bool {
		return r.Asleep && !r.Status.Ended() && !r.WakeAt.IsZero() && !r.WakeAt.After(now) && slices.Contains(shards, r.Shard)
	}, func(a, b *row) int { return a.WakeAt.Compare(b.WakeAt) }, limit)
	fresh := s.pick(func(r *row) bool { return !r.Begun && !r.Status.Ended() && slices.Contains(shards, r.Shard) }, oldest, limit)
	var refs []persistence.Ref
	for _, r := range append(due, fresh...) {
		refs = append(refs, persistence.Ref{ID: r.ID, Shard: r.Shard})
	}
	return refs, nil
}

// List implements persistence.Store.
func (s *Store) List(ctx context.Context, q persistence.Query) ([]persistence.Saga, *persistence.Position, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	q.Limit = min(q.Limit, 1000)
	s.mu.Lock()
	defer s.mu.Unlock()
	var sagas []persistence.Saga
	for _, r := range s.pick(func(r *row) bool { return matches(r, q) }, func(a, b *row) int { return oldest(b, a) }, q.Limit) {
		saga := clone(r.Saga)
		saga.State = nil
		sagas = append(sagas, saga)
	}
	if len(sagas) < q.Limit {
		return sagas, nil, nil
	}
	next := position(&sagas[len(sagas)-1])
	return sagas, &next, nil
}

func matches(r *row, q persistence.Query) bool {
	for k, v := range q.Tags {
		if value, ok := r.Tags[k]; !ok || value != v {
			return false
		}
	}
	return (q.Definition == "" || q.Definition == r.Definition) &&
		(len(q.Statuses) == 0 || slices.Contains(q.Statuses, r.Status)) &&
		(q.StartedAfter.IsZero() || !r.StartedAt.Before(q.StartedAfter)) &&
		(q.StartedBefore.IsZero() || r.StartedAt.Before(q.StartedBefore)) &&
		(q.Text == "" || mentions(r, q.Text)) &&
		(q.Before == nil || before(position(&r.Saga), *q.Before) < 0)
}

func mentions(r *row, text string) bool {
	for _, v := range r.Tags {
		if strings.Contains(v, text) {
			return true
		}
	}
	return strings.Contains(r.ID, text)
}

// SaveDefinitions implements persistence.Store.
func (s *Store) SaveDefinitions(ctx context.Context, defs []persistence.Definition) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range defs {
		if _, ok := s.definitions[string(d.Fingerprint)]; !ok {
			d.Fingerprint, d.Plan = bytes.Clone(d.Fingerprint), bytes.Clone(d.Plan)
			s.definitions[string(d.Fingerprint)] = d
		}
	}
	return nil
}

// Definitions implements persistence.Store.
func (s *Store) Definitions(ctx context.Context) ([]persistence.Definition, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var defs []persistence.Definition
	for _, d := range s.definitions {
		d.Fingerprint, d.Plan = bytes.Clone(d.Fingerprint), bytes.Clone(d.Plan)
		defs = append(defs, d)
	}
	return defs, nil
}

// DeleteEnded implements persistence.Store.
func (s *Store) DeleteEnded(ctx context.Context, earlier time.Time, limit int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := s.pick(func(r *row) bool { return r.Status.Ended() && r.EndedAt.Before(earlier) },
		func(a, b *row) int { return a.EndedAt.Compare(b.EndedAt) }, limit)
	for _, r := range rows {
		delete(s.sagas, r.ID)
	}
	return len(rows), nil
}
