package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/parallel"
	"github.com/sagaz/sagaz/messages"
)

type nothing struct {
	Reject bool `json:"reject,omitempty"`
}

var (
	noop = messages.NewCommand[nothing, nothing]("noop.do")
	undo = messages.NewCommand[nothing, messages.None]("noop.undo")
)

// three is three steps in a row; the third rejects when the input says so, and the two before it are undone.
var three = sagaz.Define("bench.three", func(s *sagaz.Builder[nothing, messages.None]) {
	pass := func(nothing, sagaz.Results) nothing { return nothing{} }
	back := func(sagaz.Attempt[nothing, nothing]) nothing { return nothing{} }
	patient := sagaz.Timeout(time.Hour) // 100,000 of them wait while memory is measured
	a := sagaz.Step(s, "a", noop, pass, patient)
	sagaz.Compensate(a, undo, back)
	b := sagaz.Step(s, "b", noop, pass, patient, sagaz.After(a))
	sagaz.Compensate(b, undo, back)
	sagaz.Step(s, "c", noop, func(in nothing, _ sagaz.Results) nothing { return in }, patient, sagaz.After(b))
})

type handler = func(context.Context, sagaz.Delivery[nothing]) (nothing, error)

// answer does nothing, or rejects, as it is asked.
func answer(_ context.Context, d sagaz.Delivery[nothing]) (nothing, error) {
	if d.Command.Reject {
		return nothing{}, sagaz.Reject(errors.New("as asked"))
	}
	return nothing{}, nil
}

// open makes a node whose participant answers with do.
func open(ctx context.Context, store string, do handler, idleAfter time.Duration, opts ...sagaz.ParticipantOption) (*sagaz.Node, error) {
	return sagaz.Open(ctx, sagaz.Config{
		Store: store, Sagas: []sagaz.AnyDefinition{three}, Participants: []*sagaz.Participant{noops(do, opts...)}, IdleAfter: idleAfter,
		StartTimeout: time.Minute,
	})
}

// noops makes the participant whose steps are done by do, and undone by nothing at all.
func noops(do handler, opts ...sagaz.ParticipantOption) *sagaz.Participant {
	p := sagaz.NewParticipant("noop", opts...)
	sagaz.Handle(p, noop, do)
	sagaz.Handle(p, undo, func(context.Context, sagaz.Delivery[nothing]) (messages.None, error) { return messages.None{}, nil })
	return p
}

// each calls do for so many sagas, `concurrency` at a time, and returns how long each took.
func each(sagas, concurrency int, do func(i int) error) ([]time.Duration, error) {
	took := make([]time.Duration, sagas)
	err := parallel.Each(sagas, concurrency, func(i int) error {
		begin := time.Now()
		err := do(i)
		took[i] = time.Since(begin)
		return err
	})
	if err != nil {
		return nil, err
	}
	return took, nil
}

// runAll takes sagas from their start to their end. Without a prefix the node makes their ids.
func runAll(ctx context.Context, node *sagaz.Node, prefix string, reject bool, sagas, concurrency int) ([]time.Duration, error) {
	return each(sagas, concurrency, func(i int) error { return runOne(ctx, node, prefix, reject, i) })
}

func runOne(ctx context.Context, node *sagaz.Node, prefix string, reject bool, i int) error {
	id := ""
	if prefix != "" {
		id = prefix + strconv.Itoa(i)
	}
	h, err := three.Start(ctx, node, id, nothing{Reject: reject})
	if err != nil {
		return err
	}
	_, err = h.Wait(ctx)
	if undone := (*sagaz.CompensatedError)(nil); reject && errors.As(err, &undone) {
		return nil
	}
	return err
}

// between runs sagas, `concurrency` at a time, until a moment, and returns how many ended after another one before it.
func between(ctx context.Context, node *sagaz.Node, prefix string, concurrency int, from, to time.Time) (int, error) {
	var begun, ended atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range concurrency {
		wg.Go(func() {
			for failed.Load() == nil && time.Now().Before(to) {
				if err := runOne(ctx, node, prefix, false, int(begun.Add(1))); err != nil {
					failed.Store(&err)
				}
				if at := time.Now(); at.After(from) && at.Before(to) {
					ended.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return int(ended.Load()), nil
}

// startAll only starts them.
func startAll(ctx context.Context, node *sagaz.Node, prefix string, sagas int) error {
	_, err := each(sagas, 256, func(i int) error {
		_, err := three.Start(ctx, node, prefix+strconv.Itoa(i), nothing{})
		return err
	})
	return err
}

// unique makes ids that no earlier run on this store has used.
func unique(what string) string { return fmt.Sprintf("%s-%d-", what, time.Now().UnixNano()) }
