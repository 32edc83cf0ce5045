// Package floor is the least that durable sagas can cost: the same SQL through the same group commit, and nothing else.
// No actors, no payloads, no machine: what Sagaz adds is the distance to it.
package floor

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sagaz/sagaz/persistence"
)

// Run takes sagas through one start and `transitions` journal entries each, `concurrency` at a time, and returns how long each took.
// State and data stand for what a saga of the benchmark writes. Snapshots of ended sagas are written behind, as a node does.
func Run(ctx context.Context, store persistence.Store, prefix string, sagas, concurrency, transitions int, state, data []byte) ([]time.Duration, error) {
	committer := persistence.NewCommitter(store, persistence.CommitterOptions{})
	defer committer.Close()
	checkpointer := persistence.NewCheckpointer(store, persistence.CheckpointerOptions{})
	defer checkpointer.Close()
	took := make([]time.Duration, sagas)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range concurrency {
		wg.Go(func() {
			done := make(waiter, 1)
			for {
				i := int(next.Add(1)) - 1
				if i >= sagas || failed.Load() != nil {
					return
				}
				begin := time.Now()
				if err := one(committer, checkpointer, done, fmt.Sprint(prefix, i), transitions, state, data); err != nil {
					failed.Store(&err)
					return
				}
				took[i] = time.Since(begin)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return took, checkpointer.Flush(ctx)
}

func one(c *persistence.Committer, snapshots *persistence.Checkpointer, done waiter, id string, transitions int, state, data []byte) error {
	now := time.Now()
	s := persistence.Saga{
		ID: id, Definition: "bench.floor", DefinitionVersion: 1, Fingerprint: []byte("0123456789abcdef"), Status: persistence.StatusRunning,
		Version: 1, State: state, Begun: true, StartedAt: now, UpdatedAt: now,
	}
	if err := wait(c, done, persistence.Op{Start: &s, Done: done}); err != nil {
		return err
	}
	for v := range transitions {
		e := persistence.Entry{SagaID: id, Version: uint64(v + 2), Data: data}
		if err := wait(c, done, persistence.Op{Entry: e, Done: done}); err != nil {
			return err
		}
	}
	s.Status, s.Version, s.EndedAt = persistence.StatusCompleted, uint64(transitions+1), time.Now()
	snapshots.Submit(s, func() {})
	return nil
}

func wait(c *persistence.Committer, done waiter, op persistence.Op) error {
	if err := c.Submit(op); err != nil {
		return err
	}
	return <-done
}

type waiter chan error

// Committed implements persistence.Waiter.
func (w waiter) Committed(err error) { w <- err }
