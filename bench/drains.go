package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sagaz/sagaz"
)

// drains prints what a drain, and then a join, under load does to the sagas that are under way.
func drains(ctx context.Context, store string, look *sagaz.Inspector, rounds int) error {
	f, err := serve(ctx, store, look, 3)
	if err != nil {
		return err
	}
	defer func() { _ = f.stop(ctx) }()
	l := loadOn(ctx, f.client, calmLoad)
	time.Sleep(calmFor)
	quiet := time.Now()
	time.Sleep(calmFor)
	fmt.Printf("\nunder load (%d sagas at once): %s\n", calmLoad, l.between(quiet, time.Now()))
	for range rounds {
		last := len(f.peers) - 1
		began := time.Now()
		if err := f.peers[last].end(); err != nil {
			return err
		}
		drained := time.Since(began)
		time.Sleep(time.Second)
		fmt.Printf("a node drains in %.2f s: %s\n", drained.Seconds(), l.between(began, time.Now()))
		began = time.Now()
		p, err := launch(ctx, store, roleSagas, len(f.peers))
		if err != nil {
			return err
		}
		f.peers[last] = p
		if err := f.settled(ctx); err != nil {
			return err
		}
		fmt.Printf("a node joins and has its shards after %.2f s: %s\n", time.Since(began).Seconds(), l.between(began, time.Now()))
		time.Sleep(calmFor)
	}
	started, failed := l.stop()
	fmt.Printf("%d sagas, %d failed\n", started, failed)
	return f.stop(ctx)
}

// load starts sagas and waits for them, so many at once, until it is stopped.
type load struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	spans  []span
	failed int
}

// span is a saga's life as its caller saw it.
type span struct{ from, to time.Time }

func loadOn(ctx context.Context, node *sagaz.Node, concurrency int) *load {
	ctx, cancel := context.WithCancel(ctx)
	l, prefix := &load{cancel: cancel}, unique("load")
	for w := range concurrency {
		l.wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				from := time.Now()
				_, err := runAll(context.WithoutCancel(ctx), node, fmt.Sprintf("%s%d-%d-", prefix, w, i), false, 1, 1)
				l.mu.Lock()
				l.spans = append(l.spans, span{from, time.Now()})
				if err != nil {
					fmt.Fprintln(os.Stderr, "failed:", err)
					l.failed++
				}
				l.mu.Unlock()
			}
		})
	}
	return l
}

func (l *load) stop() (started, failed int) {
	l.cancel()
	l.wg.Wait()
	return len(l.spans), l.failed
}

// between says how long those sagas took that were under way at some time between two moments.
func (l *load) between(from, to time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var took []time.Duration
	for _, s := range l.spans {
		if s.to.After(from) && s.from.Before(to) {
			took = append(took, s.to.Sub(s.from))
		}
	}
	if len(took) == 0 {
		return "no saga ended"
	}
	slices.Sort(took)
	return fmt.Sprintf("%d sagas took p50 %.1f, p99 %.1f, at most %.1f ms", len(took), micros(took[len(took)/2])/1e3, micros(took[len(took)*99/100])/1e3, micros(took[len(took)-1])/1e3)
}
