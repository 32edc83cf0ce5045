package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/messages"
)

// order says what becomes of the saga's last step.
type order struct {
	Reject bool `json:"reject,omitempty"` // the steps before it are undone
	Falter bool `json:"falter,omitempty"` // its first attempt fails
}

type definition = sagaz.Definition[order, messages.None]

// workload is sagas of three steps, and who does the steps.
type workload struct {
	definitions []*definition
	actions     map[string][]messages.Command[order, order] // of each participant
	undos       map[string]messages.Command[order, messages.None]
}

// newWorkload makes so many definitions, whose steps are spread over so many participants and actions.
func newWorkload(definitions, participants, actions int) *workload {
	w := &workload{actions: map[string][]messages.Command[order, order]{}, undos: map[string]messages.Command[order, messages.None]{}}
	var do []messages.Command[order, order]
	var undo []messages.Command[order, messages.None]
	for i := range actions {
		name := fmt.Sprintf("service-%02d", i%participants)
		if _, known := w.undos[name]; !known {
			w.undos[name] = messages.NewCommand[order, messages.None](name + ".undo")
		}
		c := messages.NewCommand[order, order](fmt.Sprintf("%s.do-%02d", name, i/participants))
		w.actions[name] = append(w.actions[name], c)
		do, undo = append(do, c), append(undo, w.undos[name])
	}
	for d := range definitions {
		at := func(step int) int { return (3*d + step) % actions }
		w.definitions = append(w.definitions, sagaz.Define(fmt.Sprintf("bench.observe-%02d", d), func(s *sagaz.Builder[order, messages.None]) {
			quiet := func(order, sagaz.Results) order { return order{} }
			back := func(sagaz.Attempt[order, order]) order { return order{} }
			a := sagaz.Step(s, "a", do[at(0)], quiet)
			sagaz.Compensate(a, undo[at(0)], back)
			b := sagaz.Step(s, "b", do[at(1)], quiet, sagaz.After(a))
			sagaz.Compensate(b, undo[at(1)], back)
			sagaz.Step(s, "c", do[at(2)], func(in order, _ sagaz.Results) order { return in }, sagaz.After(b), sagaz.Retry{MaxAttempts: 2, InitialBackoff: time.Millisecond})
		}))
	}
	return w
}

// open opens a node, observed or not.
func (w *workload) open(ctx context.Context, store string, observed bool) (*sagaz.Node, error) {
	cfg := sagaz.Config{Store: store, Logger: slog.New(slog.DiscardHandler), StartTimeout: time.Minute}
	for _, d := range w.definitions {
		cfg.Sagas = append(cfg.Sagas, d)
	}
	for name, actions := range w.actions {
		p := sagaz.NewParticipant(name, sagaz.QueueLimit(4096))
		for _, c := range actions {
			sagaz.Handle(p, c, answer)
		}
		sagaz.Handle(p, w.undos[name], func(context.Context, sagaz.Delivery[order]) (messages.None, error) { return messages.None{}, nil })
		cfg.Participants = append(cfg.Participants, p)
	}
	if observed {
		cfg.API = &sagaz.API{Listen: "127.0.0.1:0"}
	}
	return sagaz.Open(ctx, cfg)
}

func answer(_ context.Context, d sagaz.Delivery[order]) (order, error) {
	switch {
	case d.Command.Reject:
		return order{}, sagaz.Reject(errors.New("as ordered"))
	case d.Command.Falter && d.Attempt == 1:
		return order{}, errors.New("as ordered")
	}
	return order{}, nil
}

var unique atomic.Int64

// one runs one saga.
func (w *workload) one(ctx context.Context, n *sagaz.Node, in order) error {
	i := unique.Add(1)
	s, err := w.definitions[int(i)%len(w.definitions)].Start(ctx, n, fmt.Sprintf("%s-%08d", began, i), in)
	if err != nil {
		return err
	}
	_, err = s.Wait(ctx)
	if _, undone := errors.AsType[*sagaz.CompensatedError](err); undone && in.Reject {
		return nil
	}
	return err
}

var began = time.Now().UTC().Format("150405.000")

// closed runs sagas, so many at a time, until there have been enough (0: any number) or ctx ends.
func (w *workload) closed(ctx context.Context, n *sagaz.Node, sagas, live int) (done int64, err error) {
	var begun, ended atomic.Int64
	var wg sync.WaitGroup
	var once sync.Once
	for range live {
		wg.Go(func() {
			for ctx.Err() == nil && (begun.Add(1) <= int64(sagas) || sagas == 0) {
				if failed := w.one(context.WithoutCancel(ctx), n, order{}); failed != nil {
					once.Do(func() { err = failed })
					return
				}
				ended.Add(1)
			}
		})
	}
	wg.Wait()
	return ended.Load(), err
}

// paced starts sagas at a rate until ctx ends, whatever becomes of those before.
func (w *workload) paced(ctx context.Context, n *sagaz.Node, perSecond float64) (err error) {
	var wg sync.WaitGroup
	var once sync.Once
	begun := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		time.Sleep(time.Until(begun.Add(time.Duration(float64(i) / perSecond * float64(time.Second)))))
		wg.Go(func() {
			if failed := w.one(context.WithoutCancel(ctx), n, order{}); failed != nil {
				once.Do(func() { err = failed })
			}
		})
	}
	wg.Wait()
	return err
}

// everyOutcome runs sagas of every definition that reject and that falter, so that their series are there.
func (w *workload) everyOutcome(ctx context.Context, n *sagaz.Node) error {
	for _, in := range []order{{}, {Reject: true}, {Falter: true}} {
		for range w.definitions {
			if err := w.one(ctx, n, in); err != nil {
				return err
			}
		}
	}
	return nil
}
