package actors

import (
	"context"
	"sync"
	"time"

	"github.com/sagaz/sagaz/persistence"
)

// Sizes of recovery.
const (
	recoveryWorkers = 4
	recoveryRetry   = time.Second
)

// recovery brings the live sagas of newly opened shards into memory, a page of a shard at a time, oldest first. Shards that come together are
// worked off by a few workers, so that new work on the others is not starved.
type recovery struct {
	rt     *Runtime
	mu     sync.Mutex
	queue  []int
	active map[int]*run
	ready  chan struct{}

	began  time.Time // of the shards that are being recovered now
	shards int
	sagas  int
}

// run is the recovery of one shard that is under way. A shard that left and came back may have two for a moment.
type run struct {
	ctx    context.Context
	cancel context.CancelFunc
}

func newRecovery(rt *Runtime) *recovery {
	return &recovery{rt: rt, active: map[int]*run{}, ready: make(chan struct{}, 1)}
}

func (r *recovery) add(shard int) {
	r.mu.Lock()
	if len(r.queue)+len(r.active) == 0 {
		r.began, r.shards, r.sagas = r.rt.cfg.Clock.Now(), 0, 0
	}
	r.queue = append(r.queue, shard)
	r.mu.Unlock()
	r.rt.cfg.Metrics.RecoveryStarted(1)
	r.signal()
}

func (r *recovery) signal() {
	select {
	case r.ready <- struct{}{}:
	default:
	}
}

// remove gives up a shard that is not here any more.
func (r *recovery) remove(shard int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if its := r.active[shard]; its != nil {
		its.cancel()
	}
	for i, s := range r.queue {
		if s == shard {
			r.queue = append(r.queue[:i], r.queue[i+1:]...)
			r.rt.cfg.Metrics.ShardRecovered(0)
			return
		}
	}
}

// work is one worker; it returns when ctx ends.
func (r *recovery) work(ctx context.Context) {
	for {
		if shard, its, ok := r.next(ctx); ok {
			begun := r.rt.cfg.Clock.Now()
			sagas := r.recover(its.ctx, shard)
			r.rt.cfg.Metrics.ShardRecovered(r.rt.cfg.Clock.Now().Sub(begun))
			r.finish(shard, its, sagas)
			continue
		}
		select {
		case <-r.ready:
		case <-ctx.Done():
			return
		}
	}
}

func (r *recovery) next(ctx context.Context) (shard int, its *run, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 || ctx.Err() != nil {
		return 0, nil, false
	}
	shard = r.queue[0]
	r.queue = r.queue[1:]
	its = &run{}
	its.ctx, its.cancel = context.WithCancel(ctx)
	r.active[shard] = its
	if len(r.queue) > 0 {
		r.signal() // another worker may help
	}
	return shard, its, true
}

func (r *recovery) finish(shard int, its *run, sagas int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if its.ctx.Err() == nil { // the shard has not been closed since, nor opened again
		r.rt.toShard(shard, &recoveredAll{})
	}
	its.cancel()
	if r.active[shard] == its {
		delete(r.active, shard)
	}
	r.shards++
	r.sagas += sagas
	if len(r.queue)+len(r.active) == 0 && r.sagas > 0 {
		r.rt.cfg.Logger.Info("sagas are carried on", "sagas", r.sagas, "shards", r.shards, "took", r.rt.cfg.Clock.Now().Sub(r.began).Round(time.Millisecond))
	}
}

// recover hands the live sagas of a shard to its actor and returns how many of them were not in memory already.
func (r *recovery) recover(ctx context.Context, shard int) (sagas int) {
	var pages Pages
	for after, limit, more := pages.Next(); more && ctx.Err() == nil; after, limit, more = pages.Next() {
		page, err := r.rt.cfg.Store.Recover(ctx, shard, after, limit)
		var n int
		if err == nil {
			n, err = r.hand(ctx, shard, page)
		}
		switch {
		case ctx.Err() != nil:
		case err != nil:
			r.rt.cfg.Logger.Warn("recovery waits for the store", "shard", shard, "error", err)
			r.pause(ctx)
		default:
			pages.Took(page, n)
		}
	}
	return pages.sagas
}

func (r *recovery) pause(ctx context.Context) {
	select {
	case <-time.After(recoveryRetry):
	case <-ctx.Done():
	}
}

func (r *recovery) hand(ctx context.Context, shard int, page []persistence.Record) (spawned int, err error) {
	for i := range page {
		if err := r.rt.learn(ctx, page[i].Fingerprint); err != nil {
			return 0, err
		}
	}
	carried, left := r.rt.cfg.Registry.Carried(page)
	for i := range left {
		r.rt.cfg.Logger.Warn("a running saga is left alone: this build has no definition of its shape",
			"saga", left[i].ID, "shard", shard, "definition", left[i].Definition, "version", left[i].DefinitionVersion)
	}
	if len(carried) == 0 {
		return 0, nil
	}
	handed := make(chan int, 1)
	if !r.rt.toShard(shard, &recovered{records: carried, done: func(n int) { handed <- n }}) {
		return 0, nil
	}
	select {
	case spawned = <-handed: // one page in the mailbox at a time: new work is not starved
	case <-ctx.Done():
	}
	r.rt.cfg.Metrics.Recovered(spawned)
	return spawned, nil
}
