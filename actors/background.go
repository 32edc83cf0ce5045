package actors

import (
	"context"
	"sync"
	"time"

	"github.com/sagaz/sagaz/persistence"
)

// Sizes and rhythms of what runs beside the sagas.
const (
	recoveryPage    = 500
	recoveryWorkers = 4
	scanEvery       = time.Second
	scanPage        = 1000
	retentionEvery  = time.Minute
	retentionPage   = 1000
	auditRetention  = 400 * 24 * time.Hour // more than a year, whatever happens to the sagas
)

// background is what a node does beside its sagas: recovery, the scan for sagas that sleep or have not begun, retention.
type background struct {
	rt     *Runtime
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func startBackground(rt *Runtime) *background {
	ctx, cancel := context.WithCancel(context.Background())
	b := &background{rt: rt, cancel: cancel}
	shards := make(chan int, len(rt.shards))
	rt.cfg.Metrics.RecoveryStarted(len(rt.shards))
	rt.cfg.Metrics.SetShardsOwned(len(rt.shards))
	for i := range rt.shards {
		shards <- i
	}
	close(shards)
	for range recoveryWorkers {
		b.wg.Go(func() {
			for shard := range shards {
				begun := rt.cfg.Clock.Now()
				b.recoverShard(ctx, shard)
				rt.cfg.Metrics.ShardRecovered(rt.cfg.Clock.Now().Sub(begun))
			}
		})
	}
	b.wg.Go(func() { b.every(ctx, scanEvery, b.scan) })
	if rt.cfg.Metrics != nil {
		b.wg.Go(func() { b.every(ctx, surveyEvery, b.survey) })
	}
	b.wg.Go(func() { b.every(ctx, retentionEvery, b.forget) })
	if rt.cfg.Retention > 0 {
		b.wg.Go(func() { b.every(ctx, retentionEvery, b.retain) })
	}
	return b
}

func (b *background) close() {
	b.cancel()
	b.wg.Wait()
}

// recoverShard hands the live sagas of a shard to its actor, oldest first, a page at a time.
func (b *background) recoverShard(ctx context.Context, shard int) {
	var after *persistence.Position
	for ctx.Err() == nil {
		records, err := b.rt.cfg.Store.Recover(ctx, shard, after, recoveryPage)
		if err != nil {
			if !b.pause(ctx, "recovery waits for the store", err) {
				return
			}
			continue
		}
		last := len(records) < recoveryPage
		if len(records) > 0 {
			r := records[len(records)-1]
			after = &persistence.Position{StartedAt: r.StartedAt, ID: r.ID}
			b.hand(ctx, shard, records)
		}
		if last {
			return
		}
	}
}

func (b *background) hand(ctx context.Context, shard int, records []persistence.Record) {
	kept := records[:0]
	for _, r := range records {
		def, known := b.rt.definition(r.Fingerprint)
		if !known || def.Builder == nil && r.Status == persistence.StatusRunning {
			b.rt.cfg.Logger.Warn("a running saga is left alone: this build has no definition of its shape",
				"saga", r.ID, "definition", r.Definition, "version", r.DefinitionVersion)
			continue
		}
		kept = append(kept, r)
	}
	b.rt.cfg.Metrics.Recovered(len(kept))
	handed := make(chan struct{})
	b.rt.system.Root.Send(b.rt.shards[shard], &recovered{records: kept, done: func() { close(handed) }})
	select {
	case <-handed: // one page in the mailbox at a time: new work is not starved
	case <-ctx.Done():
	}
}

// scan wakes sagas whose time has come and takes up those that a caller's own transaction inserted.
func (b *background) scan(ctx context.Context) error {
	due, err := b.rt.cfg.Store.Due(ctx, b.rt.cfg.Clock.Now(), scanPage)
	if err != nil {
		return err
	}
	fresh, err := b.rt.cfg.Store.NotBegun(ctx, scanPage)
	if err != nil {
		return err
	}
	for _, ref := range append(due, fresh...) {
		b.rt.system.Root.Send(b.rt.shards[ref.Shard], &rouse{id: ref.ID})
	}
	return nil
}

// forget shortens the audit.
func (b *background) forget(ctx context.Context) error {
	for {
		n, err := b.rt.cfg.Store.ForgetActions(ctx, b.rt.cfg.Clock.Now().Add(-auditRetention), retentionPage)
		if err != nil || n < retentionPage {
			return err
		}
	}
}

func (b *background) retain(ctx context.Context) error {
	for {
		n, err := b.rt.cfg.Store.DeleteEnded(ctx, b.rt.cfg.Clock.Now().Add(-b.rt.cfg.Retention), retentionPage)
		if err != nil || n < retentionPage {
			return err
		}
	}
}

// every runs a task in a rhythm. A failure is logged when it is news, not each time.
func (b *background) every(ctx context.Context, rhythm time.Duration, task func(context.Context) error) {
	ticker := time.NewTicker(rhythm)
	defer ticker.Stop()
	failing := false
	for {
		err := task(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			b.rt.cfg.Logger.Error("background work waits for the store", "error", err)
		}
		failing = err != nil
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (b *background) pause(ctx context.Context, text string, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	b.rt.cfg.Logger.Warn(text, "error", err)
	select {
	case <-time.After(scanEvery):
		return true
	case <-ctx.Done():
		return false
	}
}
