package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/transport"
)

// drain fills the outbox while nobody sends, and then measures how fast it is emptied.
func drain(ctx context.Context, w *workload, pub transport.Publisher, sagas, concurrency int, profiles string) error {
	node, err := w.open(ctx, nil, sagaz.Events{Store: true})
	if err != nil {
		return err
	}
	if err := errors.Join(runSagas(ctx, node, sagas, concurrency, func(int) {}), node.Close(ctx)); err != nil {
		return err
	}
	stop, err := profiling(profiles, "relay")
	if err != nil {
		return err
	}
	defer stop()
	took, err := empty(ctx, w, pub, 2*sagas)
	if err != nil {
		return err
	}
	fmt.Printf("relay        %9.0f events/s from a full outbox of %d\n", float64(2*sagas)/took.Seconds(), 2*sagas)
	return nil
}

// empty opens a node over a full outbox and returns how long it takes to send so many events.
func empty(ctx context.Context, w *workload, pub transport.Publisher, events int) (time.Duration, error) {
	node, err := w.open(ctx, pub, sagaz.Events{})
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	for node.Sending().Read < uint64(events) {
		if time.Since(begin) > time.Minute {
			return 0, errors.Join(fmt.Errorf("%d of %d events were sent in a minute", node.Sending().Read, events), node.Close(ctx))
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(begin), node.Close(ctx)
}
