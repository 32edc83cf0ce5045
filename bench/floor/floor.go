// Package floor is the least that durable sagas can cost: the same SQL through the same group commit, and nothing else.
// No actors, no payloads, no machine: what Sagaz adds is the distance to it.
package floor

import (
	"context"
	"time"

	"github.com/sagaz/sagaz/persistence"
)

// Shape is what one saga writes.
type Shape struct {
	Start     int   // bytes of the state that it is inserted with
	Entries   int   // transitions after the first: a journal entry each
	Entry     int   // bytes of one of them
	Snapshots []int // the entries after which a snapshot is written behind; the last one is the saga's end
	Snapshot  int   // bytes of the state in it
}

// Floor writes sagas. Make it with New, Close it when done.
type Floor struct {
	committer    *persistence.Committer
	checkpointer *persistence.Checkpointer
	shape        Shape
	state        []byte
	entry        []byte
	snapshot     []byte
}

// New makes a floor over a store that a member has joined.
func New(store persistence.Store, shape Shape) *Floor {
	return &Floor{
		committer:    persistence.NewCommitter(store, persistence.CommitterOptions{}),
		checkpointer: persistence.NewCheckpointer(store, persistence.CheckpointerOptions{}),
		shape:        shape,
		state:        make([]byte, shape.Start),
		entry:        make([]byte, shape.Entry),
		snapshot:     make([]byte, shape.Snapshot),
	}
}

// Close writes the snapshots that wait, and stops.
func (f *Floor) Close(ctx context.Context) error {
	defer f.committer.Close()
	defer f.checkpointer.Close()
	return f.checkpointer.Flush(ctx)
}

// Saga takes one from its start to its end.
func (f *Floor) Saga(id string) error {
	done := make(waiter, 1)
	now := time.Now()
	s := persistence.Saga{
		ID: id, Definition: "bench.floor", DefinitionVersion: 1, Fingerprint: []byte("0123456789abcdef"), Status: persistence.StatusRunning,
		Version: 1, State: f.state, Begun: true, StartedAt: now, UpdatedAt: now,
	}
	start := s
	if err := f.commit(done, persistence.Op{Start: &start, Done: done}); err != nil {
		return err
	}
	snapshots := f.shape.Snapshots
	for n := 1; n <= f.shape.Entries; n++ {
		s.Version++
		if err := f.commit(done, persistence.Op{Entry: persistence.Entry{SagaID: id, Version: s.Version, Data: f.entry}, Done: done}); err != nil {
			return err
		}
		if len(snapshots) > 0 && snapshots[0] == n {
			snapshots = snapshots[1:]
			f.checkpoint(s, len(snapshots) == 0)
		}
	}
	return nil
}

func (f *Floor) checkpoint(s persistence.Saga, ended bool) {
	s.Status, s.State, s.UpdatedAt = persistence.StatusCompensating, f.snapshot, time.Now()
	if ended {
		s.Status, s.EndedAt = persistence.StatusCompleted, s.UpdatedAt
	}
	f.checkpointer.Submit(s, func() {})
}

func (f *Floor) commit(done waiter, op persistence.Op) error {
	if err := f.committer.Submit(op); err != nil {
		return err
	}
	return <-done
}

type waiter chan error

// Committed implements persistence.Waiter.
func (w waiter) Committed(err error) { w <- err }
