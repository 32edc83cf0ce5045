// Package memory is the persistence.Store that is gone with the process: for tests and for trying out.
package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
)

// Store implements persistence.Store. Make it with New.
type Store struct {
	shards      int
	mu          sync.Mutex
	sagas       map[string]*row
	definitions map[string]persistence.Definition
	members     int64
	member      *membership // the living one
	outbox      outbox
	audit       []persistence.Action
	asked       int64 // the newest id in audit
}

type row struct {
	persistence.Saga
	origin  mark
	stuckAt time.Time
	journal []entry
}

type entry struct {
	persistence.Entry
	origin mark
}

// mark names the batch that wrote a row.
type mark struct {
	writer int64
	batch  uint64
}

var _ persistence.Store = (*Store)(nil)

// New makes an empty store. Shards defaults to 256.
func New(shards int) *Store {
	if shards <= 0 {
		shards = 256
	}
	return &Store{shards: shards, sagas: map[string]*row{}, definitions: map[string]persistence.Definition{}, outbox: outbox{lanes: map[laneKey][]messages.Outgoing{}}}
}

// Shards implements persistence.Store.
func (s *Store) Shards() int { return s.shards }

// Close implements persistence.Store. What was stored can still be read.
func (s *Store) Close() error { return nil }

type membership struct {
	store *Store
	id    int64
	name  string
	lost  chan struct{}
}

// Join implements persistence.Store.
func (s *Store) Join(ctx context.Context, m persistence.Member) (persistence.Membership, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.member != nil {
		return nil, fmt.Errorf("%w: member %d of this memory store has not left", persistence.ErrInUse, s.member.id)
	}
	s.members++
	s.member = &membership{store: s, id: s.members, name: m.Name, lost: make(chan struct{})}
	return s.member, nil
}

func (m *membership) ID() int64             { return m.id }
func (m *membership) Lost() <-chan struct{} { return m.lost }

func (m *membership) Leave(context.Context) error {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	if m.store.member == m {
		m.store.member = nil
		close(m.lost)
	}
	return nil
}

// Commit implements persistence.Store.
func (s *Store) Commit(ctx context.Context, b *persistence.Batch) ([]int, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.member == nil {
		return nil, persistence.ErrFenced
	}
	own := mark{writer: s.member.id, batch: b.ID}
	for _, e := range b.Entries {
		if !s.free(e, own) {
			return nil, fmt.Errorf("saga %s, version %d: %w", e.SagaID, e.Version, persistence.ErrConflict)
		}
	}
	duplicates, inserted := s.insert(b.Starts, own)
	again := false
	for _, e := range b.Entries {
		r := s.sagas[e.SagaID]
		i := r.find(e.Version)
		if i < len(r.journal) && r.journal[i].Version == e.Version {
			again = true // this batch was committed before
			continue
		}
		r.journal = slices.Insert(r.journal, i, entry{Entry: persistence.Entry{SagaID: e.SagaID, Version: e.Version, Data: bytes.Clone(e.Data)}, origin: own})
	}
	for _, id := range b.Wakes {
		if r := s.sagas[id]; r != nil {
			r.Asleep, r.Begun, r.WakeAt = false, true, time.Time{}
		}
	}
	s.enqueue(b.Outgoing, inserted, again)
	return duplicates, nil
}

// free says whether a journal key may be written: nobody has it, or this very batch.
func (s *Store) free(e persistence.Entry, own mark) bool {
	r := s.sagas[e.SagaID]
	if r == nil {
		r = &row{Saga: persistence.Saga{ID: e.SagaID}} // as in a database, the journal does not ask for the saga
		s.sagas[e.SagaID] = r
	}
	i := r.find(e.Version)
	return i == len(r.journal) || r.journal[i].Version != e.Version || r.journal[i].origin == own
}

func (r *row) find(version uint64) int {
	i, _ := slices.BinarySearchFunc(r.journal, version, func(e entry, v uint64) int { return cmp.Compare(e.Version, v) })
	return i
}

func (s *Store) insert(starts []persistence.Saga, own mark) (duplicates []int, inserted map[string]bool) {
	seen := map[string]bool{}
	inserted = make(map[string]bool, len(starts))
	for i, saga := range starts {
		r := s.sagas[saga.ID]
		switch {
		case r == nil:
			s.sagas[saga.ID] = &row{Saga: clone(saga), origin: own}
			inserted[saga.ID] = true
		case r.Version == 0: // it has a journal already
			r.Saga, r.origin = clone(saga), own
			inserted[saga.ID] = true
		case r.origin != own || seen[saga.ID]:
			duplicates = append(duplicates, i)
		}
		seen[saga.ID] = true
	}
	return duplicates, inserted
}

// Checkpoint implements persistence.Store.
func (s *Store) Checkpoint(ctx context.Context, sagas []persistence.Saga) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.member == nil {
		return persistence.ErrFenced
	}
	for _, saga := range sagas {
		r := s.sagas[saga.ID]
		if r == nil {
			continue
		}
		if r.Version <= saga.Version {
			r.Saga = clone(saga)
			switch {
			case r.Status != persistence.StatusStuck:
				r.stuckAt = time.Time{}
			case r.stuckAt.IsZero():
				r.stuckAt = r.UpdatedAt
			}
		}
		r.journal = slices.DeleteFunc(r.journal, func(e entry) bool { return e.Version <= saga.Version })
	}
	return nil
}

func clone(s persistence.Saga) persistence.Saga {
	s.Fingerprint, s.State, s.Tags = bytes.Clone(s.Fingerprint), bytes.Clone(s.State), maps.Clone(s.Tags)
	for _, t := range []*time.Time{&s.WakeAt, &s.StartedAt, &s.UpdatedAt, &s.EndedAt} {
		*t = stored(*t)
	}
	return s
}

// before orders positions: earlier start first, then by id.
func before(a, b persistence.Position) int {
	return cmp.Or(a.StartedAt.Compare(b.StartedAt), strings.Compare(a.ID, b.ID))
}
