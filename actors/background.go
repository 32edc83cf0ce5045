package actors

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Rhythms and sizes of what runs beside the sagas.
const (
	scanEvery      = time.Second
	scanPage       = 1000
	retentionEvery = time.Minute
	retentionPage  = 1000
	auditRetention = 400 * 24 * time.Hour // more than a year, whatever happens to the sagas
)

// background is what a node does beside its sagas: recovery, the scan for sagas that sleep or have not begun, commands that a broken connection
// may have swallowed, retention.
type background struct {
	rt     *Runtime
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func startBackground(rt *Runtime) *background {
	ctx, cancel := context.WithCancel(context.Background())
	b := &background{rt: rt, cancel: cancel}
	for range recoveryWorkers {
		b.wg.Go(func() { rt.recovery.work(ctx) })
	}
	b.wg.Go(func() { b.every(ctx, scanEvery, b.scan) })
	if rt.member != nil {
		b.wg.Go(func() { rt.redeliver(ctx) })
	}
	if rt.cfg.Metrics != nil {
		b.wg.Go(func() { b.every(ctx, surveyEvery, b.survey) })
	}
	b.wg.Go(func() { b.every(ctx, retentionEvery, b.forget) })
	for _, p := range rt.cfg.Participants {
		if p.Forget != nil && !rt.cfg.Paused {
			b.wg.Go(func() { b.every(ctx, retentionEvery, b.forgetOf(p)) })
		}
	}
	if rt.cfg.Retention > 0 {
		b.wg.Go(func() { b.every(ctx, retentionEvery, b.retain) })
	}
	return b
}

func (b *background) close() {
	b.cancel()
	b.wg.Wait()
}

// scan wakes sagas whose time has come, takes up those that a caller's own transaction inserted, and asks again for answers that do not come.
func (b *background) scan(ctx context.Context) error {
	b.rt.deliveries.Expire(b.rt.cfg.Clock.Now())
	for _, c := range b.rt.deliveries.Silent(b.rt.cfg.Clock.Now()) {
		b.rt.sendAway(c)
	}
	shards := b.rt.open.list()
	if len(shards) == 0 {
		return nil
	}
	refs, err := b.rt.cfg.Store.Waiting(ctx, b.rt.cfg.Clock.Now(), shards, scanPage)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		b.rt.toShard(ref.Shard, &rouse{id: ref.ID})
	}
	return nil
}

// forget shortens the audit.
func (b *background) forget(ctx context.Context) error {
	return inPages(b.hasFirst, func() (int, error) {
		return b.rt.cfg.Store.ForgetActions(ctx, b.rt.cfg.Clock.Now().Add(-auditRetention), retentionPage)
	})
}

// forgetOf returns the task that makes a participant forget.
func (b *background) forgetOf(p Participant) func(context.Context) error {
	return func(ctx context.Context) error {
		return inPages(func() bool { return ctx.Err() == nil }, func() (int, error) { return p.Forget(ctx, b.rt.cfg.Clock.Now(), retentionPage) })
	}
}

// retain deletes sagas that ended long ago.
func (b *background) retain(ctx context.Context) error {
	return inPages(b.hasFirst, func() (int, error) {
		return b.rt.cfg.Store.DeleteEnded(ctx, b.rt.cfg.Clock.Now().Add(-b.rt.cfg.Retention), retentionPage)
	})
}

// hasFirst says whether this node has the first shard: what one member does for all is its work.
func (b *background) hasFirst() bool { return b.rt.open.get(0) != nil }

// inPages deletes page after page, for as long as the node may, until one is not full.
func inPages(may func() bool, page func() (int, error)) error {
	for may() {
		n, err := page()
		if err != nil || n < retentionPage {
			return err
		}
	}
	return nil
}

// every runs a task in a rhythm, which it stretches by up to two fifths so that the members of a cluster do not ask all at once. A failure is logged
// when it is news, not each time.
func (b *background) every(ctx context.Context, rhythm time.Duration, task func(context.Context) error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	failing := false
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		err := task(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			b.rt.cfg.Logger.Error("background work waits for the store", "error", err)
		}
		failing = err != nil
		timer.Reset(rhythm + rand.N(2*rhythm/5))
	}
}
