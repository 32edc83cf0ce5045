package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/sagaz/sagaz"
)

// memory prints the Go heap that sagas cost while they sleep, and while they wait for a reply. Those that sleep are left behind.
func memory(ctx context.Context, store string, sagas int) error {
	kept, asleep, err := sleeping(ctx, store, sagas)
	if err != nil {
		return fmt.Errorf("sagas that sleep: %w", err)
	}
	fmt.Printf("\n%d sagas that sleep: %d bytes of Go heap each in a node opened over them, %d in the one that put them to sleep\n", sagas, asleep, kept)
	live, err := waiting(ctx, store, sagas)
	if err != nil {
		return fmt.Errorf("sagas that wait: %w", err)
	}
	fmt.Printf("%d sagas that wait for a reply: %d bytes of Go heap each, with their command in the participant's queue\n", sagas, live)
	return nil
}

// sleeping starts sagas whose first command is put off for a day, and waits until they have left memory. Kept is what the node's own
// tables keep of its busiest moment; asleep is measured in a second node, which never had them in memory.
func sleeping(ctx context.Context, store string, sagas int) (kept, asleep int64, err error) {
	tomorrow := func(context.Context, sagaz.Delivery[nothing]) (nothing, error) {
		return nothing{}, sagaz.RetryAfter(24*time.Hour, errTomorrow)
	}
	node, err := open(ctx, store, tomorrow, time.Second, sagaz.QueueLimit(sagas))
	if err != nil {
		return 0, 0, err
	}
	before := heap()
	if err := startAll(ctx, node, unique("sleeping"), sagas); err != nil {
		return 0, 0, err
	}
	if err := settle(ctx, node); err != nil {
		return 0, 0, err
	}
	kept = heap() - before
	if err := node.Close(ctx); err != nil {
		return 0, 0, err
	}
	if node, err = open(ctx, store, tomorrow, time.Second, sagaz.QueueLimit(sagas)); err != nil {
		return 0, 0, err
	}
	if _, err := three.Start(ctx, node, unique("one"), nothing{}); err != nil { // recovery, and whatever a start needs, is behind us
		return 0, 0, err
	}
	if err := settle(ctx, node); err != nil {
		return 0, 0, err
	}
	asleep = heap() - before
	return kept / int64(sagas), asleep / int64(sagas), node.Close(ctx)
}

// waiting starts sagas whose first command is not answered before memory was measured: one handler holds the first, the others queue up behind it.
func waiting(ctx context.Context, store string, sagas int) (int64, error) {
	hold := make(chan struct{})
	node, err := open(ctx, store, func(context.Context, sagaz.Delivery[nothing]) (nothing, error) {
		<-hold
		return nothing{}, nil
	}, 0, sagaz.Concurrency(1), sagaz.QueueLimit(sagas))
	if err != nil {
		return 0, err
	}
	before := heap()
	err = startAll(ctx, node, unique("waiting"), sagas)
	used, live := heap()-before, node.Live()
	close(hold)
	if err == nil && live != sagas {
		err = fmt.Errorf("%d of %d sagas are in memory", live, sagas)
	}
	if err == nil {
		err = settle(ctx, node)
	}
	return used / int64(sagas), errors.Join(err, node.Close(ctx))
}

var errTomorrow = errors.New("not today")

// settle waits until no saga is in memory.
func settle(ctx context.Context, node *sagaz.Node) error {
	for deadline := time.Now().Add(10 * time.Minute); node.Live() > 0; {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d sagas stay in memory", node.Live())
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// heap returns the bytes of live objects.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what a finalizer or a pool held on to
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
