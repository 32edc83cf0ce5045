package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/check"
)

// maxOpen bounds the sagas that clients wait for at the same time.
const maxOpen = 2000

// clients start sagas, cancel some, and wait for their ends, and write down what they were told.
type clients struct {
	node *sagaz.Node
	rate int // sagas a second

	wg   sync.WaitGroup
	open chan struct{}

	mu      sync.Mutex
	starts  []check.Start
	signals []check.Signal
	ends    []check.End
	odd     []string // errors that a client does not expect
	pending int
}

func openClients(ctx context.Context, store string, rate int, log *slog.Logger) (*clients, error) {
	node, err := sagaz.Open(ctx, sagaz.Config{
		Store: store, Cluster: &sagaz.Cluster{Listen: "127.0.0.1:0", Heartbeat: heartbeat, Expiry: expiry}, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	return &clients{node: node, rate: rate, open: make(chan struct{}, maxOpen)}, nil
}

// run starts sagas until ctx ends; they are waited for as long as waiting lasts.
func (c *clients) run(ctx, waiting context.Context) {
	tick := time.NewTicker(time.Second / time.Duration(c.rate))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			c.wg.Wait()
			return
		}
		select {
		case c.open <- struct{}{}:
		default: // many wait: the cluster has stopped for now
			n--
			continue
		}
		c.wg.Go(func() {
			defer func() { <-c.open }()
			c.one(ctx, waiting, n)
		})
	}
}

// one is the life of a saga as its client sees it.
func (c *clients) one(ctx, waiting context.Context, n int) {
	id, shape := fmt.Sprintf("parcel-%07d", n), 0
	if n%8 == 5 {
		shape = 1
	}
	in := inputOf(n)
	for tries := 0; ; tries++ {
		answer := c.start(waiting, id, shape, in)
		if answer == check.Done {
			break
		}
		if answer == check.Refused || n%50 == 7 && tries == 0 || ctx.Err() != nil { // some clients give up: it may be there or not
			return
		}
		wait(ctx, 100*time.Millisecond)
	}
	c.note(func() { c.pending++ })
	defer c.note(func() { c.pending-- })
	switch n % 40 {
	case 3, 4:
		wait(ctx, time.Duration(rand.IntN(60))*time.Millisecond)
		c.cancel(waiting, id)
	case 9: // it asks twice, and the second time for something else
		c.start(waiting, id, shape, in)
		in.N = -1
		c.start(waiting, id, shape, in)
	}
	c.await(waiting, id, shape)
}

func (c *clients) note(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn()
}

func (c *clients) start(ctx context.Context, id string, shape int, in Input) check.Answer {
	input, err := json.Marshal(in)
	if err != nil {
		panic(err) // a number and a text
	}
	call := check.Start{Saga: id, Definition: shapes[shape].Name, Input: string(input), Answer: check.Unknown}
	_, err = definitions[shape].Start(ctx, c.node, id, in)
	switch {
	case err == nil:
		call.Answer = check.Done
	case errors.Is(err, sagaz.ErrIDInUse), errors.Is(err, sagaz.ErrInvalid):
		call.Answer = check.Refused
	case errors.Is(err, sagaz.ErrUnknownDefinition), retryable(err):
	default:
		c.note(func() { c.odd = append(c.odd, fmt.Sprintf("start %s: %v", id, err)) })
	}
	c.note(func() { c.starts = append(c.starts, call) })
	return call.Answer
}

func retryable(err error) bool {
	for _, kind := range []error{sagaz.ErrUnavailable, sagaz.ErrOverloaded, sagaz.ErrClosed, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

func (c *clients) cancel(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s := check.Signal{Saga: id, Verb: check.Cancel, Answer: check.Done}
	switch err := c.node.Cancel(ctx, id, "changed my mind"); {
	case err == nil:
	case errors.Is(err, sagaz.ErrPastPivot), errors.Is(err, sagaz.ErrEnded):
		s.Answer = check.Refused
	default:
		s.Answer = check.Unknown
	}
	c.note(func() { c.signals = append(c.signals, s) })
}

func (c *clients) await(ctx context.Context, id string, shape int) {
	handle := definitions[shape].Handle(c.node, id)
	for ctx.Err() == nil {
		_, err := handle.Wait(ctx)
		end := check.End{Saga: id}
		var compensated *sagaz.CompensatedError
		var abandoned *sagaz.AbandonedError
		switch {
		case err == nil:
			end.Status = string(sagaz.Completed)
		case errors.As(err, &compensated):
			end.Status = string(sagaz.Compensated)
		case errors.As(err, &abandoned):
			end.Status = string(sagaz.Abandoned)
		case retryable(err):
			wait(ctx, 100*time.Millisecond)
			continue
		default:
			c.note(func() { c.odd = append(c.odd, fmt.Sprintf("wait for %s: %v", id, err)) })
			return
		}
		c.note(func() { c.ends = append(c.ends, end) })
		return
	}
}

func (c *clients) counts() (starts, ends, pending int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.starts), len(c.ends), c.pending
}
