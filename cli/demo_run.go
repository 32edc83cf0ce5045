package cli

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sagaz/sagaz"
)

// runHere runs the workload in this process.
func runHere(ctx context.Context, d *Demo, w workload, a *audience, bar *progress) (r *result, err error) {
	world, err := d.Open(ctx, w.store)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, world.Close()) }()
	node, err := openDemoNode(ctx, d, world, w, a)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, node.Close(context.WithoutCancel(ctx))) }()
	began := time.Now()
	if err := w.run(ctx, d, world, node, 0, bar.set); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	return w.judge(context.WithoutCancel(ctx), d, world, node, a, time.Since(began)) // when time is up it tells how far the run came
}

func openDemoNode(ctx context.Context, d *Demo, world DemoWorld, w workload, a *audience) (*sagaz.Node, error) {
	return sagaz.Open(ctx, sagaz.Config{
		Publisher: a.publisher(), Events: sagaz.Events{Topic: demoTopic, OnSent: a.sent},
		Store: w.store, Sagas: d.Sagas, Participants: world.Participants(), Migrate: true,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
}

func (w *workload) id(d *Demo, i int) string { return w.prefix + d.Name(i) }

// fails says whether a saga of that name is one that cannot be fulfilled: the same ones in every run.
func (w *workload) fails(name string) bool {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // a hash takes everything
	x := h.Sum64()
	x = (x ^ x>>33) * 0xff51afd7ed558ccd // names differ in their last digits, and fnv leaves those in the low bits
	return float64(x^x>>33)/math.MaxUint64 < w.failRate
}

// run starts all sagas, a bounded number at once, and waits for their ends. It is idempotent: a saga that was started before is only waited for.
// After hold ends (0: never) no further saga is started and run does not return: it is to be killed there, with sagas in flight.
func (w *workload) run(ctx context.Context, d *Demo, world DemoWorld, n *sagaz.Node, hold int, progress func(ended int)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		next, ended atomic.Int64
		report      sync.Mutex
		workers     sync.WaitGroup
	)
	for range min(w.concurrency, w.sagas) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= w.sagas || hold > 0 && int(ended.Load()) >= hold {
					return
				}
				if err := w.one(ctx, d, world, n, i); err != nil {
					cancel(err)
					return
				}
				report.Lock()
				progress(int(ended.Add(1)))
				report.Unlock()
			}
		})
	}
	workers.Wait()
	if hold > 0 {
		<-ctx.Done()
	}
	return context.Cause(ctx)
}

// one runs one saga to its end, whichever that is.
func (w *workload) one(ctx context.Context, d *Demo, world DemoWorld, n *sagaz.Node, i int) error {
	if w.before != nil {
		if err := w.before(ctx, i); err != nil {
			return err
		}
	}
	if w.after != nil {
		defer w.after(i)
	}
	wait, err := world.Start(ctx, n, w.id(d, i), i, w.fails(d.Name(i)))
	for errors.Is(err, sagaz.ErrOverloaded) || errors.Is(err, sagaz.ErrUnavailable) {
		if w.failed != nil {
			w.failed(err)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
		wait, err = world.Start(ctx, n, w.id(d, i), i, w.fails(d.Name(i))) // the same id: the same saga
	}
	if err != nil {
		return err
	}
	err = wait(ctx)
	var (
		compensated *sagaz.CompensatedError
		abandoned   *sagaz.AbandonedError
	)
	if errors.As(err, &compensated) || errors.As(err, &abandoned) {
		return nil
	}
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
